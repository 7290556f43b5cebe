# ruff: noqa: S608 - SQL is put together here from names that are quoted and texts that the planner rendered.
"""A rolling window over batch time: the rows of the last ten minutes, whatever the number of batches in them.

The states of each batch that had rows are a pane. Panes are numbered and stand, eight to a table, at the bottom of a
tree: a unit of level 1 is the combined states of eight panes, one of level 2 of 64, and so on, each made when the last
of its panes is there, and again eight to a table. When panes leave, only their keys and those of the new pane are
computed anew, from the few units that cover the panes that stay. So a batch costs what these keys cost, times the
logarithm of the number of panes; a table is dropped when all of its panes have left.
"""

import itertools
from collections import deque
from collections.abc import Set
from typing import NamedTuple

import pyarrow as pa

from streamjob_runtime.embedded import combine
from streamjob_runtime.embedded.compose import Composer, at_time
from streamjob_runtime.embedded.database import Database
from streamjob_runtime.embedded.kept import RESTORED, Moment, Operator, Wanted
from streamjob_runtime.embedded.stored import from_stored, to_stored
from streamjob_runtime.plan.model import Aggregation, RollingWindow
from streamjob_runtime.plan.tree import quoted

_BITS = 3  # eight units to a table, and to a unit of the next level


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
        self._next = 0  # the number of the next pane
        self._grown = 0  # units that end at or before this pane are made, as far as all their panes are there
        self._tables: set[tuple[int, int]] = set()  # (level, group): the units [group * 8, group * 8 + 8) of the level
        self._fetched: dict[int, tuple[list[int], pa.Table]] = {}  # group -> its panes, and their rows in a snapshot
        self._columns = ", ".join((*step.key_columns, *step.state_columns))
        self._combined = ", ".join((*step.key_columns, *(combine.many(step, a) for a in step.state_columns)))
        self._group = f"GROUP BY {', '.join(step.key_columns)}" if step.keys else ""
        self._zero = quoted(f"zero:{step.name}")  # without keys there is always one row: at first this one
        db.do(f"CREATE TABLE {self._zero} AS SELECT * FROM {self._state}")
        no_panes = f"(SELECT CAST(0 AS BIGINT) AS u, CAST(0 AS BIGINT) AS t, * FROM {self._state} LIMIT 0)"
        self._none = self._fetch(no_panes)

    def run(self, moment: Moment, sources: Set[str]) -> bool:
        """See `Operator`."""
        gone = [p for p in self._panes if not self._active(p, moment.batch_time_ms)]
        added = self._add_pane(moment) if sources else None
        if gone:
            self._recompute(gone, added)
        elif added is not None:
            self._merge(self._known_delta(added), moment.rows)
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

    def _table(self, level: int, group: int) -> str:
        return quoted(f"units:{self.step.name}:{level}:{group}")

    def _put(self, level: int, unit: int, rows: str) -> int:
        """Add a unit's rows to the table of its group; how many."""
        place = (level, unit >> _BITS)
        if place in self._tables:
            return self._db.do(f"INSERT INTO {self._table(*place)} {rows}")
        self._tables.add(place)
        return self._db.do(f"CREATE TABLE {self._table(*place)} AS {rows}")

    def _add_pane(self, moment: Moment) -> str | None:
        """Make the new pane; the query of its rows, or None if no row of the batch reached the aggregates."""
        delta = at_time(self._delta_sql, moment.batch_time_ms)
        numbers = f"CAST({self._next} AS BIGINT) AS u, CAST({moment.batch_time_ms} AS BIGINT) AS t"
        rows = self._put(0, self._next, f"SELECT {numbers}, {self._columns} FROM ({delta})")
        if rows == 0:
            return None
        self._panes.append(_Pane(self._next, moment.batch_time_ms, rows))
        self._next += 1
        return self._rows_of(0, self._next - 1, self._next - 1)

    def _grow(self) -> None:
        """Make the units that end with the newest pane, as far as all of their panes are still there."""
        level, first = 1, self._panes[0].number
        while self._next % (1 << _BITS * level) == 0 and self._next - (1 << _BITS * level) >= first:
            unit = (self._next >> _BITS * level) - 1
            below = self._table(level - 1, unit)
            self._put(level, unit, f"SELECT CAST({unit} AS BIGINT) AS u, {self._combined} FROM {below} {self._group}")
            level += 1
        self._grown = self._next

    def _recompute(self, gone: list[_Pane], added: str | None) -> None:
        """Put in place of each touched key's state what the panes that stay say of it."""
        behind = gone[-1].number + 1
        touched = self._cover(self._panes[0].number, behind) + ([added] if added else [])
        kept = self._cover(behind, self._next)
        if not self.step.keys:
            kept.append(f"SELECT {self._columns} FROM {self._zero}")
        keys = f"({' UNION ALL '.join(touched)}) AS d"
        self._note_before(f"EXISTS (SELECT 1 FROM {keys} WHERE {self._same_key('s', 'd')})")
        deleted = self._db.do(f"DELETE FROM {self._state} AS s USING {keys} WHERE {self._same_key('s', 'd')}")
        if kept:
            again = f"SELECT n.* FROM ({' UNION ALL '.join(kept)}) AS n SEMI JOIN {keys} ON {self._same_key('n', 'd')}"
            self._updated = self._db.do(
                f"INSERT INTO {self._state} SELECT {self._combined} FROM ({again}) {self._group}"
            )
        if self._wanted.update:
            shown = f"SELECT {self._returned()} FROM {self._state} AS s SEMI JOIN {keys} ON {self._same_key('s', 'd')}"
            self.changed = self._db.selected(f"shown:{self.step.name}", shown, self._wanted.by_steps)
        self._sweep(deleted)
        for pane in gone:
            self._panes.popleft()
            self._removed += pane.rows
        self._drop_before(behind)

    def _cover(self, start: int, end: int) -> list[str]:
        """The queries of the fewest units that hold exactly the panes [start, end), one for each table."""
        runs: list[tuple[int, int, int]] = []  # (level, first unit, last unit) in one table
        while start < end:
            level = 0
            while self._holds(level + 1, start, end):
                level += 1
            unit = start >> _BITS * level
            if runs and runs[-1][0] == level and runs[-1][2] >> _BITS == unit >> _BITS:
                runs[-1] = (level, runs[-1][1], unit)
            else:
                runs.append((level, unit, unit))
            start += 1 << _BITS * level
        return [self._rows_of(*run) for run in runs]

    def _holds(self, level: int, start: int, end: int) -> bool:
        length = 1 << _BITS * level
        return start % length == 0 and start + length <= min(end, self._grown)

    def _rows_of(self, level: int, first: int, last: int) -> str:
        return f"SELECT {self._columns} FROM {self._table(level, first >> _BITS)} WHERE u BETWEEN {first} AND {last}"

    def _drop_before(self, first: int) -> None:
        """Drop the tables whose panes have all left."""
        for level, group in [t for t in self._tables if (t[1] + 1) << _BITS * (t[0] + 1) <= first]:
            self._tables.remove((level, group))
            self._db.do(f"DROP TABLE {self._table(level, group)}")
            if level == 0:
                self._fetched.pop(group, None)

    def snapshot(self) -> pa.Table:
        """See `Operator`: the panes, each row with the pane's number and batch time (`pane`, `batch_time`)."""
        parts = []
        for group, panes in itertools.groupby(self._panes, lambda p: p.number >> _BITS):
            numbers = [p.number for p in panes]
            if self._fetched.get(group, ([], None))[0] != numbers:
                where = f"WHERE u BETWEEN {numbers[0]} AND {numbers[-1]}"
                self._fetched[group] = (numbers, self._fetch(f"{self._table(0, group)} {where}"))
            parts.append(self._fetched[group][1])
        return pa.concat_tables([self._none, *parts])

    def _fetch(self, rows: str) -> pa.Table:
        return to_stored(self._db.rows(f"SELECT u AS pane, t AS batch_time, {self.step.snapshot_columns} FROM {rows}"))

    def restore(self, rows: pa.Table) -> None:
        """See `Operator`."""
        typed = quoted(f"restored:{self.step.name}")  # the states as such again, no longer as plain values
        panes = "SELECT CAST(0 AS BIGINT) AS pane, CAST(0 AS BIGINT) AS batch_time"
        stored = self._db.schema(f"{panes}, {self.step.snapshot_columns} FROM {self._state}")
        self._db.register(RESTORED, from_stored(rows, stored))
        self._db.do(f"CREATE TABLE {typed} AS {panes}, * FROM {self._state} LIMIT 0")
        columns = ", ".join(("pane", "batch_time", *self.step.restored))
        self._db.do(f"INSERT INTO {typed} SELECT {columns} FROM {quoted(RESTORED)}")
        found = self._db.rows(f"SELECT pane, batch_time, count(*) AS rows FROM {typed} GROUP BY ALL ORDER BY pane")
        for pane in found.to_pylist():
            number = pane["pane"]
            self._panes.append(_Pane(number, pane["batch_time"], pane["rows"]))
            self._put(
                0, number, f"SELECT pane AS u, batch_time AS t, {self._columns} FROM {typed} WHERE pane = {number}"
            )
            self._next = number + 1
            self._grow()
        self._db.do(f"DROP TABLE {typed}")
        self._db.register(RESTORED, rows.schema.empty_table())
        kept = self._cover(self._panes[0].number, self._next) if self._panes else []
        if not self.step.keys:
            self._db.do(f"DELETE FROM {self._state}")
            kept.append(f"SELECT {self._columns} FROM {self._zero}")
        if kept:
            self._db.do(
                f"INSERT INTO {self._state} SELECT {self._combined} FROM ({' UNION ALL '.join(kept)}) {self._group}"
            )
