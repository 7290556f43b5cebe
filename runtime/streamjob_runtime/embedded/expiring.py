# ruff: noqa: S608 - SQL is put together here from names that are quoted and texts that the planner rendered.
"""Groups without a window that leave when no row has touched them for a while (`ttl`)."""

from collections.abc import Set

import pyarrow as pa

from streamjob_runtime.embedded.compose import at_time
from streamjob_runtime.embedded.kept import Kept, Moment
from streamjob_runtime.plan.model import NOW


class Expiring(Kept):
    """A group whose last row is a ttl old, by the batches' time, leaves before the batch's own rows count.

    So a key that comes again after that begins anew.
    """

    beside = ("t",)  # when a row touched the group, milliseconds of batch time
    _oldest: int | None = None  # no group was touched before it
    _ageless = False  # whether there are groups of which it is not known when they were touched

    def _delta_of(self, sql: str) -> str:
        """See `Operator`."""
        return f"SELECT *, epoch_ms({NOW}) AS t FROM ({sql})"

    def run(self, moment: Moment, sources: Set[str]) -> bool:
        """See `Operator`."""
        if self._ageless:
            # A state that was kept without a ttl: its groups begin to age now.
            self._db.do(f"UPDATE {self._state} SET t = {moment.batch_time_ms} WHERE t IS NULL")
            self._find_oldest()
        older = self._any_older(moment.batch_time_ms)
        too_old = f"t <= {self._bound(moment.batch_time_ms)}"
        delta = at_time(self._delta_sql, moment.batch_time_ms)
        if sources:
            delta = self._known_delta(delta, too_old if older else "")
        elif older:
            self._note_before(too_old)
        if older:
            self._removed = self._db.do(f"DELETE FROM {self._state} WHERE {too_old}")
            self._rows_total = None
            self._sweep(self._removed)
            self._find_oldest()
        if sources:
            self._merge(delta, moment.rows)
            if self._oldest is None:
                self._oldest = moment.batch_time_ms
        return bool(sources) or self._removed > 0

    def wants_batch(self, batch_time_ms: int, watermark_ms: int | None) -> bool:
        """See `Operator`."""
        return (self._wanted.complete or self._wanted.before) and self._any_older(batch_time_ms)

    def restore(self, rows: pa.Table) -> None:
        """See `Operator`."""
        super().restore(rows)
        self._find_oldest()

    def _find_oldest(self) -> None:
        oldest, ageless = self._db.numbers(f"SELECT min(t), count(*) FILTER (t IS NULL) FROM {self._state}")
        self._oldest, self._ageless = oldest, bool(ageless)

    def _bound(self, batch_time_ms: int) -> int:
        assert self.step.ttl_ms is not None
        return batch_time_ms - self.step.ttl_ms

    def _any_older(self, batch_time_ms: int) -> bool:
        return self._oldest is not None and self._oldest <= self._bound(batch_time_ms)
