"""What the names in a SELECT mean: the relations of its FROM clause and their columns."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import duckdb

from streamjob_runtime.plan.catalog import Catalog
from streamjob_runtime.plan.model import EventWindow, RollingWindow
from streamjob_runtime.plan.tree import Node, column, names, select, star

BATCH_TIME = "batch_time"


@dataclass(frozen=True, slots=True)
class Changes:
    """What becomes of a kept table's rows while their groups change. Columns in lower case."""

    leave: str = ""  # why a row may leave the table; "": none ever does
    clock: bool = False  # whether the clock has a part in that
    several: bool = False  # a group has several rows, of which a batch that touches it changes few
    clocked: frozenset[str] = frozenset()  # columns whose value depends on the clock
    identity: frozenset[str] | None = None  # columns that together are those of one row; None: none are
    fixed: frozenset[str] = frozenset()  # columns whose value never changes for a row
    rising: frozenset[str] = frozenset()  # columns whose value never gets less
    falling: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Windowed:
    """The windows that a relation's rows are of: each row of one, and final with it."""

    operators: tuple[str, ...]  # the aggregations that its rows follow from, all of windows alike
    window: EventWindow
    bounds: Mapping[str, str]  # column that is a bound of the row's window -> "start" or "end"


@dataclass(frozen=True, slots=True)
class Known:
    """What the planner knows of a relation."""

    name: str
    shape: str  # "static": of static tables only; "stream"; "table": a kept result; "view": all else over tables
    columns: tuple[str, ...]
    event_time: str | None = None  # stream: the column that holds a source's watermark column, untouched
    lag_us: int = 0  # stream: by how much its event time may be behind a watermark that has not passed it
    grid_us: int = 0  # stream: its event time is a multiple of this since 1970; 0: nobody knows
    joined: str = ""  # stream: the join of streams of which it has one side's rows, beside those of the others
    rolling: RollingWindow | None = None  # stream: rows count for that long only
    operator: str | None = None  # table: the aggregation whose rows it shows one by one
    final: bool = False  # table: its windows become final by the watermark
    no_window: str = ""  # table: what is in the place of a final window, and why it is none
    no_update: str = ""  # table: why it cannot be written in update mode
    changes: Changes = Changes()  # table: of its rows
    windowed: Windowed | None = None  # table, view: it concerns each window by itself
    across: str = ""  # view of windowed results: why it does not


@dataclass(frozen=True, slots=True)
class Leaf:
    """A relation as it stands in FROM."""

    alias: str
    columns: tuple[str, ...]
    known: Known | None  # None: a table function or a list of values
    node: Node
    kept: bool  # no join adds rows for what is missing on this side
    visible: bool = True  # its columns can be named outside of FROM: not those that a SEMI or ANTI JOIN only asks

    @property
    def event_time(self) -> str | None:
        """The name under which the relation's event time stands here."""
        if self.known is None or self.known.event_time is None:
            return None
        return dict(zip(self.known.columns, self.columns, strict=False)).get(self.known.event_time)


def leaves(from_table: Node, relations: dict[str, Known], catalog: Catalog) -> list[Leaf]:
    """The relations of a FROM clause, in order."""
    return [
        Leaf(_alias(n), _columns(n, from_table, relations, catalog), relations.get(_table(n)), n, kept, visible)
        for n, kept, visible in _parts(from_table, True, True)
    ]


def _parts(node: Node, kept: bool, visible: bool) -> Iterator[tuple[Node, bool, bool]]:
    if node["type"] == "JOIN":
        left, right = preserved(node)
        yield from _parts(node["left"], kept and left, visible)
        yield from _parts(node["right"], kept and right, visible and node["join_type"] not in ("SEMI", "ANTI"))
    elif node["type"] != "EMPTY":
        yield node, kept, visible


def preserved(join: Node) -> tuple[bool, bool]:
    """For each side: whether no row is made up on it where the other side has no match."""
    kind = join["join_type"]
    return kind not in ("RIGHT", "FULL"), kind not in ("LEFT", "FULL", "SEMI", "ANTI")


def _table(node: Node) -> str:
    return str(node["table_name"]) if node["type"] == "BASE_TABLE" else ""


def _alias(node: Node) -> str:
    if node.get("alias"):
        return str(node["alias"])
    if node["type"] == "TABLE_FUNCTION":
        return str(node["function"]["function_name"])
    return _table(node)


