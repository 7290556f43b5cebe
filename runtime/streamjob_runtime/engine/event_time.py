"""Whether event time goes on as it should: a watermark that stands still, or is ahead of the clock, is said."""

from collections.abc import Callable, Mapping, Sequence

from streamjob_runtime.clock import Clock, iso
from streamjob_runtime.engine.progress import Progress, WatermarkNow

# How long rows may come without moving the watermark until that is said: a minute, or so many intervals.
STILL_S = 60.0
STILL_INTERVALS = 10


class EventTimeWatch:
    """Hears of every batch, shows the watermark in the status, and warns once of each thing that is wrong with it."""

    def __init__(self, progress: Progress, clock: Clock, say: Callable[..., None], still_s: float) -> None:
        self._progress = progress
        self._clock = clock
        self._say = say
        self._still_s = still_s
        self._mark: int | None = None
        self._came: float | None = None  # when the first row came since the watermark moved, monotonic
        self._said_still = False
        self._said_ahead = False
        self._ahead_rows: dict[str, int] = {}
        self._said_rows: dict[str, int] = {}
        self._said_timeless: set[str] = set()

    def batch(
        self, mark: int | None, marked: Mapping[str, int], ahead: Mapping[str, int], lacking: Sequence[str]
    ) -> None:
        """A batch is done. `mark`: the watermark of the next one.

        `marked`: source or step with a watermark -> its rows, where it had any; `ahead`: the same -> rows too far ahead
        of the clock to move it; `lacking`: those of which no row that counts has ever come.
        """
        came = bool(marked)
        now, now_ms = self._clock.monotonic(), self._clock.now_ms()
        if mark != self._mark:
            self._mark, self._came, self._said_still = mark, None, False
        elif came and self._came is None:
            self._came = now
        standing_s = now - self._came if self._came is not None and came else 0.0
        ahead_ms = max(0, mark - now_ms) if mark is not None else 0
        self._progress.update(watermark=WatermarkNow(ahead_ms, round(1000 * standing_s)))
        self._tell_rows(ahead)
        self._tell_timeless(marked, lacking)
        if standing_s >= self._still_s and not self._said_still:
            self._said_still = True
            why = (
                f"of {', '.join(lacking)} no row has come that has an event time which may move it"
                if lacking
                else "no row has a later event time"
            )
            self._say("warning", "rows come, and the watermark stands still", watermark=_shown(mark), why=why)
        if ahead_ms and not self._said_ahead:
            self._say(
                "warning",
                "the watermark is ahead of the clock: rows of now count as late",
                watermark=_shown(mark),
                remedy="streamjob checkpoints reset-watermark, and a smaller watermark.maxAhead",
            )
        self._said_ahead = ahead_ms > 0

    def _tell_timeless(self, marked: Mapping[str, int], lacking: Sequence[str]) -> None:
        """As of a time that is parsed by a pattern which fits no row: at once, since a job may be done in a second."""
        for name, rows in marked.items():
            if name in lacking and name not in self._ahead_rows and name not in self._said_timeless:
                self._said_timeless.add(name)
                self._say(
                    "warning",
                    "no row has an event time, and such rows are in no window: is the watermark's column right?",
                    of=name,
                    rows=rows,
                )

    def _tell_rows(self, ahead: Mapping[str, int]) -> None:
        for source, rows in ahead.items():
            total = self._ahead_rows[source] = self._ahead_rows.get(source, 0) + rows
            if total >= max(1, 2 * self._said_rows.get(source, 0)):  # the 1st, then whenever they have doubled
                self._said_rows[source] = total
                self._say(
                    "warning",
                    "rows are further ahead of the clock than watermark.maxAhead: they count, and move no watermark",
                    source=source,
                    rows=total,
                )


def _shown(mark: int | None) -> str:
    return "none" if mark is None else iso(mark)
