"""The first rows of a stream, of each key or of all: `QUALIFY row_number() OVER (…) <= n`, `DISTINCT ON … ORDER BY`,
`ORDER BY … LIMIT`.

A row that has n others before it never counts again, since rows only come: so the state of a key is its first n rows.
The SELECT becomes three steps: the rows with what they are ordered by, a table of lists, and its rows.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from streamjob_runtime.plan.catalog import Catalog
from streamjob_runtime.plan.fingerprint import fingerprint
from streamjob_runtime.plan.kinds import first_of
from streamjob_runtime.plan.model import MARK, Aggregation, Column, RollingWindow, state_table
from streamjob_runtime.plan.normalize import Flat
from streamjob_runtime.plan.problems import Refusal
from streamjob_runtime.plan.scope import Changes, Known
from streamjob_runtime.plan.steps import Planned, plan_step
from streamjob_runtime.plan.storable import Stored, stored_key, stored_set
from streamjob_runtime.plan.tree import (
    Node,
    aliased,
    bare_name,
    call,
    conjuncts,
    key_of,
    literal,
    names,
    quoted,
    star,
    walk,
)

_MOST = 100_000  # rows of a key: each batch that touches it writes them anew
_ROWS = f"{MARK}rows"  # the column with a key's rows
_NUMBER = f"{MARK}number"
_TIES = {"COMPARE_LESSTHANOREQUALTO": 0, "COMPARE_LESSTHAN": -1, "COMPARE_EQUAL": 0}
_TURNED = {"COMPARE_GREATERTHANOREQUALTO": "COMPARE_LESSTHANOREQUALTO", "COMPARE_GREATERTHAN": "COMPARE_LESSTHAN"}


@dataclass(frozen=True, slots=True)
class Top:
    """What a SELECT keeps of a stream."""

    partitions: tuple[Node, ...]
    orders: tuple[Node, ...]  # as in an ORDER BY
    most: int
    number: Node | None  # the call of row_number(), which may stand among the columns


def find_top(node: Node) -> Top | None:
    """What the SELECT keeps; None: it asks for no first rows, or in a way that is not known here."""
    if node["type"] != "SELECT_NODE":
        return None
    modifiers = {m["type"]: m for m in node.get("modifiers", [])}
    items = node["select_list"]
    found = None
    if "qualify" in node and not modifiers:
        found = _of_qualify(items, node["qualify"])
    elif "qualify" not in node and "ORDER_MODIFIER" in modifiers and len(modifiers) == 2:
        orders = [{**o, "expression": _named(items, o["expression"])} for o in modifiers["ORDER_MODIFIER"]["orders"]]
        targets = modifiers.get("DISTINCT_MODIFIER", {}).get("distinct_on_targets")
        limit = modifiers.get("LIMIT_MODIFIER", {})
        if targets:
            found = Top(tuple(_named(items, t) for t in targets), tuple(orders), 1, None)
        elif limit and not limit.get("offset") and (most := _integer(limit.get("limit"))) is not None:
            found = Top((), tuple(orders), most, None)
    if found is None or not 1 <= found.most <= _MOST:
        return None
    by = [*found.partitions, *(o["expression"] for o in found.orders)]
    # By a collation texts are ordered that are not as they are kept.
    return None if any(n.get("class") in ("STAR", "WINDOW", "COLLATE") for n in walk(by)) else found


def asked_later(flat: Flat, later: Sequence[Flat]) -> Flat:
    """The query with the first rows asked for that its only reader asks of a numbered one: WHERE rn <= n.

    The reader still asks it: that changes nothing any more.
    """
    node = flat.node
    reads = [(reader, n) for reader in later for n in walk(reader.node) if n.get("table_name") == flat.name]
    if node["type"] != "SELECT_NODE" or node.get("modifiers") or "qualify" in node or len(reads) != 1:
        return flat
    ((reader, place),) = reads
    numbers = {
        i["alias"].lower(): i for i in node["select_list"] if i["type"] == "WINDOW_ROW_NUMBER" and i.get("alias")
    }
    alias = str(place.get("alias") or flat.name).lower()
    for part in conjuncts(reader.node.get("where_clause")):
        for side, other in (("left", "right"), ("right", "left")):
            named = [n.lower() for n in names(part[side])] if part.get(side, {}).get("type") == "COLUMN_REF" else []
            number = numbers.get(named[-1]) if named and named[:-1] in ([], [alias]) else None
            if number is not None and _integer(part[other]) is not None and not place.get("column_name_alias"):
                return replace(flat, node={**node, "qualify": {**part, side: aliased(number, "")}})
    return flat


def plan_top(
    catalog: Catalog, relations: dict[str, Known], flat: Flat, top: Top, ttl_ms: int | None
) -> Iterator[tuple[str, Planned]]:
    """The steps, by name; `relations` must have each before the next is asked for. Raises `Refusal`."""
    node, rows, lists = flat.node, _free(f"{flat.name}.rows", relations), _free(f"{flat.name}.first", relations)
    items = node["select_list"]
    numbers = [i for i, item in enumerate(items) if top.number is not None and key_of(item) == key_of(top.number)]
    by = {f"{MARK}p{i}": p for i, p in enumerate(top.partitions)}
    order = {f"{MARK}o{i}": o["expression"] for i, o in enumerate(top.orders)}
    hidden = [aliased(expression, name) for name, expression in {**by, **order}.items()]
    # In the place of the number stands something of its type until it is known.
    zero = {"class": "CONSTANT", "type": "VALUE_CONSTANT", "literal": {"kind": "INTEGER", "text": "0"}}
    shown = [aliased(zero, f"{_NUMBER}{i}") if i in numbers else item for i, item in enumerate(items)]
    plain = {k: v for k, v in node.items() if k not in ("qualify", "modifiers")}
    _, known, columns = planned = plan_step(
        catalog, relations, Flat(rows, {**plain, "select_list": [*shown, *hidden]}), ttl_ms
    )
    yield rows, planned
    ours = columns[: len(columns) - len(hidden)]
    for column in ours:
        if first_of(column.type, frozenset({"NULL"})):
            # Arrow 26 casts no list of structs with such a field in them, as a snapshot needs it.
            raise Refusal(f"has the column {column.name}, which is NULL of no type", "Cast it: NULL::VARCHAR.")
    yield lists, _lists(catalog, lists, rows, top, ours, list(by), known.rolling, ttl_ms)
    called = {f"{_NUMBER}{i}": catalog.output_name(items[i]) for i in numbers}
    listed = ", ".join(
        f"x.i AS {quoted(called[c.name])}"
        if c.name in called
        else f"struct_extract(x.r, {literal(c.name)}) AS {quoted(c.name)}"
        for c in ours
    )
    sql = f"SELECT {listed} FROM {quoted(lists)}, unnest({quoted(lists)}.{quoted(_ROWS)}) AS u(x)"  # noqa: S608
    step, known, columns = plan_step(catalog, relations, Flat(flat.name, catalog.parse(sql)[0]))
    ends = bool(relations[lists].changes.leave)
    yield flat.name, (step, replace(known, changes=_changes(catalog, items, top, numbers, ends)), columns)


def _lists(
    catalog: Catalog,
    name: str,
    rows: str,
    top: Top,
    columns: tuple[Column, ...],
    by: list[str],
    rolling: RollingWindow | None,
    ttl_ms: int | None,
) -> Planned:
    """The table of each key's first rows, as a list of structs with the row (`r`) and its number (`i`)."""
    row = ", ".join(f"{quoted(c.name)} := {quoted(c.name)}" for c in columns)
    values = ", ".join(f"o{i} := {quoted(f'{MARK}o{i}')}" for i in range(len(top.orders)))
    # Rows that are alike in the order are told apart by all that they are: the order in which they come says nothing.
    keys = _sort_key(top, [quoted(f"{MARK}o{i}") for i in range(len(top.orders))])
    listed = f"list_sort(list(struct_pack(o := {keys}, v := struct_pack({values}), r := struct_pack({row}))))"
    states = [*(f"{quoted(p)} AS k{i}" for i, p in enumerate(by)), f"list_slice({listed}, 1, {top.most}) AS a0"]
    group = f" GROUP BY {', '.join(map(quoted, by))}" if by else ""
    delta = f"SELECT {', '.join(states)} FROM {quoted(rows)}{group}"  # noqa: S608
    parsed = catalog.parse(delta)[0]
    kept, source = [aliased(i, "") for i in parsed["select_list"]], parsed["from_table"]
    stored = [stored_key(catalog, source, key, f"k{i}") for i, key in enumerate(kept[:-1])]
    stored.append(_stored(catalog, source, top, kept[-1]))
    numbered = "list_transform(s.a0, lambda e, i: struct_pack(r := e.r, i := i))"
    items = (*(f"s.k{i} AS {quoted(p)}" for i, p in enumerate(by)), f"{numbered} AS {quoted(_ROWS)}")
    meaning = [
        *(("key", catalog.render_expression(aliased(p, ""))) for p in top.partitions),
        *(("order", f"{catalog.render_expression(aliased(o['expression'], ''))} {_direction(o)}") for o in top.orders),
        ("number of rows", str(top.most)),
    ]
    of_state = fingerprint(catalog, parsed, kept[:-1], None, kept[-1:], rolling, delta).split(" ")[0]
    digest = hashlib.sha256(json.dumps([of_state, meaning]).encode()).hexdigest()[:16]
    step = Aggregation(
        name=name,
        delta=delta,
        inputs=(rows,),
        keys=len(by),
        aggregates=1,
        stored=tuple(there for there, _ in stored),
        restored=tuple(back for _, back in stored),
        result=f"SELECT {', '.join(items)} FROM {quoted(state_table(name))} AS s",  # noqa: S608
        items=items,
        having=None,
        event_window=None,
        rolling=rolling,
        each=tuple(text for what, text in meaning if what == "key"),
        fingerprint=f"{digest} {json.dumps(meaning, ensure_ascii=False)}",
        tied=(),
        ttl_ms=ttl_ms if by and rolling is None else None,
        tops={"a0": top.most},
    )
    catalog.define_as(state_table(name), delta)
    found = catalog.columns(step.result)
    fixed = frozenset(by)
    why = "a key that has no rows in the rolling window any more leaves" if rolling is not None else ""
    if step.ttl_ms is not None:
        why = "a key whose ttl is over leaves"
    changes = Changes(leave=why, fixed=fixed, identity=fixed)
    return step, Known(name, "table", tuple(c.name for c in found), operator=name, changes=changes), found


