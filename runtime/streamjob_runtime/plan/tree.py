"""DuckDB's own syntax tree, as its parser gives it in JSON: small tools to read it, change it and build parts of it."""

import json
from collections.abc import Callable, Iterator
from typing import Any

Node = dict[str, Any]

# The name under which result expressions read the state table.
STATE = "s"


def walk(node: Any, into_subqueries: bool = True) -> Iterator[Node]:
    """Every node below and including this one, outermost first."""
    if isinstance(node, dict):
        if "type" in node:
            yield node
        for key, value in node.items():
            if into_subqueries or key != "subquery":
                yield from walk(value, into_subqueries)
    elif isinstance(node, list):
        for item in node:
            yield from walk(item, into_subqueries)


def is_deeper(tree: Any, most: int) -> bool:
    """Whether more than so many lists and objects lie within each other."""
    level = [tree]
    for _ in range(most):
        inner = [v for part in level for v in (part.values() if isinstance(part, dict) else part)]
        level = [v for v in inner if isinstance(v, dict | list)]
        if not level:
            return False
    return True


def rewrite(node: Any, change: Callable[[Node], Node | None], into_subqueries: bool = False) -> Any:
    """A copy in which each outermost node that `change` gives something for is replaced by that.

    What a lambda says of its own parameters is left as it is.
    """
    if isinstance(node, dict):
        if "type" in node:
            new = change(node)
            if new is not None:
                return new
        own = parameters(node)
        if own:
            return {**node, "expr": rewrite(node["expr"], _but_for(own, change), into_subqueries)}
        return {
            k: v if k == "subquery" and not into_subqueries else rewrite(v, change, into_subqueries)
            for k, v in node.items()
        }
    if isinstance(node, list):
        return [rewrite(item, change, into_subqueries) for item in node]
    return node


def parameters(node: Node) -> set[str]:
    """The names in lower case that a lambda binds; none where the node is no lambda."""
    # An arrow is JSON's: DuckDB refuses lambdas that are written with it.
    if node.get("class") != "LAMBDA" or str(node.get("syntax_type", "")).startswith("SINGLE_ARROW"):
        return set()
    return {names(part)[0].lower() for part in walk(node["lhs"]) if part["type"] == "COLUMN_REF"}


def _but_for(own: set[str], change: Callable[[Node], Node | None]) -> Callable[[Node], Node | None]:
    """The same change, for what does not rest on these names."""

    def inside(node: Node) -> Node | None:
        mine = any(part["type"] == "COLUMN_REF" and names(part)[0].lower() in own for part in walk(node))
        if not mine:
            return change(node)
        return node if node["type"] == "COLUMN_REF" else None

    return inside


def bare(node: Any, drop: tuple[str, ...] = ("alias",)) -> Any:
    """A copy without places in the text, and without the fields `drop` of the outermost node."""
    if isinstance(node, dict):
        return {
            k: bare(v, ())
            for k, v in node.items()
            if k not in drop and k not in ("query_location", "query_location_length")
        }
    if isinstance(node, list):
        return [bare(item, ()) for item in node]
    return node


def key_of(node: Any) -> str:
    """Equal for expressions that are written alike, whatever their alias and place."""
    return json.dumps(bare(node), sort_keys=True)


def column(*names: str) -> Node:
    """A reference to a column."""
    return {"class": "COLUMN_REF", "type": "COLUMN_REF", "column_names": list(names)}


def call(name: str, *arguments: Node) -> Node:
    """A function call."""
    return {
        "class": "FUNCTION",
        "type": "FUNCTION",
        "function_name": name,
        "order_bys": {"type": "ORDER_MODIFIER"},
        "arguments": [{"expression": a} for a in arguments],
        "qualified_name": {"path": [name]},
    }


def integer(value: int) -> Node:
    """A whole number."""
    return {
        "class": "CONSTANT",
        "type": "VALUE_CONSTANT",
        "literal": {"kind": "INTEGER", "text": str(value)},
    }


def text(value: str) -> Node:
    """A string."""
    return {"class": "CONSTANT", "type": "VALUE_CONSTANT", "literal": {"kind": "STRING", "text": value}}


def cast(expression: Node, type_name: str) -> Node:
    """`CAST(expression AS type_name)`; the type without parameters."""
    return {
        "class": "CAST",
        "type": "OPERATOR_CAST",
        "child": expression,
        "type_expr": {
            "class": "TYPE",
            "type": "TYPE",
            "type_name": type_name,
            "qualified_name": {"path": [type_name]},
        },
    }


def sorted_by(modifier: Node, change: Callable[[Node], Node]) -> Node:
    """An ORDER BY or DISTINCT ON with each of its expressions changed; a LIMIT as it is."""
    if modifier["type"] == "ORDER_MODIFIER":
        orders = [{**o, "expression": change(o["expression"])} for o in modifier["orders"]]
        return {**modifier, "orders": orders}
    if modifier["type"] == "DISTINCT_MODIFIER" and modifier.get("distinct_on_targets"):
        return {**modifier, "distinct_on_targets": [change(t) for t in modifier["distinct_on_targets"]]}
    return modifier


def bare_name(node: Node) -> str | None:
    """The name in lower case of a reference that says no relation; None: the node is none."""
    is_one = node["type"] == "COLUMN_REF" and len(node["column_names"]) == 1
    return names(node)[0].lower() if is_one else None


def conjunction(parts: list[Node]) -> Node | None:
    """All of them, joined by AND."""
    if len(parts) < 2:
        return parts[0] if parts else None
    return {"class": "CONJUNCTION", "type": "CONJUNCTION_AND", "children": parts}


def conjuncts(condition: Node | None) -> list[Node]:
    """The parts of a condition that are joined by AND at its top."""
    if condition is None:
        return []
    if condition["type"] != "CONJUNCTION_AND":
        return [condition]
    return [part for child in condition["children"] for part in conjuncts(child)]


def aliased(expression: Node, alias: str) -> Node:
    """The expression under a name."""
    return {**expression, "alias": alias}


def base_table(name: str, alias: str = "", columns: list[str] | None = None) -> Node:
    """A relation by name, as it stands in FROM."""
    node: Node = {"type": "BASE_TABLE", "table_name": name, "qualified_name": {"path": [name]}}
    if alias:
        node["alias"] = alias
    if columns:
        node["column_name_alias"] = columns
    return node


def select(items: list[Node], from_table: Node, where: Node | None = None, group_by_first: int = 0) -> Node:
    """A SELECT; `group_by_first` says how many of the items are its keys."""
    node: Node = {
        "type": "SELECT_NODE",
        "cte_map": {},
        "select_list": items,
        "from_table": from_table,
        "aggregate_handling": "STANDARD_HANDLING",
    }
    if where is not None:
        node["where_clause"] = where
    if group_by_first:
        # By position: an expression could be taken for another column's name.
        node["group_expressions"] = [integer(i + 1) for i in range(group_by_first)]
        node["group_sets"] = [list(range(group_by_first))]
    return node


def star() -> Node:
    """`*`."""
    return {"class": "STAR", "type": "STAR"}


def names(node: Node) -> list[str]:
    """The parts of a column reference."""
    return [str(n) for n in node["column_names"]]


def function_name(node: Node) -> str:
    """The name of a call, without its schema, in lower case."""
    return str(node.get("function_name", "")).lower()


def arguments(node: Node) -> list[Node]:
    """The arguments of a call."""
    return [a["expression"] for a in node.get("arguments", [])]


def quoted(name: str) -> str:
    """An identifier for SQL text."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A string for SQL text."""
    return "'" + value.replace("'", "''") + "'"
