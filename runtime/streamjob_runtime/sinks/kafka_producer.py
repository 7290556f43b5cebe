"""Producers of Kafka that bring a batch to a topic as a whole, or say why not and begin anew."""

import json
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from streamjob_runtime.clock import Clock
from streamjob_runtime.errors import Fenced, JobError, StreamJobError, Unavailable
from streamjob_runtime.kafka.access import ANSWER_S, Access
from streamjob_runtime.kafka.errors import Listener, is_fenced, kafka_error, translated
from streamjob_runtime.sinks.base import Writer

Record = dict[str, Any]  # value and key, as `Producer.produce_batch` takes them

# A transaction that is open for so long is given up by Kafka, which allows a quarter of an hour unless it is told else.
TRANSACTION_S = 600.0
_END_S = 60.0  # how long the end of a batch may take: well above what a server needs to come back
T = TypeVar("T")

_WAITING = 200_000  # records that may be on their way
_SLICE_S = 0.1  # of the wait for a call that may hang
_LOST_S = 1.0  # how long an answer may still come when the connection was lost

# What is said of an offset while a transaction that changes it is under way.
_UNSTABLE = {KafkaError._TIMED_OUT, KafkaError.UNSTABLE_OFFSET_COMMIT}

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
    "delivery.report.only.error": True,
}


def within(seconds: float, call: Callable[[], T], is_lost: Callable[[], bool]) -> T:
    """Make a call that may hang for ever: then raise `KafkaException` in time, and leave it to itself.

    librdkafka 2.16 forgets the timeout of `send_offsets_to_transaction` when the group's server is lost meanwhile (its
    issues 5456 and 5511). What is left so can end no transaction, and the next producer of the same id shuts it out.
    `is_lost`: whether the connection was lost, so that there is little to wait for.
    """
    results: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, name="kafka", daemon=True)
    thread.start()
    left = seconds + 1
    thread.join(_SLICE_S)
    while left > 0 and thread.is_alive():
        left = min(left, _LOST_S) if is_lost() else left
        left -= _SLICE_S
        thread.join(_SLICE_S)
    if thread.is_alive():
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
    if raised:
        raise raised[0]
    return results[0]


class PlainProducer:
    """Without transactions: a batch that broke off is written again as a whole."""

    def __init__(self, who: str, access: Access, topic: str) -> None:
        self._who = who
        self._access = access
        self._topic = topic
        self._listener = Listener()
        self._failed: list[KafkaError] = []
        self._producer: Producer | None = None

    def open(self) -> None:
        """Nothing is asked of Kafka before the first batch."""

    def write(self, batch_id: int, chunks: Iterable[list[Record]]) -> None:
        """Write the batch; durable on return."""
        try:
            if self._producer is None:
                self._producer = self._make({})
            self._produce(self._producer, chunks)
            left = self._producer.flush(_END_S)
            if left:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
            self._raise_failed()
        except KafkaException as error:
            raise self._given_up(error) from None
        self._listener.answered()

    def close(self) -> None:
        """Let go of the connections."""
        if self._producer is not None:
            self._producer.close()
            self._producer = None

    def _make(self, more: dict[str, Any]) -> Producer:
        self._failed = []
        settings: dict[str, Any] = {**self._access.settings, **_TUNED, **more, "error_cb": self._listener.hear}
        return Producer(settings)

    def _produce(self, producer: Producer, chunks: Iterable[list[Record]]) -> None:
        for chunk in chunks:
            while len(producer) > _WAITING:
                before = len(producer)
                producer.poll(ANSWER_S)
                self._raise_failed()
                if len(producer) >= before:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
            if producer.produce_batch(self._topic, chunk, on_delivery=self._delivered) != len(chunk):
                # Some are queued and some are not: what order they would come in is no longer known.
                raise KafkaException(next(record["_error"] for record in chunk if "_error" in record))
            producer.poll(0)
            self._raise_failed()

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed.append(error)

    def _raise_failed(self) -> None:
        if self._failed:
            raise KafkaException(self._failed[0])

    def _given_up(self, exception: KafkaException) -> StreamJobError:
        """The error in our words; the producer and all that it holds are gone, and the next call makes another."""
        error = self._failed[0] if self._failed else self._listener.worst(kafka_error(exception))
        if self._producer is not None:
            with suppress(KafkaException):
                self._producer.purge(blocking=False)
            self._producer = None
        return translated(error, self._who, self._access.servers)