def _sort_key(top: Top, values: list[str]) -> str:
    """What rows are sorted by; `values`: what the ORDER BY names, as SQL."""
    by = (f"{value}, {literal(_direction(order))}" for value, order in zip(values, top.orders, strict=True))
    return f"create_sort_key({', '.join(by)})"


def _stored(catalog: Catalog, source: Node, top: Top, rows: Node) -> Stored:
    """How the lists are stored: without the sort keys, which another version of the engine may make otherwise."""
    slim = "list_transform({0}, lambda e: struct_pack(v := e.v, r := e.r))"
    without = catalog.parse(f"SELECT {slim.format(catalog.render_expression(rows))}")[0]["select_list"][0]
    there, _ = stored_set(catalog, source, call("row_number"), without, slim.format("a0"))
    _, back = stored_set(catalog, source, call("row_number"), without, "a0")
    key = _sort_key(top, [f"e.v.o{i}" for i in range(len(top.orders))])
    return there, f"list_transform({back}, lambda e: struct_pack(o := {key}, v := e.v, r := e.r))"


def _changes(catalog: Catalog, items: list[Node], top: Top, numbers: list[int], ends: bool) -> Changes:
    """What becomes of the rows: which columns are the key, and whether others push a row out."""
    keys = {key_of(p): "" for p in top.partitions}
    for item in items:
        if item["class"] != "STAR" and keys.get(key_of(item)) == "":
            keys[key_of(item)] = catalog.output_name(item).lower()
    shown = frozenset(name for name in keys.values() if name)
    identity = None
    if all(keys.values()):
        number = {catalog.output_name(items[i]).lower() for i in numbers[:1]}
        identity = shown | number if numbers else shown if top.most == 1 else None
    leave = "" if top.most == 1 and not ends else "a row that is not among the first any more leaves"
    return Changes(leave=leave, several=True, fixed=shown, identity=identity)


