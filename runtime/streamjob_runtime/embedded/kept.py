# ruff: noqa: S608 - SQL is put together here from names that are quoted and texts that the planner rendered.
"""What every kept table has in common, whatever its window."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Set
from dataclasses import dataclass

import pyarrow as pa

from streamjob_runtime.embedded import combine
from streamjob_runtime.embedded.compose import Composer, at_time
from streamjob_runtime.embedded.database import Database, Returned
from streamjob_runtime.embedded.stored import from_stored, to_stored
from streamjob_runtime.plan.model import MARK, Aggregation, state_table
from streamjob_runtime.plan.tree import quoted
from streamjob_runtime.query import OperatorProgress

_FEW_ROWS = 1000
AT_ONCE_ROWS = 2000  # of a batch; beyond them groups are written in the table's order
RESTORED = "restored:"  # the name of a snapshot's rows while they are taken up; no relation's name has a colon


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows of a kept table somebody reads."""

    append: bool
    update: bool
    complete: bool
    by_steps: bool  # later steps read those of append or update
    before: bool  # those of update are compared with what they were before the batch


@dataclass(frozen=True, slots=True)
class Moment:
    """The times of a batch."""

    batch_time_ms: int
    watermark_ms: int | None
    late_before_ms: int | None
    # Source or step with a watermark -> the lowest event time of its rows; None: it has rows, and none has one.
    earliest_us: Mapping[str, int | None]
    rows: int  # of the batch, of all sources


class Operator(ABC):
    """One aggregation with its state, a table `state:<name>` of keys and aggregate states."""

    beside: tuple[str, ...] = ()  # further columns of the state, of which the newest value counts

    def __init__(
        self, db: Database, step: Aggregation, composer: Composer, ready: frozenset[str], wanted: Wanted
    ) -> None:
        self.step = step
        self.changed: Returned | None = None  # rows whose result changed in this batch
        self.final: Returned | None = None  # rows that became final in this batch
        self.before = f"before:{step.name}"  # the table with what the changed rows were before this batch, if wanted
        self._db = db
        self._wanted = wanted
        self._delta_sql = self._delta_of(composer.statement(step.delta, step.inputs, ready))
        self._state = quoted(state_table(step.name))
        self._shown_at_ms = 0
        self._rows_total: int | None = None
        self._deleted = 0  # rows, since the table was last written anew
        self._updated = self._removed = self._dropped = 0
        columns = ", ".join((*step.key_columns, *step.state_columns, *self.beside))
        # Over no rows this gives no groups, or, without keys, the one group there always is.
        db.do(f"CREATE TABLE {self._state} AS SELECT {columns} FROM ({at_time(self._delta_sql, 0)})")
        # Never any rows, in the columns of the result.
        self.nothing = at_time(f"SELECT {', '.join(step.items)} FROM {self._state} AS s LIMIT 0", 0)
        if wanted.before:
            db.keep(self.before, self.nothing)

    def _delta_of(self, sql: str) -> str:
        """What a batch adds to the state, with the columns `beside`; `sql` gives all others."""
        return sql

    @abstractmethod
    def run(self, moment: Moment, sources: Set[str]) -> bool:
        """Take the batch in; `sources`: those with rows for this. True if the table may have changed."""

    @abstractmethod
    def wants_batch(self, batch_time_ms: int, watermark_ms: int | None) -> bool:
        """Whether a batch without rows would change the table or make rows final."""

    @abstractmethod
    def snapshot(self) -> pa.Table:
        """The whole state."""

    @abstractmethod
    def restore(self, rows: pa.Table) -> None:
        """Take up a state in place of an empty one."""

    def end(self) -> None:
        """Let the rows of the batch go."""
        self.changed = self.final = None

    def begin(self, batch_time_ms: int) -> None:
        """Forget what the last batch did; what is shown of this one is as of its time."""
        self._shown_at_ms = batch_time_ms
        self.changed = self.final = None
        if self._wanted.before:
            self._db.keep_none(self.before)
        self._updated = self._removed = self._dropped = 0

    def progress(self) -> OperatorProgress:
        """What the batch did."""
        return OperatorProgress(self.step.name, self._count(), self._updated, self._removed, self._dropped)

    def _note_before(self, where: str) -> None:
        """Keep what the result has of the rows of the state that meet a condition, before they change."""
        if self._wanted.before:
            shown = f"{where} AND ({self.step.having})" if self.step.having else where
            sql = f"SELECT {', '.join(self.step.items)} FROM {self._state} AS s WHERE {shown}"
            self._db.keep(self.before, at_time(sql, self._shown_at_ms))

    def _known_delta(self, delta: str, touched: str = "", keep: str | None = None) -> str:
        """The same states, once what their groups were before is kept; `touched`: which other ones will change."""
        if not self._wanted.before:
            return delta
        name = f"taken:{self.step.name}"
        self._db.keep(name, delta)
        same = f"EXISTS (SELECT 1 FROM {quoted(name)} AS d WHERE {self._same_key('s', 'd')})"
        if keep:
            same = f"({same} AND {keep})"
        self._note_before(f"({touched} OR {same})" if touched else same)
        return f"SELECT * FROM {quoted(name)}"

    def _same_key(self, one: str, other: str) -> str:
        return " AND ".join(f"{one}.{k} IS NOT DISTINCT FROM {other}.{k}" for k in self.step.key_columns) or "true"

    def _sweep(self, deleted: int) -> None:
        """Free the memory of deleted rows, once there are more of them than rows.

        An in-memory DuckDB keeps deleted rows until the table is written anew: measured, 100 KB a batch with windows
        of approx_count_distinct.
        """
        self._deleted += deleted
        if self._deleted > max(self._count(), _FEW_ROWS):
            self._db.do(f"CREATE OR REPLACE TABLE {self._state} AS SELECT * FROM {self._state}")
            self._deleted = 0

    def _count(self) -> int:
        if self._rows_total is None:
            self._rows_total = self._db.value(f"SELECT count(*) FROM {self._state}") or 0
        return self._rows_total

    def _merge(self, delta: str, rows: int, keep: str | None = None) -> None:
        """Combine states into the table, and take the changed rows if somebody reads them.

        `rows`: of the batch. Both ways give the same; measured, a few rows go into the table at once in a third less
        time, and thousands of groups in order in a twentieth of it.
        """
        on = self._same_key("s", "d")
        changed = {a: combine.two(self.step, a, f"s.{a}", f"d.{a}") for a in self.step.state_columns}
        self._rows_total = None
        (self._merge_at_once if rows <= AT_ONCE_ROWS else self._merge_in_order)(delta, on, changed, keep)

    def _merge_at_once(self, delta: str, on: str, changed: Mapping[str, str], keep: str | None) -> None:
        columns = (*self.step.key_columns, *self.step.state_columns, *self.beside)
        sets = ", ".join([*(f"{a} = {sql}" for a, sql in changed.items()), *(f"{c} = d.{c}" for c in self.beside)])
        matched = f"UPDATE SET {sets}" if sets else "DO NOTHING"
        merge = (
            f"MERGE INTO {self._state} AS s USING ({delta}) AS d ON {on} WHEN MATCHED THEN {matched} "
            f"WHEN NOT MATCHED THEN INSERT VALUES ({', '.join(f'd.{c}' for c in columns)})"
        )
        if self._wanted.update:
            self.changed = self._db.returned(f"{merge} RETURNING {self._returned(keep)}", self._wanted.by_steps)
            self._updated += self.changed.count
        else:
            self._updated += self._db.do(merge)

    def _merge_in_order(self, delta: str, on: str, changed: Mapping[str, str], keep: str | None) -> None:
        """The changed groups are put together first, in the order in which the table has them, and then written there.

        DuckDB 2.0's MERGE updates in any order, which costs it the square of the rows as long as they lie in one group
        of the table's rows.
        """
        columns = (*self.step.key_columns, *self.step.state_columns, *self.beside)
        states = [f"CASE WHEN s.rowid IS NULL THEN d.{a} ELSE {sql} END AS {a}" for a, sql in changed.items()]
        others = [f"d.{c}" for c in self.beside]
        shown = ", ".join([*(f"d.{k}" for k in self.step.key_columns), *states, *others, "s.rowid AS place"])
        touched = f"touched:{self.step.name}"
        self._db.keep(
            touched, f"SELECT {shown} FROM ({delta}) AS d LEFT JOIN {self._state} AS s ON {on} ORDER BY place"
        )
        written = 0
        if sets := ", ".join(f"{c} = d.{c}" for c in (*self.step.state_columns, *self.beside)):
            update = f"UPDATE {self._state} AS s SET {sets} FROM {quoted(touched)} AS d WHERE s.rowid = d.place"
            written = self._db.do(update)
        if written < self._db.kept(touched):
            new = f"SELECT {', '.join(columns)} FROM {quoted(touched)} WHERE place IS NULL"
            self._db.do(f"INSERT INTO {self._state} {new}")
        self._updated += self._db.kept(touched)
        if self._wanted.update:
            rows = f"SELECT {self._returned(keep)} FROM {quoted(touched)} AS s"
            self.changed = self._db.selected(f"changed:{self.step.name}", rows, self._wanted.by_steps)

    def _returned(self, keep: str | None = None) -> str:
        """The result's columns; where not every row is shown, then also whether this one is."""
        conditions = [c for c in (self.step.having, keep) if c is not None]
        shown = [f"({' AND '.join(conditions)}) AS {quoted(MARK)}"] if conditions else []
        return at_time(", ".join([*self.step.items, *shown]), self._shown_at_ms)


