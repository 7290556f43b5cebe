"""Steps over windowed results that concern each window by itself: what they give of a window is final with it.

The rows of a window come all at once, when the watermark makes it final. So whatever a step does within one window's
rows may be done with the rows that became final in a batch: a join on the window, an aggregate that has it among its
keys, OVER that is partitioned by it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from streamjob_runtime.plan.catalog import Catalog
from streamjob_runtime.plan.followed import shown_as
from streamjob_runtime.plan.scope import Leaf, Scope, Windowed
from streamjob_runtime.plan.tree import Node, bare_name, conjuncts, walk

_ONE_SIDED = {"LEFT": "left", "SEMI": "left", "ANTI": "left", "RIGHT": "right"}


@dataclass(frozen=True, slots=True)
class WindowLocal:
    """The windows that a step's rows are of; or why they are not of one window each."""

    windowed: Windowed | None
    why: str = ""


def window_local(catalog: Catalog, scope: Scope, parts: list[Leaf], node: Node, grouped: bool) -> WindowLocal:
    """Whether the SELECT, which reads no stream, concerns each window by itself."""
    kept = [leaf for leaf in parts if leaf.known is not None and leaf.known.shape != "static"]
    of = [leaf.known.windowed for leaf in kept if leaf.known is not None]
    windows = {replace(w.window, type="") for w in of if w is not None}
    if not of or None in of:
        return WindowLocal(None)
    if len(windows) > 1:
        return WindowLocal(None, "it joins windows of different lengths or beginnings, not final together")
    if any(n.get("class") == "SUBQUERY" for n in walk([node.get(p) for p in _EXPRESSIONS])):
        return WindowLocal(None, "it has a subquery in an expression, which may ask other windows")
    tied = _Tied(scope, kept)
    if not tied.whole(node):
        return WindowLocal(None, "its join is not on the window: add AND a.window_start = b.window_start")
    if grouped and not any(tied.is_bound(key) for key in _keys(catalog, node)):
        return WindowLocal(None, "its GROUP BY puts rows of several windows together: add window_start to it")
    for part in walk([node["select_list"], node.get("qualify")], into_subqueries=False):
        if part.get("class") == "WINDOW" and not any(map(tied.is_bound, part.get("partitions", []))):
            return WindowLocal(None, "its OVER looks at rows of several windows: PARTITION BY window_start")
    bounds = dict(_bounds(catalog, scope, tied, node))
    for modifier in node.get("modifiers", []):
        if modifier["type"] == "LIMIT_MODIFIER" or modifier["type"] == "LIMIT_PERCENT_MODIFIER":
            return WindowLocal(
                None,
                "its LIMIT is over all windows: QUALIFY row_number() OVER (PARTITION BY window_start ORDER BY …) <= n",
            )
        if modifier["type"] == "DISTINCT_MODIFIER":
            on = modifier.get("distinct_on_targets") or []
            if not (any(map(tied.is_bound, on)) if on else bounds):
                return WindowLocal(None, "its DISTINCT is over all windows: show window_start as well")
    window = next(w.window for w in of if w is not None)
    operators = tuple(dict.fromkeys(name for w in of if w is not None for name in w.operators))
    return WindowLocal(Windowed(operators, window, bounds))


_EXPRESSIONS = ("select_list", "where_clause", "group_expressions", "having", "qualify", "modifiers")


