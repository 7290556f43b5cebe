"""What a runtime says of itself: one `BatchProgress` a batch, and the `Status` it is in.

The names and meanings of the fields are those of Spark's StreamingQueryProgress, where Spark has one.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from streamjob_runtime.patience import Trouble

KEPT_BATCHES = 100


@dataclass(frozen=True, slots=True)
class SourceProgress:
    """What one source gave to a batch."""

    name: str
    start_offset: Mapping[str, int]  # partition -> first offset read
    end_offset: Mapping[str, int]  # partition -> first offset not read
    latest_offset: Mapping[str, int]  # partition -> the end of what is known to be there
    num_input_rows: int  # records, bad ones too
    num_bad_records: int = 0  # of these those that were put aside (`onBadRecord`)
    rate_limit: float | None = None  # records a second that backpressure lets the next batch have; None: any number

    @property
    def lag(self) -> int:
        """How many records are known to be there and not read yet."""
        return sum(max(0, end - self.end_offset.get(p, 0)) for p, end in self.latest_offset.items())


@dataclass(frozen=True, slots=True)
class SinkProgress:
    """What one sink got from a batch."""

    name: str
    num_output_rows: int


@dataclass(frozen=True, slots=True)
class StateProgress:
    """What one stateful operator holds and did (Spark's StateOperatorProgress)."""

    name: str
    num_rows_total: int
    num_rows_updated: int
    num_rows_removed: int
    num_rows_dropped_by_watermark: int


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """One finished batch."""

    batch_id: int
    timestamp_ms: int  # the batch time, milliseconds since the epoch, UTC
    replayed: bool  # computed again at a restart; its sinks had it already
    num_input_rows: int
    batch_duration_ms: float
    interval_ms: int
    duration_ms: Mapping[str, float]  # step -> milliseconds: poll, intent, read, compute, write, commit
    watermark_ms: int | None
    sources: tuple[SourceProgress, ...]
    operators: tuple[StateProgress, ...]
    sinks: tuple[SinkProgress, ...]
    rows_ahead: int = 0  # too far ahead of the clock to move a watermark (`watermark.maxAhead`)

    @property
    def num_bad_records(self) -> int:
        """Of all sources."""
        return sum(s.num_bad_records for s in self.sources)


@dataclass(frozen=True, slots=True)
class WatermarkNow:
    """How event time goes on."""

    ahead_ms: int = 0  # of the clock, by which rows of now count as late
    standing_ms: int = 0  # how long rows have come and not moved it


@dataclass(frozen=True, slots=True)
class CheckpointProgress:
    """The newest checkpoint that counts."""

    batch_id: int
    time_ms: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class SourceNow:
    """How a source stands at this moment, also while a batch is under way or waits."""

    name: str
    connected: bool = True
    message: str = ""  # why it is not connected, or what else a user should know
    lag: int | None = None  # what is known to be there and not read yet, in the source's offsets; None: not known yet
    lag_ms: int | None = None  # how long the oldest of it has waited, as far as is known; 0: there is none


@dataclass(frozen=True, slots=True)
class Status:
    """The runtime at one moment."""

    phase: str  # Starting | Recovering | Running | Stopping | Stopped | Failed
    job_id: str = ""
    job_name: str = ""
    epoch: int = 0
    started_ms: int = 0
    moved: float = 0.0  # Clock.monotonic() when the loop last took a step
    interval_ms: int = 0
    checkpoint: CheckpointProgress | None = None
    troubles: tuple[Trouble, ...] = ()  # every system outside that the job waits for, the oldest first
    sources: tuple[SourceNow, ...] = ()
    watermark: WatermarkNow | None = None  # None: no source has one
    slow_batches: int = 0  # the last batches in a row that took longer than the interval

    @property
    def trouble(self) -> Trouble | None:
        """The oldest of the troubles."""
        return self.troubles[0] if self.troubles else None

    @property
    def sources_message(self) -> Mapping[str, str]:
        """Source -> what it has to say."""
        return {s.name: s.message for s in self.sources if s.message}


@dataclass
class Progress:
    """The board that the loop writes to and that the log, the live view and the HTTP server read. Thread-safe."""

    noted: Status = field(default_factory=lambda: Status("Starting"))  # what was told; see `status`
    batches: deque[BatchProgress] = field(default_factory=lambda: deque(maxlen=KEPT_BATCHES))
    totals: dict[str, float] = field(default_factory=dict)  # counters since the start, for metrics
    bad_records: dict[str, int] = field(default_factory=dict)  # source -> how many since the start, for the same
    _observers: list[Callable[[Status], Status]] = field(default_factory=list)
    _listeners: list[Callable[[BatchProgress], None]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def status(self) -> Status:
        """The runtime at this moment: what was noted, and what the observers see."""
        status = self.noted
        for observer in self._observers:
            status = observer(status)
        return status

    def observe(self, observer: Callable[[Status], Status]) -> None:
        """Let `observer` add to the status whenever it is asked for, by any thread: it must be quick."""
        self._observers.append(observer)

    def update(self, **changes: Any) -> None:
        """Change fields of the status."""
        with self._lock:
            self.noted = replace(self.noted, **changes)

    def finished(self, batch: BatchProgress) -> None:
        """A batch is committed (or replayed): keep it, count it, tell the listeners."""
        with self._lock:
            self.batches.append(batch)
            for key, n in (
                ("batches", 1),
                ("input_rows", batch.num_input_rows),
                ("output_rows", sum(s.num_output_rows for s in batch.sinks)),
                ("ahead_rows", batch.rows_ahead),
                ("late_rows", sum(o.num_rows_dropped_by_watermark for o in batch.operators)),
                ("busy_seconds", batch.batch_duration_ms / 1000),
            ):
                self.totals[key] = self.totals.get(key, 0) + n
            for source in batch.sources:
                self.bad_records[source.name] = self.bad_records.get(source.name, 0) + source.num_bad_records
        for listener in self._listeners:
            listener(batch)

    def listen(self, listener: Callable[[BatchProgress], None]) -> None:
        """Call `listener` after every batch, in the loop's thread: it must be quick and must not raise."""
        self._listeners.append(listener)

    def recent(self) -> tuple[BatchProgress, ...]:
        """The last batches, oldest first."""
        with self._lock:
            return tuple(self.batches)
