"""A job between Kafka topics of Avro records, as its user runs it; killed in the middle, too."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

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


def _logical(kind: str, logical_type: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": logical_type, **more}


# A column's SQL type, Avro's type and value, and what the sink's Avro gives in the end.
WIDE: dict[str, tuple[str, Any, Any, Any]] = {
    "tiny": ("TINYINT", "int", -5, -5),
    "small": ("USMALLINT", "int", 65535, 65535),
    "whole": ("INTEGER", "int", -(2**31), -(2**31)),
    "big": ("BIGINT", "long", 2**63 - 1, 2**63 - 1),
    "positive": ("UBIGINT", "long", 7, Decimal(7)),
    "huge": ("HUGEINT", _logical("bytes", "decimal", precision=38, scale=0), Decimal(-(10**37)), Decimal(-(10**37))),
    "exact": ("DECIMAL(9, 2)", _logical("bytes", "decimal", precision=5, scale=1), Decimal("1.5"), Decimal("1.50")),
    "single": ("REAL", "float", 0.5, 0.5),
    "double_": ("DOUBLE", "double", 0.1, 0.1),
    "flag": ("BOOLEAN", "boolean", True, True),
    "words": ("VARCHAR", "string", "é\n", "é\n"),
    "bytes_": ("BLOB", "bytes", b"\x00\xff", b"\x00\xff"),
    "id": ("UUID", _logical("string", "uuid"), UUID(int=5), str(UUID(int=5))),
    "kind": ("VARCHAR", {"type": "enum", "name": "K", "symbols": ["a", "b"]}, "b", "b"),
    "doc": ("JSON", {"type": "map", "values": "int"}, {"k": 1}, '{"k":1}'),
    "day": ("DATE", _logical("int", "date"), FIRST.date(), FIRST.date()),
    "clock": ("TIME", _logical("int", "time-millis"), time(1, 2, 3, 4000), time(1, 2, 3, 4000)),
    "moment": ("TIMESTAMP", _logical("long", "timestamp-micros"), FIRST, FIRST),
    "wall": ("TIMESTAMP", _logical("long", "local-timestamp-millis"), FIRST.replace(tzinfo=None), FIRST),
    "zoned": ("TIMESTAMP WITH TIME ZONE", _logical("long", "timestamp-millis"), FIRST, FIRST),
    "iso": ("TIMESTAMP", "string", "2026-11-21T01:00:00+01:00", FIRST),
    "tags": ("VARCHAR[]", {"type": "array", "items": ["null", "string"]}, ["a", None], ["a", None]),
    "pair": ("INTEGER[2]", {"type": "array", "items": "int"}, [1, 2], [1, 2]),
    "place": (
        "STRUCT(x DOUBLE, name VARCHAR)",
        {"type": "record", "name": "P", "fields": [{"name": "x", "type": "double"}]},
        {"x": 1.5},
        {"x": 1.5, "name": None},
    ),
    "counts": ("MAP(VARCHAR, BIGINT)", {"type": "map", "values": "long"}, {"a": 1}, {"a": 1}),
    "away": ("BIGINT", None, None, None),
}


def test_every_type_of_sql_goes_through(kafka: KafkaServer, registry: RegistryServer, tmp_path: Path) -> None:
    events, out = kafka.create_topic(), kafka.create_topic()
    fields = [{"name": name, "type": ["null", avro]} for name, (_, avro, _, _) in WIDE.items() if avro is not None]
    schema = {"type": "record", "name": "Wide", "fields": fields}
    schema_id = registry.register(f"{events}-value", schema)
    value = {name: written_ for name, (_, avro, written_, _) in WIDE.items() if avro is not None}
    kafka.produce(events, [written(schema_id, schema, value), written(schema_id, schema, dict.fromkeys(value))])
    connection = {"bootstrapServers": kafka.servers, "schemaRegistry": {"url": registry.url}}
    columns = {name: kind for name, (kind, _, _, _) in WIDE.items()}
    source = {"name": "events", "kafka": {**connection, "topic": events}, "format": "avro", "schema": columns}
    select = {"name": "all_", "sql": f"SELECT {', '.join(columns)} FROM events"}
    spec = {
        "trigger": "availableNow",
        "sources": [source],
        "pipeline": [select],
        "sinks": [{"from": "all_", "kafka": {**connection, "topic": out}, "format": "avro"}],
        "checkpoint": {"location": str(tmp_path / "checkpoint")},
    }
    head = {"apiVersion": "streamjob.dev/v1alpha1", "kind": "StreamJob", "metadata": {"name": "wide"}}
    manifest = tmp_path / "wide.yaml"
    manifest.write_text(json.dumps({**head, "spec": spec}))
    run = streamjob("run", manifest, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    expected_ = {name: read for name, (_, _, _, read) in WIDE.items()}
    assert [registry.read(each) for each in kafka.values(out)] == [expected_, dict.fromkeys(expected_)]
