"""kill -9 of a runtime whose sources have bad records: each is a dead letter once, in Kafka, PostgreSQL and files."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamjob_runtime.engine.steps import Step
from support import killed
from support.kafka import KafkaServer
from support.postgres import PostgresServer
from support.runtime import Runtime, wait_for
from support.sources import LineServer

RECORDS, A_BATCH = 300, 40

KAFKA_JOB = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: killed}}
spec:
  batchInterval: 10ms
  trigger: availableNow
  sources:
  - name: events
    kafka: {{bootstrapServers: "{servers}", topic: {events}}}
    format: json
    schema: {{id: BIGINT, at: TIMESTAMP}}
    onBadRecord: deadLetter
    maxBadRecords: 50%
    maxRecordsPerBatch: {a_batch}
  pipeline:
  - {{name: counts, sql: "SELECT count(*) AS n, sum(id) AS total FROM events"}}
  sinks:
  - {{from: counts, mode: complete, files: {{path: "{folder}/counts"}}, format: json}}
  - {{from: events_dead_letters, files: {{path: "{folder}/letters"}}, format: json}}
  - {{from: events_dead_letters, kafka: {{bootstrapServers: "{servers}", topic: {letters}}}, format: json}}
  - {{from: events_dead_letters, postgres: {{table: letters, dsnSecretRef: {{name: pg, key: dsn}}, create: true}}}}
  checkpoint: {{location: "{folder}/checkpoint", interval: 50ms, retained: 2}}
"""


def value(i: int) -> bytes:
    """Every third record is bad, each in another way."""
    if i % 9 == 2:
        return b"\xffnope %d" % i
    if i % 9 == 5:
        return json.dumps({"id": str(i)}).encode()
    return json.dumps({"id": i, "at": "never" if i % 9 == 8 else "2026-01-01 00:00:00"}).encode()


Letter = tuple[str, int, int, bytes]  # origin, position, size, raw


class World(killed.World):
    """A job between a topic of its own and three sinks for its dead letters."""

    def __init__(self, folder: Path, server: KafkaServer, postgres: PostgresServer) -> None:
        self.server, self.postgres, self.folder = server, postgres, folder
        self.dsn = postgres.create_schema()
        folder.mkdir(exist_ok=True)
        self.events, self.letters = server.create_topic(2), server.create_topic(1)
        for partition in range(2):
            server.produce(self.events, [value(i) for i in range(partition, RECORDS, 2)], partition)
        super().__init__(folder / "job.yaml", {"dsn": self.dsn})
        self.manifest.write_text(
            KAFKA_JOB.format(
                servers=server.servers, events=self.events, letters=self.letters, folder=folder, a_batch=A_BATCH
            )
        )

    def expected(self) -> list[Letter]:
        bad = [i for i in range(RECORDS) if i % 9 in (2, 5, 8)]
        return sorted((f"{self.events}/{i % 2}", i // 2, len(value(i)), value(i)) for i in bad)

    def written(self) -> tuple[list[Letter], list[Letter], list[Letter]]:
        """What each sink has."""
        files = [
            json.loads(line) for p in (self.folder / "letters").glob("*.json") for line in p.read_text().splitlines()
        ]
        topic = [json.loads(v or b"") for v in self.server.values(self.letters)]
        table = self.postgres.rows("SELECT origin, position, size, raw FROM letters", self.dsn)
        in_table = [(origin, at, size, bytes(raw)) for origin, at, size, raw in table]
        return sorted(map(letter, files)), sorted(map(letter, topic)), sorted(in_table)

    def counts(self) -> list[dict[str, Any]]:
        return [
            json.loads(line) for p in (self.folder / "counts").glob("*.json") for line in p.read_text().splitlines()
        ]


def letter(row: dict[str, Any]) -> Letter:
    """A row as JSON: its bytes stand there as text."""
    raw = row["raw"].encode().decode("unicode_escape").encode("latin-1")
    return row["origin"], row["position"], row["size"], raw


KILLS = [
    ((0, Step.INTENDED), (5, Step.COMPUTED)),
    ((1, Step.WRITTEN), (2, Step.WRITTEN), (3, Step.WRITTEN)),
    ((4 * 3 + 1, Step.WRITTEN), (2, Step.COMMITTED)),
    ((0, Step.CHECKPOINTED), (2, Step.WRITTEN)),
]


@pytest.mark.parametrize("kills", KILLS, ids=lambda kills: " ".join(f"{step.name}{n}" for n, step in kills))
def test_dead_letters_of_kafka_are_in_each_sink_once(
    kafka: KafkaServer, postgres: PostgresServer, tmp_path: Path, kills: tuple[tuple[int, Step], ...]
) -> None:
    there = World(tmp_path / "world", kafka, postgres)
    there.kill(*((step, after) for after, step in kills))
    there.finish()
    expected = there.expected()
    assert there.written() == (expected, expected, expected)
    good = [i for i in range(RECORDS) if i % 9 not in (2, 5, 8)]
    assert there.counts() == [{"n": len(good), "total": sum(good)}]


TCP_JOB = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: tcp-bad}}
spec:
  batchInterval: 50ms
  sources:
  - {{name: lines, tcp: {{host: 127.0.0.1, port: {port}}}, format: json, schema: {{a: BIGINT}}{more}}}
  sinks:
  - {{from: lines, files: {{path: out/}}, format: json}}
  {sink}
  checkpoint: {{location: checkpoint/}}
