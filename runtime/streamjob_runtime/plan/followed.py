"""Where a column goes on: the same values, under whatever name. As that of a watermark, or the bound of a window."""

from collections.abc import Sequence

import duckdb

from streamjob_runtime.plan.catalog import Catalog
from streamjob_runtime.plan.scope import Known, Leaf, Scope
from streamjob_runtime.plan.tree import Node, arguments, function_name, select, walk


def shown_event_time(catalog: Catalog, scope: Scope, node: Node) -> tuple[str | None, int]:
    """The column of a SELECT that is the event time of one of its streams, untouched, and its lag (microseconds).

    None: no column surely is one.
    """
    for leaf in scope.leaves:
        if leaf.known is not None and leaf.known.shape == "stream" and leaf.event_time is not None:
            shown = shown_as(catalog, scope, leaf, leaf.event_time, node)
            if shown is not None:
                return shown, leaf.known.lag_us
    return None, 0


def shown_as(catalog: Catalog, scope: Scope, leaf: Leaf, column: str, node: Node) -> str | None:
    """The name under which a SELECT shows a column of one of its relations, untouched; None: under none, surely."""
    for item in node["select_list"]:
        shown = _shown(catalog, scope, leaf, column, item, node["from_table"])
        if shown is not None:
            return shown
    return None


def united_event_time(parts: Sequence[Known], by_name: bool) -> str | None:
    """The column of a UNION ALL that is the event time in each of its parts."""
    if any(part.event_time is None for part in parts):
        return None
    if by_name:
        places = {str(part.event_time).lower() for part in parts}
        return parts[0].event_time if len(places) == 1 else None
    positions = {part.columns.index(str(part.event_time)) for part in parts}
    return parts[0].event_time if len(positions) == 1 else None


def _shown(catalog: Catalog, scope: Scope, leaf: Leaf, event_time: str, item: Node, from_table: Node) -> str | None:
    """The name under which an item of the SELECT shows it."""
    if item["class"] == "COLUMN_REF":
        return catalog.output_name(item) if scope.find(item) == (leaf.alias.lower(), event_time.lower()) else None
    if item["class"] == "STAR" and not item.get("columns"):
        return _by_star(scope, leaf, event_time.lower(), item)
    return _by_pattern(catalog, scope, leaf, event_time, item, from_table)


def _by_star(scope: Scope, leaf: Leaf, event_time: str, star: Node) -> str | None:
    relation = star.get("relation_name")
    if relation and str(relation).lower() != leaf.alias.lower():
        return None
    if not relation and leaf not in scope.owners(event_time):
        return None  # what joins make one of shows another relation's value

    def means(column: object, table: object = None) -> bool:
        return str(column).lower() == event_time and (not table or str(table).lower() == leaf.alias.lower())

    gone = [means(name) for name in star.get("exclude_list", [])]
    gone += [means(e["column"], e.get("table")) for e in star.get("qualified_exclude_list", [])]
    gone += [means(e["key"]) for e in star.get("replace_list", [])]
    if any(gone):
        return None
    renamed = [e["value"] for e in star.get("rename_list", []) if means(e["key"]["column"], e["key"].get("table"))]
    return str(renamed[0]) if renamed else event_time


def _by_pattern(
    catalog: Catalog, scope: Scope, leaf: Leaf, event_time: str, item: Node, from_table: Node
) -> str | None:
    """`COLUMNS(…)`, `relation.COLUMNS(…)` and `* LIKE …`, where they show columns as they are: DuckDB says which."""
    if item.get("alias"):
        return None
    name, given = function_name(item), arguments(item)
    own = name == "columns" and str(item.get("schema", "")).lower() == leaf.alias.lower()
    filtered = name in _FILTERS and given[0].get("class") == "STAR" and not given[0].get("columns")
    if not (own or filtered or item["class"] == "STAR") or (not own and scope.owners(event_time) != [leaf]):
        return None
    for star in (part for part in walk(item, into_subqueries=False) if part.get("class") == "STAR"):
        relation = str(star.get("relation_name") or leaf.alias)
        if relation.lower() != leaf.alias.lower() or star.get("replace_list") or star.get("rename_list"):
            return None
    try:
        found = catalog.columns(catalog.render(select([item], from_table)))
    except duckdb.Error:
        return None  # what is wrong with it is said when the whole step is bound
    return next((c.name for c in found if c.name.lower() == event_time.lower()), None)


# What `* LIKE`, `* ILIKE`, `* GLOB`, `* SIMILAR TO` and their opposites are.
_FILTERS = {"~~", "!~~", "~~*", "!~~*", "~~~", "regexp_full_match"}
