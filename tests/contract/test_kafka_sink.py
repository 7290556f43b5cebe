"""What the Kafka sink promises: each batch once for readers of committed records, whoever was killed in between."""

import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka import Consumer, TopicPartition

from streamjob_api.sinks import Sink as SinkModel
from streamjob_runtime.clock import SystemClock
from streamjob_runtime.connectors.kafka import marker as kafka_marker
from streamjob_runtime.connectors.kafka import producer as kafka_producer
from streamjob_runtime.connectors.kafka.sink import KafkaSink
from streamjob_runtime.connectors.sink import Delivery, SinkBatch, Writer
from streamjob_runtime.connectors.sink_context import SinkContext
from streamjob_runtime.errors import Fenced, JobError
from streamjob_runtime.patience import Caller, Impatient, Trouble
from streamjob_runtime.stores.connections import Connections, Secrets
from support.installed import require
from support.kafka import KafkaServer
from support.sources import patient, wait_until

ROWS: list[dict[str, Any]] = [{"word": "a", "n": 1}, {"word": "b", "n": 2}, {"word": None, "n": 3}]
WORDS: pa.Schema = pa.table({"word": pa.array([], pa.string()), "n": pa.array([], pa.int64())}).schema
SLOWLY = 10_000  # records that take some seconds, with SLOW
SAID = [b'{"word":"a","n":1}', b'{"word":"b","n":2}', b'{"word":null,"n":3}']

Open = Callable[..., KafkaSink]

by_delivery = pytest.mark.parametrize("delivery", ["exactlyOnce", "atLeastOnce"])


def made(server: KafkaServer, topic: str, caller: Caller | None = None, **config: Any) -> KafkaSink:
    format_ = config.pop("format", "json")
    moves = config.pop("moves", lambda: None)
    kafka = {"bootstrapServers": server.servers, "topic": topic, **config}
    model = SinkModel.model_validate({"from": "words", "kafka": kafka, "format": format_})
    context: Any = SinkContext(
        Connections(None, Secrets(None, {})),
        None,  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        patience=lambda what: caller or Impatient(),
        moves=moves,
    )
    return KafkaSink.from_manifest(model, "words.kafka", None, context)


def batch(
    batch_id: int,
    newest: list[int] | None = None,
    epoch: int = 1,
    rows: pa.Table | None = None,
    again: bool = False,
    deleted: pa.Table | None = None,
) -> SinkBatch:
    """`newest`: holds the epoch of the newest process."""

    def check() -> None:
        if newest and epoch < newest[0]:
            raise Fenced("another process runs the job")

    table = pa.Table.from_pylist(ROWS, schema=WORDS) if rows is None else rows
    return SinkBatch(batch_id, 1_700_000_000_000, table, "append", Writer("job", epoch, check), again, deleted)


@pytest.fixture
def open_sink(kafka: KafkaServer) -> Iterator[Open]:
    """Opens a sink as a start of the runtime does; the job's id is the topic's name, so that each test has its own."""
    opened: list[KafkaSink] = []

    def open_(topic: str, epoch: int = 1, newest: list[int] | None = None, **config: Any) -> KafkaSink:
        sink = made(kafka, topic, patient(), **config)
        sink.open(Writer(topic, epoch, batch(0, newest, epoch).writer.check_still_writer))
        opened.append(sink)
        return sink

    yield open_
    for sink in opened:
        sink.close()


def test_each_batch_is_there_once_over_restarts_and_retries(kafka: KafkaServer, open_sink: Open) -> None:
    topic = kafka.create_topic()
    first = open_sink(topic)
    assert first.delivery is Delivery.EXACTLY_ONCE
    first.write(batch(0))
    first.write(batch(0))
    first.write(batch(2))
    second = open_sink(topic, epoch=2)
    second.write(batch(2, epoch=2, again=True))
    second.write(batch(3, epoch=2))
    assert kafka.values(topic) == SAID * 3


