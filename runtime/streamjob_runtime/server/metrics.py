"""`/metrics`: the board in Prometheus' text form, in base units."""

import threading
from bisect import bisect_left
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from streamjob_runtime.engine.progress import BatchProgress, Progress, Status

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PHASES = ("Starting", "Recovering", "Running", "Stopping", "Stopped", "Failed")
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)  # seconds

_COUNTERS = (
    ("batches", "streamjob_batches", "Batches finished since the runtime started."),
    ("input_rows", "streamjob_input_rows", "Rows read from all sources since the runtime started."),
    ("output_rows", "streamjob_output_rows", "Rows given to all sinks since the runtime started."),
    ("late_rows", "streamjob_late_rows", "Rows dropped because they came behind the watermark."),
    ("ahead_rows", "streamjob_ahead_rows", "Rows too far ahead of the clock to move the watermark (maxAhead)."),
    ("busy_seconds", "streamjob_busy_seconds", "Seconds spent in batches since the runtime started."),
)


class Metrics:
    """Metrics of one runtime, in a registry of their own. Made before the first batch, so that it counts them all."""

    def __init__(self, progress: Progress) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Board(progress))

    def text(self) -> bytes:
        """The exposition, as `CONTENT_TYPE`."""
        return generate_latest(self._registry)


class _Board(Collector):
    """Reads the board when it is scraped; only the histogram is kept here, since the board forgets old batches."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._counts = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0
        self._lock = threading.Lock()
        progress.listen(self._observe)

    def _observe(self, batch: BatchProgress) -> None:
        seconds = batch.batch_duration_ms / 1000
        with self._lock:
            self._counts[bisect_left(BUCKETS, seconds)] += 1
            self._seconds += seconds

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily | InfoMetricFamily]:
        """Every metric, for the registry."""
        for key, name, text in _COUNTERS:
            yield CounterMetricFamily(name, text, value=self._progress.totals.get(key, 0))
        yield self._durations()
        bad = CounterMetricFamily(
            "streamjob_bad_records", "Bad records that were put aside since the runtime started.", labels=["source"]
        )
        for name, count in self._progress.bad_records.items():
            bad.add_metric([name], count)
        yield bad
        status = self._progress.status
        yield from _of_status(status)
        yield from _of_sources(status)
        batches = self._progress.recent()
        if batches:
            yield from _of_batch(batches[-1])

    def _durations(self) -> HistogramMetricFamily:
        with self._lock:
            counts, seconds = list(self._counts), self._seconds
        below, buckets = 0, []
        for bound, count in zip([*map(str, BUCKETS), "+Inf"], counts, strict=True):
            below += count
            buckets.append((bound, below))
        return HistogramMetricFamily(
            "streamjob_batch_duration_seconds", "How long a batch took.", buckets=buckets, sum_value=seconds
        )


def _of_status(status: Status) -> Iterator[GaugeMetricFamily | InfoMetricFamily]:
    ready = status.phase == "Running" and not status.troubles
    yield InfoMetricFamily("streamjob_job", "Which job this is.", value={"name": status.job_name, "id": status.job_id})
    yield GaugeMetricFamily("streamjob_up", "1 while batches go through.", value=_flag(ready))
    phase = GaugeMetricFamily("streamjob_phase", "1 for the phase that the runtime is in.", labels=["phase"])
    for name in PHASES:
        phase.add_metric([name], _flag(name == status.phase))
    yield phase
    yield GaugeMetricFamily(
        "streamjob_trouble", "1 while a system outside fails or does not answer.", value=_flag(status.troubles)
    )
    yield GaugeMetricFamily("streamjob_epoch", "Which start of the job's runtime this is.", value=status.epoch)
    yield GaugeMetricFamily(
        "streamjob_start_time_seconds", "When the runtime started, Unix time.", value=status.started_ms / 1000
    )
    yield GaugeMetricFamily("streamjob_batch_interval_seconds", "The batch interval.", value=status.interval_ms / 1000)
    if status.watermark is not None:
        yield GaugeMetricFamily(
            "streamjob_watermark_ahead_seconds",
            "How far the watermark is ahead of the clock: rows of now count as late.",
            value=status.watermark.ahead_ms / 1000,
        )
        yield GaugeMetricFamily(
            "streamjob_watermark_standing_seconds",
            "How long rows have come and not moved the watermark.",
            value=status.watermark.standing_ms / 1000,
        )
    yield GaugeMetricFamily(
        "streamjob_slow_batches", "The last batches in a row that took longer than the interval.", status.slow_batches
    )
    checkpoint = status.checkpoint
    if checkpoint is not None:
        for suffix, text, value in (
            ("batch_id", "The batch of the newest checkpoint.", checkpoint.batch_id),
            ("timestamp_seconds", "When the newest checkpoint was made, Unix time.", checkpoint.time_ms / 1000),
            ("size_bytes", "The size of the newest checkpoint's state.", checkpoint.size_bytes),
        ):
            yield GaugeMetricFamily(f"streamjob_last_checkpoint_{suffix}", text, value=value)


def _of_sources(status: Status) -> Iterator[GaugeMetricFamily]:
    records = GaugeMetricFamily(
        "streamjob_source_lag_records", "Records that are known to be there and not read yet.", labels=["source"]
    )
    seconds = GaugeMetricFamily(
        "streamjob_source_lag_seconds",
        "How long the oldest of these has waited, as far as is known.",
        labels=["source"],
    )
    connected = GaugeMetricFamily("streamjob_source_connected", "1 while the source is connected.", labels=["source"])
    for source in status.sources:
        if source.lag is not None and source.lag_ms is not None:
            records.add_metric([source.name], source.lag)
            seconds.add_metric([source.name], source.lag_ms / 1000)
        connected.add_metric([source.name], _flag(source.connected))
    yield from (records, seconds, connected)


def _of_batch(batch: BatchProgress) -> Iterator[GaugeMetricFamily]:
    yield GaugeMetricFamily("streamjob_last_batch_id", "The newest finished batch.", value=batch.batch_id)
    yield GaugeMetricFamily(
        "streamjob_last_batch_timestamp_seconds", "Its batch time, Unix time.", value=batch.timestamp_ms / 1000
    )
    if batch.watermark_ms is not None:
        yield GaugeMetricFamily(
            "streamjob_watermark_timestamp_seconds", "The watermark, Unix time.", value=batch.watermark_ms / 1000
        )
    rows = GaugeMetricFamily("streamjob_state_rows", "Rows in an operator's state.", labels=["operator"])
    for operator in batch.operators:
        rows.add_metric([operator.name], operator.num_rows_total)
    yield rows
    limits = GaugeMetricFamily(
        "streamjob_source_rate_limit", "Records a second that backpressure lets a source give.", labels=["source"]
    )
    for source in batch.sources:
        if source.rate_limit is not None:
            limits.add_metric([source.name], source.rate_limit)
    yield limits


def _flag(value: object) -> int:
    return 1 if value else 0
