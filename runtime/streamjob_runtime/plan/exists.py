"""EXISTS, NOT EXISTS and IN over a stream, where a WHERE demands them: joins that only ask for a match."""

from streamjob_runtime.plan.aggregation import has_aggregates
from streamjob_runtime.plan.catalog import Catalog
from streamjob_runtime.plan.scope import Known, Scope, leaves, merged_columns
from streamjob_runtime.plan.tree import Node, column, conjunction, conjuncts, function_name, names, rewrite, walk

_PLAIN = {"type", "cte_map", "select_list", "from_table", "where_clause", "aggregate_handling"}


def as_joins(catalog: Catalog, relations: dict[str, Known], node: Node) -> Node:
    """The SELECT with such conditions as SEMI and ANTI joins; those that are more than a query by rows are left."""
    rest = []
    for part in conjuncts(node.get("where_clause")):
        joined = _joined(catalog, relations, node, part)
        if joined is None:
            rest.append(part)
        else:
            node = joined
    if len(rest) == len(conjuncts(node.get("where_clause"))):
        return node
    node = {k: v for k, v in node.items() if k != "where_clause"}
    where = conjunction(rest)
    return node if where is None else {**node, "where_clause": where}


def _joined(catalog: Catalog, relations: dict[str, Known], node: Node, part: Node) -> Node | None:
    kind, asked = "SEMI", part
    if part["type"] == "OPERATOR_NOT" and part["children"][0].get("subquery_type") in ("EXISTS", "NOT_EXISTS"):
        kind, asked = "ANTI", part["children"][0]
    if asked.get("class") != "SUBQUERY":
        return None
    if asked["subquery_type"] == "NOT_EXISTS":
        kind = "ANTI" if kind == "SEMI" else "SEMI"
    query = asked["subquery"]["node"]
    wanted = asked["subquery_type"] in ("EXISTS", "NOT_EXISTS") or (
        asked["subquery_type"] == "ANY" and asked.get("comparison_type") == "COMPARE_EQUAL" and kind == "SEMI"
    )
    if not wanted or not _is_plain(catalog, query, relations) or query["from_table"]["type"] != "BASE_TABLE":
        return None
    outer = leaves(node["from_table"], relations, catalog)
    inner = _inside(catalog, relations, query, {leaf.alias.lower() for leaf in outer})
    found = conjuncts(inner.get("where_clause"))
    if asked["subquery_type"] == "ANY":
        scope = Scope(outer, merged_columns(node["from_table"], outer))
        left = _qualified(asked["child"], scope)
        found.append({"class": "COMPARISON", "type": "COMPARE_EQUAL", "left": left, "right": inner["select_list"][0]})
    condition = conjunction(found)
    if condition is None:
        return None
    join = {"type": "JOIN", "join_type": kind, "ref_type": "REGULAR", "condition": condition}
    return {**node, "from_table": {**join, "left": node["from_table"], "right": inner["from_table"]}}


def _is_plain(catalog: Catalog, query: Node, relations: dict[str, Known]) -> bool:
    """Whether it gives the rows of a stream, one by one."""
    if query["type"] != "SELECT_NODE" or any(v for k, v in query.items() if k not in _PLAIN):
        return False
    known = relations.get(str(query["from_table"].get("table_name")))
    more = any(
        n.get("class") in ("SUBQUERY", "WINDOW") or function_name(n) == "unnest" for n in walk([query["select_list"]])
    )
    one = len(query["select_list"]) == 1 and not more and not has_aggregates(catalog, query)
    return known is not None and known.shape == "stream" and one


def _inside(catalog: Catalog, relations: dict[str, Known], query: Node, taken: set[str]) -> Node:
    """The query with each of its columns named with its relation, which no outer one is called."""
    parts = leaves(query["from_table"], relations, catalog)
    scope = Scope(parts, {})
    alias = parts[0].alias
    while alias.lower() in taken:
        alias += "_"

    def change(part: Node) -> Node | None:
        found = scope.find(part) if part["type"] == "COLUMN_REF" else None
        return None if found is None else {**part, "column_names": [alias, *names(part)[-len(found[1:]) :]]}

    changed = {k: rewrite(v, change) for k, v in query.items() if k in ("select_list", "where_clause")}
    return {**changed, "from_table": {**query["from_table"], "alias": alias}}


def _qualified(expression: Node, scope: Scope) -> Node:
    """The expression with each column named with its relation: beside the query's own a bare name could be another."""

    def change(part: Node) -> Node | None:
        found = scope.find(part) if part["type"] == "COLUMN_REF" else None
        return None if found is None or not found[0] else column(*found)

    changed: Node = rewrite(expression, change)
    return changed
