"""USING and NATURAL in a join of streams, written as ON: what its rows are kept as has both sides' columns."""

from collections.abc import Callable

from streamjob_runtime.plan.catalog import Catalog
from streamjob_runtime.plan.problems import Refusal
from streamjob_runtime.plan.scope import Leaf
from streamjob_runtime.plan.tree import (
    Node,
    aliased,
    bare_name,
    column,
    conjunction,
    conjuncts,
    function_name,
    rewrite,
    walk,
)

_ON = "Write the condition with ON: a JOIN b ON a.key = b.key."


def without_using(catalog: Catalog, node: Node, join: Node, parts: list[Leaf]) -> tuple[Node, Node]:
    """The SELECT and its join with ON. Raises `Refusal`."""
    using = [str(name) for name in join.get("using_columns", [])]
    if not using and join["ref_type"] != "NATURAL":
        return node, join
    if join["left"]["type"] == "JOIN" or join["right"]["type"] == "JOIN" or node["from_table"] is not join:
        raise Refusal("has USING or NATURAL in a join of streams beside other joins", _ON, join)
    left, right = parts
    if not using:
        there = {c.lower() for c in right.columns}
        using = [c for c in left.columns if c.lower() in there]
    for name in using:
        for leaf in parts:
            if name.lower() not in (c.lower() for c in leaf.columns):
                raise Refusal(f"joins by the column {name}, which {leaf.alias} does not have", _ON, join)
    shown = {name.lower(): _shown(str(join["join_type"]), left, right, name) for name in using}

    def change(part: Node) -> Node | None:
        meant = shown.get(bare_name(part) or "")
        return None if meant is None else {**meant, "alias": part.get("alias", "")}

    items = []
    for item in node["select_list"]:
        items += _expanded(item, left, right, shown, join) if _is_star(item) else [_named(catalog, item, change)]
    equal = [
        {"class": "COMPARISON", "type": "COMPARE_EQUAL", "left": column(left.alias, n), "right": column(right.alias, n)}
        for n in using
    ]
    on = {k: v for k, v in join.items() if k != "using_columns"} | {"ref_type": "REGULAR"}
    on["condition"] = conjunction([*conjuncts(join.get("condition")), *equal])
    rest = {k: rewrite(v, change, True) for k, v in node.items() if k not in ("select_list", "from_table")}
    return {**rest, "select_list": items, "from_table": on}, on


def _shown(kind: str, left: Leaf, right: Leaf, name: str) -> Node:
    """What the bare name of a shared column means."""
    if kind in ("FULL", "OUTER"):
        both = [column(left.alias, name), column(right.alias, name)]
        return {"class": "OPERATOR", "type": "OPERATOR_COALESCE", "children": both}
    return column((right if kind == "RIGHT" else left).alias, name)


def _is_star(item: Node) -> bool:
    return item.get("class") == "STAR" or any(
        part.get("class") == "STAR" or function_name(part) == "columns" for part in walk(item, into_subqueries=False)
    )


def _named(catalog: Catalog, item: Node, change: Callable[[Node], Node | None]) -> Node:
    changed: Node = rewrite(item, change, True)
    return changed if changed == item else aliased(changed, catalog.output_name(item))


def _expanded(item: Node, left: Leaf, right: Leaf, shown: dict[str, Node], join: Node) -> list[Node]:
    """The columns of a `*`, each by its name."""
    plain = item.get("class") == "STAR" and not any(v for k, v in item.items() if k not in _OF_STAR)
    if not plain:
        raise Refusal("has a * that is more than all columns beside USING or NATURAL in a join of streams", _ON, item)
    if item.get("relation_name"):
        return [item]
    asked = [left] if join["join_type"] in ("SEMI", "ANTI") else [left, right]
    items = []
    for leaf in asked:
        for name in leaf.columns:
            merged = shown.get(name.lower())
            if merged is None:
                items.append(column(leaf.alias, name))
            elif leaf is left:
                items.append(aliased(merged, name))
    return items


_OF_STAR = {"class", "type", "alias", "query_location", "query_location_length", "relation_name"}
