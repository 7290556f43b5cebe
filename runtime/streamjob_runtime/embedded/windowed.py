# ruff: noqa: S608 - SQL is put together here from names that are quoted and texts that the planner rendered.
"""Windows over event time, `tumble` and `hop`: a state for each key and window, which the watermark makes final.

A batch's rows are first grouped by pane, the greatest common piece of size and slide, and then the few states of a pane
are combined into every window that it is part of: a row costs the same whatever the number of windows around it.
"""

from collections.abc import Set

from streamjob_runtime.embedded import combine
from streamjob_runtime.embedded.compose import Composer, at_time
from streamjob_runtime.embedded.database import Database
from streamjob_runtime.embedded.grid import Grid
from streamjob_runtime.embedded.kept import Kept, Moment, Wanted
from streamjob_runtime.plan.model import Aggregation, EventWindow
from streamjob_runtime.plan.tree import quoted


class Windowed(Kept):
    """Groups by window.

    As in Spark: a row counts in a window as long as the window's end is above the previous batch's watermark; a window
    whose end is at or below the batch's watermark is final, is written once in append mode, and leaves. Where somebody
    reads the complete table nothing leaves and late rows count there, but not in what append and update give.
    """

    def __init__(
        self, db: Database, step: Aggregation, composer: Composer, ready: frozenset[str], wanted: Wanted
    ) -> None:
        super().__init__(db, step, composer, ready, wanted)
        assert step.event_window is not None
        self._window: EventWindow = step.event_window
        self._grid = Grid(db, step.event_window)
        self._marks = set().union(*(composer.marks(name) for name in step.inputs))
        self._delta = quoted(f"delta:{step.name}")
        self._windows_sql = self._in_windows(self._delta_sql)
        self._first: int | None = None  # the lowest window start (microseconds) that is not final, if _known
        self._known = False
        self._final_before: int | None = None  # windows that start at or before it (microseconds) are final

    def run(self, moment: Moment, sources: Set[str]) -> bool:
        """See `Operator`."""
        late = self._last_final(None if self._window.of_batches else moment.late_before_ms)
        final = self._last_final(moment.batch_time_ms if self._window.of_batches else moment.watermark_ms)
        if sources:
            self._take(moment, late)
        finals = final is not None and (late is None or final > late)
        if self._window.of_batches and final == self._final_before:
            finals = False  # a batch's own rows are in windows that end later
        if finals:
            assert final is not None
            self._finish(late, final)
        if sources or finals:
            self._known = False
        self._final_before = final
        return bool(sources) or self._removed > 0

    def wants_batch(self, batch_time_ms: int, watermark_ms: int | None) -> bool:
        """See `Operator`."""
        final = self._last_final(batch_time_ms if self._window.of_batches else watermark_ms)
        if final is None or (self._wanted.complete and not self._wanted.append):
            return False
        if not self._known:
            above = "" if self._final_before is None else f" WHERE w > {self._at(self._final_before)}"
            self._first = self._db.value(f"SELECT epoch_us(min(w)) FROM {self._state}{above}")
            self._known = True
        return self._first is not None and self._first <= final

    def _last_final(self, watermark_ms: int | None) -> int | None:
        """The start of the last window that ends at or before the watermark, or the batch's time, in microseconds."""
        if watermark_ms is None or not self._window.ends:
            return None
        return self._grid.last_final(watermark_ms * 1000 - self._window.lag_us)

    def _at(self, micros: int) -> str:
        """A time as SQL text."""
        return self._grid.at(micros)

    def _in_windows(self, delta: str) -> str:
        """The states by window, from those by pane."""
        size, slide = self._window.size_us, self._window.slide_us
        if size == slide:
            return delta
        keys = [k for k in self.step.key_columns if k != "w"]
        last = f"time_bucket(to_microseconds({slide}), p.w, {self._grid.origin})"
        start = f"{last} - to_microseconds(r.i * {slide})"
        states = [combine.many(self.step, a) for a in self.step.state_columns]
        columns = ", ".join([*keys, f"{start} AS w", *states, "CAST(sum(n) AS BIGINT) AS n"])
        return (
            f"SELECT {columns} FROM ({delta}) AS p, range({-(-size // slide)}) AS r(i) "
            f"WHERE {start} + to_microseconds({size}) > p.w GROUP BY ALL"
        )

    def _take(self, moment: Moment, late: int | None) -> None:
        """Combine the batch's rows into their windows."""
        columns = ", ".join((*self.step.key_columns, *self.step.state_columns))
        sql = at_time(self._windows_sql, moment.batch_time_ms)
        if late is None or self._wanted.complete:
            keep = None if late is None else f"s.w > {self._at(late)}"
            self._merge(self._known_delta(f"SELECT {columns} FROM ({sql})", keep=keep), moment.rows, keep)
            return
        if self._all_in_time(moment, late):
            self._merge(self._known_delta(f"SELECT {columns} FROM ({sql})"), moment.rows)
            return
        self._db.do(f"CREATE OR REPLACE TABLE {self._delta} AS {sql}")
        self._dropped = self._db.total(f"DELETE FROM {self._delta} WHERE w <= {self._at(late)} RETURNING n")
        self._merge(self._known_delta(f"SELECT {columns} FROM {self._delta}"), moment.rows)

    def _all_in_time(self, moment: Moment, late: int) -> bool:
        """Whether no row can be late: a cheap look that saves to set the late ones apart."""
        if self._window.zone:
            return False  # its local time would have to be asked for
        lowest = [moment.earliest_us[mark] for mark in self._marks & moment.earliest_us.keys()]
        earliest = min((us for us in lowest if us is not None), default=None)
        if earliest is None or None in lowest:
            return False
        return self._grid.last_ending(earliest) + self._window.slide_us > late

    def _finish(self, late: int | None, final: int) -> None:
        """Write the windows that became final, and let them go."""
        # What was final before has been written; it is still there where somebody reads, or has read, everything.
        new = None if late is None else f"s.w > {self._at(late)}"
        where = f"WHERE s.w <= {self._at(final)}"
        if self._wanted.complete:
            if self._wanted.append:
                shown = f"SELECT {self._returned()} FROM {self._state} AS s {where} AND {new or 'true'}"
                self.final = self._db.selected(f"shown:{self.step.name}", shown, self._wanted.by_steps)
            return
        self._rows_total = None
        delete = f"DELETE FROM {self._state} AS s {where}"
        if self._wanted.append:
            self.final = self._db.returned(f"{delete} RETURNING {self._returned(new)}", self._wanted.by_steps)
            self._removed = self.final.count
        else:
            self._removed = self._db.do(delete)
        self._sweep(self._removed)