def _free(name: str, relations: dict[str, Known]) -> str:
    """A name that no part of the step has."""
    while name in relations:
        name += "_"
    return name


def _of_qualify(items: list[Node], condition: Node) -> Top | None:
    if condition.get("class") != "COMPARISON":
        return None
    left, right, kind = condition["left"], condition["right"], condition["type"]
    if left.get("class") == "CONSTANT":
        left, right, kind = right, left, _TURNED.get(kind, kind)
    left, most = _named(items, left), _integer(right)
    if left.get("type") != "WINDOW_ROW_NUMBER" or most is None or kind not in _TIES or not left.get("orders"):
        return None
    if left.get("filter_expr") or left.get("arg_orders") or (kind == "COMPARE_EQUAL" and most != 1):
        return None
    return Top(tuple(left.get("partitions", [])), tuple(left["orders"]), most + _TIES[kind], left)


def _named(items: list[Node], expression: Node) -> Node:
    """The column of the SELECT that a name or a number in ORDER BY means; what is neither, as it is."""
    position = _integer(expression)
    if position is not None:
        unknown = any(item["class"] == "STAR" for item in items[:position]) or not 1 <= position <= len(items)
        return star() if unknown else aliased(items[position - 1], "")
    name = bare_name(expression)
    meant = next((i for i in items if name is not None and str(i.get("alias", "")).lower() == name), None)
    return expression if meant is None else aliased(meant, "")


def _integer(node: Node | None) -> int | None:
    given = (node or {}).get("literal", {})
    return int(given["text"]) if given.get("kind") == "INTEGER" else None


def _direction(order: Node) -> str:
    """As create_sort_key takes it; NULL is last where nothing is said, as in DuckDB."""
    nulls = "FIRST" if order.get("null_order") == "NULLS FIRST" else "LAST"
    return f"{'DESC' if order.get('type') == 'DESCENDING' else 'ASC'} NULLS {nulls}"
