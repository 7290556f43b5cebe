"""Rows to a Kafka topic, a record a row."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import pyarrow as pa
from confluent_kafka import KafkaException

from streamjob_runtime.clock import SystemClock
from streamjob_runtime.connectors.kafka.access import Access
from streamjob_runtime.connectors.kafka.avro import AvroValues
from streamjob_runtime.connectors.kafka.cluster import Cluster
from streamjob_runtime.connectors.kafka.producer import PlainProducer, Record, TransactionalProducer, Way
from streamjob_runtime.connectors.sink import Delivery, SinkBatch, Writer
from streamjob_runtime.connectors.sink_context import SinkContext, SinkSpec
from streamjob_runtime.errors import JobError, StreamJobError
from streamjob_runtime.formats.message_values import column_messages, json_messages
from streamjob_runtime.patience import Caller

_CHUNK = 20_000  # rows whose records are in Python's memory at once


class KafkaSink:
    """Appends a record a row, in every mode: in `update` the rows that changed, in `complete` the whole result.

    A row that is no longer in the result is a tombstone, a record of its key without a value; where records are
    envelopes, one that says so stands before it.

    Exactly once: a batch is a transaction, and in the same transaction a consumer group of the sink's own commits the
    batch's id. A batch that is written again finds its id there and leaves the topic alone; so does a process that was
    replaced, which the transactional id shuts out. Kafka forgets such an id after `offsets.retention.minutes` (a week):
    a job that was killed in the middle of a batch and is started later than that writes the batch again.

    At least once: a batch that is written again is there twice.
    """

    def __init__(
        self,
        name: str,
        access: Access,
        topic: str,
        key: Sequence[str],
        value: Sequence[str],
        format_: str,
        delivery: Delivery,
        caller: Caller,
        moves: Callable[[], None],
        avro: AvroValues | None = None,
        envelope: bool = False,
    ) -> None:
        self.delivery = delivery
        self._who = f'sink "{name}"'
        self._name = name
        self._access = access
        self._topic = topic
        self._key = tuple(key)
        self._value = tuple(value)
        self._format = format_
        self._caller = caller
        self._moves = moves
        self._avro = avro
        self._envelope = envelope
        self._producer: TransactionalProducer | PlainProducer | None = None

    @classmethod
    def from_manifest(cls, sink: SinkSpec, name: str, schema: pa.Schema | None, context: SinkContext) -> "KafkaSink":
        """The sink that a manifest describes."""
        config = sink.config
        access = Access.from_manifest(config, context.connections.secrets)
        exactly = config.delivery == "exactlyOnce"
        return cls(
            name,
            access,
            config.topic,
            config.key,
            config.value,
            str(sink.format),
            Delivery.EXACTLY_ONCE if exactly else Delivery.AT_LEAST_ONCE,
            context.patience(f'sink "{name}" (Kafka at {access.servers})'),
            context.moves,
            AvroValues.from_manifest(config, name, schema, context) if sink.format == "avro" else None,
            config.envelope,
        )

    def check(self) -> str:
        """See `Sink`: asks for the topic, and whether its registry takes the schema."""
        found = self._find_topic()
        return f"{found}; {self._avro.check()}" if self._avro is not None else found

    def _find_topic(self) -> str:
        cluster = Cluster(self._access, self._who)
        try:
            found = cluster.topics([self._topic])
        finally:
            cluster.close()
        if self._topic not in found:
            raise JobError(
                f"{self._who}: there is no topic {self._topic} in Kafka. Create it, or correct its name; a user who "
                "may not describe a topic does not see it either."
            )
        count = len(found[self._topic].partitions)
        return f"{self._topic}: {count} partition{'' if count == 1 else 's'}"

    def open(self, writer: Writer) -> None:
        """See `Sink`. Waits until Kafka answers."""
        self._caller.call(self._find_topic)
        if self._avro is not None:
            self._avro.open()
        way = Way(self._who, self._access, self._topic, SystemClock(), self._moves)
        if self.delivery is Delivery.EXACTLY_ONCE:
            self._producer = TransactionalProducer(way, self._name, writer)
        else:
            self._producer = PlainProducer(way)
        self._caller.call(self._producer.open)

    def write(self, batch: SinkBatch) -> None:
        """See `Sink`. Waits until Kafka takes the batch."""
        producer = self._producer
        assert producer is not None
        if not batch.count:
            return

        def attempt() -> None:
            try:
                producer.write(batch.batch_id, self._records(batch), batch.again)
            except StreamJobError:
                # Whoever was replaced must not begin again: it would shut out its replacement, if only for a moment.
                batch.writer.check_still_writer()
                raise

        self._caller.call(attempt)

    def close(self) -> None:
        """See `Sink`."""
        if self._producer is not None:
            with suppress(KafkaException):
                self._producer.close()
        if self._avro is not None:
            self._avro.close()

    def _records(self, batch: SinkBatch) -> Iterator[list[Record]]:
        if batch.deleted is not None:
            for start in range(0, batch.deleted.num_rows, _CHUNK):
                yield list(self._deletions(batch.deleted.slice(start, _CHUNK)))
        for start in range(0, batch.rows.num_rows, _CHUNK):
            rows = batch.rows.slice(start, _CHUNK)
            values = self._values(rows)
            if not self._key:
                yield [{"value": value} for value in values]
            else:
                yield [{"value": v, "key": k} for v, k in zip(values, self._keys(rows), strict=True)]

    def _deletions(self, rows: pa.Table) -> Iterator[Record]:
        keys = self._keys(rows) if self._key else [None] * rows.num_rows
        if not self._envelope:
            yield from ({"value": None, "key": key} for key in keys)
            return
        for key, row in zip(keys, json_messages(self._picked(rows)), strict=True):
            said = {"value": b'{"op":"d","before":%b,"after":null}' % (row or b"null")}
            if not self._key:
                yield said
            else:
                # Without the tombstone a compacted topic would keep what is said of the deletion.
                yield from ({**said, "key": key}, {"value": None, "key": key})

    def _keys(self, rows: pa.Table) -> list[bytes | None]:
        if len(self._key) == 1:
            return column_messages(rows.column(_place(rows, self._key[0])))
        return json_messages(_picked(rows, self._key))

    def _values(self, rows: pa.Table) -> Sequence[bytes | None]:
        if self._avro is not None:
            return self._avro.encode(rows)
        rows = self._picked(rows)
        if self._envelope:
            return [b'{"op":"c","before":null,"after":%b}' % (row or b"null") for row in json_messages(rows)]
        return json_messages(rows) if self._format == "json" else column_messages(rows.column(0))

    def _picked(self, rows: pa.Table) -> pa.Table:
        return _picked(rows, self._value) if self._value else rows


def _picked(rows: pa.Table, names: Sequence[str]) -> pa.Table:
    return rows.select([_place(rows, name) for name in names])


def _place(rows: pa.Table, name: str) -> int:
    """Where the column stands; SQL's names ignore case, and the planner has seen to it that it is there."""
    return [column.lower() for column in rows.column_names].index(name.lower())