class TransactionalProducer(PlainProducer):
    """A transaction a batch, in which a group of the sink's own commits how far it is.

    The group's offset for the topic's first partition is the number of the next batch, and its metadata the epoch of
    the process that wrote it. Each start writes its epoch there before anything else, so that of two processes each
    knows whether it is the one that was replaced, whichever of them Kafka has shut out last.
    """

    def __init__(self, who: str, access: Access, topic: str, sink: str, writer: Writer, clock: Clock) -> None:
        super().__init__(who, access, topic)
        self._writer = writer
        self._clock = clock
        self._id = f"streamjob-{writer.job_id}-{sink}"
        self._group: Consumer | None = None
        self._next = 0  # the first batch that is not in the topic

    def open(self) -> None:
        """Shut out whoever wrote before, and see what it has written. Raises `Fenced` if that one is newer."""
        try:
            self._open()
        except KafkaException as error:
            raise self._given_up(error) from None

    def write(self, batch_id: int, chunks: Iterable[list[Record]]) -> None:
        """Write the batch unless it is there; durable on return."""
        began: float | None = None
        try:
            if self._producer is not None and self._is_lost(self._producer):
                # It may hang at the end of its next transaction. Whoever was replaced must not begin again: it would
                # shut out its replacement, if only for a moment.
                self._writer.check_still_writer()
                self._producer = None
            producer = self._producer or self._open()
            if batch_id < self._next:
                return
            began = self._clock.monotonic()
            producer.begin_transaction()
            self._produce(producer, chunks)
            self._mark(producer, batch_id + 1)
            producer.commit_transaction(_END_S)
        except KafkaException as error:
            raise self._broken_off(error, began) from None
        except StreamJobError:  # of the records
            if began is not None:
                _abort(producer)
            raise
        self._next = batch_id + 1
        self._listener.answered()

    def close(self) -> None:
        """See `PlainProducer`."""
        super().close()
        if self._group is not None:
            self._group.close()
            self._group = None

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
        self._group = self._make_group()  # of the one before, a call may hang
        producer.init_transactions(_END_S)
        self._listener.answered()
        self._next, epoch = self._marked(producer, self._group)
        if epoch > self._writer.epoch:
            raise Fenced(f"{self._who}: another process runs the job now: epoch {epoch}, after {self._writer.epoch}")
        if epoch < self._writer.epoch:
            producer.begin_transaction()
            self._mark(producer, self._next)
            producer.commit_transaction(_END_S)
        self._listener.answered()
        return producer

    def _is_lost(self, producer: Producer) -> bool:
        """Whether the connection to a server was lost since the last answer."""
        producer.poll(0)
        return self._listener.heard

    def _mark(self, producer: Producer, next_batch: int) -> None:
        assert self._group is not None
        metadata = json.dumps({"epoch": self._writer.epoch})
        marker = TopicPartition(self._topic, 0, next_batch, metadata)
        group = self._group.consumer_group_metadata()
        call = partial(producer.send_offsets_to_transaction, [marker], group, ANSWER_S)
        within(ANSWER_S, call, lambda: self._is_lost(producer))

    def _marked(self, producer: Producer, group: Consumer) -> tuple[int, int]:
        """The first batch that is not in the topic, and the epoch of who wrote that."""
        call = partial(group.committed, [TopicPartition(self._topic, 0)], timeout=ANSWER_S)
        try:
            (found,) = within(ANSWER_S, call, lambda: self._is_lost(producer))
            if found.error is not None:
                raise KafkaException(found.error)
        except KafkaException as error:
            self._group = None  # what may still run in it is left to itself
            if kafka_error(error).code() in _UNSTABLE and not self._is_lost(producer):
                raise self._held() from None
            raise
        if found.offset < 0:
            return 0, 0
        return found.offset, int(json.loads(found.metadata or "{}").get("epoch", 0))

    def _held(self) -> StreamJobError:
        """Kafka answers us, and does not say what the group has committed."""
        self._producer = None
        return Unavailable(
            f"{self._who}: Kafka at {self._access.servers} does not say how far the consumer group {self._id} is: a "
            "transaction that has not ended holds its offset. If this lasts, Kafka has lost the end of that: find it "
            "with kafka-transactions.sh find-hanging, and end it with kafka-transactions.sh abort"
        )

    def _make_group(self) -> Consumer:
        settings: dict[str, Any] = {**self._access.settings, "group.id": self._id, "enable.auto.commit": False}
        # Reading what is committed waits for transactions that are about to be.
        return Consumer({**settings, "isolation.level": "read_committed"})


def _abort(producer: Producer) -> None:
    """Nobody comes back to end the transaction, and readers of committed records would wait for its end."""
    with suppress(KafkaException):
        producer.abort_transaction(ANSWER_S)
