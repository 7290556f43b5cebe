"""Rows that may leave a kept table: in update mode they are deletions.

What a row was before a batch follows from the state as it was then, but not from a clock that has gone on: where the
clock has a part in it, nobody can be told.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from streamjob_runtime.plan.catalog import Catalog
from streamjob_runtime.plan.model import MARK
from streamjob_runtime.plan.scope import Changes, Leaf, Scope
from streamjob_runtime.plan.tree import STATE, Node, arguments, column, conjuncts, function_name, names, walk

_RISES = {"count", "count_star", "count_if", "countif", "regr_count", "max"}
_FALLS = {"min"}
_ABOVE = ("COMPARE_GREATERTHAN", "COMPARE_GREATERTHANOREQUALTO")
_BELOW = ("COMPARE_LESSTHAN", "COMPARE_LESSTHANOREQUALTO")
_CHANGES_STAR = ("columns", "exclude_list", "qualified_exclude_list", "replace_list", "rename_list", "expr")


@dataclass(frozen=True, slots=True)
class _Values:
    """What is known of the values that expressions name."""

    fixed: Callable[[Node], bool]  # of a column: it never changes for a row
    rising: Callable[[Node], bool]  # of an expression: it never gets less
    falling: Callable[[Node], bool]
    clocked: Callable[[Node], bool]  # of a column: it depends on the clock

    def is_fixed(self, tree: object) -> bool:
        """Whether an expression gives the same each time it is asked of a row."""
        parts = list(walk(tree))
        columns = [part for part in parts if part["type"] == "COLUMN_REF"]
        return all(map(self.fixed, columns)) and not any(function_name(part) == MARK for part in parts)

    def by_clock(self, tree: object) -> bool:
        """Whether what an expression gives depends on the clock."""
        return any(
            self.clocked(part) if part["type"] == "COLUMN_REF" else function_name(part) == MARK for part in walk(tree)
        )

    def stays(self, condition: Node) -> bool:
        """Whether a row that meets the condition will always meet it."""
        if self.is_fixed(condition):
            return True
        if condition.get("class") != "COMPARISON":
            return False
        left, right, kind = condition["left"], condition["right"], condition["type"]
        above, below = kind in _ABOVE, kind in _BELOW
        if self.is_fixed(left):
            left, right, above, below = right, left, below, above
        return self.is_fixed(right) and ((above and self.rising(left)) or (below and self.falling(left)))


def of_groups(
    items: Sequence[Node],
    having: Node | None,
    keys: Sequence[str],
    aggregates: Sequence[Node],
    rolling: bool,
    begins_anew: bool,
) -> Changes:
    """What becomes of the rows of an aggregation; `items` and `having` are over its state, whose keys are `keys`.

    `begins_anew`: a group that was forgotten may come again, with less than it had.
    """
    kinds = [function_name(a) for a in aggregates]

    def is_result_of(node: Node, wanted: set[str]) -> bool:
        if begins_anew or function_name(node) != "finalize":
            return False
        return kinds[int(names(arguments(node)[0])[1].removeprefix("a"))] in wanted

    values = _Values(
        lambda ref: names(ref)[0] == STATE and not names(ref)[1].startswith("a"),
        lambda node: is_result_of(node, _RISES),
        lambda node: is_result_of(node, _FALLS),
        lambda ref: False,
    )
    why = ""
    if rolling:
        why = "a key that has no rows in the rolling window any more leaves"
    elif not all(map(values.stays, conjuncts(having))):
        why = "a group that does not meet HAVING any more leaves"
    elif begins_anew:
        why = "a group whose ttl is over leaves"
    identity = _shown_keys([(str(item["alias"]), item) for item in items], keys)
    clock = values.by_clock(having or [])
    return _changes([(str(item["alias"]), item) for item in items], values, why, clock, identity)


def _shown_keys(items: Sequence[tuple[str, Node]], keys: Sequence[str]) -> frozenset[str] | None:
    """The columns that show the state's keys; None: not all are shown."""
    found: dict[str, str] = {}
    for alias, item in items:
        if function_name(item) == "+":  # a window's end
            item = arguments(item)[0]
        if item["type"] == "COLUMN_REF" and names(item)[0] == STATE:
            found.setdefault(names(item)[1], alias.lower())
    return frozenset(found[key] for key in keys) if found.keys() >= {*keys} else None


