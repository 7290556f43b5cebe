# ruff: noqa: S608 - SQL is put together here from names that are quoted and texts that the planner rendered.
"""Session windows: a state for each key and session, which grows with its rows and is final when none came for a gap.

A batch's rows are first grouped by pane, a piece of time as long as the gap, so that the rows of a pane are of one
session. Then the panes, and the sessions of the state that one of them touches, are put together in order of time.
"""

from collections.abc import Set

import pyarrow as pa

from streamjob_runtime.embedded import combine
from streamjob_runtime.embedded.compose import Composer, at_time
from streamjob_runtime.embedded.database import Database
from streamjob_runtime.embedded.grid import Grid
from streamjob_runtime.embedded.kept import Kept, Moment, Wanted
from streamjob_runtime.plan.model import IN_TIME, Aggregation
from streamjob_runtime.plan.tree import quoted


class Sessions(Kept):
    """Groups by session.

    As in Spark: rows at most a gap apart are of one session, which ends a gap after its last row. A row is late when it
    alone would be a session that ends at or below the previous batch's watermark, even where it would fall into a
    longer one. A session whose end is at or below the batch's watermark is final, is written once, and leaves. Where
    somebody reads the complete table nothing leaves, and no row is late.
    """

    beside = ("e",)  # the time of the last row

    def __init__(
        self, db: Database, step: Aggregation, composer: Composer, ready: frozenset[str], wanted: Wanted
    ) -> None:
        super().__init__(db, step, composer, ready, wanted)
        assert step.event_window is not None
        self._window = step.event_window
        self._grid = Grid(db, step.event_window)
        self._panes = quoted(f"delta:{step.name}")
        self._touched = quoted(f"touched:{step.name}")
        self._grown = quoted(f"grown:{step.name}")
        self._keys = [k for k in step.key_columns if k != "w"]
        self._columns = ", ".join((*step.key_columns, *step.state_columns, *self.beside))
        self._oldest: int | None = None  # the lowest time of a session's last row, in microseconds, if _known
        self._known = False

    def _delta_of(self, sql: str) -> str:
        """See `Operator`."""
        return f"SELECT * EXCLUDE (w, f), f AS w FROM ({sql})"

    def run(self, moment: Moment, sources: Set[str]) -> bool:
        """See `Operator`."""
        late = None if self._window.of_batches or self._wanted.complete else self._over(moment.late_before_ms)
        final = self._over(moment.batch_time_ms if self._window.of_batches else moment.watermark_ms)
        if sources:
            self._take(moment, late)
        if final is not None and not self._wanted.complete:
            self._finish(final)
        if sources or self._removed:
            self._known = False
        return bool(sources) or self._removed > 0

    def wants_batch(self, batch_time_ms: int, watermark_ms: int | None) -> bool:
        """See `Operator`."""
        final = self._over(batch_time_ms if self._window.of_batches else watermark_ms)
        if final is None or self._wanted.complete:
            return False
        if not self._known:
            self._oldest = self._db.value(f"SELECT epoch_us(min(e)) FROM {self._state}")
            self._known = True
        return self._oldest is not None and self._oldest <= final

    def _over(self, millis: int | None) -> int | None:
        """Sessions with no row behind it (microseconds) are over at that time."""
        if millis is None or not self._window.ends:
            return None
        return millis * 1000 - self._window.lag_us - self._window.size_us

    def _take(self, moment: Moment, late: int | None) -> None:
        """Put the batch's rows into their sessions."""
        in_time = 0 if late is None else late + 1
        delta = at_time(self._delta_sql.replace(IN_TIME, f"make_timestamptz({in_time})"), moment.batch_time_ms)
        self._db.do(f"CREATE OR REPLACE TABLE {self._panes} AS {delta}")
        if late is not None:
            dropped = f"DELETE FROM {self._panes} WHERE e <= {self._grid.at(late)} RETURNING n"
            self._dropped = self._db.total(dropped)
        gap = f"to_microseconds({self._window.size_us})"
        near = [f"p.{k} IS NOT DISTINCT FROM s.{k}" for k in self._keys]
        near += [f"p.w <= s.e + {gap}", f"s.w <= p.e + {gap}"]
        self._db.do(
            f"CREATE OR REPLACE TABLE {self._touched} AS SELECT {self._columns}, rowid AS place "
            f"FROM {self._state} AS s WHERE EXISTS (SELECT 1 FROM {self._panes} AS p WHERE {' AND '.join(near)})"
        )
        self._db.do(f"CREATE OR REPLACE TABLE {self._grown} AS {self._together(gap)}")
        left = self._db.do(f"DELETE FROM {self._state} WHERE rowid IN (SELECT place FROM {self._touched})")
        self._updated = self._db.do(f"INSERT INTO {self._state} SELECT {self._columns} FROM {self._grown}")
        self._rows_total = None
        self._sweep(left)

    def _together(self, gap: str) -> str:
        """The sessions that the batch's panes and what they touch become."""
        by = f"PARTITION BY {', '.join(self._keys)} " if self._keys else ""
        before = f"max(e) OVER ({by}ORDER BY w, e ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
        parts = f"SELECT {self._columns} FROM {self._panes} UNION ALL SELECT {self._columns} FROM {self._touched}"
        begun = f"SELECT *, CAST(coalesce(w > {before} + {gap}, true) AS INTEGER) AS begins FROM ({parts})"
        numbered = f"SELECT *, sum(begins) OVER ({by}ORDER BY w, e) AS number FROM ({begun})"
        states = [combine.many(self.step, a) for a in self.step.state_columns]
        shown = ", ".join([*self._keys, "min(w) AS w", "max(e) AS e", *states])
        return f"SELECT {shown} FROM ({numbered}) GROUP BY {', '.join([*self._keys, 'number'])}"

    def _finish(self, final: int) -> None:
        """Write the sessions that are over, and let them go."""
        delete = f"DELETE FROM {self._state} AS s WHERE s.e <= {self._grid.at(final)}"
        if self._wanted.append:
            self.final = self._db.returned(f"{delete} RETURNING {self._returned()}", self._wanted.by_steps)
            self._removed = self.final.count
        else:
            self._removed = self._db.do(delete)
        self._rows_total = None
        self._sweep(self._removed)

    def restore(self, rows: pa.Table) -> None:
        """See `Operator`."""
        super().restore(rows)
        self._known = False