"""


@pytest.fixture
def server() -> Iterator[LineServer]:
    made = LineServer()
    yield made
    made.stop()


@pytest.mark.parametrize("policy", ["drop", "deadLetter"])
def test_a_job_that_a_bad_line_has_ended_goes_on_once_it_may(server: LineServer, tmp_path: Path, policy: str) -> None:
    manifest = tmp_path / "job.yaml"
    manifest.write_text(TCP_JOB.format(port=server.port, more="", sink=""))

    def rows(folder: str) -> list[dict[str, Any]]:
        return [
            json.loads(row)
            for part in sorted((tmp_path / folder).glob("*.json"))
            for row in part.read_text().splitlines()
        ]

    first = Runtime(manifest, {})
    runtimes = [first]
    try:
        server.send(b'{"a": 1}\n')
        wait_for(lambda: len(rows("out")) == 1)
        server.send(b'{"a": 2}\nnope\n{"a": 3}\n')  # in one packet: one batch
        assert first.wait() == 78, first.err
        assert "write onBadRecord: drop or deadLetter" in first.err
        # As it is, it never gets beyond.
        runtimes.append(Runtime(manifest, {}))
        assert runtimes[-1].wait() == 78
        sink = "- {from: lines_dead_letters, files: {path: bad/}, format: json}" if policy == "deadLetter" else ""
        manifest.write_text(TCP_JOB.format(port=server.port, more=f", onBadRecord: {policy}", sink=sink))
        killed_one = Runtime(manifest, {}, (Step.COMPUTED, 0))
        runtimes.append(killed_one)
        assert killed_one.wait() == -signal.SIGKILL, killed_one.err
        again = Runtime(manifest, {})
        runtimes.append(again)
        wait_for(lambda: len(rows("out")) == 3)
        server.send(b'{"a": 4}\n')
        wait_for(lambda: len(rows("out")) == 4)
        again.send(signal.SIGTERM)
        assert again.wait() == 0, again.err
        assert [row["a"] for row in rows("out")] == [1, 2, 3, 4]
        expected = [] if policy == "drop" else [(f"127.0.0.1:{server.port}", 2, "nope")]
        assert [(row["origin"], row["position"], row["raw"]) for row in rows("bad")] == expected
    finally:
        for runtime in runtimes:
            runtime.end()
