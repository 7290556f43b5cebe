"""What the Kafka source does with what Kafka does: transactions, compaction, retention, partitions that come and go."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from streamjob_runtime.clock import SystemClock
from streamjob_runtime.connectors.kafka.cluster import Cluster
from streamjob_runtime.connectors.kafka.source import GONE_LOOKS, LOOK_MS, MOST, KafkaSource
from streamjob_runtime.connectors.kafka.topics import Topics
from streamjob_runtime.connectors.source import OffsetRange, Source
from streamjob_runtime.errors import JobError, Unavailable
from support.installed import require
from support.kafka import KafkaServer
from support.sources import KafkaBench, wait_until

Make = Callable[..., "Job"]


class Job:
    """A source on its bench: its log, and what it has read."""

    def __init__(self, bench: KafkaBench) -> None:
        self.bench = bench
        self.log: list[Any] = []
        self.source = self.start(None)

    def start(self, state: Any) -> Source:
        self.source = self.bench.make(1)
        self.source.open(state)
        return self.source

    def restart(self, state: Any = None) -> list[list[Any]]:
        """Start again after a kill: from a checkpoint or from the beginning of the log; the rows of its ranges."""
        self.source.close()
        self.start(state)
        return [self._read(OffsetRange.from_json(json.loads(json.dumps(offsets)))) for offsets in self.log]

    def batch(self, limit: int | None = None) -> list[Any]:
        """The values of one batch; none if there is nothing new."""
        offsets = self.source.poll(limit, self.bench.clock.now_ms())
        if offsets is None:
            return []
        self.log.append(offsets.to_json())
        return self._read(offsets)

    def all(self) -> list[Any]:
        """The values of batches until there is nothing new."""
        found: list[Any] = []
        while offsets := self.source.poll(None, self.bench.clock.now_ms()):
            self.log.append(offsets.to_json())
            found += self._read(offsets)
        return found

    def rows(self) -> pa.Table:
        offsets = self.source.poll(None, self.bench.clock.now_ms())
        assert offsets is not None
        self.source.advance(offsets)
        return self.source.read(offsets)

    def later(self) -> None:
        """So much later that new partitions are looked for."""
        self.bench.clock.advance(LOOK_MS / 1000)

    def _read(self, offsets: OffsetRange) -> list[Any]:
        self.source.advance(offsets)
        return self.source.read(offsets).column("value").to_pylist()


@pytest.fixture
def make(kafka: KafkaServer) -> Iterator[Make]:
    made: list[Job] = []

    def job(topic: str | None = None, **config: Any) -> Job:
        made.append(Job(KafkaBench(kafka, topic, **config)))
        return made[-1]

    yield job
    for each in made:
        each.source.close()


def test_the_log_keeps_what_every_later_version_reads(kafka: KafkaServer, make: Make) -> None:
    """As the archives of `support.checkpoint_jobs` have it, which no server has written."""
    job = make()
    kafka.produce(job.bench.topic, [b"a", b"b"])
    assert job.all() == ["a", "b"]
    partition, topic = f"{job.bench.topic}/0", job.bench.topic
    identity = job.source.snapshot()["topics"][topic]
    assert isinstance(identity, str)
    told = {"positions": {partition: 0}, "topics": {topic: identity}}
    assert job.log == [{"partitions": {partition: [0, 2]}, "detail": told}]
    assert job.source.snapshot() == {"positions": {partition: 2}, "topics": {topic: identity}, "begun": True}


def test_aborted_transactions_and_their_marks_are_no_rows(kafka: KafkaServer, make: Make) -> None:
    job = make()
    kafka.transaction(job.bench.topic, [b"a", b"b"])
    kafka.transaction(job.bench.topic, [b"x", b"y"], commit=False)
    assert job.all() == ["a", "b"]  # the range ends in marks, behind which nothing comes
    kafka.transaction(job.bench.topic, [b"z"], commit=False)
    assert job.all() == []
    kafka.produce(job.bench.topic, [b"c"])
    assert job.all() == ["c"]
    assert [row for rows in job.restart() for row in rows] == ["a", "b", "c"]


def test_an_open_transaction_is_waited_for_unless_the_manifest_says_otherwise(kafka: KafkaServer, make: Make) -> None:
    job = make()
    eager = make(job.bench.topic, isolationLevel="readUncommitted")
    producer = kafka.transactional("open")
    producer.begin_transaction()
    producer.produce(job.bench.topic, b"a")
    producer.flush(30)
    kafka.produce(job.bench.topic, [b"b"])
    assert (job.all(), eager.all()) == ([], ["a", "b"])
    producer.commit_transaction(30)
    assert kafka.settle(topic=job.bench.topic)
    assert (job.all(), eager.all()) == (["a", "b"], [])


def test_a_compacted_topic_is_read_to_its_end(kafka: KafkaServer, make: Make) -> None:
    topic = kafka.create_topic(
        cleanup_policy="compact", segment_ms="100", min_cleanable_dirty_ratio="0.01", max_compaction_lag_ms="100"
    )
    never, clock = threading.Event(), SystemClock()
    # A segment is closed, and so may be compacted, when the next record comes later than it lasts.
    for i in range(6):
        kafka.produce(topic, [(b"k", f"{i}-{j}".encode()) for j in range(3)])
        clock.wait(0.2, never)
    wait_until(lambda: len(kafka.read(topic)) < 10)
    expected = [(m.value() or b"").decode() for m in kafka.read(topic)]
    assert make(topic).all()[-1] == "5-2"
    limited = make(topic)
    found: list[Any] = []
    while len(limited.log) < 18 and (not found or found[-1] != "5-2"):
        found += limited.batch(limit=2)
    # Compaction goes on: what is there now is a part of what was read, in the same order.
    assert found[-1] == "5-2" and len(found) <= len(expected)
    assert sorted(set(found), key=found.index) == found


def test_what_retention_took_stops_the_job_or_is_passed_over(kafka: KafkaServer, make: Make) -> None:
    strict = make()
    lax = make(strict.bench.topic, onDataLoss="skip")
    values = [f"{i}" for i in range(10)]
    kafka.produce(strict.bench.topic, [value.encode() for value in values])
    for job in (strict, lax):
        assert job.batch(limit=2) == values[:2]
    kafka.delete_records(strict.bench.topic, 5)
    with pytest.raises(JobError, match=rf"has lost records .*{strict.bench.topic}/0: the offsets 2 to 5 are gone"):
        strict.all()
    assert lax.all() == values[5:]
    assert any("records are lost" in said and "2 to 5" in said for said in lax.bench.said)
    # A replay is the same, of what is still there, and goes on behind it.
    assert lax.restart()[1:] == [values[5:]]
    assert lax.all() == []


def test_what_retention_takes_from_a_range_in_the_log_is_not_passed_over_in_silence(
    kafka: KafkaServer, make: Make
) -> None:
    strict = make()
    lax = make(strict.bench.topic, onDataLoss="skip")
    kafka.produce(strict.bench.topic, [f"{i}".encode() for i in range(10)])
    for job in (strict, lax):
        job.all()
    kafka.delete_records(strict.bench.topic, 4)
    assert lax.restart() == [[f"{i}" for i in range(4, 10)]]
    assert "0 to 4 are gone" in lax.bench.said[-1]
    with pytest.raises(JobError, match="offsets 0 to 4 are gone"):
        strict.restart()


def test_a_range_in_the_log_whose_end_is_gone_is_not_waited_for(
    kafka: KafkaServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for setting in ("reader.ANSWER_S", "source.SURE_S"):
        monkeypatch.setattr(f"streamjob_runtime.connectors.kafka.{setting}", 0.5)
    strict = make()
    topic = strict.bench.topic
    lax = make(topic, onDataLoss="skip")
    kafka.produce(topic, [b"a", b"b"])
    for job in (strict, lax):
        # What an election of a leader that had not got all of it leaves behind.
        job.log = [OffsetRange({f"{topic}/0": r}).to_json() for r in ((0, 1), (1, 5), (5, 7))]
    assert lax.restart() == [["a"], ["b"], []]
    assert [said for said in lax.bench.said if "2 to 5 are gone" in said or "5 to 7 are gone" in said] == lax.bench.said
    with pytest.raises(JobError, match="offsets 2 to 5 are gone"):
        strict.restart()


def test_what_retention_takes_when_it_was_fetched_already_is_not_lost(
    kafka: KafkaServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamjob_runtime.connectors.kafka.reader.ANSWER_S", 0.5)
    job = make()
    topic = job.bench.topic
    kafka.produce(topic, [b"a", b"b"])
    source = job.start(None)
    assert isinstance(source, KafkaSource)
    read = source._reader.read
    late = iter([True])

    def slow(ranges: Any, beside: Any) -> pa.Table:
        try:
            return read(ranges, beside)
        except Unavailable:
            if next(late, False):
                kafka.delete_records(topic, 2)
                kafka.produce(topic, [b"c"])
            raise

    monkeypatch.setattr(source._reader, "read", slow)
    assert source.read(OffsetRange({f"{topic}/0": (0, 3)})).column("value").to_pylist() == ["a", "b", "c"]


def test_a_topic_that_was_made_again_is_another_one(kafka: KafkaServer, make: Make) -> None:
    strict = make()
    lax = make(strict.bench.topic, onDataLoss="skip")
    kafka.produce(strict.bench.topic, [b"old", b"old"])
    for job in (strict, lax):
        assert job.all() == ["old", "old"]
    kafka.delete_topic(strict.bench.topic)
    kafka.create_topic(name=strict.bench.topic)
    kafka.produce(strict.bench.topic, [b"new 0", b"new 1", b"new 2"])
    for job in (strict, lax):
        job.later()
    with pytest.raises(JobError, match=r"was deleted and created again.*onDataLoss: skip"):
        strict.all()
    assert lax.all() == ["new 0", "new 1", "new 2"]
    # Nor is a range of the old one read from the new one.
    assert lax.restart() == [[], ["new 0", "new 1", "new 2"]]
    assert lax.all() == []
    with pytest.raises(JobError, match=r"was deleted and created again.*onDataLoss: skip"):
        strict.restart()


def hide(job: Job, monkeypatch: pytest.MonkeyPatch, looks: int) -> None:
    """The next looks see no topic, as when a broker has just come up."""
    assert isinstance(job.source, KafkaSource)
    topics, left = job.source._topics, list(range(looks))
    monkeypatch.setattr(topics, "look", lambda: {} if left and left.pop() >= 0 else Topics.look(topics))


def test_a_topic_that_is_not_seen_for_a_moment_is_not_read_again(
    kafka: KafkaServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = make()
    lax = make(strict.bench.topic, onDataLoss="skip")
    kafka.produce(strict.bench.topic, [b"a", b"b"])
    for job in (strict, lax):
        assert job.all() == ["a", "b"]
        hide(job, monkeypatch, GONE_LOOKS - 1)
        for _ in range(GONE_LOOKS - 1):
            job.later()
            assert job.all() == []
    kafka.produce(strict.bench.topic, [b"c"])
    for job in (strict, lax):
        job.later()
        assert job.all() == ["c"]
    assert lax.bench.said == []


def test_the_first_look_of_a_job_need_not_see_what_its_start_has_seen(
    kafka: KafkaServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    latest = make(startFrom="latest")
    whole = make(latest.bench.topic)
    kafka.produce(latest.bench.topic, [b"a"])
    for job in (latest, whole):
        hide(job, monkeypatch, 2)
    assert latest.batch() == [] and not latest.source.status().connected
    whole.source.limit_to_available()
    assert whole.all() == ["a"] and whole.source.exhausted
    for _ in range(2):
        assert latest.batch() == []
    kafka.produce(latest.bench.topic, [b"b"])
    assert latest.batch() == ["b"]


@pytest.mark.parametrize("start", ["earliest", "latest"])
def test_a_partition_whose_leader_is_not_known_yet_is_not_taken_for_a_new_one(
    kafka: KafkaServer, make: Make, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    topic = kafka.create_topic(2)
    job = make(topic, startFrom=start)
    for partition in (0, 1):
        kafka.produce(topic, [b"a"], partition)
    asked, hidden = Cluster._offsets, {f"{topic}/1"}

    def offsets(cluster: Cluster, *question: Any) -> dict[str, int]:
        return {p: offset for p, offset in asked(cluster, *question).items() if p not in hidden}

    monkeypatch.setattr(Cluster, "_offsets", offsets)
    assert job.batch() == [] and f"{topic}/1" in job.source.status().message
    hidden.clear()
    assert job.all() == (["a", "a"] if start == "earliest" else [])
    for partition in (0, 1):
        kafka.produce(topic, [b"b"], partition)
    assert job.all() == ["b", "b"]


def test_an_end_that_is_too_early_for_a_moment_is_not_believed(
    kafka: KafkaServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = make()
    lax = make(strict.bench.topic, onDataLoss="skip")
    kafka.produce(strict.bench.topic, [b"a", b"b", b"c"])
    asked = Cluster._offsets

    def offsets(cluster: Cluster, wanted: Any, committed: bool = False) -> dict[str, int]:
        return {p: min(offset, 1) for p, offset in asked(cluster, wanted, committed).items()}

    for job in (strict, lax):
        assert job.all() == ["a", "b", "c"]
        with monkeypatch.context() as patch:
            patch.setattr(Cluster, "_offsets", offsets)
            assert job.batch() == []
    kafka.produce(strict.bench.topic, [b"d"])
    for job in (strict, lax):
        assert job.all() == ["d"]
    assert lax.bench.said == []
    monkeypatch.setattr(Cluster, "_offsets", offsets)
    monkeypatch.setattr("streamjob_runtime.connectors.kafka.source.SURE_S", 0.0)
    with pytest.raises(JobError, match="it ends at 1, before the offset 4"):
        strict.batch()
    assert lax.batch() == [] and len(lax.bench.said) == 1


def test_a_run_to_the_end_waits_for_a_topic_that_is_not_seen(
    kafka: KafkaServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make()
    kafka.produce(job.bench.topic, [b"a"])
    assert job.all() == ["a"]
    kafka.produce(job.bench.topic, [b"b"])
    job.restart()
    hide(job, monkeypatch, 2)
    job.source.limit_to_available()
    assert job.all() == ["b"] and job.source.exhausted


def test_a_topic_that_was_deleted_is_said_once(kafka: KafkaServer, make: Make) -> None:
    strict = make()
    lax = make(strict.bench.topic, onDataLoss="skip")
    kafka.produce(strict.bench.topic, [b"a"])
    for job in (strict, lax):
        assert job.all() == ["a"]
    kafka.delete_topic(strict.bench.topic)
    for _ in range(GONE_LOOKS + 2):
        lax.later()
        assert lax.all() == []
    assert len(lax.bench.said) == 1 and "is not there any more" in lax.bench.said[0]
    with pytest.raises(JobError, match="is not there any more"):
        for _ in range(GONE_LOOKS):
            strict.later()
            strict.all()
    kafka.create_topic(name=lax.bench.topic)
    kafka.produce(lax.bench.topic, [b"new"])
    lax.later()
    assert lax.all() == ["new"]


def test_new_partitions_and_topics_are_found_and_read_from_their_beginning(kafka: KafkaServer, make: Make) -> None:
    topic = kafka.create_topic()
    kafka.produce(topic, [b"before"])
    job = make(topic, topicPattern=rf"{topic}|{topic}-.*", startFrom="latest")
    assert job.all() == []
    kafka.add_partitions(topic, 3)
    kafka.create_topic(name=f"{topic}-late")
    kafka.produce(topic, [b"second"], partition=2)
    kafka.produce(topic, [b"first"])
    kafka.produce(f"{topic}-late", [b"third"])
    assert job.batch() == ["first"]
    found: list[str] = []

    def look() -> bool:
        job.later()
        found.extend(job.all())
        return len(found) == 2

    wait_until(look)
    assert sorted(row for rows in job.restart() for row in rows) == ["first", "second", "third"]


def test_latest_stays_where_it_was_when_the_job_is_killed_at_once(kafka: KafkaServer, make: Make) -> None:
    topic = kafka.create_topic(2)
    kafka.produce(topic, [b"old"])
    job = make(topic, startFrom="latest")
    assert job.all() == []
    kafka.produce(topic, [b"new"])
    kafka.produce(topic, [b"new too"], partition=1)
    job.restart()
    assert job.all() == ["new", "new too"]


def test_latest_of_a_pattern_that_nothing_fits_yet_is_before_all_that_comes(kafka: KafkaServer, make: Make) -> None:
    name = f"late-{kafka.create_topic()}"
    at_once, killed = (make("", topicPattern=name, groupId=name, startFrom="latest") for _ in range(2))
    for job in (at_once, killed):
        assert job.all() == [] and job.all() == []
    kafka.create_topic(name=name)
    kafka.produce(name, [b"first"])
    at_once.later()
    killed.restart()
    assert at_once.all() == killed.all() == ["first"]
    # So does a checkpoint know of it, and one from before the first look knows that it does not.
    before = make("", topicPattern=name, groupId=name, startFrom="latest")
    state = before.source.snapshot()
    before.restart(state)
    assert before.all() == []
    before.restart(before.source.snapshot())
    kafka.produce(name, [b"second"])
    assert before.all() == ["second"]


def test_latest_is_remembered_by_a_run_to_the_end(kafka: KafkaServer, make: Make) -> None:
    job = make(startFrom="latest")
    kafka.produce(job.bench.topic, [b"old"])
    job.source.limit_to_available()
    assert not job.source.exhausted and job.all() == [] and job.source.exhausted
    kafka.produce(job.bench.topic, [b"new"])
    job.restart()
    job.source.limit_to_available()
    assert job.all() == ["new"] and job.source.exhausted


def test_a_job_begins_where_the_manifest_says(kafka: KafkaServer, make: Make) -> None:
    topic = kafka.create_topic(2)
    kafka.produce(topic, [b"1", b"2"], timestamp=1_700_000_000_000)
    kafka.produce(topic, [b"3", b"4"], timestamp=1_700_000_060_500)
    assert make(topic, startFrom="timestamp", startTimestamp="2023-11-14T22:14:20.5Z").all() == ["3", "4"]
    assert make(topic, startFrom="timestamp", startTimestamp="2033-11-14T22:14:20Z").all() == []
    assert make(topic, startFrom="offsets", startOffsets={f"{topic}/0": 3}).all() == ["4"]
    with pytest.raises(JobError, match=rf"startOffsets says 9 for {topic}/0, which has the offsets 0 to 4"):
        make(topic, startFrom="offsets", startOffsets={f"{topic}/0": 9}).all()
    with pytest.raises(JobError, match=rf"names {topic}/7, and the source has no such partition"):
        make(topic, startFrom="offsets", startOffsets={f"{topic}/7": 0}).all()


def test_a_limit_is_shared_by_how_much_waits(kafka: KafkaServer, make: Make) -> None:
    topic = kafka.create_topic(3)
    for partition, count in enumerate((60, 30, 1)):
        kafka.produce(topic, [f"{partition}".encode()] * count, partition)
    job = make(topic)
    first = job.batch(limit=10)
    assert [first.count(p) for p in "012"] == [6, 3, 1]
    while job.batch(limit=10):
        pass
    rows = [row for rows in job.restart() for row in rows]
    assert [rows.count(p) for p in "012"] == [60, 30, 1]


def test_a_batch_without_a_limit_has_one_all_the_same(
    kafka: KafkaServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST == 1_000_000  # as the documentation says
    monkeypatch.setattr("streamjob_runtime.connectors.kafka.source.MOST", 3)
    job = make()
    kafka.produce(job.bench.topic, [b"a"] * 7)
    job.source.limit_to_available()
    assert [len(job.batch()) for _ in range(3)] == [3, 3, 1]
    assert job.source.exhausted
    assert [len(rows) for rows in job.restart()] == [3, 3, 1]


def test_what_stands_around_a_value_are_columns(kafka: KafkaServer, make: Make) -> None:
    columns = ["_offset", "_key", "_raw_key", "_headers", "_topic", "_partition", "_timestamp"]
    topic = kafka.create_topic(2)
    kafka.produce(topic, [("é".encode(), b"a"), (b"k", None)], 1, timestamp=1_000, headers=[("h", b"1"), ("h", None)])
    first, second = make(topic, metadata=columns).rows().to_pylist()
    assert first.pop("_timestamp").isoformat() == "1970-01-01T00:00:01"
    assert first == {
        "value": "a",
        "_offset": 0,
        "_key": "é",
        "_raw_key": "é".encode(),
        "_headers": [{"key": "h", "value": b"1"}, {"key": "h", "value": None}],
        "_topic": topic,
        "_partition": 1,
    }
    assert (second["value"], second["_key"]) == (None, "k")  # a record without a value marks its key as deleted
    kafka.produce(topic, [(b"\xff", b"b")])
    with pytest.raises(JobError, match=rf"offset 0 of partition 0 of the topic {topic} .*take _raw_key"):
        make(topic, metadata=["_key"]).rows()
    assert make(topic, metadata=["_raw_key"]).rows().column("_raw_key").to_pylist()[0] == b"\xff"


def test_a_header_whose_name_is_no_text_is_named_by_its_offset(kafka: KafkaServer, make: Make) -> None:
    topic = kafka.create_topic()
    kafka.produce(topic, [b"a"])
    kafka.produce_with_header(topic, b"caf\xe9")
    assert make(topic).all() == ["a", ""]
    with pytest.raises(JobError, match=r"offset 1 .*the name of a header is not UTF-8.*Leave _headers out of metadata"):
        make(topic, metadata=["_headers"]).all()


def test_a_bad_record_is_named_by_its_offset(kafka: KafkaServer, make: Make) -> None:
    job = make()
    kafka.produce(job.bench.topic, [b"good", b"\xff\xfe"])
    with pytest.raises(JobError, match=rf"offset 1 of partition 0 of the topic {job.bench.topic} .*not UTF-8"):
        job.all()


def test_the_group_learns_how_far_the_job_is_but_decides_nothing(kafka: KafkaServer, make: Make) -> None:
    job = make()
    topic = job.bench.topic
    kafka.produce(topic, [b"a", b"b", b"c"])
    offsets = job.source.poll(2, job.bench.clock.now_ms())
    assert offsets is not None
    job.source.advance(offsets)
    job.source.read(offsets)
    assert kafka.committed(topic, topic) < 0
    job.source.acknowledge(offsets)
    job.source.close()
    assert kafka.committed(topic, topic) == 2
    assert make(topic).all() == ["a", "b", "c"]


def test_a_topic_that_is_not_there_is_refused_in_words(kafka: KafkaServer) -> None:
    source = KafkaBench(kafka, "nowhere").make(1)
    for refuse in (source.check, lambda: source.open(None)):
        with pytest.raises(JobError, match=r'Source "k": there is no topic nowhere in Kafka. Create it, or correct'):
            refuse()


def test_offsets_that_no_job_can_begin_at_are_found_by_a_check(kafka: KafkaServer) -> None:
    topic = kafka.create_topic()
    kafka.produce(topic, [b"a", b"b"])
    kafka.delete_records(topic, 1)

    def check(offsets: dict[str, int]) -> str:
        return KafkaBench(kafka, topic, startFrom="offsets", startOffsets=offsets).make(1).check()

    with pytest.raises(JobError, match=rf"startOffsets names {topic}/1, and the source has no such partition"):
        check({f"{topic}/1": 0})
    with pytest.raises(JobError, match=rf"startOffsets says 3 for {topic}/0"):
        check({f"{topic}/0": 3})
    # A job that has begun there before the record was deleted goes on.
    assert check({f"{topic}/0": 0}) == f"{topic}: 1 partition, 1 offset"


def test_a_pattern_that_no_topic_fits_is_no_mistake_and_is_said(kafka: KafkaServer) -> None:
    bench = KafkaBench(kafka, "", topicPattern="no-such-.*")
    source = bench.make(1)
    assert source.check() == "no topic yet that fits no-such-.*: 0 partitions, 0 offsets"
    source.open(None)
    assert source.poll(None, bench.clock.now_ms()) is None
    assert source.status().message == "no topic yet that fits no-such-.*" and source.status().connected
    source.close()


def test_a_check_says_what_is_there(kafka: KafkaServer) -> None:
    topic = kafka.create_topic(2)
    kafka.produce(topic, [b"a", b"b"])
    assert KafkaBench(kafka, topic).make(1).check() == f"{topic}: 2 partitions, 2 offsets"


def test_a_broker_that_is_away_is_waited_for(own_kafka: KafkaServer) -> None:
    job = Job(KafkaBench(own_kafka))
    own_kafka.produce(job.bench.topic, [f"{i}".encode() for i in range(5)])
    assert job.batch(limit=2) == ["0", "1"]
    offsets = job.source.poll(2, job.bench.clock.now_ms())
    assert offsets is not None
    own_kafka.kill()
    assert job.source.poll(2, job.bench.clock.now_ms()) is None
    assert not job.source.status().connected
    assert own_kafka.servers in job.source.status().message
    own_kafka.start()
    wait_until(lambda: job.source.poll(2, job.bench.clock.now_ms()) is not None)
    own_kafka.kill()
    late = threading.Thread(target=own_kafka.start)
    late.start()
    assert job.restart() == [["0", "1"]]
    late.join()
    found: list[str] = []
    wait_until(lambda: found.extend(job.batch(limit=2)) or found == ["2", "3", "4"])  # type: ignore[func-returns-value]
    job.source.close()


def test_a_broker_that_does_not_answer_has_lost_nothing(own_kafka: KafkaServer, monkeypatch: Any) -> None:
    monkeypatch.setattr("streamjob_runtime.connectors.kafka.cluster.ANSWER_S", 1.0)
    job = Job(KafkaBench(own_kafka))
    own_kafka.produce(job.bench.topic, [b"0", b"1"])
    assert job.batch() == ["0", "1"]
    with own_kafka.frozen():
        assert job.source.poll(None, job.bench.clock.now_ms()) is None
        assert not job.source.status().connected
        with pytest.raises(Unavailable):
            job.bench.make(2).check()
    own_kafka.produce(job.bench.topic, [b"2"])
    found: list[str] = []
    wait_until(lambda: found.extend(job.batch()) or found == ["2"])  # type: ignore[func-returns-value]
    assert job.source.status().connected
    job.source.close()


def test_passwords_and_certificates(tmp_path: Path) -> None:
    require("kafka")
    server = KafkaServer(tmp_path / "kafka", secure=True)
    server.start()
    try:
        topic = server.create_topic()
        server.produce(topic, [b"a"])
        secrets = tmp_path / "secrets"
        for name, key, text in (
            ("right", "username", server.user),
            ("right", "password", server.password),
            ("wrong", "username", server.user),
            ("wrong", "password", "guessed-wrong"),
            ("ca", "ca.crt", server.ca.read_text()),
        ):
            (secrets / name).mkdir(parents=True, exist_ok=True)
            (secrets / name / key).write_text(text)

        def job(auth: str, tls: dict[str, Any], mechanism: str = "PLAIN") -> Source:
            sasl = {"authSecretRef": {"name": auth}, "saslMechanism": mechanism}
            bench = KafkaBench(server, topic, bootstrapServers=server.secure_servers, tls=tls, **sasl)
            bench.secrets = secrets
            return bench.make(1)

        def without_its_group() -> Job:
            server.deny_group(topic)
            sasl = {"authSecretRef": {"name": "right"}, "saslMechanism": "PLAIN"}
            bench = KafkaBench(server, topic, bootstrapServers=server.secure_servers, tls=ca, **sasl)
            bench.secrets = secrets
            return Job(bench)

        ca = {"certificatesSecretRef": {"name": "ca"}}
        assert job("right", ca).check() == f"{topic}: 1 partition, 1 offset"
        with pytest.raises(JobError, match=r'Source "k": Kafka at .* refuses the user name or the password') as wrong:
            job("wrong", ca).check()
        assert "guessed-wrong" not in str(wrong.value)
        with pytest.raises(JobError, match=r"do not trust each other's certificates"):
            job("right", {}).check()
        with pytest.raises(JobError, match=r"does not take this saslMechanism .* PLAIN.* Name one that it takes"):
            job("right", ca, "SCRAM-SHA-256").check()
        with pytest.raises(JobError, match="There is no Secret 'none'"):
            job("none", ca)
        lonely = without_its_group()
        assert lonely.batch() == ["a"]

        def has_heard() -> bool:

            lonely.source.acknowledge(OffsetRange.from_json(lonely.log[-1]))
            server.produce(topic, [b"b"])
            assert lonely.batch() == ["b"]  # with which the answer comes
            return bool(lonely.bench.said)

        wait_until(has_heard)
        assert "the job itself goes on" in lonely.bench.said[0] and "authorization" in lonely.bench.said[0].lower()
        server.stop()
        server.password = "the-next-password"
        server.start()
        server.produce(topic, [b"c"])

        def is_refused() -> bool:
            assert lonely.batch() == []
            return "refuses the user name or the password" in lonely.source.status().message

        wait_until(is_refused)
        assert not lonely.source.status().connected
        (secrets / "right" / "password").write_text(server.password)
        found: list[str] = []
        wait_until(lambda: found.extend(lonely.batch()) or found == ["c"])  # type: ignore[func-returns-value]
        assert lonely.source.status().connected
        lonely.source.close()
    finally:
        server.stop()
