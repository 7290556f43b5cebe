"""kill -9 of a runtime between Kafka topics: readers of committed records see what a run without faults writes."""

import json
import signal
import threading
from pathlib import Path

import pytest

from streamjob_runtime.engine.steps import Step
from support import killed
from support.kafka import KafkaServer

RECORDS, PARTITIONS, A_BATCH = 600, 2, 40

MANIFEST = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: killed}}
spec:
  batchInterval: 10ms
  trigger: availableNow
  sources:
  - name: events
    kafka: {{bootstrapServers: "{servers}", topic: {events}, metadata: [_partition, _offset]}}
    format: json
    schema: {{id: BIGINT, kind: VARCHAR}}
    maxRecordsPerBatch: {a_batch}
  pipeline:
  - {{name: plain, sql: "SELECT id, kind, _partition, _offset FROM events WHERE id % 3 > 0"}}
  - {{name: counts, sql: "SELECT kind, count(*) AS n, sum(id) AS total FROM events GROUP BY kind"}}
  sinks:
  - {{from: plain, kafka: {{bootstrapServers: "{servers}", topic: {plain}, key: [kind]}}, format: json}}
  - {{from: counts, mode: update, kafka: {{bootstrapServers: "{servers}", topic: {counts}, key: [kind]}}, format: json}}
  checkpoint: {{location: "{folder}/checkpoint", interval: 50ms, retained: 2}}
"""

Output = tuple[list[bytes | None], dict[bytes | None, bytes | None]]


class World(killed.World):
    """A job between topics of its own."""

    def __init__(self, server: KafkaServer, manifest: Path, plain: str, counts: str) -> None:
        super().__init__(manifest)
        self.server = server
        self.plain = plain
        self.counts = counts

    def output(self) -> Output:
        """Every row of the one topic, by its content; the last one of each key of the other."""
        rows = sorted(self.server.values(self.plain), key=lambda v: v or b"")
        return rows, {m.key(): m.value() for m in self.server.read(self.counts)}


def world(server: KafkaServer, folder: Path) -> World:
    folder.mkdir(exist_ok=True)
    events, plain, counts = (server.create_topic(n) for n in (PARTITIONS, 3, 1))
    for partition in range(PARTITIONS):
        ids = range(partition, RECORDS, PARTITIONS)
        server.produce(events, [json.dumps({"id": i, "kind": "abc"[i % 3]}).encode() for i in ids], partition)
    manifest = folder / "job.yaml"
    manifest.write_text(
        MANIFEST.format(
            servers=server.servers, events=events, plain=plain, counts=counts, folder=folder, a_batch=A_BATCH
        )
    )
    return World(server, manifest, plain, counts)


def expected() -> Output:
    """What a run without faults writes: reckoned here, and proven below to be what one does."""
    place = {i: (i % PARTITIONS, i // PARTITIONS) for i in range(RECORDS)}
    rows: list[bytes | None] = [
        json.dumps(
            {"id": i, "kind": "abc"[i % 3], "_partition": place[i][0], "_offset": place[i][1]}, separators=(",", ":")
        ).encode()
        for i in range(RECORDS)
        if i % 3 > 0
    ]
    counts: dict[bytes | None, bytes | None] = {}
    for k, kind in enumerate("abc"):
        ids = range(k, RECORDS, 3)
        row = {"kind": kind, "n": len(ids), "total": sum(ids)}
        counts[kind.encode()] = json.dumps(row, separators=(",", ":")).encode()
    return sorted(rows, key=lambda v: v or b""), counts


@pytest.fixture
def there(kafka: KafkaServer, tmp_path: Path) -> World:
    return world(kafka, tmp_path / "world")


def test_a_run_without_faults_writes_what_is_expected(there: World) -> None:
    there.finish()
    assert there.output() == expected()


# The first times, and times in the middle: (after how many passes, of which step). Of WRITTEN each sink is one.
KILLS = [
    (0, Step.FENCED),
    (0, Step.RECOVERED),
    (0, Step.POLLED),
    (0, Step.INTENDED),
    (5, Step.INTENDED),
    (5, Step.COMPUTED),
    (0, Step.WRITTEN),
    (1, Step.WRITTEN),
    (10, Step.WRITTEN),
    (11, Step.WRITTEN),
    (5, Step.COMMITTED),
    (1, Step.UPLOADED),
    (1, Step.CHECKPOINTED),
    (0, Step.BOUNDED),
    (0, Step.SWEPT),
]


@pytest.mark.parametrize(("passes", "step"), KILLS, ids=lambda v: v.name if isinstance(v, Step) else str(v))
def test_a_kill_changes_nothing(there: World, step: Step, passes: int) -> None:
    there.kill((step, passes))
    there.finish()
    assert there.output() == expected()


def test_a_frozen_runtime_that_wakes_after_its_replacement_writes_nothing(there: World) -> None:
    frozen = there.runtime((Step.COMPUTED, 5), signal.SIGSTOP)
    try:
        frozen.wait_until_stopped()
        there.finish()
        assert there.output() == expected()
        before = len(there.server.read(there.plain, "read_uncommitted"))
        killed.wake(frozen)
        assert "Another process runs the job 'killed'" in frozen.err
        assert there.output() == expected()
        assert len(there.server.read(there.plain, "read_uncommitted")) == before
    finally:
        frozen.end()


@pytest.mark.parametrize("step", [Step.INTENDED, Step.COMPUTED, Step.WRITTEN], ids=lambda step: step.name)
def test_a_broker_that_is_killed_in_the_middle_of_a_batch_changes_nothing(
    own_kafka: KafkaServer, tmp_path: Path, step: Step
) -> None:
    there = world(own_kafka, tmp_path / "world")
    runtime = there.runtime((step, 5), signal.SIGSTOP)
    try:
        runtime.wait_until_stopped()
        assert own_kafka.settle()  # of two sinks one has written: see there
        own_kafka.kill()
        runtime.send(signal.SIGCONT)
        back = threading.Timer(2, own_kafka.start)
        back.start()
        assert runtime.wait() == 0, runtime.err
        back.join()
        assert there.output() == expected()
    finally:
        runtime.end()
