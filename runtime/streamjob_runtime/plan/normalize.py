"""One query becomes several flat ones: each WITH, each subquery in FROM and each side of a UNION is a step."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from streamjob_runtime.plan.problems import Refusal
from streamjob_runtime.plan.tree import Node, base_table, select, star, walk


@dataclass(frozen=True, slots=True)
class Target:
    """The relation that a name in FROM means, and new names for its first columns."""

    relation: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Flat:
    """A query whose FROM has relations only by name."""

    name: str
    node: Node


def flatten(name: str, query: Node, visible: Mapping[str, Target]) -> list[Flat]:
    """The steps that make up the query, each after those it reads; the last one has `name`.

    `query` has passed `check_calls`. `visible`: the relations by name in lower case. Raises `Refusal` for a name that
    is not there.
    """
    steps: list[Flat] = []
    _lower(name, query, dict(visible), steps)
    return steps


def _lower(name: str, query: Node, visible: dict[str, Target], steps: list[Flat]) -> None:
    visible = {**visible, **_with(name, query, visible, steps)}
    kind = query["type"]
    flat = {**query, "cte_map": {}}
    if kind == "SET_OPERATION_NODE":
        flat["children"] = [
            select([star()], base_table(_lower_part(f"{name}.{i + 1}", child, visible, steps)))
            for i, child in enumerate(query["children"])
        ]
    else:
        count = [0]
        flat["from_table"] = _from(name, query["from_table"], visible, steps, count)
        for part in ("select_list", "where_clause", "group_expressions", "having", "qualify", "modifiers"):
            if part in query:
                flat[part] = _expressions(query[part], visible)
    steps.append(Flat(name, flat))


def _lower_part(name: str, query: Node, visible: dict[str, Target], steps: list[Flat]) -> str:
    """Flatten an inner query; gives back the name it got, which no other step has."""
    free = name
    while any(step.name == free for step in steps):
        free += "_"
    _lower(free, query, visible, steps)
    return free


def _with(name: str, query: Node, visible: dict[str, Target], steps: list[Flat]) -> dict[str, Target]:
    found: dict[str, Target] = {}
    for entry in query.get("cte_map", {}).get("map", []):
        value = entry["value"]
        inner = _lower_part(f"{name}.{entry['key']}", value["query_node"], {**visible, **found}, steps)
        found[str(entry["key"]).lower()] = Target(inner, tuple(value.get("aliases", ())))
    return found


def _from(name: str, node: Node, visible: dict[str, Target], steps: list[Flat], count: list[int]) -> Node:
    kind = node["type"]
    if kind == "JOIN":
        sides = {side: _from(name, node[side], visible, steps, count) for side in ("left", "right")}
        condition = {"condition": _expressions(node["condition"], visible)} if "condition" in node else {}
        return {**node, **sides, **condition}
    if kind == "BASE_TABLE":
        return _resolved(node, visible)
    if kind in ("TABLE_FUNCTION", "EMPTY", "EXPRESSION_LIST"):
        return node
    query = node["subquery"]["node"]
    if not any(part["type"] == "BASE_TABLE" for part in walk(query)):
        return node  # it reads nothing, or the columns beside it (LATERAL)
    count[0] += 1
    inner = _lower_part(f"{name}.{node.get('alias') or count[0]}", query, visible, steps)
    return {**base_table(inner, node.get("alias") or f"unnamed_{count[0]}"), **_renames(node)}


def _renames(node: Node) -> Node:
    return {"column_name_alias": node["column_name_alias"]} if "column_name_alias" in node else {}


def _resolved(node: Node, visible: Mapping[str, Target]) -> Node:
    path = [str(p) for p in node["qualified_name"]["path"]]
    target = visible.get(path[-1].lower()) if len(path) == 1 else None
    if target is None:
        near = get_close_matches(path[-1].lower(), visible, n=1)
        remedy = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(sorted(visible))}."
        raise Refusal(
            f"reads {'.'.join(path)}, which is no source, table or earlier step",
            f"{remedy} A step sees the sources, the tables and the steps above it.",
            node,
        )
    given = [str(c) for c in node.get("column_name_alias", [])]
    columns = [*given, *target.columns[len(given) :]]
    placed = base_table(target.relation, str(node.get("alias") or path[-1]), columns)
    return {**node, **placed}


def _expressions(tree: object, visible: Mapping[str, Target]) -> object:
    """The same expressions, with the relations of the queries inside them resolved."""
    if isinstance(tree, dict):
        if tree.get("type") == "BASE_TABLE":
            return _resolved(tree, visible)
        if tree.get("cte_map", {}).get("map"):
            raise Refusal("has a WITH inside an expression", "Put the WITH at the head of the step, or make it a step.")
        return {k: _expressions(v, visible) for k, v in tree.items()}
    if isinstance(tree, list):
        return [_expressions(t, visible) for t in tree]
    return tree
