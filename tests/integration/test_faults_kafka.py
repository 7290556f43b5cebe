"""Half a million records from Kafka through SQL, while everything fails that can: readers see each of them once.

What is expected is reckoned in plain SQL over all records at once (`support.ad_events`), not by the engine.
"""

import json
import os
import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from support.ad_events import PIPELINE, AdEvents, Expected, differences
from support.installed import require
from support.kafka import KafkaServer
from support.minio import MinioServer
from support.postgres import PostgresServer
from support.restarts import Restarted

# Records in a batch: so that there are batches enough for every fault to hit one. Those to Kafka take longer.
A_BATCH_TO_POSTGRES, A_BATCH_TO_KAFKA = 2_500, 5_000
# How much longer the broker is away than the client library's timeouts, seconds: a minute by hand, here nothing.
LONGER_S = float(os.environ.get("STREAMJOB_BROKER_AWAY_S", "0"))
# A broker loses transactions for good that are about to be committed when it goes: `KafkaServer.settle` says how. With
# the job stopped it has so long to end them, seconds; one in the middle stays open, and is what the fault is to hit.
SETTLE_S = 2.0

MANIFEST = (
    """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: faults}}
spec:
  batchInterval: 50ms
  trigger: availableNow"""
    + PIPELINE
    + """
  sinks:
{sinks}
  checkpoint: {{location: "s3://{bucket}/checkpoint", interval: 250ms, retained: 2}}
  s3: {{endpoint: "{endpoint}"}}
"""
)


@dataclass
class World:
    """Half a million events in a Kafka of our own, and a checkpoint store."""

    kafka: KafkaServer
    minio: MinioServer
    folder: Path
    topic: str
    expected: Expected

    def manifest(self, a_batch: int, sinks: str) -> Path:
        bucket = self.minio.create_bucket()
        path = self.folder / f"{bucket}.yaml"
        path.write_text(
            MANIFEST.format(
                servers=self.kafka.servers,
                events=self.topic,
                a_batch=a_batch,
                sinks=sinks,
                bucket=bucket,
                endpoint=self.minio.url,
            )
        )
        return path


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    require("kafka")
    require("minio")
    folder = tmp_path_factory.mktemp("faults")
    kafka, minio = KafkaServer(folder / "kafka"), MinioServer(folder / "minio")
    try:
        kafka.start()
        minio.start()
        events = AdEvents()
        (folder / "ads.json").write_text(events.ads())
        yield World(kafka, minio, folder, events.produce(kafka), events.expected())
    finally:
        kafka.kill()
        minio.kill()


def test_to_postgres(servers: World, own_postgres: PostgresServer) -> None:
    dsn = own_postgres.create_schema()
    sink = "dsnSecretRef: {name: pg, key: dsn}, create: true"
    manifest = servers.manifest(
        A_BATCH_TO_POSTGRES,
        f"""
  - {{from: dear, mode: append, postgres: {{table: dear, {sink}}}}}
  - {{from: windows, mode: append, postgres: {{table: final, {sink}}}}}
  - {{from: windows, mode: update, postgres: {{table: windows, key: [campaign, window_start], {sink}}}}}
  - {{from: totals, mode: update, postgres: {{table: totals, key: [ad], {sink}}}}}
""",
    )
    with ExitStack() as stack:
        environ = {"dsn": dsn, **servers.minio.environ}
        job = Restarted(manifest, environ, random.Random(5), stack)
        job.until_batch(3)
        job.kill()
        job.until_batch(8)
        own_postgres.kill()
        own_postgres.start()
        job.until_batch(14)
        servers.kafka.kill()
        be_away()
        servers.kafka.start()
        job.until_batch(20)
        servers.minio.kill()
        job.until_said("waiting for a system outside .*checkpoint store")
        servers.minio.start()
        job.until_batch(23)
        job.kill()
        job.until_batch(26)
        job.freeze_and_replace(4)
        job.until_batch(45)
        job.kill()
        job.finish()
    expected = servers.expected
    found = {
        table: own_postgres.rows(f"SELECT * FROM {table}", dsn) for table in ("dear", "final", "windows", "totals")
    }
    assert differences(found["dear"], expected.dear) == ""
    assert differences(found["final"], expected.final) == ""
    assert differences(found["windows"], expected.windows) == ""
    assert differences(found["totals"], expected.totals) == ""
    assert own_postgres.password not in job.err and servers.minio.secret_key not in job.err


def test_to_kafka(servers: World) -> None:
    kafka = servers.kafka
    dear, final, totals = (kafka.create_topic(n) for n in (3, 1, 2))
    sink = f'bootstrapServers: "{kafka.servers}", delivery: exactlyOnce'
    manifest = servers.manifest(
        A_BATCH_TO_KAFKA,
        f"""
  - {{from: dear, mode: append, kafka: {{topic: {dear}, key: [id], {sink}}}, format: json}}
  - {{from: windows, mode: append, kafka: {{topic: {final}, {sink}}}, format: json}}
  - {{from: totals, mode: update, kafka: {{topic: {totals}, key: [ad], {sink}}}, format: json}}
""",
    )
    with ExitStack() as stack:
        job = Restarted(manifest, servers.minio.environ, random.Random(6), stack)
        job.until_batch(3)
        job.kill()
        job.until_batch(9)
        with job.paused():
            kafka.settle(SETTLE_S)
            kafka.kill()
        kafka.start()
        job.until_batch(15)
        job.freeze_and_replace(4)
        job.until_batch(25)
        with ExitStack() as freeze:
            with job.paused():
                kafka.settle(SETTLE_S)
                freeze.enter_context(kafka.frozen())
            job.until_said("waits|waiting for a system outside")
            be_away()
        job.until_batch(32)
        job.kill()
        job.finish()
    expected = servers.expected
    rows = [_row(value, "id", "campaign", "price") for value in kafka.values(dear)]
    assert differences(rows, expected.dear) == ""
    rows = [_row(value, "campaign", "window_start", "n", "total") for value in kafka.values(final)]
    assert differences(rows, expected.final) == ""
    newest: dict[bytes | None, tuple[Any, ...]] = {}
    for message in kafka.read(totals):
        row = _row(message.value(), "ad", "n", "total", "newest")
        before = newest.get(message.key())
        # Each record once and in order: a count that a batch has changed is higher than before.
        assert before is None or before[1] < row[1], (before, row)
        newest[message.key()] = row
    assert differences(list(newest.values()), expected.totals) == ""


def be_away() -> None:
    threading.Event().wait(LONGER_S)


def _row(value: bytes | None, *names: str) -> tuple[Any, ...]:
    assert value is not None
    row = json.loads(value)
    times = ("window_start", "newest")
    return tuple(datetime.fromisoformat(row[name]) if name in times else row[name] for name in names)
