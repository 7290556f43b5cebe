"""Producers of Kafka that bring a batch to a topic as a whole, or say why not and begin anew."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streamjob_runtime.clock import Clock
from streamjob_runtime.connectors.kafka.access import ANSWER_S, Access
from streamjob_runtime.connectors.kafka.errors import Listener, is_fenced, kafka_error, translated
from streamjob_runtime.connectors.kafka.marker import GroupMarker
from streamjob_runtime.connectors.shared.marker import Marker, Verdict, judge
from streamjob_runtime.connectors.sink import Writer
from streamjob_runtime.errors import JobError, StreamJobError, Unavailable
from streamjob_runtime.patience import alive

Record = dict[str, Any]  # value and key, as `Producer.produce_batch` takes them

# A transaction that is open for so long is given up by Kafka, which allows a quarter of an hour unless it is told else.
TRANSACTION_S = 600.0
_STALLED_S = 60.0  # how long no record may arrive: well above what a server needs to come back

_WAITING = 200_000  # records that may be on their way
_SLICE_S = 0.1  # of the wait for them
_SET_BYTES = 1_000_000  # of records that go to a partition at once, before they are compressed

# Said of a set of records, of which the library does not know how large it may be.
_TOO_LARGE = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE}

_TUNED = {
    "enable.idempotence": True,
    "acks": "all",
    "linger.ms": 5,
    "compression.type": "lz4",
    # As Java's producers do, so that a key lies in the same partition whoever has written it.
    "partitioner": "murmur2_random",
    "queue.buffering.max.messages": 1_000_000,
    "queue.buffering.max.kbytes": 1 << 20,
    "message.max.bytes": 100_000_000,  # the topic decides what is too large
    "allow.auto.create.topics": False,  # one that was deleted would come back with other settings, and the rest gone
    "delivery.report.only.error": True,
}


@dataclass(frozen=True, slots=True)
class Way:
    """Where records go, and what goes with them."""

    who: str  # the sink, for messages
    access: Access
    topic: str
    clock: Clock
    moves: Callable[[], None]  # see `SinkContext`


class _Reports:
    """What has become of the records that one producer was given.

    It refers to nothing else: of a producer that is given up the library never lets go of it.
    """

    def __init__(self) -> None:
        self.failed: list[KafkaError] = []
        self.largest = 0  # bytes of the largest record in a set that was too large

    def hear(self, error: KafkaError | None, record: Message) -> None:
        """What the library calls for each record, in our thread."""
        if error is not None:
            self.failed.append(error)
            if error.code() in _TOO_LARGE:
                self.largest = max(self.largest, 1 + len(record.value() or b"") + len(record.key() or b""))


class PlainProducer:
    """Without transactions: a batch that broke off is written again as a whole."""

    def __init__(self, way: Way) -> None:
        self._who = way.who
        self._access = way.access
        self._topic = way.topic
        self._clock = way.clock
        self._moves = way.moves
        self._listener = Listener()
        self._reports = _Reports()
        self._set_bytes = _SET_BYTES  # smaller where the topic has refused a set of records
        self._producer: Producer | None = None

    def open(self) -> None:
        """Nothing is asked of Kafka before the first batch."""

    def write(self, batch_id: int, chunks: Iterable[list[Record]], again: bool) -> None:
        """Write the batch; durable on return. `again`: see `SinkBatch`."""
        try:
            if self._producer is None:
                # However long a record waits: that some arrive is seen to below.
                self._producer = self._make({"message.timeout.ms": 0})
            self._produce(self._producer, chunks)
            self._await(self._producer, 0)
        except KafkaException as error:
            raise self._given_up(error) from None
        self._listener.answered()

    def close(self) -> None:
        """Let go of the connections, and of what a batch that broke off has left."""
        if self._producer is not None:
            self._producer.purge(blocking=False)
            self._producer.close()
            self._producer = None

    def _make(self, more: dict[str, Any]) -> Producer:
        self._reports = _Reports()
        settings: dict[str, Any] = {**self._access.settings, **_TUNED, **more, "batch.size": self._set_bytes}
        return Producer({**settings, "error_cb": self._listener.hear})

    def _produce(self, producer: Producer, chunks: Iterable[list[Record]]) -> None:
        """Send the records on their way."""
        for chunk in chunks:
            self._await(producer, _WAITING)
            alive()  # no answer, but it is our own work that takes long: without answers it soon ends
            self._queue(producer, chunk)
            producer.poll(0)
            self._raise_failed()

    def _queue(self, producer: Producer, chunk: list[Record]) -> None:
        while (queued := producer.produce_batch(self._topic, chunk, on_delivery=self._reports.hear)) != len(chunk):
            error = next(record["_error"] for record in chunk if "_error" in record)
            if error.code() != KafkaError._QUEUE_FULL:
                # Some are queued and some are not: what order they would come in is no longer known.
                raise KafkaException(error)
            # Behind the first record that has no room the library takes none: the order stays.
            self._await(producer, len(producer) // 2)
            chunk = chunk[queued:]
            for record in chunk:
                del record["_error"]

    def _await(self, producer: Producer, most: int) -> None:
        """Wait until no more than `most` records are on their way: for ever, as long as some arrive."""
        since = self._clock.monotonic()
        while (waiting := len(producer)) > most:
            producer.flush(_SLICE_S)
            self._raise_failed()
            if len(producer) < waiting:
                since = self._clock.monotonic()
                self._moves()
                alive()
            elif self._clock.monotonic() - since >= _STALLED_S:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        self._raise_failed()

    def _raise_failed(self) -> None:
        if self._reports.failed:
            raise KafkaException(self._reports.failed[0])

    def _given_up(self, exception: KafkaException) -> StreamJobError:
        """The error in our words; the producer and all that it holds are gone, and the next call makes another."""
        # The library never lets go of an error of a producer that was shut out, nor of what its traceback leads to.
        exception.__traceback__ = None
        if self._producer is not None:
            with suppress(KafkaException):  # the same, where it is fatal
                self._producer.poll(0)  # what has become of the records meanwhile says more
        failed = self._reports.failed
        error = failed[0] if failed else self._listener.worst(kafka_error(exception))
        if self._producer is not None:
            with suppress(KafkaException):
                self._producer.purge(blocking=False)
            self._producer = None
        # A record that is larger than a set may be is one by itself, and to blame.
        if error.code() in _TOO_LARGE and 0 < self._reports.largest < self._set_bytes:
            refused, self._set_bytes = self._set_bytes, max(1, self._set_bytes // 4)
            return Unavailable(
                f"{self._who}: Kafka at {self._access.servers} does not take {refused:,} bytes of records at once "
                f"({error.str()}). They are sent again, by {self._set_bytes:,}"
            )
        return translated(error, self._who, self._access.servers)


class TransactionalProducer(PlainProducer):
    """A transaction a batch, in which a group of the sink's own commits how far it is.

    Each start writes its epoch into that marker before anything else, so that of two processes each knows whether it is
    the one that was replaced, whichever of them Kafka has shut out last.
    """

    def __init__(self, way: Way, sink: str, writer: Writer) -> None:
        super().__init__(way)
        self._writer = writer
        self._id = f"streamjob-{writer.job_id}-{sink}"
        self._marker = GroupMarker(way.who, way.access, way.topic, self._id)
        self._found: Marker | None = None  # what the marker says
        self._inherited: int | None = None  # the newest batch that an earlier start has written
        self._tried: int | None = None  # the newest batch that this process has tried to write
        self._last: int | None = None  # the newest batch that it knows to be written

    def open(self) -> None:
        """Shut out whoever wrote before, and see what it has written. Raises `Fenced` if that one is newer."""
        try:
            self._open()
        except KafkaException as error:
            raise self._given_up(error) from None

    def write(self, batch_id: int, chunks: Iterable[list[Record]], again: bool) -> None:
        """Write the batch unless it is there; durable on return."""
        began: float | None = None
        try:
            if self._producer is not None and self._is_lost():
                # It may hang at the end of its next transaction. Whoever was replaced must not begin again: it would
                # shut out its replacement, if only for a moment.
                self._writer.check_still_writer()
                self._producer = None
            producer = self._producer or self._open()
            if self._is_wanted(batch_id, again):
                self._tried = batch_id
                began = self._clock.monotonic()
                producer.begin_transaction()
                self._produce(producer, chunks)
                self._mark(producer, batch_id)
                self._await(producer, 0)
                producer.commit_transaction(_STALLED_S)
                self._found = Marker(batch_id, self._writer.epoch)
        except KafkaException as error:
            raise self._broken_off(error, began) from None
        except StreamJobError:  # of the records
            if began is not None:
                _abort(producer)
            raise
        self._last = batch_id
        self._listener.answered()

    def close(self) -> None:
        """See `PlainProducer`."""
        super().close()
        self._marker.close()

    def _broken_off(self, error: KafkaException, began: float | None) -> StreamJobError:
        """The error in our words. `began`: when the transaction did, if it did."""
        fenced, producer = is_fenced(kafka_error(error)), self._producer
        problem = self._given_up(error)
        if began is not None and self._clock.monotonic() - began >= TRANSACTION_S:
            # Kafka then shuts out who began it, as if another process had come. The next attempt would take as long.
            return JobError(
                f"{self._who}: the batch was not written within {TRANSACTION_S:g} s, after which Kafka gives up its "
                "transaction. Give the sources a smaller maxRecordsPerBatch."
            )
        if fenced:
            return Unavailable(f"{self._who}: another process has begun to write with {self._id}")
        if isinstance(problem, JobError) and producer is not None:
            _abort(producer)
        return problem

    def _open(self) -> Producer:
        settings = {"transactional.id": self._id, "transaction.timeout.ms": int(TRANSACTION_S * 1000)}
        producer = self._producer = self._make(settings)
        try:
            self._marker.open()
            producer.init_transactions(_STALLED_S)
            self._listener.answered()
            self._take_over(producer)
        except StreamJobError:
            self._producer = None  # the next call asks again
            raise
        self._listener.answered()
        return producer

    def _take_over(self, producer: Producer) -> None:
        found, epoch = self._marker.read(self._is_lost), self._writer.epoch
        if found is None and self._last is not None:
            # Kafka forgets what no batch has changed for a week, and with the topic. This process knows it.
            found = Marker(self._last, 0)
        if found is not None and found.epoch > epoch:
            raise self._refusal(Verdict.OVERTAKEN, found)
        if self._tried is None:
            self._inherited = found.batch_id if found else None
        self._found = found
        if found is None or found.epoch < epoch:
            producer.begin_transaction()
            self._mark(producer, found.batch_id if found else -1)
            producer.commit_transaction(_STALLED_S)

    def _is_wanted(self, batch_id: int, again: bool) -> bool:
        """Whether the batch is to be written. Raises `JobError` if the marker does not fit to it."""
        found, epoch, tried = self._found, self._writer.epoch, self._tried == batch_id
        if found is not None and found.batch_id == self._inherited and found.epoch == epoch:
            found = Marker(found.batch_id, epoch - 1)  # the epoch is of our own announcement
        verdict = judge(found, batch_id, epoch, tried, self._last)
        if verdict is Verdict.THERE and not tried and not again:
            verdict = Verdict.AHEAD  # written by an earlier start, and the log knows of none that had begun with it
        if verdict in (Verdict.WRITE, Verdict.THERE):
            return verdict is Verdict.WRITE
        raise self._refusal(verdict, found)

    def _refusal(self, verdict: Verdict, found: Marker | None) -> JobError:
        """Why the job must not write. Raises `Fenced` where it is that another process runs the job now."""
        self._writer.check_still_writer()
        return self._marker.refusal(verdict, found)

    def _is_lost(self) -> bool:
        """Whether the connection to a server was lost since the last answer."""
        if self._producer is not None:
            self._producer.poll(0)
        return self._listener.heard

    def _mark(self, producer: Producer, batch_id: int) -> None:
        self._marker.write(producer, Marker(batch_id, self._writer.epoch), self._is_lost)


def _abort(producer: Producer) -> None:
    """Nobody comes back to end the transaction, and readers of committed records would wait for its end."""
    with suppress(KafkaException):
        producer.abort_transaction(ANSWER_S)
