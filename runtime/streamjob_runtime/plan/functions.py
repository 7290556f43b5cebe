"""Calls in a step's SQL: macros are written out, the batch's time put in, and what must not be called is refused."""

from difflib import get_close_matches
from typing import Any

from streamjob_runtime.plan import allowed, foreign
from streamjob_runtime.plan.catalog import TIME_FUNCTIONS, Catalog, Macro
from streamjob_runtime.plan.model import MARK
from streamjob_runtime.plan.problems import Refusal
from streamjob_runtime.plan.tree import Node, bare_name, cast, function_name, key_of, names, rewrite, walk

# The clocks that SQL has without parentheses, where no column has the name.
_BARE_CLOCKS = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
# What it gives a value where no column has the name: what is known of the process, and where a row lies.
_ENGINES_NAMES = {"user", "session_user", "current_user", "current_role", "current_schema", "current_catalog"}
_MOST_NODES = 100_000  # of a query whose macros are written out
_STAY_AS_THEY_ARE = "Keep it as JSON or VARCHAR."
_NODES = {
    "RECURSIVE_CTE_NODE": ("is a recursive query, which cannot be kept up to date", "Write the levels out as steps."),
    "SHOW_REF": (
        "has SHOW, DESCRIBE or SUMMARIZE, which look into the engine and not at rows",
        "A step is one SELECT; where its rows go is said under `sinks`.",
    ),
    "PIVOT": (
        "has a PIVOT or UNPIVOT, whose columns follow from the rows",
        "Write a column for each value, sum(x) FILTER (WHERE k = 'a') AS a; or UNION ALL of a SELECT for each.",
    ),
    "VALUE_PARAMETER": ("has a parameter, and nobody gives it a value", "Write the value itself."),
    "VALUE_DEFAULT": (
        "has the word DEFAULT for a value, and there is none",
        'Write the value itself; a column of that name in double quotes: "default".',
    ),
}
_FIELDS = {
    "sample": ("takes a sample, which is another one each time", "Filter by a hash: hash(column) % 10 = 0."),
    "at_clause": ("reads an earlier state of a table (AT), and none is kept", "Leave it out."),
    "key_targets": ("is a recursive query, which cannot be kept up to date", "Write the levels out as steps."),
}


def check_calls(catalog: Catalog, node: Node) -> None:
    """Refuse what the whole query has beside the lists of `allowed`: nodes, functions and types."""
    _check(catalog, node, node)


def _check(catalog: Catalog, part: Any, within: Node, in_from: bool = False) -> None:
    """`within`: the node that says where this stands. `in_from`: this is the call of a table function."""
    if isinstance(part, list):
        for item in part:
            _check(catalog, item, within)
    if not isinstance(part, dict):
        return
    at = part if "query_location" in part else within
    kind = part.get("type")
    if isinstance(kind, str) and kind not in allowed.NODES:
        said = f"has {kind.replace('_', ' ').lower()}, which SQL of a job may not have"
        raise Refusal(*_NODES.get(kind, (said, "Write it in another way.")), at)
    if in_from:
        _check_table_function(part, at)
    elif part.get("class") in ("FUNCTION", "WINDOW"):
        _check_call(catalog, part)
    elif kind == "TYPE" and not allowed.is_type(part):
        raise Refusal(f"has the type {part['type_name']}, which SQL of a job may not", _STAY_AS_THEY_ARE, at)
    for field, value in part.items():
        if field not in allowed.FIELDS:
            said = f"has something that is not known here ({field})"
            raise Refusal(*_FIELDS.get(field, (said, "Write it in another way.")), at)
        _check(catalog, value, at, kind == "TABLE_FUNCTION" and field == "function")


def _check_table_function(call: Node, at: Node) -> None:
    name = function_name(call)
    if name in allowed.TABLE_FUNCTIONS:
        return
    raise Refusal(
        f"reads from the table function {name}, which SQL of a job may not",
        foreign.instead_of(name)
        or f"Allowed are {', '.join(sorted(allowed.TABLE_FUNCTIONS))}; data comes in through `sources` and `tables`.",
        at,
    )


def _check_call(catalog: Catalog, call: Node) -> None:
    name = function_name(call)
    if name == "age" and len(call.get("arguments", [])) == 1:
        raise Refusal("calls age() with one argument, which means the wall clock", "Write age(now(), …).", call)
    if call.get("export_state"):
        raise Refusal(f"has EXPORT_STATE at {name}(), whose state is no value", "Leave it out.", call)
    if name in allowed.FUNCTIONS or name == MARK:
        return
    if name.startswith("variant_"):
        raise Refusal(f"calls {name}(), and SQL of a job may not have the type VARIANT", _STAY_AS_THEY_ARE, call)
    if name in catalog.volatile:
        raise Refusal(
            f"calls {name}(), which gives another answer each time, so a replay would not give the same rows",
            "Derive the value from the row, for example hash(column).",
            call,
        )
    if name in catalog.functions:
        raise Refusal(
            f"calls {name}(), which SQL of a job may not",
            "What looks at the engine or outside of its rows is refused, or is the engine's own. Write the value.",
            call,
        )
    remedy = foreign.instead_of(name)
    if not remedy:
        near = get_close_matches(name, sorted(allowed.FUNCTIONS), n=1)
        remedy = f"Did you mean {near[0]}?" if near else ""
    raise Refusal(f"calls {name}(), which is no function", remedy, call)


