"""What a cluster has: topics, their partitions, and the offsets at their ends."""

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent import futures
from dataclasses import dataclass
from typing import Any, TypeVar

from confluent_kafka import (
    OFFSET_INVALID,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from streamjob_runtime.connectors.kafka.access import ANSWER_S, Access
from streamjob_runtime.connectors.kafka.errors import Listener, is_missing, kafka_error, translated

T = TypeVar("T")

_SLICE_S = 0.1  # of the wait for an answer
_REFUSED_S = 1.0  # how long another server may still answer when one has refused us

_SPEC: Any = OffsetSpec  # the library has no types for it


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is now."""

    id: str  # another one when the topic was deleted and made again
    partitions: tuple[str, ...]  # "topic/0" …


class Cluster:
    """Asks a Kafka cluster. Raises `JobError` where it refuses us, and `Unavailable` where it does not answer."""

    def __init__(self, access: Access, who: str) -> None:
        self._access = access
        self._who = who
        self._listener = Listener()
        self._client: AdminClient | None = None

    def topic_names(self) -> list[str]:
        """Every topic that we may see."""
        return sorted(self._ask(lambda client: client.list_topics(timeout=ANSWER_S)).topics)

    def topics(self, names: Collection[str]) -> dict[str, Topic]:
        """Those of the topics that are there."""
        if not names:
            return {}
        asked = self._ask(lambda client: client.describe_topics(TopicCollection(list(names)), request_timeout=ANSWER_S))
        found = {}
        for name, future in asked.items():
            answer = self._answer(future, missing=None)
            if answer is not None:
                partitions = sorted(p.id for p in answer.partitions)
                found[name] = Topic(str(answer.topic_id), tuple(f"{name}/{p}" for p in partitions))
        return found

    def starts(self, partitions: Iterable[str]) -> dict[str, int]:
        """Partition -> the offset of its first record; partitions that are not there are left out."""
        return self._offsets(dict.fromkeys(partitions, _SPEC.earliest()))

    def ends(self, partitions: Iterable[str], committed: bool) -> dict[str, int]:
        """Partition -> the offset behind its last record; `committed`: before the first open transaction."""
        return self._offsets(dict.fromkeys(partitions, _SPEC.latest()), committed)

    def at(self, partitions: Iterable[str], time_ms: int) -> dict[str, int]:
        """Partition -> the first offset of that time or later; where there is none, the end."""
        partitions = list(partitions)
        found = self._offsets(dict.fromkeys(partitions, _SPEC.for_timestamp(time_ms)))
        there = {p: offset for p, offset in found.items() if offset >= 0}
        return there | self.ends([p for p in partitions if p not in there], committed=False)

    def close(self) -> None:
        """Let go of the connections."""
        self._client = None

    def _offsets(self, wanted: Mapping[str, Any], committed: bool = False) -> dict[str, int]:
        if not wanted:
            return {}
        level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
        specs = {as_partition(name): spec for name, spec in wanted.items()}
        asked = self._ask(lambda client: client.list_offsets(specs, isolation_level=level, request_timeout=ANSWER_S))
        answers = {f"{p.topic}/{p.partition}": self._answer(future, missing=None) for p, future in asked.items()}
        offsets = {name: int(answer.offset) for name, answer in answers.items() if answer is not None}
        if OFFSET_INVALID in offsets.values():
            # The library's way to say that a leader has not answered in time: no error, and no offset either.
            raise self._translated(KafkaException(KafkaError(KafkaError._TIMED_OUT)))
        return offsets

    def _ask(self, question: Callable[[AdminClient], T]) -> T:
        try:
            if self._client is None:
                settings: dict[str, Any] = {**self._access.settings, "error_cb": self._listener.hear}
                self._client = AdminClient(settings)
            return question(self._client)
        except KafkaException as error:
            raise self._translated(error) from None

    def _answer(self, future: Any, missing: Any) -> Any:
        """What the future brings; `missing` if the topic or the partition is not there."""
        try:
            self._wait(future)
            answer = future.result(0)
        except TimeoutError:
            raise self._translated(KafkaException(KafkaError(KafkaError._TIMED_OUT))) from None
        except KafkaException as error:
            if is_missing(kafka_error(error)):
                return missing
            raise self._translated(error) from None
        self._listener.answered()
        return answer

    def _wait(self, future: Any) -> None:
        """Wait for the answer; not long when a server has refused us, which the answer would only say much later."""
        left = ANSWER_S + 1
        while left > 0 and not futures.wait([future], _SLICE_S).done:
            left -= _SLICE_S
            if self._client is not None:
                self._client.poll(0)
            if self._listener.refused:
                left = min(left, _REFUSED_S)

    def _translated(self, error: KafkaException) -> Exception:
        if self._client is not None:
            self._client.poll(0)  # what the client has to say beside
            # It may go on asking by the leaders that it knew before a server was lost: another one asks afresh.
            self._client = None
        return translated(self._listener.worst(kafka_error(error)), self._who, self._access.servers)


def as_partition(name: str, offset: int = OFFSET_INVALID) -> TopicPartition:
    """`topic/partition` as the client library has it."""
    topic, _, partition = name.rpartition("/")
    return TopicPartition(topic, int(partition), offset)


def topic_of(name: str) -> str:
    """The topic of `topic/partition`."""
    return name.rpartition("/")[0]
