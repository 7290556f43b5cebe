"""The micro-batch loop: take over, recover, then batch after batch until told to stop (docs/protocol.md)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streamjob_runtime.checkpoint.fit import Meaning, check_fits
from streamjob_runtime.checkpoint.log import Log
from streamjob_runtime.checkpoint.records import Checkpoint, Commit, Intent, Record
from streamjob_runtime.checkpoint.recovery import newest_whole, starts
from streamjob_runtime.checkpoint.snapshots import Snapshot, download
from streamjob_runtime.connectors.sink import Writer
from streamjob_runtime.connectors.source import OffsetRange, Source
from streamjob_runtime.engine.backpressure import Backpressure
from streamjob_runtime.engine.bad_records import Aside
from streamjob_runtime.engine.batch import BatchRunner, NamedSink, Stopwatch
from streamjob_runtime.engine.checkpointer import Checkpointer
from streamjob_runtime.engine.ended import ended_in
from streamjob_runtime.engine.event_time import STILL_INTERVALS, STILL_S, EventTimeWatch
from streamjob_runtime.engine.progress import CheckpointProgress
from streamjob_runtime.engine.slow import SlowBatches
from streamjob_runtime.engine.steps import Step
from streamjob_runtime.engine.surroundings import Surroundings
from streamjob_runtime.engine.tables import StaticTables
from streamjob_runtime.engine.trigger import next_due_ms
from streamjob_runtime.engine.watch import SourceWatch
from streamjob_runtime.engine.watermark import advance, watermark
from streamjob_runtime.errors import Damaged
from streamjob_runtime.query import Query
from streamjob_runtime.stores.base import Store


@dataclass(frozen=True)
class LoopSettings:
    """What the manifest says of the loop."""

    job_name: str  # the full name, for the log
    version: str  # of the runtime, for the log
    interval_ms: int
    batches_per_checkpoint: int
    retained: int
    available_now: bool
    limits: Mapping[str, int | None]  # source -> records a batch
    delays_ms: Mapping[str, int]  # source or step -> watermark delay, for those that have one
    max_ahead_ms: Mapping[str, int]  # the same -> how far ahead a row may move its watermark
    meaning: Meaning
    backpressure: bool = False  # whether batches take no more than the job gets done in an interval


@dataclass(frozen=True)
class Parts:
    """What the loop drives; nothing of it is open yet, but the store and the query."""

    store: Store
    query: Query
    tables: StaticTables
    sources: Callable[[int], Mapping[str, Source]]  # made for an epoch
    sinks: tuple[NamedSink, ...]
    aside: Aside = field(default_factory=Aside)  # where the sources put bad records


class Loop:
    """One run of a job. `run` returns when the job is done or `stop` is set; errors leave it as they are.

    Everything happens in the caller's thread, but for uploads and deletions, which run on the executor.
    """

    def __init__(self, settings: LoopSettings, parts: Parts, around: Surroundings) -> None:
        self._settings = settings
        self._parts = parts
        self._around = around
        self._progress = around.progress
        self._clock = around.clock
        self._stop = around.stop
        self._log = Log(parts.store, settings.job_name, around.nonce)
        self._sources: Mapping[str, Source] = {}
        self._watch = SourceWatch(around.progress, around.clock, around.say)
        still_s = max(STILL_S, STILL_INTERVALS * settings.interval_ms / 1000)
        self._event_time = EventTimeWatch(around.progress, around.clock, around.say, still_s)
        self._backpressure = Backpressure(settings.limits if settings.backpressure else (), settings.interval_ms)
        self._slow = SlowBatches(around.progress, around.say, settings.interval_ms)
        self._due_ms: int | None = None  # when the batch that is under way was to begin
        self._next_batch = 0
        self._last_time_ms = 0
        self._last_watermark_ms: int | None = None
        self._event_times: Mapping[str, int] = {}
        self._ticks = 0  # since the last checkpoint was begun
        self._dirty = False  # whether a batch was committed since then

    def run(self) -> None:
        """Take over, recover and run batches. On the way out everything that was opened is closed."""
        try:
            self._start()
            if self._settings.available_now:
                self._run_available()
            else:
                self._run_ticks()
            self._finish()
        finally:
            self._watch.close()
            for source in self._sources.values():
                source.close()
            for named in self._parts.sinks:
                named.sink.close()
            self._parts.query.close()
            self._parts.store.close()

    def _start(self) -> None:
        progress, store = self._progress, self._parts.store
        before = self._log.take_over(
            self._clock.now_ms(),
            self._settings.version,
            dict(self._settings.meaning.fingerprints),
            lambda records: check_fits(records, self._settings.job_name, self._settings.meaning, store.url),
            self._begin,
        )
        self._hook(Step.FENCED, -1)
        progress.update(
            phase="Recovering", job_id=self._log.job_id, epoch=self._log.epoch, moved=self._clock.monotonic()
        )
        records = [*before, self._log.last]
        self._checkpointer = Checkpointer(
            store, self._log, records, self._settings.meaning, self._settings.retained, self._around
        )
        self._records = records
        begun = any(isinstance(r.body, Intent | Commit | Checkpoint) for r in before)
        writer = Writer(self._log.job_id, self._log.epoch, self._log.check_still_writer, begun)
        self._runner = BatchRunner(
            self._sources,
            self._parts.query,
            self._parts.sinks,
            self._settings.interval_ms,
            writer,
            self._hook,
            self._settings.max_ahead_ms,
            self._parts.aside,
        )
        self._recover(before, writer)
        self._hook(Step.RECOVERED, self._next_batch - 1)
        if self._settings.available_now:
            for source in self._sources.values():
                source.limit_to_available()
        progress.update(phase="Running", moved=self._clock.monotonic())

    def _begin(self, before: Sequence[Record]) -> Mapping[str, Any]:
        """Make the sources; where they begin, as long as no batch has begun: the FENCE says it, be it killed then."""
        self._sources = self._parts.sources(self._log.epoch)
        if any(isinstance(r.body, Intent | Commit | Checkpoint) for r in before):
            return {}
        known = starts(before)
        begins = {name: source.begin(known.get(name)) for name, source in self._sources.items()}
        return {name: begin for name, begin in begins.items() if begin is not None}

    def _recover(self, before: tuple[Record, ...], writer: Writer) -> None:
        recovery, snapshot = newest_whole(before, lambda c: download(self._parts.store, c), self._unusable)
        states = snapshot.sources if snapshot else starts([*before, self._log.last])
        for name, source in self._sources.items():
            source.open(states.get(name))
        self._watch.follow(self._sources)  # also while a sink is waited for
        for named in self._parts.sinks:
            named.sink.open(writer)
        if snapshot:
            self._parts.query.restore(snapshot.operators)
            self._event_times = snapshot.event_times
            self._last_time_ms = snapshot.time_ms
            self._last_watermark_ms = snapshot.watermark_ms
            self._note_checkpoint(recovery.checkpoint)
        committed = {r.body.batch: r.body.input_rows for r in before if isinstance(r.body, Commit)}
        for intent in recovery.replay:
            rows = self._run_batch(intent, silent=True)
            if rows != committed[intent.batch]:
                # As from a topic that Kafka has compacted meanwhile.
                self._around.say(
                    "warning",
                    "a source gives other rows for a batch than when it was committed; the state follows the new ones",
                    batch=intent.batch,
                    committed=committed[intent.batch],
                    rows=rows,
                )
        if recovery.unfinished:
            self._run_again(before, recovery.unfinished)
        self._next_batch = recovery.next_batch
        if before:
            self._around.say(
                "info",
                "recovered",
                checkpoint=recovery.checkpoint.batch if recovery.checkpoint else "none",
                replayed=len(recovery.replay),
                rewritten=1 if recovery.unfinished else 0,
                next_batch=self._next_batch,
            )
        self._parts.tables.refresh(self._clock.now_ms())
        if recovery.checkpoint:
            self._checkpointer.clean_up_after_crash(recovery.checkpoint, self._parts.tables.versions)

    def _run_again(self, before: tuple[Record, ...], unfinished: Intent) -> None:
        ended = ended_in(before, unfinished)
        self._around.say(
            "warning",
            "a start has ended in the middle of this batch, which is computed again",
            batch=ended.batch,
            times=ended.times,
            reads=ended.reads,
        )
        self._around.last_words(ended.last_words)
        self._run_batch(unfinished, silent=False, again=True)
        self._around.last_words("")

    def _unusable(self, checkpoint: Checkpoint, damage: Damaged) -> None:
        self._checkpointer.damaged.add(checkpoint.batch)
        self._around.say("warning", "checkpoint unusable", batch=checkpoint.batch, error=str(damage))

    def _hook(self, step: Step, batch: int) -> None:
        # A batch may take long, and whoever watches the loop wants to see that it moves.
        self._progress.update(moved=self._clock.monotonic())
        self._around.hook(step, batch)

    def _run_available(self) -> None:
        # Once even if nothing is there to read: time alone ends rolling windows and groups with a ttl.
        while not self._stop.is_set():
            ran = self._tick()
            if all(s.exhausted for s in self._sources.values()):
                break
            if not ran:
                # A file that is being written is waited for until it has settled.
                self._clock.wait(0.1, self._stop)
        while not self._stop.is_set() and self._tick(last_time=True):
            pass
        if self._next_batch > 0 and not self._stop.is_set():
            self._event_time.done(self._last_watermark_ms, self._lacking)

    @property
    def _lacking(self) -> list[str]:
        """The sources and steps with a watermark that have had no row which counts."""
        return sorted(self._settings.delays_ms.keys() - self._event_times.keys())

    def _run_ticks(self) -> None:
        while not self._stop.is_set():
            started = self._clock.now_ms()
            if not self._tick():
                self._slow.batch(0)
            self._due_ms = next_due_ms(started, self._settings.interval_ms)
            wait_ms = self._due_ms - self._clock.now_ms()
            if wait_ms > 0:
                self._clock.wait(wait_ms / 1000, self._stop)

    def _tick(self, last_time: bool = False) -> bool:
        """One batch, if there is anything for it to do; whether there was.

        `last_time`: at the time of the batch before, so that only the watermark makes something final.
        """
        watch = Stopwatch(self._clock)
        began_ms = self._clock.now_ms()
        now_ms = self._last_time_ms if last_time else max(self._clock.now_ms(), self._last_time_ms)
        self._settle_checkpoint()
        ranges = self._poll(now_ms)
        mark = watermark(self._settings.delays_ms, self._event_times, self._last_watermark_ms)
        ran = bool(ranges) or self._parts.query.wants_batch(now_ms, mark)
        if ran:
            self._hook(Step.POLLED, self._next_batch)
            tables = self._parts.tables.refresh(now_ms)
            watch.lap("poll")
            intent = Intent(
                self._next_batch,
                now_ms,
                mark,
                self._last_watermark_ms,
                {name: offsets.to_json() for name, offsets in ranges.items()},
                tables,
            )
            self._records.append(self._log.append(intent))
            self._hook(Step.INTENDED, intent.batch)
            watch.lap("intent")
            self._run_batch(intent, silent=False, watch=watch, late_ms=self._late_ms(began_ms))
            self._next_batch = intent.batch + 1
        self._ticks += 1
        self._begin_checkpoint()
        self._progress.update(moved=self._clock.monotonic())
        self._watch.tell()
        return ran

    def _late_ms(self, began_ms: int) -> int:
        """How long after it was due a batch begins: the one before has taken longer than the interval."""
        return 0 if self._due_ms is None else max(0, began_ms - self._due_ms)

    def _poll(self, now_ms: int) -> dict[str, OffsetRange]:
        limits = self._backpressure.limits(self._settings.limits)
        found = {n: s.poll(limits.get(n), now_ms) for n, s in self._sources.items()}
        return {name: offsets for name, offsets in found.items() if offsets is not None}

    def _run_batch(
        self,
        intent: Intent,
        silent: bool,
        again: bool = False,
        watch: Stopwatch | None = None,
        late_ms: int | None = None,
    ) -> int:
        """Run the batch; how many rows it has read. `late_ms`: see `Backpressure`; None: it is one of a recovery."""
        watch = watch or Stopwatch(self._clock)
        self._parts.tables.use(intent.tables)
        result = self._runner.run(intent, watch, silent, again)
        rows = sum(result.input_rows.values())
        if not silent:
            commit = Commit(intent.batch, intent.time_ms, rows, result.output_rows)
            self._records.append(self._log.append(commit))
            self._hook(Step.COMMITTED, intent.batch)
            for name, offsets in result.ranges.items():
                self._sources[name].acknowledge(offsets)
            watch.lap("commit")
        self._event_times = advance(self._event_times, result.output.max_event_time_ms)
        self._last_time_ms = intent.time_ms
        self._last_watermark_ms = intent.watermark_ms
        self._next_batch = intent.batch + 1
        self._dirty = True
        if late_ms is not None:
            self._backpressure.batch(result.input_rows, self._clock.now_ms(), watch.total_ms, late_ms)
            if not self._settings.available_now:
                self._slow.batch(watch.total_ms)
        rates = self._backpressure.rates
        self._progress.finished(self._runner.progress(intent, result, watch, silent, rates))
        self._progress.update(moved=self._clock.monotonic())
        if self._settings.delays_ms and not silent and not again:
            mark = watermark(self._settings.delays_ms, self._event_times, self._last_watermark_ms)
            self._event_time.batch(mark, result.output.marked_rows, result.output.rows_ahead, self._lacking)
        return rows

    def _begin_checkpoint(self, now: bool = False) -> None:
        due = now or self._ticks >= self._settings.batches_per_checkpoint
        if due and self._dirty and not self._checkpointer.busy:
            self._checkpointer.begin(
                Snapshot(
                    self._next_batch - 1,
                    self._last_time_ms,
                    self._last_watermark_ms,
                    dict(self._event_times),
                    self._parts.query.snapshot(),
                    {name: source.snapshot() for name, source in self._sources.items()},
                )
            )
            self._ticks = 0
            self._dirty = False

    def _settle_checkpoint(self, wait: bool = False) -> None:
        self._note_checkpoint(self._checkpointer.settle(self._sources, self._parts.tables.versions, wait))

    def _note_checkpoint(self, checkpoint: Checkpoint | None) -> None:
        if checkpoint:
            self._progress.update(checkpoint=CheckpointProgress(checkpoint.batch, checkpoint.time_ms, checkpoint.size))

    def _finish(self) -> None:
        """The last checkpoint: a restart has nothing to replay."""
        self._progress.update(phase="Stopping")
        self._settle_checkpoint(wait=True)
        self._begin_checkpoint(now=True)
        self._settle_checkpoint(wait=True)
        self._settle_checkpoint(wait=True)  # the deletions that the checkpoint began
        self._progress.update(phase="Stopped")