def test_a_batch_that_broke_off_is_written_as_a_whole(kafka: KafkaServer, open_sink: Open) -> None:
    topic = kafka.create_topic()
    sink = open_sink(topic)
    sink.write(batch(0))
    # As a process leaves it that is killed in the middle of a batch.
    broken = kafka.transactional(f"streamjob-{topic}-words.kafka")
    broken.begin_transaction()
    broken.produce(topic, b"half of a batch")
    broken.flush(30)
    open_sink(topic, epoch=2).write(batch(1, epoch=2))
    assert kafka.values(topic) == SAID * 2


def test_a_process_that_wakes_after_its_replacement_writes_nothing(kafka: KafkaServer, open_sink: Open) -> None:
    topic, newest = kafka.create_topic(), [1]
    old = open_sink(topic)
    old.write(batch(0, newest))
    new, newest[0] = open_sink(topic, epoch=2), 2
    with pytest.raises(Fenced):
        old.write(batch(1, newest))
    new.write(batch(1, newest, epoch=2))
    assert kafka.values(topic) == SAID * 2


def test_a_process_that_opens_after_its_replacement_knows_it(kafka: KafkaServer, open_sink: Open) -> None:
    topic = kafka.create_topic()
    new = open_sink(topic, epoch=2)
    with pytest.raises(Fenced):
        open_sink(topic, epoch=1, newest=[2])
    new.write(batch(0, epoch=2))  # shut out by that for a moment, it comes back
    new.write(batch(1, epoch=2))
    assert kafka.values(topic) == SAID * 2


@pytest.mark.parametrize("again", [False, True])
def test_a_job_whose_log_was_put_back_is_refused(kafka: KafkaServer, open_sink: Open, again: bool) -> None:
    topic = kafka.create_topic()
    first = open_sink(topic)
    for batch_id in range(3):
        first.write(batch(batch_id))
    second = open_sink(topic, epoch=2)
    with pytest.raises(JobError, match=rf"{topic} has later batches than the job, .* older copy.*names batch 2, start"):
        second.write(batch(1, epoch=2, again=again))
    # One whose log names no start that had begun with the batch has not written it, whatever the marker says.
    with pytest.raises(JobError, match="has later batches than the job"):
        second.write(batch(2, epoch=2))
    with pytest.raises(JobError, match=r"a later start .* the log knows nothing of it.*names batch 2, start 2"):
        open_sink(topic, epoch=1)
    assert kafka.values(topic) == SAID * 3
    open_sink(topic, epoch=3).write(batch(3, epoch=3))
    assert kafka.values(topic) == SAID * 4


def test_an_offset_that_somebody_else_has_set_is_refused(kafka: KafkaServer, open_sink: Open) -> None:
    topic = kafka.create_topic()
    open_sink(topic).write(batch(0))
    group = f"streamjob-{topic}-words.kafka"
    kafka.commit(group, topic, 7)  # as kafka-consumer-groups.sh --reset-offsets does
    with pytest.raises(JobError, match=rf"{group} stands at offset 7 .*--delete-offsets --group {group} --topic"):
        open_sink(topic, epoch=2)
    kafka.forget(group)
    open_sink(topic, epoch=3).write(batch(1, epoch=3))
    assert kafka.values(topic) == SAID * 2


@pytest.mark.parametrize("known", [True, False], ids=["older", "forgotten"])
def test_a_marker_that_changes_while_the_job_runs(kafka: KafkaServer, open_sink: Open, known: bool) -> None:
    topic = kafka.create_topic()
    group = f"streamjob-{topic}-words.kafka"
    sink = open_sink(topic)
    for batch_id in range(3):
        sink.write(batch(batch_id))
    if known:
        kafka.commit(group, topic, 2, '{"epoch": 1}')  # as a cluster has it that lagged behind
    else:
        kafka.forget(group)  # as Kafka does after a week without a batch
    kafka.transactional(group)  # makes the sink ask again
    if known:
        with pytest.raises(JobError, match=rf"has lost batches that .* to the topic {topic}.*names batch 1, start 1"):
            sink.write(batch(3))
        return
    sink.write(batch(3))
    assert kafka.values(topic) == SAID * 4
    with pytest.raises(JobError, match="has later batches than the job"):
        open_sink(topic, epoch=2).write(batch(2, epoch=2, again=True))


