"""Batches that take longer than the interval: said once when there are several in a row."""

from collections.abc import Callable

from streamjob_runtime.engine.progress import Progress

MANY = 5  # in a row


class SlowBatches:
    """Counts them. Used by the loop's thread."""

    def __init__(self, progress: Progress, say: Callable[..., None], interval_ms: int) -> None:
        self._progress = progress
        self._say = say
        self._interval_ms = interval_ms
        self._in_a_row = 0

    def batch(self, took_ms: float) -> None:
        """A batch is done, or there was nothing for one to do (0)."""
        before, self._in_a_row = self._in_a_row, self._in_a_row + 1 if took_ms > self._interval_ms else 0
        if self._in_a_row != before:
            self._progress.update(slow_batches=self._in_a_row)
        if self._in_a_row == MANY:
            self._say(
                "warning",
                "batches take longer than the interval: the job does not keep up",
                in_a_row=MANY,
                interval_ms=self._interval_ms,
                last_ms=round(took_ms),
            )
