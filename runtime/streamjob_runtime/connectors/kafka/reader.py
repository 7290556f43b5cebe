"""Reads exactly the records of given offset ranges, and keeps what the client fetched beyond them for the next."""

import gc
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from streamjob_runtime.clock import Clock
from streamjob_runtime.connectors.kafka.access import ANSWER_S, Access
from streamjob_runtime.connectors.kafka.cluster import as_partition
from streamjob_runtime.connectors.kafka.errors import Listener, is_missing, kafka_error, translated
from streamjob_runtime.connectors.kafka.messages import chunks, offset, runs, size
from streamjob_runtime.connectors.kafka.rows import KafkaRows
from streamjob_runtime.errors import Refused, StreamJobError, Unavailable
from streamjob_runtime.patience import alive

_CHUNK = 10_000  # records that are made rows at once, while they are in the processor's cache
_CHUNK_BYTES = 64 << 20  # and of so many bytes, or of one record that is longer
_KEPT = 200_000  # records beyond the range, of all partitions; more are given back and fetched again
_KEPT_BYTES = 256 << 20  # the same for their bytes
_TICK_S = 0.02  # one wait for the client, which ends late when less comes than was asked for
_CLOSE_S = 2.0  # how long the last commit of offsets is waited for

TUNED = {
    "fetch.queue.backoff.ms": 2,  # by default the client idles for a second when its queue is full
    "queued.min.messages": 1_000_000,
    "queued.max.messages.kbytes": 65_536,
}


class Gone(Exception):
    """The records at the position of a partition are not there any more."""

    def __init__(self, partition: str) -> None:
        super().__init__(partition)
        self.partition = partition


@dataclass
class _Partition:
    """How far one partition was read."""

    start: int  # of what is wanted next
    known: int  # the first offset of which nothing is known yet: all before was delivered, or is no record
    tables: list[pa.Table] = field(default_factory=list)  # rows of the range that is being read
    messages: list[Message] = field(default_factory=list)  # behind those, in the range and beyond
    size: int = 0  # of the messages, bytes
    paused: bool = False

    def keep(self, run: list[Message]) -> None:
        """The next ones."""
        self.messages += run
        self.size += size(run)
        self.known = offset(run[-1]) + 1

    def give(self, end: int) -> list[Message]:
        """The messages before `end`, which are not kept here any more."""
        count = self.wanted(end)
        given = self.messages[:count]
        del self.messages[:count]
        self.size -= size(given)
        return given

    def wanted(self, end: int) -> int:
        """How many of the messages lie before `end`."""
        if not self.messages or offset(self.messages[-1]) < end:
            return len(self.messages)
        return bisect_left(self.messages, end, key=offset)


