"""Calls in a step's SQL: macros are written out, the batch's time put in, and what must not be called is refused."""

from streamjob_runtime.plan.catalog import TIME_FUNCTIONS, Catalog, Macro
from streamjob_runtime.plan.problems import Refusal
from streamjob_runtime.plan.tree import Node, bare_name, cast, function_name, key_of, names, rewrite, walk

# The clocks that SQL has without parentheses, where no column has the name.
_BARE_CLOCKS = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
TABLE_FUNCTIONS = {"unnest", "range", "generate_series", "json_each", "json_tree", "repeat", "repeat_row"}


def check_calls(catalog: Catalog, node: Node) -> None:
    """Refuse every call in the whole query that has no fixed answer or looks outside its rows."""
    for part in walk(node):
        if part["type"] == "TABLE_FUNCTION":
            name = function_name(part["function"])
            if name not in TABLE_FUNCTIONS:
                raise Refusal(
                    f"reads from the table function {name}, which SQL of a job may not",
                    f"Allowed are {', '.join(sorted(TABLE_FUNCTIONS))}; data comes in through `sources` and `tables`.",
                    part,
                )
        elif part.get("class") == "PARAMETER":
            raise Refusal("has a parameter, and nobody gives it a value", "Write the value itself.", part)
        elif part.get("class") in ("FUNCTION", "WINDOW"):
            _check_call(catalog, part)


def _check_call(catalog: Catalog, call: Node) -> None:
    name = function_name(call)
    if name in catalog.volatile:
        raise Refusal(
            f"calls {name}(), which gives another answer each time, so a replay would not give the same rows",
            "Derive the value from the row, for example hash(column).",
            call,
        )
    if name in catalog.looking:
        raise Refusal(
            f"calls {name}(), which looks at settings or at the process, and SQL of a job may not",
            "Write the value itself.",
            call,
        )
    if name == "age" and len(call.get("arguments", [])) == 1:
        raise Refusal("calls age() with one argument, which means the wall clock", "Write age(now(), …).", call)


def expand_calls(catalog: Catalog, node: Node) -> Node:
    """Write out DuckDB's macros, so that aggregates, clocks and forbidden calls inside them are seen."""

    def change(part: Node) -> Node | None:
        if part["type"] == "SELECT_NODE":
            expanded = {k: v if k == "select_list" else expand_calls(catalog, v) for k, v in part.items()}
            shown = [(item, expand_calls(catalog, item)) for item in part["select_list"]]
            return {**expanded, "select_list": [named_as(catalog, old, new) for old, new in shown]}
        if part.get("class") != "FUNCTION":
            return None
        macro = _macro(catalog, part)
        if macro is None or not _matters(catalog, macro.definition):
            return None
        values = _values(macro, part)
        body = expand_calls(catalog, catalog.parse(f"SELECT {macro.definition}")[0]["select_list"][0])

        def put(inner: Node) -> Node | None:
            if inner["type"] != "COLUMN_REF":
                return None
            value = values.get(".".join(names(inner)).lower())
            return None if value is None else expand_calls(catalog, value)

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
        if name in catalog.aggregates | catalog.volatile | catalog.looking or name in TIME_FUNCTIONS:
            return True
        if time_call(part) is not None:
            return True
        if part.get("class") == "FUNCTION" and any(_matters(catalog, m.definition) for m in _others(catalog, name)):
            return True
    return False


def _others(catalog: Catalog, name: str) -> list[Macro]:
    # current_database() and its like are defined by the function of the same name.
    return [] if name in catalog.looking else catalog.macros.get(name, [])


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
