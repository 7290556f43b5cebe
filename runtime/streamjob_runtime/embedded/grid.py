"""Where windows lie: their starts, as the state has them, and which of them the watermark has passed."""

from streamjob_runtime.embedded.database import Database
from streamjob_runtime.plan.model import EventWindow
from streamjob_runtime.plan.tree import literal

_FIRST_US = -9_223_372_022_400_000_000  # the first time that there is, in the year 290309 before Christ


class Grid:
    """The starts of a kind of windows, in microseconds: since 1970, or in a zone by its local time."""

    def __init__(self, db: Database, window: EventWindow) -> None:
        self._db = db
        self._window = window
        self._asked: tuple[int, int | None] | None = None  # the last instant that was asked for, and its answer

    def at(self, micros: int) -> str:
        """A start as SQL text."""
        plain = self._window.type == "TIMESTAMP" or self._window.zone
        return f"{'make_timestamp' if plain else 'make_timestamptz'}({micros})"

    @property
    def origin(self) -> str:
        """The start of some window as SQL text."""
        return self.at(self._window.offset_us)

    def last_final(self, micros: int) -> int | None:
        """The start of the last window that ends at or before an instant, if there is one."""
        if self._asked is None or self._asked[0] != micros:
            self._asked = (micros, self._last_final(micros))
        return self._asked[1]

    def _last_final(self, micros: int) -> int | None:
        if not self._window.zone:
            last = self.last_ending(micros)
            return last if last >= _FIRST_US else None
        zone = literal(self._window.zone)
        local = self._db.value(f"SELECT epoch_us(timezone({zone}, make_timestamptz({micros})))")
        assert local is not None
        last = self.last_ending(local)
        # Where the clock is put back over midnight, that comes twice, and DuckDB takes the second: then it is over.
        end = self._db.value(f"SELECT epoch_us(timezone({zone}, {self.at(last + self._window.size_us)}))")
        assert end is not None
        return last if end <= micros else last - self._window.slide_us

    def last_ending(self, micros: int) -> int:
        """The start of the last window that ends at or before a time of the grid."""
        offset, slide = self._window.offset_us, self._window.slide_us
        return (micros - self._window.size_us - offset) // slide * slide + offset
