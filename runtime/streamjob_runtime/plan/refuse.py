"""What a step may not do with a stream."""

from streamjob_runtime.plan.aggregation import is_aggregate
from streamjob_runtime.plan.catalog import Catalog
from streamjob_runtime.plan.problems import Refusal
from streamjob_runtime.plan.scope import Known, Leaf
from streamjob_runtime.plan.tree import Node, walk

_FIRST = (
    "The first rows are kept: QUALIFY row_number() OVER (PARTITION BY key ORDER BY time DESC) <= 3, in update mode."
)


def refuse_on_stream(
    catalog: Catalog, node: Node, parts: list[Leaf], relations: dict[str, Known], grouped: bool
) -> None:
    """Refuse every clause of a SELECT over a stream that cannot be kept up to date."""
    _sides(parts)
    _joins(node["from_table"], relations)
    _subqueries(node, relations)
    where = node.get("where_clause")
    for part in walk(where, into_subqueries=False):
        if is_aggregate(catalog, part):
            raise Refusal("has an aggregate in WHERE", "Filter groups with HAVING.", part)
    if not grouped:
        _order(node)


def _sides(parts: list[Leaf]) -> None:
    streams = [leaf for leaf in parts if leaf.known is not None and leaf.known.shape == "stream"]
    kept = [leaf for leaf in parts if leaf.known is not None and leaf.known.shape in ("table", "view")]
    if kept and streams:
        raise Refusal(
            f"joins the stream {streams[0].alias} with {kept[0].alias}, which changes with every batch",
            "Join with a static table, or join two results that are kept.",
            kept[0].node,
        )


def _joins(node: Node, relations: dict[str, Known]) -> None:
    if node["type"] != "JOIN":
        return
    left, right = _has_stream(node["left"], relations), _has_stream(node["right"], relations)
    kind = str(node["join_type"])
    remedy = "Put the stream on the side that is kept: stream LEFT JOIN table."
    if left and right:
        return  # the rows of a join of streams, which are beside each other already
    if (left or right) and node.get("ref_type") in ("ASOF", "POSITIONAL"):
        raise Refusal(f"has a {node['ref_type']} JOIN on a stream", "Join by equality.", node)
    if (left and kind in ("RIGHT", "FULL")) or (right and kind in ("LEFT", "FULL")):
        raise Refusal(
            f"has a {kind} JOIN that keeps rows without a match in the stream, and a match may still come", remedy, node
        )
    if right and kind in ("SEMI", "ANTI"):
        raise Refusal(
            f"has a {kind} JOIN that asks of each row whether the stream has a match, and one may still come",
            remedy,
            node,
        )
    _joins(node["left"], relations)
    _joins(node["right"], relations)


def _has_stream(tree: object, relations: dict[str, Known]) -> bool:
    return any(
        n["type"] == "BASE_TABLE" and n["table_name"] in relations and relations[n["table_name"]].shape != "static"
        for n in walk(tree)
    )


def _subqueries(node: Node, relations: dict[str, Known]) -> None:
    for part in walk(node):
        if part.get("class") == "SUBQUERY" and _has_stream(part["subquery"], relations):
            raise Refusal(
                "has a subquery over a stream inside an expression",
                "Only static tables can be asked there; make the subquery a step and join.",
                part,
            )


def _order(node: Node) -> None:
    for modifier in node.get("modifiers", []):
        kind = modifier["type"]
        if kind == "ORDER_MODIFIER":
            raise Refusal(
                "has ORDER BY on a stream, which never ends",
                "Group the rows first; a table can be ordered. Of the first rows of a stream: ORDER BY … LIMIT 10.",
                modifier["orders"][0]["expression"],
            )
        if kind == "DISTINCT_MODIFIER":
            if modifier.get("distinct_on_targets"):
                raise Refusal(
                    "has DISTINCT ON without ORDER BY on a stream", "Say which row of each: ORDER BY key, time DESC."
                )
            raise Refusal(
                "has DISTINCT beside ORDER BY or LIMIT on a stream",
                "Make the rows distinct in a step of their own.",
            )
        raise Refusal(
            "has LIMIT on a stream, which never ends",
            "Group the rows first; a table can be limited. Of the first rows of a stream: ORDER BY … LIMIT 10.",
            modifier.get("limit"),
        )
    for part in walk([node["select_list"], node.get("qualify")], into_subqueries=False):
        if part.get("class") == "WINDOW":
            numbered = part["type"] == "WINDOW_ROW_NUMBER" and part.get("partitions") and part.get("orders")
            raise Refusal(
                "has a window function (OVER) on a stream, which never ends",
                _FIRST if numbered else "Group the rows by tumble() or hop(), or use OVER on a table.",
                part,
            )
