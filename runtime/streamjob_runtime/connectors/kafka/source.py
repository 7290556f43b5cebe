"""The records of Kafka topics."""

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from streamjob_runtime.clock import Clock
from streamjob_runtime.connectors.kafka.access import Access
from streamjob_runtime.connectors.kafka.cluster import Cluster, topic_of
from streamjob_runtime.connectors.kafka.offsets import shared
from streamjob_runtime.connectors.kafka.reader import Gone, KafkaReader
from streamjob_runtime.connectors.kafka.rows import KafkaRows
from streamjob_runtime.connectors.kafka.schemas import Schemas
from streamjob_runtime.connectors.kafka.survey import Answer, Survey, Waiting
from streamjob_runtime.connectors.kafka.topics import Start, Topics
from streamjob_runtime.connectors.source import OffsetRange, SourceStatus
from streamjob_runtime.connectors.source_context import SourceContext, SourceSpec
from streamjob_runtime.errors import JobError, Refused, Unavailable
from streamjob_runtime.formats.avro.messages import AvroMessages
from streamjob_runtime.formats.columns import NO_RECORD, Columns
from streamjob_runtime.formats.messages import MessageDecoder, make_message_decoder
from streamjob_runtime.patience import ROTATION_S, Caller

LOOK_MS = 5_000  # how often new topics and partitions are looked for
MOST = 1_000_000  # offsets a batch where the manifest sets no limit: it is logged before anybody knows its size
GONE_LOOKS = 7  # in a row that do not see a topic before it is held for deleted: half a minute of them
SURE_S = 10.0  # how long an end before what the log names must last until it is believed


