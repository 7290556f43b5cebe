"""Joins of streams, taken out of a SELECT: each becomes a step of its own, which gives the rows of both sides in pairs.

What is left of the SELECT reads the sides beside each other, row by row (DuckDB's POSITIONAL JOIN), under the names
that they had. So whatever else it does with them is planned like everything over a stream.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import duckdb

from streamjob_runtime.plan.aggregation import is_aggregate
from streamjob_runtime.plan.binding import explain
from streamjob_runtime.plan.catalog import Catalog
from streamjob_runtime.plan.exists import as_joins
from streamjob_runtime.plan.fingerprint import fingerprint_of
from streamjob_runtime.plan.functions import time_call
from streamjob_runtime.plan.join_bounds import Bound, bounds_of
from streamjob_runtime.plan.merged import without_using
from streamjob_runtime.plan.model import Column, JoinSide, Projection, StreamJoin
from streamjob_runtime.plan.normalize import Flat
from streamjob_runtime.plan.problems import Refusal
from streamjob_runtime.plan.scope import Known, Leaf, Scope, leaves, merged_columns
from streamjob_runtime.plan.sources import TIMES
from streamjob_runtime.plan.storable import stored_column
from streamjob_runtime.plan.tree import (
    Node,
    aliased,
    bare_name,
    base_table,
    column,
    conjunction,
    conjuncts,
    function_name,
    integer,
    names,
    rewrite,
    select,
    walk,
)

Take = Callable[[StreamJoin | Projection, Known, tuple[Column, ...]], None]

# The kinds of joins, and the sides whose rows come out when they found no match.
_ALONE: dict[str, tuple[int, ...]] = {
    "INNER": (),
    "LEFT": (0,),
    "RIGHT": (1,),
    "FULL": (0, 1),
    "SEMI": (),
    "ANTI": (0,),
}
_ALIASES = ("l", "r")  # under which a condition reads the sides


def split_joins(catalog: Catalog, relations: dict[str, Known], flat: Flat, take: Take) -> Flat:
    """The query without joins of streams; `take` is given each of them, innermost first. Raises `Refusal`.

    `relations` must know what `take` was given.
    """
    node = flat.node
    if node["type"] != "SELECT_NODE":
        return flat
    if _streams(node["from_table"], relations):
        node = as_joins(catalog, relations, node)
    while (join := _innermost(node["from_table"], relations)) is not None:
        node, join = without_using(catalog, node, join, leaves(node["from_table"], relations, catalog))
        name = f"{flat.name}.join"
        while name in relations:
            name += "_"
        node = _Join(catalog, relations, name, node, join).split(take)
    return replace(flat, node=node)


def _innermost(tree: Node, relations: dict[str, Known]) -> Node | None:
    """The first join of two streams that has none inside."""
    if tree["type"] != "JOIN":
        return None
    for side in ("left", "right"):
        if (found := _innermost(tree[side], relations)) is not None:
            return found
    left, right = (_streams(tree[side], relations) for side in ("left", "right"))
    beside = tree["ref_type"] == "POSITIONAL" and len({k.joined for k in (*left, *right)} - {""}) == 1
    return tree if left and right and not beside else None


def _streams(tree: Node, relations: dict[str, Known]) -> list[Known]:
    found = (relations.get(str(n.get("table_name"))) for n in _tables(tree))
    return [known for known in found if known is not None and known.shape == "stream"]


def _tables(tree: Node) -> Iterator[Node]:
    if tree["type"] == "JOIN":
        yield from _tables(tree["left"])
        yield from _tables(tree["right"])
    else:
        yield tree


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of a join as it stands in FROM."""

    tree: Node
    leaves: list[Leaf]
    columns: dict[tuple[str, str], str]  # (relation, column) -> the column of the join


