"""One batch: read its ranges, compute, write its sinks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from streamjob_runtime.checkpoint.records import Intent
from streamjob_runtime.clock import Clock
from streamjob_runtime.connectors.sink import Sink, SinkBatch, Writer
from streamjob_runtime.connectors.source import OffsetRange, Source
from streamjob_runtime.engine.bad_records import Aside
from streamjob_runtime.engine.progress import BatchProgress, SinkProgress, SourceProgress, StateProgress
from streamjob_runtime.engine.steps import Step, StepHook
from streamjob_runtime.errors import JobError
from streamjob_runtime.query import BatchInput, BatchOutput, Query


@dataclass(frozen=True, slots=True)
class NamedSink:
    """A sink with what the manifest says of it."""

    name: str
    mode: str
    sink: Sink


class Stopwatch:
    """Milliseconds by step."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = self._first = clock.monotonic()
        self.steps: dict[str, float] = {}

    def lap(self, step: str) -> None:
        """What has passed since the last lap was `step`."""
        now = self._clock.monotonic()
        self.steps[step] = self.steps.get(step, 0.0) + (now - self._last) * 1000
        self._last = now

    @property
    def total_ms(self) -> float:
        """All laps."""
        return (self._last - self._first) * 1000


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What a batch did."""

    input_rows: Mapping[str, int]  # source -> its records, bad ones too
    output: BatchOutput
    ranges: Mapping[str, OffsetRange]
    bad_records: Mapping[str, int]  # source -> how many of them were bad; absent: none

    @property
    def output_rows(self) -> int:
        """Rows that went to all sinks together."""
        return sum(t.num_rows for t in (*self.output.sinks, *self.output.deleted) if t is not None)


@dataclass
class BatchRunner:
    """Runs batches that the log has an INTENT of. Its sources, query and sinks are open."""

    sources: Mapping[str, Source]
    query: Query
    sinks: tuple[NamedSink, ...]
    interval_ms: int
    writer: Writer
    hook: StepHook
    max_ahead_ms: Mapping[str, int]  # source -> how far ahead a row may move its watermark
    aside: Aside = field(default_factory=Aside)

    def run(self, intent: Intent, watch: Stopwatch, silent: bool, again: bool) -> BatchResult:
        """Take the batch into the state and, unless `silent`, into the sinks (which had it already).

        `again`: an earlier process had begun with it.
        """
        ranges = {name: self._range(name, value) for name, value in intent.ranges.items()}
        rows = {name: self._read(name, offsets) for name, offsets in ranges.items()}
        bad = self.aside.take(intent.batch, intent.time_ms, rows, silent)
        watch.lap("read")
        output = self.query.run(
            BatchInput(
                intent.batch,
                intent.time_ms,
                intent.watermark_ms,
                intent.late_before_ms,
                {**rows, **bad.rows},
                {name: intent.time_ms + ms for name, ms in self.max_ahead_ms.items()},
            )
        )
        watch.lap("compute")
        self.hook(Step.COMPUTED, intent.batch)
        if not silent:
            for named, table, deleted in zip(self.sinks, output.sinks, output.deleted, strict=True):
                named.sink.write(
                    SinkBatch(intent.batch, intent.time_ms, table, named.mode, self.writer, again, deleted)
                )
                self.hook(Step.WRITTEN, intent.batch)
            watch.lap("write")
        records = {name: t.num_rows + bad.counts.get(name, 0) for name, t in rows.items()}
        return BatchResult(records, output, ranges, bad.counts)

    def progress(
        self, intent: Intent, result: BatchResult, watch: Stopwatch, replayed: bool, rates: Mapping[str, float]
    ) -> BatchProgress:
        """What users see of the batch. `rates`: source -> records a second that the next batch may have."""
        return BatchProgress(
            batch_id=intent.batch,
            timestamp_ms=intent.time_ms,
            replayed=replayed,
            num_input_rows=sum(result.input_rows.values()),
            batch_duration_ms=watch.total_ms,
            interval_ms=self.interval_ms,
            duration_ms=watch.steps,
            watermark_ms=intent.watermark_ms,
            sources=tuple(self._source_progress(name, result, rates.get(name)) for name in self.sources),
            operators=tuple(
                StateProgress(o.name, o.rows_total, o.rows_updated, o.rows_removed, o.rows_dropped_by_watermark)
                for o in result.output.operators
            ),
            sinks=tuple(
                SinkProgress(
                    named.name, 0 if replayed else table.num_rows + (0 if deleted is None else deleted.num_rows)
                )
                for named, table, deleted in zip(self.sinks, result.output.sinks, result.output.deleted, strict=True)
            ),
            rows_ahead=sum(result.output.rows_ahead.values()),
        )

    def _range(self, name: str, value: Any) -> OffsetRange:
        if name not in self.sources:
            raise JobError(
                f"The log has a batch to compute again that read from the source {name!r}, and the job has no such "
                "source now. Put the source back until the next checkpoint, or give the job a new checkpoint location."
            )
        return OffsetRange.from_json(value)

    def _read(self, name: str, offsets: OffsetRange) -> pa.Table:
        self.sources[name].advance(offsets)
        return self.sources[name].read(offsets)

    def _source_progress(self, name: str, result: BatchResult, rate: float | None) -> SourceProgress:
        ranges = result.ranges.get(name, OffsetRange({})).partitions
        status = self.sources[name].status()
        # A partition of which the batch has read nothing stands where it stood, and is no lag.
        return SourceProgress(
            name,
            {**status.position, **{p: start for p, (start, _) in ranges.items()}},
            {**status.position, **{p: end for p, (_, end) in ranges.items()}},
            status.latest,
            result.input_rows.get(name, 0),
            result.bad_records.get(name, 0),
            rate,
        )
