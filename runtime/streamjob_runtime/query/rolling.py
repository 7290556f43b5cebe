# ruff: noqa: S608 - SQL is put together here from names that are quoted and texts that the planner rendered.
"""A rolling window over batch time: the rows of the last ten minutes, whatever the number of batches in them.

The states of each batch that had rows are a pane. Panes are numbered, and nodes of a binary tree above them hold the
combined states of 2, 4, 8 … consecutive panes, made when the last of these is there. When panes leave, only their keys
are computed anew, from the few nodes that cover the rest. So a batch costs what its own keys and those that leave cost,
times the logarithm of the number of panes.
"""

from collections import deque
from collections.abc import Set
from typing import NamedTuple

import pyarrow as pa

from streamjob_runtime.query.compose import Composer, at_time
from streamjob_runtime.query.database import Database
from streamjob_runtime.query.kept import Moment, Operator, Wanted
from streamjob_runtime.query.plan import Aggregation, RollingWindow
from streamjob_runtime.query.tree import quoted


class _Pane(NamedTuple):
    number: int
    batch_time_ms: int
    rows: int


class Rolling(Operator):
    """Groups of the batches of the last while. A key that has no rows left leaves the table.

    The state is the panes: `rows_total` counts their rows, and `rows_removed` those of the panes that left.
    """

    def __init__(
        self, db: Database, step: Aggregation, composer: Composer, ready: frozenset[str], wanted: Wanted
    ) -> None:
        super().__init__(db, step, composer, ready, wanted)
        assert step.rolling is not None
        self._window: RollingWindow = step.rolling
        self._panes: deque[_Pane] = deque()
        self._next = 0
        self._nodes: set[tuple[int, int]] = set()  # (level, index): the panes [index << level, (index + 1) << level)
        self._fetched: dict[int, pa.Table] = {}  # pane -> its rows as a snapshot has them
        self._columns = ", ".join((*step.key_columns, *step.state_columns))
        self._combined = ", ".join((*step.key_columns, *(f"combine_aggr({a}) AS {a}" for a in step.state_columns)))
        self._group = f"GROUP BY {', '.join(step.key_columns)}" if step.keys else ""
        self._zero = quoted(f"zero:{step.name}")  # without keys there is always one row: at first this one
        db.do(f"CREATE TABLE {self._zero} AS SELECT * FROM {self._state}")

    def run(self, moment: Moment, sources: Set[str]) -> bool:
        """See `Operator`."""
        gone = [p for p in self._panes if not self._active(p, moment.batch_time_ms)]
        added = self._add_pane(moment) if sources else None
        if gone:
            self._recompute(gone, added)
        elif added is not None:
            self._merge(f"SELECT * FROM {added}")
        if added is not None:
            self._grow()
        self._rows_total = sum(p.rows for p in self._panes)
        return bool(added or gone)

    def wants_batch(self, batch_time_ms: int, watermark_ms: int | None) -> bool:
        """See `Operator`."""
        return bool(self._panes) and not self._active(self._panes[0], batch_time_ms)

    def _active(self, pane: _Pane, batch_time_ms: int) -> bool:
        age = batch_time_ms - pane.batch_time_ms
        return age < self._window.length_ms or (self._window.inclusive and age == self._window.length_ms)

    def _table(self, level: int, index: int) -> str:
        return quoted(f"pane:{self.step.name}:{level}:{index}")

    def _add_pane(self, moment: Moment) -> str | None:
        """The table of the new pane; None: no row of the batch reached the aggregates."""
        table = self._table(0, self._next)
        rows = self._db.do(f"CREATE TABLE {table} AS {at_time(self._delta_sql, moment.batch_time_ms)}")
        if rows == 0:
            self._db.do(f"DROP TABLE {table}")
            return None
        self._panes.append(_Pane(self._next, moment.batch_time_ms, rows))
        self._nodes.add((0, self._next))
        self._next += 1
        return table

    def _grow(self) -> None:
        """Make the nodes that end with the newest pane, as far as all of their panes are still there."""
        level, end, first = 1, self._next, self._panes[0].number
        while end % (1 << level) == 0 and end - (1 << level) >= first:
            index = (end >> level) - 1
            halves = [self._table(level - 1, 2 * index), self._table(level - 1, 2 * index + 1)]
            self._db.do(
                f"CREATE TABLE {self._table(level, index)} AS "
                f"SELECT {self._combined} FROM ({self._union(halves)}) {self._group}"
            )
            self._nodes.add((level, index))
            level += 1

    def _recompute(self, gone: list[_Pane], added: str | None) -> None:
        """Put in place of each touched key's state what the panes that stay say of it."""
        behind = gone[-1].number + 1
        touched = self._cover(self._panes[0].number, behind) + ([added] if added else [])
        kept = self._cover(behind, self._next)
        if not self.step.keys:
            kept.append(self._zero)
        keys = f"({self._union(touched)}) AS d"
        deleted = self._db.do(f"DELETE FROM {self._state} AS s USING {keys} WHERE {self._on('s', 'd')}")
        if kept:
            again = f"SELECT n.* FROM ({self._union(kept)}) AS n SEMI JOIN {keys} ON {self._on('n', 'd')}"
            self._updated = self._db.do(
                f"INSERT INTO {self._state} SELECT {self._combined} FROM ({again}) {self._group}"
            )
        if self._wanted.update:
            shown = f"SELECT {self._returned()} FROM {self._state} AS s SEMI JOIN {keys} ON {self._on('s', 'd')}"
            self.changed = self._shown(self._db.rows(shown))
        self._sweep(deleted)
        for pane in gone:
            self._panes.popleft()
            self._drop(pane.number)
            self._removed += pane.rows

    def _on(self, one: str, other: str) -> str:
        return " AND ".join(f"{one}.{k} IS NOT DISTINCT FROM {other}.{k}" for k in self.step.key_columns) or "true"

    def _union(self, tables: list[str]) -> str:
        return " UNION ALL ".join(f"SELECT {self._columns} FROM {t}" for t in tables)

    def _cover(self, start: int, end: int) -> list[str]:
        """The fewest nodes that hold exactly the panes [start, end)."""
        tables = []
        while start < end:
            level = 0
            while self._holds(level + 1, start, end):
                level += 1
            tables.append(self._table(level, start >> level))
            start += 1 << level
        return tables

    def _holds(self, level: int, start: int, end: int) -> bool:
        whole = start % (1 << level) == 0 and start + (1 << level) <= end
        return whole and (level, start >> level) in self._nodes

    def _drop(self, number: int) -> None:
        """Drop a pane and every node that it is part of."""
        self._fetched.pop(number, None)
        level = 0
        while (1 << level) <= self._next:
            node = (level, number >> level)
            if node in self._nodes:
                self._nodes.remove(node)
                self._db.do(f"DROP TABLE {self._table(*node)}")
            level += 1

    def snapshot(self) -> pa.Table:
        """See `Operator`: the panes, each row with the pane's number and batch time (`pane`, `batch_time`)."""
        for pane in self._panes:
            if pane.number not in self._fetched:
                self._fetched[pane.number] = self._fetch(pane, self._table(0, pane.number))
        empty = self._fetch(_Pane(0, 0, 0), self._zero).slice(0, 0)
        return pa.concat_tables([empty, *(self._fetched[p.number] for p in self._panes)])

    def _fetch(self, pane: _Pane, table: str) -> pa.Table:
        return self._db.rows(
            f"SELECT CAST({pane.number} AS BIGINT) AS pane, CAST({pane.batch_time_ms} AS BIGINT) AS batch_time, "
            f"{self._columns} FROM {table}"
        )

    def restore(self, rows: pa.Table) -> None:
        """See `Operator`."""
        typed = quoted(f"restored:{self.step.name}")  # the states as such again, no longer as plain values
        self._db.register("restored", rows)
        self._db.do(
            f"CREATE TABLE {typed} AS SELECT CAST(0 AS BIGINT) AS pane, CAST(0 AS BIGINT) AS batch_time, * "
            f"FROM {self._state} LIMIT 0"
        )
        self._db.do(f"INSERT INTO {typed} SELECT * FROM restored")
        found = self._db.rows(f"SELECT pane, batch_time, count(*) AS rows FROM {typed} GROUP BY ALL ORDER BY pane")
        for pane in found.to_pylist():
            number = pane["pane"]
            table = self._table(0, number)
            self._db.do(f"CREATE TABLE {table} AS SELECT {self._columns} FROM {typed} WHERE pane = {number}")
            self._panes.append(_Pane(number, pane["batch_time"], pane["rows"]))
            self._nodes.add((0, number))
            self._next = number + 1
            self._grow()
        self._db.do(f"DROP TABLE {typed}")
        self._db.register("restored", rows.schema.empty_table())
        kept = self._cover(self._panes[0].number, self._next) if self._panes else []
        if not self.step.keys:
            self._db.do(f"DELETE FROM {self._state}")
            kept.append(self._zero)
        if kept:
            self._db.do(f"INSERT INTO {self._state} SELECT {self._combined} FROM ({self._union(kept)}) {self._group}")