class KafkaReader:
    """One consumer, used by one thread. Where records do not come it raises `Unavailable`; the same `read` goes on."""

    def __init__(self, who: str, access: Access, group: str, committed: bool, rows: KafkaRows, clock: Clock) -> None:
        self._who = who
        self._access = access
        self._rows = rows
        self._clock = clock
        self._listener = Listener()
        self._own_settings: dict[str, Any] = {
            **TUNED,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            # Of no use to one who joins no group, but for this: so long the client's own close waits for the group.
            "session.timeout.ms": int(_CLOSE_S * 1000),
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed" if committed else "read_uncommitted",
            "error_cb": self._listener.hear,
            "on_commit": self._on_commit,
        }
        self._consumer: Consumer | None = None
        self._partitions: dict[str, _Partition] = {}
        self._assigned = True  # whether the client fetches what stands in these
        self._committing = 0  # answers that are still to come
        self.commit_trouble = ""  # why the offsets of the last batch were not committed to the group

    def read(self, ranges: Mapping[str, tuple[int, int]], beside: Mapping[str, int]) -> pa.Table:
        """The records of the ranges, by partition and offset. Raises `Gone`.

        `beside`: where the other partitions will be read next.
        """
        starts = {**beside, **{p: start for p, (start, _) in ranges.items()}}
        self._seek({p: starts[p] for p in sorted(starts)})
        ends = {p: end for p, (_, end) in ranges.items()}
        with _collector_asleep():
            try:
                self._fetch(ends)
            except KafkaException as error:
                raise self._translated(kafka_error(error)) from None
            except Refused:
                self._give_up_consumer()
                raise
            rows = self._take(ends)
        self._rows.hand_over(ranges)
        return rows

    def commit(self, offsets: Mapping[str, int]) -> None:
        """Begin to tell the group that all before these offsets is done. Its answer comes with later reads."""
        consumer = self._open()
        try:
            consumer.commit(offsets=[as_partition(p, offset) for p, offset in offsets.items()], asynchronous=True)
            self._committing += 1
        except KafkaException as error:
            self.commit_trouble = kafka_error(error).str()

    def close(self) -> None:
        """Let go of the connections, when the group knows the last commit or does not take it in time."""
        if self._consumer is None:
            return
        end = self._clock.monotonic() + _CLOSE_S
        self._consumer.unassign()
        while self._committing and self._clock.monotonic() < end:
            self._consumer.poll(_TICK_S)
        self._consumer.close()
        self._consumer = None

    def _give_up_consumer(self) -> None:
        """It goes on with the credentials that it was made with: the next one has those of the Secret as it is then."""
        if self._consumer is not None:
            self._consumer.close()
        self._consumer = None
        self._committing = 0
        self._assigned = False
        self._listener.answered()

    def _open(self) -> Consumer:
        if self._consumer is None:
            try:
                self._consumer = Consumer({**self._access.settings, **self._own_settings})
            except KafkaException as error:
                raise self._translated(kafka_error(error)) from None
        return self._consumer

    def _seek(self, starts: Mapping[str, int]) -> None:
        """Go on with what is there of each partition if it fits, or else fetch anew."""
        there = self._partitions
        if self._assigned and all(p in there and there[p].start == start for p, start in starts.items()):
            return
        kept = {p: there[p] for p, start in starts.items() if p in there and there[p].start == start}
        self._partitions = {p: kept.get(p) or _Partition(start, start) for p, start in starts.items()}
        consumer = self._open()
        consumer.assign([as_partition(p, at.known) for p, at in self._partitions.items()])
        self._assigned = True
        asleep = [p for p, at in self._partitions.items() if at.paused]
        if asleep:
            consumer.resume([as_partition(p) for p in asleep])
        for p in asleep:
            self._partitions[p].paused = False

    def _fetch(self, ends: Mapping[str, int]) -> None:
        """Until all before the ends is known."""
        consumer, partitions = self._open(), self._partitions
        last_came = self._clock.monotonic()
        while True:
            missing = {p: end - partitions[p].known for p, end in ends.items() if partitions[p].known < end}
            self._pause(ends, missing)
            if not missing:
                return
            messages = consumer.consume(min(_CHUNK, sum(missing.values())), _TICK_S)
            now = self._clock.monotonic()
            if not missing.keys().isdisjoint(self._sort(messages)):
                last_came = now
                alive()
                self._listener.answered()
            elif now - last_came > ANSWER_S:
                timeout = KafkaError(KafkaError._TIMED_OUT)
                raise self._translated(self._listener.worst(timeout))
            for p, end in ends.items():
                if partitions[p].size >= _CHUNK_BYTES or partitions[p].wanted(end) >= _CHUNK:
                    partitions[p].tables += self._tables(partitions[p].give(end))

    def _sort(self, messages: list[Message]) -> set[str]:
        """Put each message to its partition; of which anything became known."""
        moved: set[str] = set()
        gone = ""
        for run in runs(messages) if messages else ():
            name = f"{run[0].topic()}/{run[0].partition()}"
            error = run[0].error()
            if error is not None and _is_gone(error):
                gone = name
            elif self._keep(name, run) if error is None else self._hear(name, error, run[0]):
                moved.add(name)
        if gone:  # now that the client's other messages, which it gives once, are kept
            self._partitions.pop(gone, None)
            self._assigned = False
            raise Gone(gone)
        return moved

    def _keep(self, name: str, run: list[Message]) -> bool:
        partition = self._partitions.get(name)
        if partition is None or offset(run[0]) < partition.known:
            return False  # what was fetched before the last assignment
        partition.keep(run)
        return True

    def _hear(self, name: str, error: KafkaError, message: Message) -> bool:
        if error.code() == KafkaError._PARTITION_EOF:
            partition = self._partitions.get(name)
            if partition is not None and offset(message) > partition.known:
                # The offsets before are of records that were compacted away, or mark the end of a transaction.
                partition.known = offset(message)
                return True
            return False
        if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            # The client asks for the group by itself; without it nothing is committed, and all can be read.
            self.commit_trouble = error.str()
            return False
        problem = self._translated(error)
        if isinstance(problem, Unavailable):
            self._listener.hear(error)
            return False
        raise problem

    def _pause(self, ends: Mapping[str, int], missing: Mapping[str, int]) -> None:
        """Keep what comes unasked within bounds, while another partition is waited for."""
        consumer, partitions = self._open(), self._partitions
        asleep = [p for p in missing if partitions[p].paused]
        if asleep:
            consumer.resume([as_partition(p) for p in asleep])
        awake = [p for p, at in partitions.items() if p not in missing and not at.paused]
        kept = sum(len(partitions[p].messages) for p in awake)
        too_many = kept > _KEPT or sum(partitions[p].size for p in awake) > _KEPT_BYTES
        if missing and too_many:
            consumer.pause([as_partition(p) for p in awake])
        for p in asleep:
            partitions[p].paused = False
        for p in awake if missing and too_many else ():
            partitions[p].paused = True

    def _tables(self, messages: list[Message]) -> list[pa.Table]:
        tables = []
        for chunk in chunks(messages, _CHUNK, _CHUNK_BYTES):
            tables.append(self._rows.table(chunk))
            alive()  # what takes long here is our own work
        return tables

    def _take(self, ends: Mapping[str, int]) -> pa.Table:
        """The rows before the ends, all of which are known."""
        tables = [self._rows.none]
        together: list[Message] = []  # partitions with a few records each are decoded at once
        for name in sorted(ends):
            partition = self._partitions[name]
            if partition.tables or len(together) >= _CHUNK:
                tables += self._tables(together)
                tables += partition.tables
                together, partition.tables = [], []
            together += partition.give(ends[name])
            partition.start = ends[name]
        return pa.concat_tables(tables + self._tables(together))

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        self._committing = max(0, self._committing - 1)
        worst = error or next((p.error for p in partitions if p.error is not None), None)
        self.commit_trouble = worst.str() if worst is not None else ""

    def _translated(self, error: KafkaError) -> StreamJobError:
        return translated(error, self._who, self._access.servers)


@contextmanager
def _collector_asleep() -> Iterator[None]:
    """Messages are no cycles, and Python's collector goes through all of them again and again: half of the time."""
    was_awake = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_awake:
            gc.enable()


def _is_gone(error: KafkaError) -> bool:
    return error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE) or is_missing(error)