def test_a_transaction_that_holds_the_group_is_told_of_while_it_is_waited_for(
    kafka: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_marker, "ANSWER_S", 2.0)
    topic = kafka.create_topic()
    group = f"streamjob-{topic}-words.kafka"
    # As a broker leaves it that has lost the end of the transaction.
    other = kafka.transactional(f"{topic}-other")
    other.begin_transaction()
    consumer = Consumer({"bootstrap.servers": kafka.servers, "group.id": group})
    other.send_offsets_to_transaction([TopicPartition(topic, 0, 7)], consumer.consumer_group_metadata(), 30)
    consumer.close()
    assert not kafka.settle(0)
    troubles: list[str] = []

    def heard(trouble: Trouble | None) -> None:
        if trouble is not None and not troubles:
            troubles.append(trouble.error)
            other.abort_transaction(30)

    sink = made(kafka, topic, patient(heard))
    sink.open(Writer(topic, 1, lambda: None))
    sink.write(batch(0))
    sink.close()
    assert kafka.values(topic) == SAID
    assert f"does not say how far the consumer group {group} is: a transaction that has not ended holds" in troubles[0]
    assert "kafka-transactions.sh find-hanging" in troubles[0]


def test_at_least_once_is_without_transactions(kafka: KafkaServer, open_sink: Open) -> None:
    topic = kafka.create_topic()
    sink = open_sink(topic, delivery="atLeastOnce")
    assert sink.delivery is Delivery.AT_LEAST_ONCE
    sink.write(batch(0))
    open_sink(topic, epoch=2, delivery="atLeastOnce").write(batch(0, epoch=2))
    assert kafka.values(topic) == SAID * 2
    assert [m.offset() for m in kafka.read(topic)] == list(range(6))  # and no marks of transactions between them


def test_a_batch_without_rows_leaves_no_trace(kafka: KafkaServer, open_sink: Open) -> None:
    topic = kafka.create_topic()
    sink = open_sink(topic)
    sink.write(batch(0, rows=WORDS.empty_table()))
    sink.write(batch(1))
    assert kafka.values(topic) == SAID


def test_keys_and_values_are_what_the_manifest_names(kafka: KafkaServer, open_sink: Open) -> None:
    def written(**config: Any) -> list[tuple[Any, Any]]:
        topic = kafka.create_topic()
        rows = pa.table({"word": ["a", None], "n": [1, 2], "raw": [b"\xff", None]})
        open_sink(topic, **config).write(batch(0, rows=rows))
        return [(m.key(), m.value()) for m in kafka.read(topic)]

    assert written(key=["WORD"], value=["n"]) == [(b"a", b'{"n":1}'), (None, b'{"n":2}')]
    assert written(key=["word", "n"], value=["word"], format="text") == [
        (b'{"word":"a","n":1}', b"a"),
        (b'{"word":null,"n":2}', None),
    ]
    assert written(key=["n"], value=["raw"], format="raw") == [(b"1", b"\xff"), (b"2", None)]
    assert written(key=["raw"], value=["n"], format="text") == [(b"\xff", b"1"), (None, b"2")]


@pytest.mark.parametrize("format_", ["json", "text"])
@by_delivery
def test_what_is_no_longer_in_the_result_is_a_tombstone(
    kafka: KafkaServer, open_sink: Open, delivery: str, format_: str
) -> None:
    topic = kafka.create_topic(2)
    sink = open_sink(topic, key=["word"], value=["n"], format=format_, delivery=delivery)
    rows = pa.Table.from_pylist(ROWS, schema=WORDS)
    sink.write(batch(0, rows=rows.slice(0, 2), deleted=rows.slice(0, 0)))
    sink.write(batch(1, rows=rows.slice(0, 0), deleted=rows.slice(0, 1)))
    sink.write(batch(2, rows=rows.slice(0, 1), deleted=rows.slice(1, 1)))
    one, two = (b'{"n":1}', b'{"n":2}') if format_ == "json" else (b"1", b"2")
    found: dict[Any, list[Any]] = {}
    for record in kafka.read(topic):
        found.setdefault(record.key(), []).append(record.value())
    assert found == {b"a": [one, None, one], b"b": [two, None]}


