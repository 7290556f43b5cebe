"""How much a source may give to a batch so that the job keeps up: Spark Streaming's PID rate estimator.

The constants are the defaults of `spark.streaming.backpressure.pid.*` (Spark 4): proportional 1, integral 0.2,
derived 0, minRate 100.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

PROPORTIONAL = 1.0
INTEGRAL = 0.2
DERIVED = 0.0
MIN_RATE = 100.0  # records a second


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one batch has shown of a source. Rates are records a second."""

    rate: float  # that the next batch may have
    error: float  # by how much the rate before was higher than what was got done
    time_ms: int  # when the batch was done
    first: bool  # nothing can be said of how the rate should change, as there was none before


def next_estimate(
    before: Estimate | None, time_ms: int, records: int, took_ms: float, late_ms: float, interval_ms: int
) -> Estimate | None:
    """The estimate after a batch that was done at `time_ms`; the one before where the batch shows nothing.

    `records`: of the source; `took_ms`: how long the whole batch took; `late_ms`: how long after it was due it began.
    """
    if records <= 0 or took_ms <= 0 or (before is not None and time_ms <= before.time_ms):
        return before
    done = records / took_ms * 1000
    if before is None:
        return Estimate(done, 0.0, time_ms, first=True)
    error = before.rate - done
    # What would have come in while the batch had to wait, spread over one interval.
    waited = late_ms * done / interval_ms
    growth = (error - before.error) / ((time_ms - before.time_ms) / 1000)
    rate = before.rate - PROPORTIONAL * error - INTEGRAL * waited - DERIVED * growth
    return Estimate(max(rate, MIN_RATE), error, time_ms, first=False)


class Backpressure:
    """The limits of all sources of a job. The loop's thread changes them, any may ask.

    As with Spark, nothing is limited before the second batch that has records.
    """

    def __init__(self, sources: Iterable[str], interval_ms: int) -> None:
        self._interval_ms = interval_ms
        self._lock = threading.Lock()
        self._estimates: dict[str, Estimate | None] = dict.fromkeys(sources)

    def batch(self, records: Mapping[str, int], time_ms: int, took_ms: float, late_ms: float) -> None:
        """A batch is done: see `next_estimate`."""
        with self._lock:
            for name, before in self._estimates.items():
                count = records.get(name, 0)
                self._estimates[name] = next_estimate(before, time_ms, count, took_ms, late_ms, self._interval_ms)

    @property
    def rates(self) -> dict[str, float]:
        """Source -> records a second that it may give, for those of which that is known."""
        with self._lock:
            return {name: e.rate for name, e in self._estimates.items() if e is not None and not e.first}

    def limits(self, given: Mapping[str, int | None]) -> dict[str, int | None]:
        """Source -> records that the next batch may take, no more than `given`; None: any number."""
        most = {name: max(1, int(rate * self._interval_ms / 1000)) for name, rate in self.rates.items()}
        return {
            name: min((limit for limit in (own, most.get(name)) if limit is not None), default=None)
            for name, own in given.items()
        }