def of_rows(catalog: Catalog, scope: Scope, leaf: Leaf, node: Node) -> Changes:
    """What becomes of the rows of a SELECT that shows those of a kept table, `leaf`, one by one."""
    assert leaf.known is not None
    below = leaf.known.changes
    # By the name that a column has here; `below` knows it by the table's own.
    own = dict(zip((c.lower() for c in leaf.columns), (c.lower() for c in leaf.known.columns), strict=False))

    def is_one_of(node: Node, wanted: frozenset[str]) -> bool:
        place = scope.find(node) if node["type"] == "COLUMN_REF" else None
        return place is not None and place[0] == leaf.alias.lower() and own.get(place[1], "") in wanted

    def is_own_fixed(ref: Node) -> bool:
        place = scope.of_joins().find(ref)
        return place is not None and (place[0] not in ("", leaf.alias.lower()) or own.get(place[1], "") in below.fixed)

    def is_clocked(ref: Node) -> bool:
        return is_one_of(ref, below.clocked)

    ways = list(_join_conditions(node["from_table"], leaf, outer=True))
    rising, falling = (lambda n: is_whole(n, below.rising)), (lambda n: is_whole(n, below.falling))
    of_joins = _Values(is_own_fixed, rising, falling, is_clocked)
    same_match = all(map(of_joins.is_fixed, ways))

    def is_fixed(ref: Node) -> bool:
        place = scope.find(ref)
        if place is None or place[0] in ("", leaf.alias.lower()):
            return place is not None and own.get(place[1], "") in below.fixed
        return same_match

    def is_whole(node: Node, wanted: frozenset[str]) -> bool:
        return is_one_of(node, wanted) and len(scope.find(node) or ()) == 2

    values = _Values(is_fixed, rising, falling, is_clocked)
    why = below.leave
    if not why and not all(map(values.stays, conjuncts(node.get("where_clause")))):
        why = "a row that does not meet WHERE any more leaves"
    if not why and not all(map(of_joins.stays, _join_conditions(node["from_table"], leaf))):
        why = "a row that finds no match in a join any more leaves"
    unnested = [n for n in walk([node["select_list"], node["from_table"]]) if function_name(n) == "unnest"]
    if not why and not values.is_fixed([arguments(n) for n in unnested]):
        why = "what is not in a list any more leaves"
    clock = below.clock or values.by_clock([node.get("where_clause"), ways, [arguments(n) for n in unnested]])
    items = list(_shown(catalog, scope, node))
    identity = None
    if below.identity is not None and same_match and values.is_fixed([arguments(n) for n in unnested]):
        same = {
            own[place[1]]: name.lower()
            for name, item in items
            if is_one_of(item, below.identity) and (place := scope.find(item)) and len(place) == 2
        }
        identity = frozenset(same.values()) if same.keys() >= below.identity else None
    # What else is read, or the clock, may have changed the rows that are as they were.
    alone = len([n for n in walk(node) if n["type"] == "BASE_TABLE"]) == 1 and not values.by_clock(node["select_list"])
    return replace(_changes(items, values, why, clock, identity), several=below.several and alone)


def _changes(
    items: Sequence[tuple[str, Node]], values: _Values, why: str, clock: bool, identity: frozenset[str] | None
) -> Changes:
    return Changes(
        leave=why,
        clock=clock,
        identity=identity,
        clocked=frozenset(name.lower() for name, item in items if values.by_clock(item)),
        fixed=frozenset(name.lower() for name, item in items if values.is_fixed(item)),
        rising=frozenset(name.lower() for name, item in items if values.rising(item)),
        falling=frozenset(name.lower() for name, item in items if values.falling(item)),
    )


def _shown(catalog: Catalog, scope: Scope, node: Node) -> Iterator[tuple[str, Node]]:
    """The columns of a SELECT, and what each shows; those of a `*` that is more than that are left out."""
    for item in node["select_list"]:
        if item["class"] != "STAR":
            yield catalog.output_name(item), item
        elif not any(item.get(part) for part in _CHANGES_STAR):
            wanted = str(item.get("relation_name", "")).lower()
            for leaf in scope.leaves:
                if wanted in ("", leaf.alias.lower()):
                    yield from ((name, column(leaf.alias, name)) for name in leaf.columns)


def _join_conditions(node: Node, leaf: Leaf, outer: bool = False) -> Iterator[Node]:
    """What decides whether a row of the kept side is there at all; `outer`: and what stands beside it."""
    if node["type"] != "JOIN":
        return
    if outer or node["join_type"] != "LEFT":
        yield from conjuncts(node.get("condition"))
        shared = {str(name).lower() for name in node.get("using_columns", [])}
        yield from (column(leaf.alias, c) for c in leaf.columns if c.lower() in shared or node["ref_type"] == "NATURAL")
    yield from _join_conditions(node["left"], leaf, outer)
    yield from _join_conditions(node["right"], leaf, outer)
