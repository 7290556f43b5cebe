"""Which batch a topic has: what a consumer group of the sink commits in the transaction of the batch's records."""

import json
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from streamjob_runtime.connectors.kafka.access import ANSWER_S, Access
from streamjob_runtime.connectors.kafka.errors import kafka_error
from streamjob_runtime.connectors.shared.marker import Marker, Verdict
from streamjob_runtime.errors import JobError, Unavailable

T = TypeVar("T")

_SLICE_S = 0.1  # of the wait for a call that may hang
_LOST_S = 1.0  # how long an answer may still come when the connection was lost

# What is said of an offset while a transaction that changes it is under way.
_UNSTABLE = {KafkaError._TIMED_OUT, KafkaError.UNSTABLE_OFFSET_COMMIT}

WORDS = {
    Verdict.OVERTAKEN: "a later start of this job has written to the topic {topic}, and the log knows nothing of it, "
    "so that the log must be an older copy: bring back the newest one, or give the job a new checkpoint.location and "
    "an empty topic",
    Verdict.AHEAD: "the topic {topic} has later batches than the job, whose log must be an older copy: bring back the "
    "newest one, or give the job a new checkpoint.location and an empty topic",
    Verdict.SHARED: "another process with a copy of this job's log writes to the topic {topic} too: give each job a "
    "checkpoint.location of its own",
    Verdict.LOST: "Kafka has lost batches that it had committed to the topic {topic}, as after a failover to a cluster "
    "that lagged behind: bring the newest data back, or give the job a new checkpoint.location and an empty topic",
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
        raise raised.pop()  # its traceback must not lead back to it
    return results[0]


class GroupMarker:
    """The offset of a consumer group for the topic's first partition is the number of the next batch, and its metadata
    the epoch of the process that wrote it. Its calls raise `KafkaException` as well as our own errors.
    """

    def __init__(self, who: str, access: Access, topic: str, group: str) -> None:
        self._who = who
        self._access = access
        self._topic = topic
        self._name = group
        self._group: Consumer | None = None

    def open(self) -> None:
        """Make a client: in the one before, a call may hang."""
        settings: dict[str, Any] = {**self._access.settings, "group.id": self._name, "enable.auto.commit": False}
        # Reading what is committed waits for transactions that are about to be.
        self._group = Consumer({**settings, "isolation.level": "read_committed"})

    def close(self) -> None:
        """Let go of the connections."""
        if self._group is not None:
            self._group.close()
            self._group = None

    def read(self, is_lost: Callable[[], bool]) -> Marker | None:
        """What Kafka knows; its batch is -1 before the first one. Raises `JobError` if somebody else has set it."""
        assert self._group is not None
        call = partial(self._group.committed, [TopicPartition(self._topic, 0)], timeout=ANSWER_S)
        try:
            (found,) = within(ANSWER_S, call, is_lost)
            if found.error is not None:
                raise KafkaException(found.error)
        except KafkaException as error:
            self._group = None  # what may still run in it is left to itself
            if kafka_error(error).code() in _UNSTABLE and not is_lost():
                raise self._held() from None
            raise
        if found.offset < 0:
            return None
        epoch = _epoch_in(found.metadata)
        if epoch is None:
            raise self._foreign(found.offset)
        return Marker(found.offset - 1, epoch)

    def write(self, producer: Producer, marker: Marker, is_lost: Callable[[], bool]) -> None:
        """Let the producer's transaction set it."""
        assert self._group is not None
        offset = TopicPartition(self._topic, 0, marker.batch_id + 1, json.dumps({"epoch": marker.epoch}))
        group = self._group.consumer_group_metadata()
        within(ANSWER_S, partial(producer.send_offsets_to_transaction, [offset], group, ANSWER_S), is_lost)

    def refusal(self, verdict: Verdict, found: Marker | None) -> JobError:
        """Why a batch is not written."""
        said = f"names batch {found.batch_id}, start {found.epoch}" if found else "is gone"
        words = WORDS[verdict].format(topic=self._topic)
        return JobError(f"{self._who}: {words} (its marker, the consumer group {self._name}, {said})")

    def _held(self) -> Unavailable:
        """Kafka answers us, and does not say what the group has committed."""
        return Unavailable(
            f"{self._who}: Kafka at {self._access.servers} does not say how far the consumer group {self._name} is: a "
            "transaction that has not ended holds its offset. If this lasts, Kafka has lost the end of that: find it "
            "with kafka-transactions.sh find-hanging, and end it with kafka-transactions.sh abort"
        )

    def _foreign(self, offset: int) -> JobError:
        return JobError(
            f"{self._who}: the consumer group {self._name} stands at offset {offset} of the topic {self._topic}, and "
            "this job has not put it there, so that nobody knows which batches the topic has: kafka-consumer-groups.sh "
            "--reset-offsets does this. Delete the offset (kafka-consumer-groups.sh --delete-offsets --group "
            f"{self._name} --topic {self._topic}): the job then goes on, and writes a batch that was under way again."
        )


def _epoch_in(metadata: str | None) -> int | None:
    """The epoch that a marker of ours names."""
    try:
        said = json.loads(metadata or "")
    except ValueError:
        return None
    epoch = said.get("epoch") if isinstance(said, dict) else None
    return epoch if isinstance(epoch, int) else None