class _Join:
    """One join of a SELECT's FROM."""

    def __init__(self, catalog: Catalog, relations: dict[str, Known], name: str, node: Node, join: Node) -> None:
        self._catalog = catalog
        self._relations = relations
        self._name = name
        self._node = node
        self._join = join
        self._kind = "FULL" if join["join_type"] == "OUTER" else str(join["join_type"])
        parts = leaves(node["from_table"], relations, catalog)
        self._scope = Scope(parts, merged_columns(node["from_table"], parts)).of_joins()
        numbers = iter(range(sum(len(leaf.columns) for leaf in parts)))
        self._sides = [self._side(join[side], parts, numbers) for side in ("left", "right")]
        self._check()

    def _side(self, tree: Node, parts: list[Leaf], numbers: Iterator[int]) -> _Side:
        there = {id(table) for table in _tables(tree)}
        own = [leaf for leaf in parts if id(leaf.node) in there]
        return _Side(
            tree, own, {(leaf.alias, name): f"c{next(numbers)}" for leaf in own for name in self._needed(leaf)}
        )

    def _needed(self, leaf: Leaf) -> list[str]:
        """The columns that the SELECT may name: the fewer a row has, the less it costs to keep it."""
        named: set[str] = set()
        for part in walk(self._node):
            if part.get("class") == "STAR" or function_name(part) == "columns":
                return list(leaf.columns)
            if part["type"] == "COLUMN_REF":
                named.update(name.lower() for name in names(part))
        if leaf.alias.lower() in named and any(bare_name(p) == leaf.alias.lower() for p in walk(self._node)):
            return list(leaf.columns)  # the row as a value
        return [name for name in leaf.columns if name.lower() in named] or list(leaf.columns[:1])

    def _check(self) -> None:
        """Refuse what is no join by conditions on both sides' rows."""
        join = self._join
        if join["ref_type"] in ("ASOF", "POSITIONAL") or self._kind not in _ALONE:
            raise Refusal(f"has a {join['ref_type']} JOIN of streams", "Join by equality.", join)
        for part in walk([t for t in (self._sides[0].tree, self._sides[1].tree) if t["type"] == "JOIN"]):
            if time_call(part) is not None and self._scope.find(part) is None:
                raise Refusal("asks the clock before a join of streams", "Ask it in a step before.", part)
        for leaf in (*self._sides[0].leaves, *self._sides[1].leaves):
            known = leaf.known
            if known is None or known.shape in ("stream", "static"):
                if known is not None and known.rolling is not None:
                    raise Refusal(
                        f"joins {leaf.alias}, whose rows count for a while of batch time",
                        "Put the filter on batch_time after the join.",
                        leaf.node,
                    )
                continue
            raise Refusal(
                f"joins streams with {leaf.alias}, which changes with every batch",
                "Join with a static table, or join two results that are kept.",
                leaf.node,
            )

    def split(self, take: Take) -> Node:
        """The SELECT with the rows of both sides beside each other in the join's place."""
        conditions = self._conditions()
        bounds = self._bounds(conditions)
        for i in _ALONE[self._kind]:
            if not bounds[i]:
                raise self._unbounded(i)
        columns = self._columns()
        sides = [self._planned(i, conditions, bounds, columns) for i in (0, 1)]
        text = self._catalog.render_expression(self._over_sides(conditions))
        kinds = {c.name: c.type for c in columns}
        parts = (
            ("join", self._kind.lower()),
            *(("condition", self._catalog.render_expression(c)) for c in conditions),
            *(
                (f"column of the {where} side", f"{alias}.{name} {kinds[c]}")
                for where, side in zip(("left", "right"), self._sides, strict=True)
                for (alias, name), c in side.columns.items()
            ),
        )
        what = {"join": self._kind, "condition": text, "columns": [f"{c.name} {c.type}" for c in columns]}
        shown = [0] if self._kind in ("SEMI", "ANTI") else [0, 1]
        visible = tuple(c for c in columns if any(c.name in sides[i].columns for i in shown))
        step = StreamJoin(
            self._name,
            self._kind,  # type: ignore[arg-type]
            sides[0],
            sides[1],
            text,
            tuple(dict.fromkeys(self._inputs())),
            fingerprint_of(what, parts),
            (_names(self._sides[0]), _names(self._sides[1])),
        )
        take(step, Known(self._name, "stream", tuple(c.name for c in visible), joined=self._name), visible)
        tree: Node | None = None
        for i in shown:
            for leaf in self._sides[i].leaves:
                placed = self._beside(i, leaf, bounds, take)
                tree = placed if tree is None else _beside(tree, placed)
        assert tree is not None
        return {**self._node, "from_table": _put(self._node["from_table"], self._join, tree)}

    def _inputs(self) -> Iterator[str]:
        for table in _tables(self._join):
            if table["type"] == "BASE_TABLE" and table["table_name"] in self._relations:
                yield str(table["table_name"])

    def _conditions(self) -> list[Node]:
        """The parts of the join's condition; of an inner join those in WHERE that concern its sides, too."""
        found = conjuncts(self._join.get("condition"))
        if self._kind == "INNER" and _only_filters(self._node["from_table"], self._join):
            found += [part for part in conjuncts(self._node.get("where_clause")) if self._is_own(part)]
        for part in walk(found):
            if part.get("class") == "SUBQUERY":
                raise Refusal(
                    "has a subquery in the condition of a join of streams", "Filter in a step of its own.", part
                )
            if is_aggregate(self._catalog, part):
                raise Refusal("has an aggregate in the condition of a join", "Filter groups with HAVING.", part)
            clock = time_call(part) is not None and (part["type"] != "COLUMN_REF" or self._scope.find(part) is None)
            if clock or (part["type"] == "COLUMN_REF" and self._scope.is_batch_time(part)):
                raise Refusal(
                    "asks for the batch's time in the condition of a join of streams, whose rows meet in later batches",
                    "Compare the rows' own times.",
                    part,
                )
        self._bind(found)
        if not any(self._equal(part) for part in found):
            raise Refusal(
                f"joins the streams {_names(self._sides[0])} and {_names(self._sides[1])} without an equality",
                "Join them by a column that both have: ON a.key = b.key.",
                self._join,
            )
        return found

    def _is_own(self, part: Node) -> bool:
        """Whether it speaks of this join's rows alone, and can be asked when these meet."""
        inside = list(walk(part))
        if any(p.get("class") in ("SUBQUERY", "WINDOW", "STAR") or time_call(p) is not None for p in inside):
            return False
        if any(is_aggregate(self._catalog, p) for p in inside):
            return False
        references = [p for p in inside if p["type"] == "COLUMN_REF"]
        return bool(references) and all(
            not self._scope.is_batch_time(r) and self._place(r) is not None for r in references
        )

    def _place(self, reference: Node) -> tuple[int, str, tuple[str, ...]] | None:
        """(side, column of the join, fields of it) that a reference means."""
        leaf = self._scope.leaf_of(reference)
        found = self._scope.find(reference)
        if leaf is None or found is None:
            return None
        for i, side in enumerate(self._sides):
            for (alias, name), here in side.columns.items():
                if alias == leaf.alias and name.lower() == found[1]:
                    return i, here, found[2:]
        return None

    def _side_of(self, expression: Node) -> int | None:
        """The one side that an expression speaks of."""
        places = [self._place(p) for p in walk(expression) if p["type"] == "COLUMN_REF"]
        sides = {place[0] for place in places if place is not None}
        return sides.pop() if len(sides) == 1 and None not in places else None

    def _equal(self, part: Node) -> tuple[Node, Node] | None:
        """What an equality between the sides compares, that of the left side first."""
        if part["type"] not in ("COMPARE_EQUAL", "COMPARE_NOT_DISTINCT_FROM"):
            return None
        one, other = part["left"], part["right"]
        found = (self._side_of(one), self._side_of(other))
        return (one, other) if found == (0, 1) else (other, one) if found == (1, 0) else None

    def _bind(self, conditions: list[Node]) -> None:
        joined = {**self._join, "ref_type": "REGULAR", "join_type": "INNER", "condition": conjunction(conditions)}
        if not conditions:
            joined = {**self._join, "ref_type": "CROSS", "join_type": "INNER"}
            joined.pop("condition", None)
        try:
            self._catalog.columns(self._catalog.render(select([aliased(integer(1), "one")], joined)))
        except duckdb.Error as error:
            raise explain(error, self._node) from None

    def _bounds(self, conditions: list[Node]) -> tuple[list[Bound], list[Bound]]:
        """What ends the wait of each side's rows."""
        found: tuple[list[Bound], list[Bound]] = ([], [])
        for part in conditions:
            for bound in bounds_of(self._catalog, self._scope, part):
                of = self._side_of(bound.until)
                if of is not None and self._has(1 - of, bound.by) and self._is_time(of, bound.until):
                    found[of].append(bound)
        return found

    def _has(self, i: int, leaf: Leaf) -> bool:
        return any(leaf.alias == own.alias for own in self._sides[i].leaves)

    def _is_time(self, i: int, expression: Node) -> bool:
        query = select([aliased(expression, "")], self._sides[i].tree)
        kind = self._catalog.columns(self._catalog.render(query))[0].type
        return kind in (*TIMES, "DATE")

    def _unbounded(self, i: int) -> Refusal:
        own, other = _names(self._sides[i]), self._sides[1 - i]
        time = next((f"{leaf.alias}.{leaf.event_time}" for leaf in other.leaves if leaf.event_time), None)
        what = "that have no match" if self._kind != "ANTI" else "without a match"
        if time is None:
            remedy = f"Give {_names(other)} a watermark, and bound its event time by AND … BETWEEN … in the condition."
        else:
            mine = next((f"{leaf.alias}.{leaf.event_time}" for leaf in self._sides[i].leaves if leaf.event_time), "…")
            remedy = f"Bound it: AND {time} BETWEEN {mine} AND {mine} + INTERVAL '10 minutes'."
        return Refusal(
            f"shows rows of {own} {what}, and no time bound says when none can come any more", remedy, self._join
        )

    def _columns(self) -> tuple[Column, ...]:
        """The join's columns, those of both sides."""
        items = [
            aliased(column(alias, name), here) for side in self._sides for (alias, name), here in side.columns.items()
        ]
        crossed = {"type": "JOIN", "ref_type": "CROSS", "join_type": "INNER"}
        tree = {**crossed, "left": self._sides[0].tree, "right": self._sides[1].tree}
        try:
            return self._catalog.columns(self._catalog.render(select(items, tree)))
        except duckdb.Error as error:
            raise explain(error, self._node) from None

    def _planned(
        self, i: int, conditions: list[Node], bounds: tuple[list[Bound], list[Bound]], columns: tuple[Column, ...]
    ) -> JoinSide:
        side, alone = self._sides[i], i in _ALONE[self._kind]
        items = [aliased(column(alias, name), here) for (alias, name), here in side.columns.items()]
        stored = [
            stored_column(self._catalog, side.tree, column(alias, name), here, "keeps for its join")
            for (alias, name), here in side.columns.items()
        ]
        keys = [
            self._own_text(pair[i])
            for part in conditions
            if part["type"] == "COMPARE_EQUAL" and (pair := self._equal(part)) is not None
        ]
        ends = [_time_text(self._own_text(b.until), b.plus_us + _lag(b.by)) for b in bounds[i]]
        times = {(leaf.alias, str(leaf.event_time)): _lag(leaf) for b in bounds[1 - i] for leaf in [b.by]}
        late = [_time_text(self._own_text(column(*place)), lag) for place, lag in times.items()]
        return JoinSide(
            self._catalog.render(select(items, side.tree)),
            tuple(side.columns.values()),
            tuple(there for there, _ in stored),
            tuple(back for _, back in stored),
            () if alone else tuple(dict.fromkeys(keys)),
            tuple(dict.fromkeys(ends)),
            tuple(late),
            alone,
        )

    def _own_text(self, expression: Node) -> str:
        """An expression over one side, with the join's columns."""
        return self._catalog.render_expression(self._put(expression, ("", "")))

    def _over_sides(self, conditions: list[Node]) -> Node:
        condition = conjunction(conditions)
        assert condition is not None
        placed: Node = self._put(condition, _ALIASES)
        return placed

    def _put(self, expression: Node, aliases: tuple[str, str]) -> Node:
        def change(part: Node) -> Node | None:
            place = self._place(part) if part["type"] == "COLUMN_REF" else None
            if place is None:
                return None
            i, here, fields = place
            return {**column(*([aliases[i]] if aliases[i] else []), here, *fields), "alias": part.get("alias", "")}

        changed: Node = rewrite(aliased(expression, ""), change)
        return changed

    def _beside(self, i: int, leaf: Leaf, bounds: tuple[list[Bound], list[Bound]], take: Take) -> Node:
        """One relation of a side, as the join gives its rows; as it stands in FROM."""
        here = {name: c for (alias, name), c in self._sides[i].columns.items() if alias == leaf.alias}
        name = f"{self._name}.{leaf.alias}"
        node = select([aliased(column(c), shown) for shown, c in here.items()], base_table(self._name))
        sql = self._catalog.render(node)
        event_time, lag_us = self._event_time(i, leaf, bounds[i])
        known = Known(
            name,
            "stream",
            tuple(here),
            event_time=event_time if event_time in here else None,
            lag_us=lag_us,
            joined=self._name,
        )
        take(Projection(name, sql, (self._name,)), known, self._catalog.columns(sql))
        return base_table(name, leaf.alias)

    def _event_time(self, i: int, leaf: Leaf, bounds: list[Bound]) -> tuple[str | None, int]:
        """A relation's event time behind the join, and how far it may be behind the watermark (microseconds).

        A row comes out as long as it waits. So what ends that must rest on the event time itself, and a row that is
        made up has none.
        """
        made_up = self._kind in _ALONE and any(other != i for other in _ALONE[self._kind])
        waits = [b.plus_us + _lag(b.by) for b in bounds if b.own is not None and b.own.alias == leaf.alias]
        if made_up or not waits or leaf.known is None:
            return None, 0
        return leaf.event_time, max(leaf.known.lag_us, min(waits), 0)