class KafkaSource:
    """Each record once. Partitions are `topic/partition`, their offsets are Kafka's own.

    The job's log says what was read; what a consumer group has committed plays no part in it. A range may hold fewer
    records than offsets: some are compacted away, of aborted transactions, or mark a transaction's end.

    `snapshot` is `{"positions", "topics", "begun"}`: partition -> offset, topic -> id, whether the log knows where the
    job begins. A range's `detail` tells what is new in these besides the range itself: where partitions begin that were
    found, or that lost records and go on further on.
    """

    def __init__(
        self,
        name: str,
        topics: Topics,
        reader: KafkaReader,
        start: Start,
        skip_lost: bool,
        caller: Caller,
        say: Callable[..., None],
        clock: Clock,
        schemas: Schemas | None = None,
        columns: Columns | None = None,
        survey: Survey | None = None,
    ) -> None:
        self._name = name
        self._topics = topics
        self._reader = reader
        self._start = start
        self._skip_lost = skip_lost
        self._caller = caller
        self._say = say
        self._clock = clock
        self._schemas = schemas
        self._columns = columns or Columns(())
        self._survey = survey
        self._begun = start.at == "earliest"  # whether the log knows where the job begins, be it without a partition
        self._late = False  # whether a partition that is new is one that came later than the job
        self._positions: dict[str, int] = {}  # that the log knows
        self._ids: dict[str, str] = {}
        self._new_positions: dict[str, int] = {}  # what the next range tells the log
        self._new_ids: dict[str, str] = {}
        self._short: dict[str, float] = {}  # partition -> since when it ends before the range that is being read
        self._at_open: dict[str, str] = {}  # the ids of what a new job has found
        self._unseen: dict[str, int] = {}  # topic -> the last looks in a row that did not see it
        self._behind: dict[str, float] = {}  # partition -> since when it ends before what was read of it
        self._partitions: list[str] = []  # that are there
        self._replayed: dict[str, str] | None = None  # the ids at the first `read` of a run that began with the log
        self._looked_ms: int | None = None
        self._ends: dict[str, int] = {}
        self._polled_at = float("-inf")  # when that was last tried, monotonic
        self._asking = Waiting(clock)
        self._failed = 0  # looks in a row
        self._until: dict[str, int] | None = None
        self._trouble = ""
        self._refused_since: int | None = None  # milliseconds: a time of `poll`
        self._commit_trouble = ""

    @classmethod
    def from_manifest(cls, source: SourceSpec, schema: pa.Schema, context: SourceContext) -> "KafkaSource":
        """See `open_source`."""
        config = source.config
        who = f'Source "{source.name}"'
        access = Access.from_manifest(config, context.connections.secrets)
        committed = config.isolation_level == "readCommitted"
        names = config.topics or ((config.topic,) if config.topic else ())
        decoded = pa.schema([f for f in schema if f.name not in config.metadata])
        schemas = Schemas.from_manifest(who, config.schema_registry, context.connections.secrets, context.patience)
        decoder = AvroMessages(decoded, schemas.find) if schemas else _messages(source, decoded)
        columns = Columns(decoded.names, source.required)
        rows = KafkaRows(source.name, decoder, tuple(config.metadata), schema, columns, context.bad_records)
        start = Start.from_manifest(config)
        return cls(
            source.name,
            Topics(who, Cluster(access, who), names, config.topic_pattern, committed),
            KafkaReader(who, access, config.group_id or context.job_name, committed, rows, context.clock),
            start,
            config.on_data_loss == "skip",
            context.patience(f"Kafka at {access.servers}"),
            context.say,
            context.clock,
            schemas,
            columns,
            Survey(Topics(who, Cluster(access, who), names, config.topic_pattern, committed), start, context.clock),
        )

    def check(self) -> str:
        """See `Source`: asks for the topics and the ends of their partitions."""
        found = self._topics.require()
        partitions = [p for topic in found.values() for p in topic.partitions]
        self._topics.check_start(partitions, self._start)
        firsts, ends = self._topics.firsts(partitions), self._topics.ends(partitions)
        records = sum(max(0, ends[p] - firsts.get(p, 0)) for p in ends)
        names = ", ".join(sorted(found)[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
        said = f"{names or self._topics.missing}: {_count(len(partitions), 'partition')}, {_count(records, 'offset')}"
        return f"{said}; {self._schemas.reach(sorted(found))}" if self._schemas else said

    def begin(self, earlier: Any) -> Any:
        """See `Source`. Waits until Kafka answers, unless the job begins at the earliest records or at offsets."""
        if self._start.at not in ("latest", "timestamp"):
            return None
        wanted = {**self._topics.wanted, "start": [self._start.at, self._start.time_ms]}
        if earlier is not None and earlier["of"] == wanted:
            return earlier

        def look() -> dict[str, Any]:
            found = self._topics.require()
            partitions = [p for topic in found.values() for p in topic.partitions]
            return {
                "of": wanted,
                "positions": self._topics.starts(partitions, self._start) if partitions else {},
                "topics": {name: topic.id for name, topic in found.items()},
                "begun": True,
            }

        return self._caller.call(look)

    def open(self, state: Any) -> None:
        """See `Source`. Waits until Kafka answers. Raises `JobError` for a topic that a new job does not find."""
        if self._schemas:
            self._schemas.open(self._topics.names)
        if state is not None:
            self._positions = {p: int(offset) for p, offset in state["positions"].items()}
            self._ids = dict(state["topics"])
            self._begun |= state.get("begun", bool(self._positions))
            return
        self._at_open = {name: topic.id for name, topic in self._caller.call(self._topics.require).items()}

    def limit_to_available(self) -> None:
        """See `Source`. Waits until Kafka answers."""
        self._caller.call(self._look_at_all)
        self._until = dict(self._ends)

    @property
    def exhausted(self) -> bool:
        """See `Source`."""
        return (
            self._until is not None and self._begun and all(self._position(p) >= end for p, end in self._until.items())
        )

    def poll(self, limit: int | None, now_ms: int) -> OffsetRange | None:
        """See `Source`. What Kafka does not answer is not there yet."""
        try:
            with self._asking as self._polled_at:
                self._look(now_ms)
        except (Unavailable, Refused) as error:
            self._refused_since = self._refused_since or now_ms if isinstance(error, Refused) else None
            if self._refused_since and not self._may_be_rotated(now_ms):
                raise
            self._trouble = str(error)
            self._failed += 1
            return None
        self._trouble, self._failed, self._refused_since = "", 0, None
        ends = self._ends if self._until is None else self._until
        waiting = {p: end - self._position(p) for p, end in ends.items()}
        taken = shared(waiting, MOST if limit is None else limit)
        # A job that begins at the latest record must know after a crash which one that was, or that there was none.
        if not taken and self._begun:
            return None
        told = {"positions": dict(self._new_positions), "topics": dict(self._new_ids)}
        ranges = {p: (self._position(p), self._position(p) + taken[p]) for p in sorted(taken)}
        return OffsetRange(ranges, told if self._new_positions or self._new_ids else None)

    def _may_be_rotated(self, now_ms: int) -> bool:
        """Whether credentials that are refused now, and were not before, may be about to be replaced."""
        return self._looked_ms is not None and now_ms - (self._refused_since or now_ms) < ROTATION_S * 1000

    def advance(self, offsets: OffsetRange) -> None:
        """See `Source`."""
        self._begun = True
        told = offsets.detail or {"positions": {}, "topics": {}}
        self._positions |= told["positions"]
        self._ids |= told["topics"]
        for partition, (_, end) in offsets.partitions.items():
            self._positions[partition] = end
        self._new_positions = {p: at for p, at in self._new_positions.items() if p not in told["positions"]}
        self._new_ids = {topic: i for topic, i in self._new_ids.items() if told["topics"].get(topic) != i}

    def read(self, offsets: OffsetRange) -> pa.Table:
        """See `Source`. Waits until Kafka gives the records. Of what is lost the rest is read, or `JobError` raised."""
        left = self._of_same_topics(offsets.partitions)
        beside = {p: self._positions[p] for p in self._partitions if p in self._positions and p not in left}
        self._short = {}

        def attempt() -> pa.Table:
            nonlocal left, beside
            while True:
                before, gone = left, ""
                try:
                    return self._reader.read(left, beside)
                except Gone as error:
                    beside, gone = {}, error.partition
                    trouble = Unavailable(f'Source "{self._name}": Kafka says that {gone} is gone')
                except Unavailable as error:
                    trouble = error
                left = self._without_lost(left, gone)
                if left == before and (not gone or gone in left):
                    raise trouble

        rows = self._caller.call(attempt)
        for column in self._columns.missing():
            self._say("warning", NO_RECORD, source=self._name, **column.fields)
        return rows

    def acknowledge(self, offsets: OffsetRange) -> None:
        """See `Source`. Commits the offsets to the group; the answer is not waited for."""
        ends = {p: end for p, (_, end) in offsets.partitions.items()}
        if ends:
            self._reader.commit(ends)
        if self._reader.commit_trouble != self._commit_trouble:
            self._commit_trouble = self._reader.commit_trouble
            if self._commit_trouble:
                self._say(
                    "warning",
                    "the consumer group does not learn how far the job is; the job itself goes on",
                    source=self._name,
                    error=self._commit_trouble,
                )

    def snapshot(self) -> Any:
        """See `Source`."""
        return {"positions": dict(self._positions), "topics": dict(self._ids), "begun": self._begun}

    def release(self, state: Any) -> None:
        """See `Source`. Kafka's own retention decides what stays."""

    def survey(self, now_ms: int) -> None:
        """See `Source`."""
        if self._survey is not None:
            known = self._positions.keys() | self._new_positions.keys()
            self._survey.ask(known.__contains__, self._begun or self._late)

    def status(self) -> SourceStatus:
        """See `Source`."""
        found, asking = self._survey.newest if self._survey else Answer(), self._asking
        if found.at <= self._polled_at:
            found = Answer(self._polled_at, dict(self._ends), {}, self._trouble, self._failed)
        elif self._survey is not None:
            asking = self._survey.waiting
        note = self._topics.missing if self._looked_ms is not None and not self._partitions else ""
        ends = found.ends or dict(self._ends)
        position = {p: self._known(p, found.begins.get(p, 0)) for p in ends}
        silent = self._asking.trouble or asking.trouble
        trouble = found.trouble or (silent and f'Source "{self._name}": Kafka: {silent}')
        return SourceStatus(ends, not trouble, trouble or note, position, max(1, found.attempts))

    def close(self) -> None:
        """See `Source`."""
        self._reader.close()
        self._topics.close()
        if self._survey is not None:
            self._survey.close()
        if self._schemas:
            self._schemas.close()

    def _position(self, partition: str) -> int:
        """The first offset that was not read."""
        return self._known(partition, 0)

    def _known(self, partition: str, otherwise: int) -> int:
        return self._new_positions.get(partition, self._positions.get(partition, otherwise))

    def _look_at_all(self) -> None:
        self._look(None)
        self._refuse_hidden()
        unknown = sorted(p for p in self._partitions if p not in self._ends or p in self._behind)
        if unknown:
            raise Unavailable(f'Source "{self._name}": Kafka does not say for sure where {", ".join(unknown)} ends')

    def _refuse_hidden(self) -> None:
        hidden = sorted(topic for topic, looks in self._unseen.items() if looks < GONE_LOOKS)
        if hidden:
            raise Unavailable(f'Source "{self._name}": Kafka does not show the topic {", ".join(hidden)}')

    def _look(self, now_ms: int | None) -> None:
        """See what is there now; None: also whether topics and partitions are new."""
        if now_ms is None or self._looked_ms is None or not self._looked_ms <= now_ms < self._looked_ms + LOOK_MS:
            self._find_partitions()
            self._looked_ms = now_ms
        firsts, ends = self._topics.firsts(self._partitions), self._topics.ends(self._partitions)
        for partition, first in firsts.items():
            if self._position(partition) < first:
                self._lost(f"{partition}: the offsets {self._position(partition)} to {first} are gone")
                self._new_positions[partition] = first
        behind = [p for p, end in ends.items() if self._position(p) > end]
        # Behind an open transaction a position may be: no later than all that is there.
        short = {p: end for p, end in self._topics.all_ends(behind).items() if self._position(p) > end}
        now = self._clock.monotonic()
        # A leader that has just come up, or was replaced and does not know it yet, names an end that is too early.
        self._behind = {p: self._behind.get(p, now) for p in short}
        for partition in [p for p, since in self._behind.items() if now - since >= SURE_S]:
            end = short[partition]
            self._lost(f"{partition}: it ends at {end}, before the offset {self._position(partition)}")
            self._new_positions[partition] = end
            del self._behind[partition]
        self._ends = ends

    def _find_partitions(self) -> None:
        found = self._topics.look()
        self._replayed = {}  # from here on every look compares
        known = {t: i for t, i in {**self._at_open, **self._ids, **self._new_ids}.items() if self._topics.wants(t)}
        # A broker that has just come up, or a right that is taken for a moment, hides a topic that is there.
        self._unseen = {topic: self._unseen.get(topic, 0) + 1 for topic in known if topic not in found}
        for topic, looks in self._unseen.items():
            if looks == GONE_LOOKS:
                self._lost(f"the topic {topic} is not there any more")
        if not self._late:
            self._refuse_hidden()  # or else it would count as one that came later than the job
        for topic in [topic for topic in found if known.get(topic, found[topic].id) != found[topic].id]:
            self._lost(f"the topic {topic} was deleted and created again")
            self._new_positions |= self._topics.firsts(list(found[topic].partitions))
            self._new_ids[topic] = found[topic].id
        self._partitions = [p for topic in found.values() for p in topic.partitions]
        new = [p for p in self._partitions if p not in self._positions and p not in self._new_positions]
        if new:
            # Whatever appears later than the job is read as a whole.
            self._new_positions |= self._topics.starts(new, Start() if self._begun or self._late else self._start)
        self._late = True
        self._new_ids |= {name: topic.id for name, topic in found.items() if name not in self._ids}

    def _of_same_topics(self, ranges: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
        """Without what is of topics that were made again since the log named them: their offsets mean other records."""
        if self._replayed is None:
            found = self._caller.call(self._topics.look)
            self._replayed = {name: topic.id for name, topic in found.items()}
        other = {topic for topic, now in self._replayed.items() if self._ids.get(topic, now) != now}
        lost = {p for p in ranges if topic_of(p) in other}
        for topic in sorted({topic_of(p) for p in lost}):
            self._lost(f"the topic {topic} was deleted and created again")
        return {p: r for p, r in ranges.items() if p not in lost}

    def _without_lost(self, ranges: Mapping[str, tuple[int, int]], gone: str) -> dict[str, tuple[int, int]]:
        """What can still be read of the ranges. Of all but `gone` the reader may hold what Kafka has no more."""
        firsts, ends = self._topics.firsts([p for p in ranges if p == gone]), self._topics.all_ends(list(ranges))
        now = self._clock.monotonic()
        # A new leader may not know yet how far its followers are.
        short = [p for p, (_, end) in ranges.items() if ends.get(p, 0) < end]
        self._short = {p: self._short.get(p, now) for p in short}
        left = {}
        for p, (start, end) in ranges.items():
            sure = now - self._short.get(p, now) >= SURE_S
            first = max(start, min(firsts.get(p, start), end))
            last = max(first, ends.get(p, first)) if sure else end
            if first > start:
                self._lost(f"{p}: the offsets {start} to {first} are gone")
            if last < end:
                self._lost(f"{p}: the offsets {last} to {end} are gone")
            if first < last:
                left[p] = (first, last)
        return left

    def _lost(self, what: str) -> None:
        if not self._skip_lost:
            raise JobError(
                f'Source "{self._name}" has lost records that it had not read: {what}. The topic\'s retention was '
                "shorter than the job's pause, or somebody deleted them. To go on with what is there, write "
                "onDataLoss: skip."
            )
        self._say("warning", "records are lost, and onDataLoss is skip", source=self._name, what=what)


def _messages(source: SourceSpec, columns: pa.Schema) -> MessageDecoder:
    return make_message_decoder(str(source.format), columns, source.csv_escape)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