def _columns(node: Node, from_table: Node, relations: dict[str, Known], catalog: Catalog) -> tuple[str, ...]:
    known = relations.get(_table(node))
    if known is not None:
        renamed = [str(c) for c in node.get("column_name_alias", [])]
        return (*renamed, *known.columns[len(renamed) :])
    try:
        of_this = {**star(), "relation_name": _alias(node)}
        return tuple(c.name for c in catalog.columns(catalog.render(select([of_this], from_table))))
    except duckdb.Error:
        return ()  # what is wrong with it is said when the whole step is bound


class Scope:
    """Finds the column that a reference means, in one SELECT."""

    def __init__(self, parts: list[Leaf], merged: Mapping[str, str]) -> None:
        self.leaves = [leaf for leaf in parts if leaf.visible]
        self._parts = parts
        self._by_alias = {leaf.alias.lower(): leaf for leaf in self.leaves}
        self._merged = merged

    def of_joins(self) -> "Scope":
        """What the names in a join's condition mean."""
        return Scope([replace(leaf, visible=True) for leaf in self._parts], self._merged)

    def find(self, reference: Node) -> tuple[str, ...] | None:
        """The column as (relation, column, fields …) in lower case; None: no column has that name."""
        parts = [n.lower() for n in names(reference)]
        if len(parts) > 1 and parts[0] in self._by_alias and self._has(self._by_alias[parts[0]], parts[1]):
            return tuple(parts)
        owners = [leaf.alias.lower() for leaf in self.leaves if self._has(leaf, parts[0])]
        return (self._merged.get(parts[0], owners[0]), *parts) if owners else None

    def owners(self, name: str) -> list[Leaf]:
        """The relations that have a column of that name, or the one of them whose value joins show for all."""
        found = [leaf for leaf in self.leaves if self._has(leaf, name.lower())]
        merged = self._merged.get(name.lower())
        return found if merged is None else [leaf for leaf in found if leaf.alias.lower() == merged]

    def leaf_of(self, reference: Node) -> Leaf | None:
        """The relation that a column is of."""
        found = self.find(reference)
        if found is None:
            return None
        if found[0]:
            return self._by_alias[found[0]]
        return next(leaf for leaf in self.leaves if self._has(leaf, found[1]))

    def is_event_time(self, reference: Node, leaf: Leaf) -> bool:
        """Whether it names that relation's event time, as it is."""
        event_time = leaf.event_time
        return event_time is not None and self.find(reference) == (leaf.alias.lower(), event_time.lower())

    def is_batch_time(self, reference: Node) -> bool:
        """Whether it names the hidden column that every stream has."""
        parts = [n.lower() for n in names(reference)]
        if parts[-1] != BATCH_TIME or len(parts) > 2:
            return False
        streams = [leaf for leaf in self.leaves if leaf.known is not None and leaf.known.shape == "stream"]
        if len(parts) == 2:
            return any(leaf.alias.lower() == parts[0] for leaf in streams)
        found = self.leaf_of(reference)
        return bool(streams) if found is None else found in streams

    def canonical(self, reference: Node) -> Node:
        """The reference in the one form that all references to the column have."""
        found = self.find(reference)
        return reference if found is None else column(*found)

    @staticmethod
    def _has(leaf: Leaf, name: str) -> bool:
        return any(c.lower() == name for c in leaf.columns)


def merged_columns(from_table: Node, parts: list[Leaf]) -> dict[str, str]:
    """The columns that USING and NATURAL make one of, in lower case -> the relation whose value it shows.

    "": of neither side alone, in a FULL JOIN.
    """
    merged: dict[str, str] = {}
    _merge(from_table, iter(parts), merged)
    return merged


def _merge(node: Node, parts: Iterator[Leaf], merged: dict[str, str]) -> dict[str, str]:
    """Each column below this node, in lower case -> the relation whose value its bare name shows."""
    if node["type"] == "EMPTY":
        return {}
    if node["type"] != "JOIN":
        leaf = next(parts)
        return {c.lower(): leaf.alias.lower() for c in leaf.columns}
    left, right = _merge(node["left"], parts, merged), _merge(node["right"], parts, merged)
    using = {str(c).lower() for c in node.get("using_columns", [])}
    if node.get("ref_type") == "NATURAL":
        using |= left.keys() & right.keys()
    kind = node["join_type"]
    for name in using & left.keys() & right.keys():
        merged[name] = "" if kind == "FULL" else right[name] if kind == "RIGHT" else left[name]
    return {**right, **left, **{name: merged[name] for name in using if name in merged}}