def expand_calls(catalog: Catalog, node: Node) -> Node:
    """Write out DuckDB's macros, so that aggregates and clocks inside them are seen."""
    return _expand(catalog, node, [_MOST_NODES])


def _expand(catalog: Catalog, node: Node, left: list[int]) -> Node:

    def change(part: Node) -> Node | None:
        if part["type"] == "SELECT_NODE":
            expanded = {k: v if k == "select_list" else _expand(catalog, v, left) for k, v in part.items()}
            shown = [(item, _expand(catalog, item, left)) for item in part["select_list"]]
            return {**expanded, "select_list": [named_as(catalog, old, new) for old, new in shown]}
        if part.get("class") != "FUNCTION":
            return None
        macro = _macro(catalog, part)
        if macro is None or not _matters(catalog, macro.definition):
            return None
        values = _values(macro, part)
        body = _expand(catalog, catalog.parse(f"SELECT {macro.definition}")[0]["select_list"][0], left)

        def put(inner: Node) -> Node | None:
            if inner["type"] != "COLUMN_REF":
                return None
            value = values.get(".".join(names(inner)).lower())
            if value is None:
                return None
            put_in = _expand(catalog, value, left)
            left[0] -= sum(1 for _ in walk(put_in))
            if left[0] < 0:
                raise Refusal("is too long once its calls are written out", "Nest fewer of them, or write steps.", part)
            return put_in

        written = {**rewrite(body, put), "alias": part.get("alias", "")}
        return _placed(written, part)

    expanded: Node = rewrite(node, change, into_subqueries=True)
    return expanded


def named_as(catalog: Catalog, old: Node, new: Node) -> Node:
    """A column of a SELECT keeps its name when it is written in another way."""
    several = any(part.get("class") == "STAR" for part in walk(old, into_subqueries=False))
    return new if several or key_of(old) == key_of(new) else {**new, "alias": catalog.output_name(old)}


def _values(macro: Macro, call: Node) -> dict[str, Node]:
    """The arguments by parameter, in lower case. Raises `Refusal` for what only real aggregates can have."""
    name = function_name(call)
    if call.get("filter") or call.get("distinct") or call.get("order_bys", {}).get("orders"):
        raise Refusal(
            f"has FILTER, DISTINCT or ORDER BY at {name}(), which is short for {macro.definition}",
            "Write that out, with FILTER at each aggregate, or filter the rows in an earlier step.",
            call,
        )
    parameters = [p.lower() for p in macro.parameters]
    given = call.get("arguments", [])
    by_name = {str(a["name"]).lower(): a["expression"] for a in given if "name" in a}
    by_place = [a["expression"] for a in given if "name" not in a]
    values = {**dict(zip(parameters, by_place, strict=False)), **by_name}
    if len(values) != len(given) or not set(values) <= set(parameters):
        raise Refusal(f"calls {name}() with arguments that it does not have", f"It has {', '.join(parameters)}.", call)
    return {name: {**value, "alias": ""} for name, value in values.items()}


def _macro(catalog: Catalog, call: Node) -> Macro | None:
    count = len(call.get("arguments", []))
    fitting = [m for m in catalog.macros.get(function_name(call), []) if len(m.parameters) == count]
    return fitting[0] if fitting else None


def _matters(catalog: Catalog, definition: str) -> bool:
    for part in walk(catalog.parse(f"SELECT {definition}")[0]["select_list"]):
        name = function_name(part)
        if part.get("class") == "SUBQUERY" or part["type"] == "TABLE_FUNCTION":
            return True
        if name in catalog.aggregates or name in TIME_FUNCTIONS:
            return True
        if time_call(part) is not None:
            return True
        if part.get("class") == "FUNCTION" and any(
            _matters(catalog, m.definition) for m in catalog.macros.get(name, [])
        ):
            return True
    return False


def _placed(node: Node, like: Node) -> Node:
    place = {k: like[k] for k in ("query_location", "query_location_length") if k in like}

    def put(part: object) -> object:
        if isinstance(part, dict):
            kept = {k: put(v) for k, v in part.items() if not k.startswith("query_location")}
            return {**kept, **place} if "class" in part else kept
        return [put(p) for p in part] if isinstance(part, list) else part

    placed = put(node)
    assert isinstance(placed, dict)
    return placed


def refuse_engines_name(reference: Node) -> None:
    """Refuse a name that is no column's, where DuckDB would give a value all the same."""
    path = [n.lower() for n in names(reference)]
    if path[-1] == "rowid" or (len(path) == 1 and path[0] in _ENGINES_NAMES):
        raise Refusal(f"names the column {'.'.join(names(reference))}, which is not there", "", reference)


def time_call(node: Node) -> str | None:
    """The name of the clock function that this node calls, with or without parentheses."""
    if node.get("class") == "FUNCTION" and not node.get("arguments"):
        return function_name(node) if function_name(node) in TIME_FUNCTIONS else None
    name = bare_name(node)
    return name if name in _BARE_CLOCKS else None


def batch_time_for(catalog: Catalog, name: str) -> Node:
    """What the clock function says: the batch's time, in the function's type."""
    time = catalog.now()
    for kind in TIME_FUNCTIONS[name]:
        time = cast(time, kind)
    return time
