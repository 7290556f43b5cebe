"""Time, passed in: `SystemClock` for users, `ManualClock` for tests and simulations."""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """A source of time that can be waited on."""

    def now_ms(self) -> int:
        """Wall-clock time, in milliseconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some point; never goes back."""
        ...

    def wait(self, seconds: float, wake: threading.Event) -> bool:
        """Wait that long, or until `wake` is set. True if `wake` is set."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now_ms(self) -> int:
        """See `Clock`."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """See `Clock`."""
        return time.monotonic()

    def wait(self, seconds: float, wake: threading.Event) -> bool:
        """See `Clock`."""
        return wake.wait(max(0.0, seconds))


class ManualClock:
    """A clock that moves only when told to, or by exactly what is waited for: a day of batches takes no time."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._ms = float(now_ms)

    def now_ms(self) -> int:
        """See `Clock`."""
        return int(self._ms)

    def monotonic(self) -> float:
        """See `Clock`."""
        return self._ms / 1000

    def wait(self, seconds: float, wake: threading.Event) -> bool:
        """Move on by `seconds` at once, unless `wake` is set already."""
        if not wake.is_set():
            self.advance(seconds)
        return wake.is_set()

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`."""
        self._ms += max(0.0, seconds) * 1000


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_1_MS = -62_135_596_800_000  # where Python's calendar begins
_YEAR_10000_MS = 253_402_300_800_000  # and where it has ended
_CYCLE_MS = 146_097 * 86_400_000  # 400 years, after which the calendar is the same again


def iso(ms: int) -> str:
    """Milliseconds since the epoch as everything that is read or parsed shows them: `2026-11-21T09:00:00.000Z`.

    A watermark may lie before the year 1, as behind a `0001-01-01` that stands for no time. Such a year has a sign and
    six digits, as ISO 8601 and browsers have it; the year before 1 is 0.
    """
    cycles = 0 if _YEAR_1_MS <= ms < _YEAR_10000_MS else (ms - _YEAR_1_MS) // _CYCLE_MS
    moment = _EPOCH + timedelta(milliseconds=ms - cycles * _CYCLE_MS)
    text = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"{moment.year + 400 * cycles:+07d}{text[4:]}" if cycles else text
