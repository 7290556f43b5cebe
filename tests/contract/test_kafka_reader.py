"""What the reader keeps of what the client gives it, whatever comes between."""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka import KafkaError, Message

from streamjob_runtime.clock import Clock, ManualClock, SystemClock
from streamjob_runtime.connectors.kafka import reader as kafka_reader
from streamjob_runtime.connectors.kafka.access import Access
from streamjob_runtime.connectors.kafka.reader import Gone, KafkaReader
from streamjob_runtime.connectors.kafka.rows import KafkaRows
from streamjob_runtime.errors import Unavailable
from streamjob_runtime.formats.messages import TextMessages
from support.kafka import KafkaServer
from support.sources import TEXT


def make(servers: str, clock: Clock) -> KafkaReader:
    rows = KafkaRows("k", TextMessages(), (), TEXT)
    return KafkaReader(
        'Source "k"', Access(servers, lambda: {"bootstrap.servers": servers}), "group", True, rows, clock
    )


@pytest.fixture
def reader(kafka: KafkaServer) -> Iterator[KafkaReader]:
    made = make(kafka.servers, SystemClock())
    yield made
    made.close()


def values(reader: KafkaReader, partition: str, start: int, end: int, beside: dict[str, int]) -> list[Any]:
    return reader.read({partition: (start, end)}, beside).column("value").to_pylist()


def test_a_partition_that_rested_at_its_end_loses_nothing(
    kafka: KafkaServer, reader: KafkaReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = kafka.create_topic(2)
    busy, rests = f"{topic}/0", f"{topic}/1"
    kafka.produce(topic, [f"{i}".encode() for i in range(10)], partition=1)
    monkeypatch.setattr(kafka_reader, "_KEPT", 5)
    monkeypatch.setattr(kafka_reader, "ANSWER_S", 1.0)
    with pytest.raises(Unavailable):  # meanwhile the other one is read to its end, and put to rest
        values(reader, busy, 0, 99, {rests: 0})
    kafka.produce(topic, [b"10"], partition=1)
    kafka.produce(topic, [b"a"] * 99, partition=0)
    assert values(reader, busy, 0, 99, {rests: 0}) == ["a"] * 99
    assert values(reader, rests, 0, 11, {busy: 99}) == [f"{i}" for i in range(11)]


class Scripted:
    """A client that gives what the test says, in calls that a real one may divide so too, and then nothing."""

    def __init__(self, clock: ManualClock, calls: Callable[[int], list[Message]]) -> None:
        self.assigned: list[set[str]] = []
        self.paused: set[str] = set()
        self._clock = clock
        self._calls = calls
        self._count = 0

    def assign(self, partitions: list[Any]) -> None:
        self.assigned.append({f"{p.topic}/{p.partition}" for p in partitions})

    def consume(self, count: int, timeout: float) -> list[Message]:
        self._clock.advance(1)
        self._count += 1
        return self._calls(self._count)

    def pause(self, partitions: list[Any]) -> None:
        self.paused |= {f"{p.topic}/{p.partition}" for p in partitions}

    def unassign(self) -> None: ...

    def close(self) -> None: ...


def scripted(monkeypatch: pytest.MonkeyPatch, calls: Callable[[int], list[Message]]) -> tuple[KafkaReader, Scripted]:
    clock = ManualClock()
    client = Scripted(clock, calls)
    monkeypatch.setattr(kafka_reader, "Consumer", lambda settings: client)
    return make("nowhere:1", clock), client


def record(partition: int, offset: int, value: bytes | None = None) -> Message:
    return Message("t", partition, offset, b"", f"{offset}".encode() if value is None else value)


def test_what_came_together_with_the_news_that_records_are_gone_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Message("t", 1, 3, error=KafkaError(KafkaError._AUTO_OFFSET_RESET))
    once = {1: [record(0, 0), gone, record(0, 1), record(0, 2)], 2: [record(0, 3)]}
    reader, client = scripted(monkeypatch, lambda call: once.get(call, []))
    with pytest.raises(Gone, match="t/1"):
        values(reader, "t/0", 0, 4, {"t/1": 3})
    assert values(reader, "t/0", 0, 4, {}) == ["0", "1", "2", "3"]
    assert client.assigned == [{"t/0", "t/1"}, {"t/0"}]  # the client has stopped there: it is told anew what to fetch


def test_a_partition_that_gives_nothing_is_said_while_others_trickle(monkeypatch: pytest.MonkeyPatch) -> None:
    def trickle(call: int) -> list[Message]:
        assert call < 100, "it waits for ever"
        return [record(1, call)]

    reader, _ = scripted(monkeypatch, trickle)
    with pytest.raises(Unavailable):
        values(reader, "t/0", 0, 4, {"t/1": 1})


def test_large_records_are_made_rows_a_few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def decode(self: TextMessages, messages: list[bytes]) -> pa.Table:
        sizes.append(sum(map(len, messages)))
        return pa.table({"value": [message.decode() for message in messages]})

    monkeypatch.setattr(TextMessages, "decode", decode)
    monkeypatch.setattr(kafka_reader, "_CHUNK_BYTES", 10)
    lengths = [4, 4, 4, 30, 1, 9, 1]
    written = [[f"{partition}" * length for length in lengths] for partition in (0, 1)]
    given = [record(p, i, value.encode()) for p in (0, 1) for i, value in enumerate(written[p])]
    reader, _ = scripted(monkeypatch, lambda call: given if call == 1 else [])
    rows = reader.read({"t/0": (0, len(lengths)), "t/1": (0, len(lengths))}, {})
    assert rows.column("value").to_pylist() == written[0] + written[1]
    assert set(sizes) <= {30, *range(11)} and sum(sizes) == 2 * sum(lengths)


def test_large_records_that_nobody_asked_for_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_reader, "_KEPT_BYTES", 10)
    reader, client = scripted(monkeypatch, lambda call: [record(1, call, b"four")] if call < 4 else [])
    with pytest.raises(Unavailable):
        values(reader, "t/0", 0, 4, {"t/1": 1})
    assert client.paused == {"t/1"}
