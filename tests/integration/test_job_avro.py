"""A job between Kafka topics of Avro records, as its user runs it; killed in the middle, too."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from streamjob_runtime.engine.steps import Step
from support.command import streamjob
from support.kafka import KafkaServer
from support.registry import RegistryServer, written
from support.runtime import Runtime

RECORDS, A_BATCH = 400, 40
FIRST = datetime(2026, 11, 21, tzinfo=UTC)

EVENT: dict[str, Any] = {
    "type": "record",
    "name": "Event",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["view", "click"]}},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ],
}
LATER = {**EVENT, "fields": [*EVENT["fields"], {"name": "visitor", "type": ["null", "string"], "default": None}]}

MANIFEST = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: avro}}
spec:
  batchInterval: 10ms
  trigger: availableNow
  sources:
  - name: events
    kafka: {{bootstrapServers: "{servers}", topic: {events}, schemaRegistry: {{url: "{registry}"}}}}
    format: avro
    schema: {{id: INTEGER, kind: VARCHAR, price: "DECIMAL(9, 2)", ts: TIMESTAMP, visitor: VARCHAR}}
    watermark: {{column: ts, delay: 0s}}
    maxRecordsPerBatch: {a_batch}
  pipeline:
  - name: sums
    sql: |
      SELECT kind, window_start, sum(price) AS total, count(visitor) AS visitors
      FROM events GROUP BY kind, tumble(ts, INTERVAL '1 minute')
  sinks:
  - from: sums
    kafka: {{bootstrapServers: "{servers}", topic: {sums}, schemaRegistry: {{url: "{registry}"}}, key: [kind]}}
    format: avro
  checkpoint: {{location: "{folder}/checkpoint", interval: 50ms}}
"""


@dataclass
class World:
    manifest: Path
    events: str
    sums: str


@pytest.fixture
def world(kafka: KafkaServer, registry: RegistryServer, tmp_path: Path) -> World:
    world = World(tmp_path / "job.yaml", kafka.create_topic(), kafka.create_topic())
    ids = [registry.register(f"{world.events}-value", schema) for schema in (EVENT, LATER)]

    def event(i: int) -> bytes:
        at = FIRST + timedelta(seconds=i)
        value = {"id": i, "kind": ("view", "click")[i % 2], "price": _price(i), "ts": at, "visitor": f"v{i}"}
        return written(ids[i % 3 == 0], (EVENT, LATER)[i % 3 == 0], value)

    kafka.produce(world.events, [event(i) for i in range(RECORDS)])
    names = {"events": world.events, "sums": world.sums, "folder": tmp_path, "a_batch": A_BATCH}
    world.manifest.write_text(MANIFEST.format(servers=kafka.servers, registry=registry.url, **names))
    return world


def expected() -> list[dict[str, Any]]:
    """The windows that the last record has made final."""
    found = []
    for minute in range(RECORDS // 60):
        for parity, kind in enumerate(("view", "click")):
            numbers = [i for i in range(minute * 60, minute * 60 + 60) if i % 2 == parity]
            total = sum(map(_price, numbers))
            visitors = sum(i % 3 == 0 for i in numbers)
            window = FIRST + timedelta(minutes=minute)
            found.append({"kind": kind, "window_start": window, "total": total, "visitors": visitors})
    return found


def _price(i: int) -> Decimal:
    return Decimal(i) + Decimal("0.50")


@pytest.mark.parametrize("step", [None, Step.COMPUTED, Step.WRITTEN])
def test_a_job_gives_each_window_once(
    step: Step | None, world: World, kafka: KafkaServer, registry: RegistryServer
) -> None:
    if step is not None:
        assert Runtime(world.manifest, {}, (step, 3)).wait() == -9
    runtime = Runtime(world.manifest, {})
    assert runtime.wait() == 0, runtime.err
    found = [registry.read(value) for value in kafka.values(world.sums)]
    assert sorted(found, key=lambda row: (row["window_start"], row["kind"] == "click")) == expected()


def test_check_says_what_a_start_would_register(world: World, registry: RegistryServer) -> None:
    checked = streamjob("check", world.manifest, cwd=world.manifest.parent)
    assert checked.returncode == 0, checked.stderr
    assert f"; schemas from {registry.url}" in checked.stdout
    assert f"a start will register its schema as {world.sums}-value at {registry.url}" in checked.stdout
    assert f"{world.sums}-value" not in registry.subjects()


def test_a_name_that_avro_does_not_take_is_refused_before_the_first_batch(world: World) -> None:
    world.manifest.write_text(world.manifest.read_text().replace("count(visitor) AS visitors", "count(visitor)"))
    run = streamjob("run", world.manifest, cwd=world.manifest.parent)
    assert run.returncode == 78
    assert "has a name that Avro does not take" in run.stderr
