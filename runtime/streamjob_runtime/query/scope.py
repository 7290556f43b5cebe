"""What the names in a SELECT mean: the relations of its FROM clause and their columns."""

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb

from streamjob_runtime.query.catalog import Catalog
from streamjob_runtime.query.plan import RollingWindow
from streamjob_runtime.query.tree import Node, column, names, select, star

BATCH_TIME = "batch_time"


@dataclass(frozen=True, slots=True)
class Known:
    """What the planner knows of a relation."""

    name: str
    shape: str  # "static": of static tables only; "stream"; "table": a kept result; "view": all else over tables
    columns: tuple[str, ...]
    event_time: str | None = None  # stream: the column that holds a source's watermark column, untouched
    rolling: RollingWindow | None = None  # stream: rows count for that long only
    operator: str | None = None  # table: the aggregation whose rows it shows one by one
    final: bool = False  # table: its windows become final by the watermark


@dataclass(frozen=True, slots=True)
class Leaf:
    """A relation as it stands in FROM."""

    alias: str
    columns: tuple[str, ...]
    known: Known | None  # None: a table function or a list of values
    node: Node
    kept: bool  # no join adds rows for what is missing on this side


def leaves(from_table: Node, relations: dict[str, Known], catalog: Catalog) -> list[Leaf]:
    """The relations of a FROM clause, in order."""
    return [
        Leaf(_alias(node), _columns(node, from_table, relations, catalog), relations.get(_table(node)), node, kept)
        for node, kept in _parts(from_table, True)
    ]


def _parts(node: Node, kept: bool) -> Iterator[tuple[Node, bool]]:
    if node["type"] == "JOIN":
        left, right = preserved(node)
        yield from _parts(node["left"], kept and left)
        yield from _parts(node["right"], kept and right)
    elif node["type"] != "EMPTY":
        yield node, kept


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

    def __init__(self, parts: list[Leaf], joined: set[str]) -> None:
        self.leaves = parts
        self._by_alias = {leaf.alias.lower(): leaf for leaf in parts}
        self._joined = {c.lower() for c in joined}

    def find(self, reference: Node) -> tuple[str, ...] | None:
        """The column as (relation, column, fields …) in lower case; None: no column has that name."""
        parts = [n.lower() for n in names(reference)]
        if len(parts) > 1 and parts[0] in self._by_alias and self._has(self._by_alias[parts[0]], parts[1]):
            relation, rest = parts[0], parts[1:]
        else:
            owners = [leaf for leaf in self.leaves if self._has(leaf, parts[0])]
            if not owners:
                return None
            relation, rest = owners[0].alias.lower(), parts
        return ("" if rest[0] in self._joined else relation, *rest)

    def leaf_of(self, reference: Node) -> Leaf | None:
        """The relation that a column is of."""
        found = self.find(reference)
        if found is None:
            return None
        if found[0]:
            return self._by_alias[found[0]]
        return next(leaf for leaf in self.leaves if self._has(leaf, found[1]))

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


def joined_columns(from_table: Node, parts: list[Leaf]) -> set[str]:
    """The columns that joins make one of: USING and NATURAL."""
    found: set[str] = set()
    stack = [from_table]
    while stack:
        node = stack.pop()
        if node["type"] != "JOIN":
            continue
        found.update(str(c) for c in node.get("using_columns", []))
        if node.get("ref_type") == "NATURAL":
            counts = [c.lower() for leaf in parts for c in leaf.columns]
            found.update(c for c in counts if counts.count(c) > 1)
        stack += [node["left"], node["right"]]
    return found