@pytest.mark.parametrize("key", [["word"], []])
def test_an_envelope_says_what_became_of_a_row(kafka: KafkaServer, open_sink: Open, key: list[str]) -> None:
    topic = kafka.create_topic()
    sink = open_sink(topic, key=key, envelope=True)
    rows = pa.Table.from_pylist(ROWS, schema=WORDS)
    sink.write(batch(0, rows=rows.slice(0, 1), deleted=rows.slice(0, 0)))
    sink.write(batch(1, rows=rows.slice(1, 1), deleted=rows.slice(0, 1)))
    there = b'{"op":"c","before":null,"after":%b}'
    gone: list[bytes | None] = [b'{"op":"d","before":%b,"after":null}' % SAID[0], *([None] if key else [])]
    assert kafka.values(topic) == [there % SAID[0], *gone, there % SAID[1]]
    assert [m.key() for m in kafka.read(topic)] == ([b"a", b"a", b"a", b"b"] if key else [None] * 3)


def test_rows_of_one_key_keep_their_order_and_their_partition(kafka: KafkaServer, open_sink: Open) -> None:
    topic = kafka.create_topic(3)
    sink = open_sink(topic, key=["word"], value=["n"], format="text")
    for batch_id in range(2):
        numbers = [batch_id * 1000 + i for i in range(1000)]
        sink.write(batch(batch_id, rows=pa.table({"word": [f"{i % 7}" for i in numbers], "n": numbers})))
    records = kafka.read(topic)
    assert len(records) == 2000
    for key in {m.key() for m in records}:
        mine = [m for m in records if m.key() == key]
        assert len({m.partition() for m in mine}) == 1
        values = [int(m.value() or b"") for m in mine]
        assert values == sorted(values)


def test_what_is_wrong_is_said_at_the_start(kafka: KafkaServer) -> None:
    sink = made(kafka, "nowhere")
    for refuse in (sink.check, lambda: sink.open(Writer("j", 1, lambda: None))):
        with pytest.raises(JobError, match=r'sink "words.kafka": there is no topic nowhere in Kafka. Create it'):
            refuse()
    topic = kafka.create_topic(2)
    assert made(kafka, topic).check() == f"{topic}: 2 partitions"
    assert kafka.values(topic) == []


def test_a_topic_that_was_deleted_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("kafka")
    # So long a topic that is not known may be a new one of which not all servers know.
    monkeypatch.setitem(kafka_producer._TUNED, "topic.metadata.propagation.max.ms", 500)
    monkeypatch.setattr(kafka_marker, "ANSWER_S", 2.0)  # so long the group's server looks for it
    server = KafkaServer(tmp_path / "kafka", creates=True)
    server.start()
    try:
        for delivery in ("exactlyOnce", "atLeastOnce"):
            topic = server.create_topic()
            sink = made(server, topic, patient(), delivery=delivery)
            sink.open(Writer(topic, 1, lambda: None))
            sink.write(batch(0))
            server.delete_topic(topic)
            with pytest.raises(JobError, match=r"has no such topic or partition .*Create it"):
                sink.write(batch(1))
            sink.close()
            with pytest.raises(JobError, match=f"there is no topic {topic} in Kafka"):
                made(server, topic).check()
    finally:
        server.kill()