class Kept(Operator):
    """An operator whose state is the one table."""

    @property
    def _snapshot_sql(self) -> str:
        return f"SELECT {', '.join([self.step.snapshot_columns, *self.beside])} FROM {self._state}"

    def snapshot(self) -> pa.Table:
        """See `Operator`."""
        return to_stored(self._db.rows(self._snapshot_sql))

    def restore(self, rows: pa.Table) -> None:
        """See `Operator`."""
        self._rows_total = None
        kinds = self._db.schema(self._snapshot_sql)
        # One that a snapshot of before does not have is NULL, and one that is kept no more is let go.
        columns = [*self.step.restored, *(c if c in rows.column_names else "NULL" for c in self.beside)]
        there = rows.select([name for name in rows.column_names if name in kinds.names])
        self._db.register(RESTORED, from_stored(there, kinds))
        self._db.do(f"DELETE FROM {self._state}")
        self._db.do(f"INSERT INTO {self._state} SELECT {', '.join(columns)} FROM {quoted(RESTORED)}")
        self._db.register(RESTORED, rows.schema.empty_table())


class Grouped(Kept):
    """Groups that are kept for good."""

    def run(self, moment: Moment, sources: Set[str]) -> bool:
        """See `Operator`."""
        if sources:
            self._merge(self._known_delta(at_time(self._delta_sql, moment.batch_time_ms)), moment.rows)
        return bool(sources)

    def wants_batch(self, batch_time_ms: int, watermark_ms: int | None) -> bool:
        """See `Operator`."""
        return False