def _only_filters(tree: Node, join: Node) -> bool:
    """Whether each condition of WHERE on the rows of a join could as well stand in its own."""
    if tree is join:
        return True
    if tree["type"] != "JOIN":
        return False
    kind = str(tree["join_type"])
    left, right = (_only_filters(tree[side], join) for side in ("left", "right"))
    return (left and kind in ("INNER", "LEFT", "SEMI", "ANTI")) or (right and kind in ("INNER", "RIGHT"))


def _put(tree: Node, old: Node, new: Node) -> Node:
    """FROM with another node in one's place."""
    if tree is old:
        return new
    if tree["type"] != "JOIN":
        return tree
    return {**tree, "left": _put(tree["left"], old, new), "right": _put(tree["right"], old, new)}


def _beside(left: Node, right: Node) -> Node:
    return {"type": "JOIN", "left": left, "right": right, "join_type": "INNER", "ref_type": "POSITIONAL"}


def _lag(leaf: Leaf) -> int:
    return 0 if leaf.known is None else leaf.known.lag_us


def _time_text(sql: str, plus_us: int) -> str:
    return f"CAST({sql} AS TIMESTAMP) + to_microseconds({plus_us})"


def _names(side: _Side) -> str:
    return ", ".join(leaf.alias for leaf in side.leaves)