def test_a_record_that_is_too_large_is_the_jobs_fault_and_leaves_nothing(kafka: KafkaServer, open_sink: Open) -> None:
    topic = kafka.create_topic(max_message_bytes="10000")
    large = pa.table({"word": ["small", secrets.token_hex(20_000), "small"]})
    with pytest.raises(JobError, match=r"takes no record as large.*Raise the topic's max\.message\.bytes"):
        open_sink(topic).write(batch(0, rows=large))
    assert kafka.values(topic) == []
    kafka.produce(topic, [b"behind"])
    assert kafka.values(topic) == [b"behind"]  # no transaction is open that readers would have to wait for


@by_delivery
def test_records_that_are_small_are_not_too_large_together(kafka: KafkaServer, open_sink: Open, delivery: str) -> None:
    topic = kafka.create_topic(max_message_bytes="10000")
    sink = open_sink(topic, delivery=delivery, format="text")
    words = [secrets.token_hex(100) for _ in range(2000)]
    sink.write(batch(0, rows=pa.table({"word": words})))
    assert set(kafka.values(topic)) == {word.encode() for word in words}
    sink.write(batch(1, rows=pa.table({"word": words})))
    seen = kafka.values(topic)
    assert seen[-len(words) :] == [word.encode() for word in words]
    if delivery == "exactlyOnce":
        assert len(seen) == 2 * len(words)


@by_delivery
def test_a_compacted_topic_wants_keys(kafka: KafkaServer, open_sink: Open, delivery: str) -> None:
    topic = kafka.create_topic(cleanup_policy="compact")
    with pytest.raises(JobError, match=r"does not take a record of the batch.*If the topic is compacted.*set key"):
        open_sink(topic, delivery=delivery).write(batch(0))
    assert kafka.settle()
    open_sink(topic, epoch=2, delivery=delivery, key=["n"]).write(batch(0, epoch=2))
    assert kafka.values(topic) == SAID


def test_a_cluster_that_takes_no_transaction_as_long_says_so(
    kafka: KafkaServer, open_sink: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_producer, "TRANSACTION_S", 3600.0)
    with pytest.raises(JobError, match=r"takes no transaction .*Raise its transaction\.max\.timeout\.ms"):
        open_sink(kafka.create_topic())


def test_rows_that_make_no_record_leave_no_transaction_open(kafka: KafkaServer, open_sink: Open) -> None:
    topic = kafka.create_topic()
    sink = open_sink(topic)

    def broken(each: SinkBatch) -> Iterator[list[dict[str, Any]]]:
        yield [{"value": b"half of a batch"}]
        wait_until(lambda: len(kafka.read(topic, "read_uncommitted")) == 1)
        raise JobError("the value fits no schema")

    setattr(sink, "_records", broken)  # noqa: B010
    with pytest.raises(JobError, match="fits no schema"):
        sink.write(batch(0))
    assert kafka.settle()
    assert kafka.values(topic) == []


def test_a_batch_that_takes_longer_than_a_transaction_may_is_the_jobs_fault(
    kafka: KafkaServer, open_sink: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_producer, "TRANSACTION_S", 1.0)
    topic = kafka.create_topic()
    sink = open_sink(topic)

    def slow(each: SinkBatch) -> Iterator[list[dict[str, Any]]]:
        yield [{"value": b"half of a batch"}]
        wait_until(lambda: len(kafka.read(topic, "read_uncommitted")) == 1)
        assert kafka.settle()  # Kafka has given it up
        yield [{"value": b"the rest"}]

    setattr(sink, "_records", slow)  # noqa: B010
    with pytest.raises(JobError, match=r"was not written within 1 s, after .* a smaller maxRecordsPerBatch"):
        sink.write(batch(0))
    assert kafka.values(topic) == []


# A request a record, one after the other.
SLOW = {"batch.num.messages": 1, "max.in.flight.requests.per.connection": 1}