class _Tied:
    """Which relations of a FROM have rows of the same window beside each other, and which columns say of which."""

    def __init__(self, scope: Scope, kept: list[Leaf]) -> None:
        self._scope = scope
        self._kept = kept
        self._group = {leaf.alias.lower(): {leaf.alias.lower()} for leaf in kept}
        self._sure = {leaf.alias.lower() for leaf in kept if leaf.kept}  # no row is made up there

    def whole(self, node: Node) -> bool:
        """Whether all of them are tied to each other, by the joins of a SELECT and its WHERE."""
        if not self._joins(node["from_table"]):
            return False
        for part in conjuncts(node.get("where_clause")):
            self._equal(part)
        # What is made up of a row without a partner has no window; those of all rows must be known.
        return bool(self._sure) and len({frozenset(group) for group in self._group.values()}) == 1

    def bound_of(self, reference: Node) -> tuple[str, str, str] | None:
        """(relation, column, "start" or "end") of the window's bound that a reference is, where each row has one."""
        found = self._bound(reference, self._scope)
        return found if found is not None and found[0] in self._sure else None

    def is_bound(self, expression: Node) -> bool:
        """Whether it is a bound of the window, as it is."""
        return self.bound_of(expression) is not None

    def bounds(self) -> Iterator[tuple[Leaf, str, str]]:
        """Each relation that has a window in every row, with its columns of that and what they are."""
        for leaf in self._kept:
            if leaf.alias.lower() in self._sure and leaf.visible and leaf.known is not None and leaf.known.windowed:
                here = dict(zip(leaf.known.columns, leaf.columns, strict=False))
                for name, kind in leaf.known.windowed.bounds.items():
                    yield leaf, here[name], kind

    def _bound(self, reference: Node, scope: Scope) -> tuple[str, str, str] | None:
        place = scope.find(reference) if reference.get("type") == "COLUMN_REF" else None
        if place is None or len(place) != 2:
            return None
        for leaf in self._kept:
            if leaf.alias.lower() == place[0] and leaf.known is not None and leaf.known.windowed is not None:
                here = zip((c.lower() for c in leaf.columns), leaf.known.columns, strict=False)
                kind = leaf.known.windowed.bounds.get(dict(here).get(place[1], ""))
                return None if kind is None else (place[0], place[1], kind)
        return None

    def _equal(self, condition: Node) -> None:
        if condition.get("type") != "COMPARE_EQUAL":
            return
        scope = self._scope.of_joins()
        one, other = self._bound(condition["left"], scope), self._bound(condition["right"], scope)
        if one is not None and other is not None and one[2] == other[2]:
            self._tie(one[0], other[0])

    def _tie(self, one: str, other: str) -> None:
        group = self._group[one] | self._group[other]
        for name in group:
            self._group[name] = group

    def _joins(self, node: Node) -> bool:
        """Take in the conditions of joins. False: one makes rows up on both sides, or does not join by equality."""
        if node["type"] != "JOIN":
            return True
        if node.get("ref_type") in ("ASOF", "POSITIONAL") or node["join_type"] not in ("INNER", *_ONE_SIDED):
            return False
        for condition in conjuncts(node.get("condition")):
            self._equal(condition)
        names = {str(c).lower() for c in node.get("using_columns", [])}
        by_kind: dict[tuple[str, str], list[str]] = {}
        for leaf in self._kept:
            if leaf.known is not None and leaf.known.windowed is not None:
                here = dict(zip(leaf.known.columns, (c.lower() for c in leaf.columns), strict=False))
                for name, kind in leaf.known.windowed.bounds.items():
                    if here[name] in names or node.get("ref_type") == "NATURAL":
                        by_kind.setdefault((here[name], kind), []).append(leaf.alias.lower())
        for first, *others in by_kind.values():
            for other in others:
                self._tie(first, other)
        return self._joins(node["left"]) and self._joins(node["right"])


def _keys(catalog: Catalog, node: Node) -> Iterator[Node]:
    """The expressions of a GROUP BY."""
    items = node["select_list"]
    if node.get("aggregate_handling") == "FORCE_AGGREGATES":
        yield from items
        return
    if len(node.get("group_sets", [])) > 1:
        return
    named = {catalog.output_name(item).lower(): item for item in items if item["class"] != "STAR"}
    for key in node.get("group_expressions", []):
        if key.get("class") == "CONSTANT" and key.get("literal", {}).get("kind") == "INTEGER":
            position = int(key["literal"]["text"])
            if 1 <= position <= len(items):
                yield items[position - 1]
        else:
            yield key
            name = bare_name(key)
            if name in named:
                yield named[name]


def _bounds(catalog: Catalog, scope: Scope, tied: _Tied, node: Node) -> Iterator[tuple[str, str]]:
    """The columns of the result that are bounds of the window, and what they are."""
    for leaf, column, kind in tied.bounds():
        shown = shown_as(catalog, scope, leaf, column, node)
        if shown is not None:
            yield shown, kind