@by_delivery
def test_a_batch_that_arrives_slowly_is_waited_for(
    kafka: KafkaServer, monkeypatch: pytest.MonkeyPatch, delivery: str
) -> None:
    monkeypatch.setattr(kafka_producer, "_TUNED", kafka_producer._TUNED | SLOW)
    topic = kafka.create_topic()
    clock, moved = SystemClock(), list[float]()
    sink = made(kafka, topic, delivery=delivery, moves=lambda: moved.append(clock.monotonic()))
    sink.open(Writer(topic, 1, lambda: None))
    monkeypatch.setattr(kafka_producer, "_STALLED_S", 1.0)
    sink.write(batch(0, rows=pa.table({"n": range(SLOWLY)})))
    # Or it is too quick to prove anything: raise SLOWLY.
    assert moved[-1] - moved[0] > kafka_producer._STALLED_S
    sink.close()
    assert kafka.values(topic) == [b'{"n":%d}' % n for n in range(SLOWLY)]


def test_a_batch_whose_end_takes_longer_than_a_transaction_may_is_the_jobs_fault(
    kafka: KafkaServer, open_sink: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_producer, "_TUNED", kafka_producer._TUNED | SLOW)
    monkeypatch.setattr(kafka_producer, "TRANSACTION_S", 1.0)
    topic = kafka.create_topic()
    with pytest.raises(JobError, match=r"was not written within 1 s, after .* a smaller maxRecordsPerBatch"):
        open_sink(topic).write(batch(0, rows=pa.table({"n": range(SLOWLY)})))
    assert kafka.settle(topic=topic)
    assert kafka.values(topic) == []


@by_delivery
def test_a_batch_that_is_larger_than_the_queue_keeps_its_order(
    kafka: KafkaServer, monkeypatch: pytest.MonkeyPatch, delivery: str
) -> None:
    monkeypatch.setitem(kafka_producer._TUNED, "queue.buffering.max.kbytes", 256)
    topic = kafka.create_topic()
    sink = made(kafka, topic, delivery=delivery, format="text")
    sink.open(Writer(topic, 1, lambda: None))
    words = [f"{n:0500}" for n in range(5000)]
    sink.write(batch(0, rows=pa.table({"word": words})))
    sink.close()
    assert kafka.values(topic) == [word.encode() for word in words]


def test_a_broker_that_is_killed_in_the_middle_of_a_batch_has_it_once(own_kafka: KafkaServer) -> None:
    topic = own_kafka.create_topic(2)
    sink = made(own_kafka, topic, patient())
    sink.open(Writer("job", 1, lambda: None))
    sink.write(batch(0))
    assert own_kafka.settle()
    count = 60_000
    rows = pa.table({"word": [f"word number {i}" for i in range(count)], "n": range(count)})
    started, lost = threading.Event(), threading.Event()

    def lose_broker() -> None:
        started.wait(30)
        own_kafka.kill()
        lost.set()
        own_kafka.start()

    loss = threading.Thread(target=lose_broker)
    loss.start()
    records = sink._records

    def watched(each: SinkBatch) -> Iterator[list[dict[str, Any]]]:
        for i, chunk in enumerate(records(each)):
            yield chunk
            if i == 0:
                started.set()
                lost.wait(30)

    setattr(sink, "_records", watched)  # noqa: B010
    sink.write(batch(1, rows=rows))
    loss.join()
    sink.write(batch(2))
    sink.close()
    assert len(own_kafka.values(topic)) == count + 2 * len(ROWS)


def test_a_broker_that_was_away_between_batches_is_met_by_a_new_producer(own_kafka: KafkaServer) -> None:
    topic = own_kafka.create_topic()
    troubles: list[str] = []
    sink = made(own_kafka, topic, patient(lambda trouble: troubles.append(trouble.error if trouble else "")))
    sink.open(Writer("job", 1, lambda: None))
    sink.write(batch(0))
    assert own_kafka.settle()
    own_kafka.kill()
    own_kafka.start()
    troubles.clear()
    sink.write(batch(1))
    sink.close()
    assert own_kafka.values(topic) == SAID * 2
    # The old one would have hung at the end of its transaction, and then told of the connection that it had lost.
    assert not [said for said in troubles if said and "Broker: " not in said]
