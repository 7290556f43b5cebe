"""Format avro, from and to Kafka, with a schema registry: as other clients write it and read it."""

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from streamjob_api.sinks import Sink as SinkModel
from streamjob_api.sources import Source as SourceModel
from streamjob_runtime.connectors.kafka.sink import KafkaSink
from streamjob_runtime.connectors.kafka.source import KafkaSource
from streamjob_runtime.connectors.sink import SinkBatch, Writer
from streamjob_runtime.connectors.sink_context import SinkContext
from streamjob_runtime.connectors.source import OffsetRange
from streamjob_runtime.errors import JobError, Unavailable
from streamjob_runtime.formats.wire import wire_schema
from streamjob_runtime.patience import Caller, Impatient
from streamjob_runtime.stores.connections import Connections, Secrets
from support.kafka import KafkaServer
from support.registry import RegistryServer, written
from support.sources import KafkaBench, patient


def columns_of(**kinds: Any) -> pa.Schema:
    return pa.schema(list(kinds.items()))


ORDER: dict[str, Any] = {
    "type": "record",
    "name": "Order",
    "namespace": "shop",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "customer", "type": ["null", "string"], "default": None},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
    ],
}
COLUMNS = columns_of(
    id=pa.int64(),
    customer=pa.string(),
    amount=pa.decimal128(9, 2),
    at=pa.timestamp("us"),
    tags=pa.list_(pa.string()),
)
_JSON_SCHEMA = "http://json-schema.org/draft-07/schema#"
AT = datetime(2026, 11, 21, 9, 30, 0, 500_000)
ROW = {"id": 1, "customer": "ann", "amount": Decimal("12.50"), "at": AT, "tags": ["a", "b"]}


def order(schema_id: int, **changed: Any) -> bytes:
    return written(schema_id, ORDER, {**ROW, "at": AT.replace(tzinfo=UTC), **changed})


class Job:
    """A source with its log."""

    def __init__(
        self, kafka: KafkaServer, url: str, topic: str, schema: pa.Schema = COLUMNS, caller: Caller | None = None
    ) -> None:
        self.topic = topic
        self._kafka, self._url, self._schema, self._caller = kafka, url, schema, caller or patient()
        self.source = self.make()

    def make(self, secrets: dict[str, str] | None = None, **registry: Any) -> KafkaSource:
        """Another one of its sources; keywords are the manifest's, below `schemaRegistry`."""
        model = {
            "name": "orders",
            "format": "avro",
            "schema": dict.fromkeys(self._schema.names, "VARCHAR"),  # their types come with `wire`
            "kafka": {
                "bootstrapServers": self._kafka.servers,
                "topic": self.topic,
                "schemaRegistry": {"url": self._url, **registry},
            },
        }
        bench = KafkaBench(self._kafka, self.topic).context(1)
        context = replace(
            bench, connections=Connections(None, Secrets(None, secrets or {})), patience=lambda what: self._caller
        )
        return KafkaSource.from_manifest(SourceModel.model_validate(model), wire_schema("avro", self._schema), context)

    def poll(self) -> OffsetRange:
        offsets = self.source.poll(None, 0)
        assert offsets is not None
        self.source.advance(offsets)
        return offsets

    def rows(self) -> list[dict[str, Any]]:
        return self.source.read(self.poll()).to_pylist()


@pytest.fixture
def read(kafka: KafkaServer, registry: RegistryServer) -> Iterator[Callable[..., Job]]:
    made: list[Job] = []

    def make(topic: str | None = None, schema: pa.Schema = COLUMNS) -> Job:
        made.append(Job(kafka, registry.url, topic or kafka.create_topic(), schema))
        made[-1].source.open(None)
        return made[-1]

    yield make
    for job in made:
        job.source.close()


def sink(
    kafka: KafkaServer, url: str, topic: str, columns: pa.Schema, caller: Caller | None = None, **more: Any
) -> KafkaSink:
    secrets = more.pop("secrets", {})
    registry = {"url": url, **more.pop("registry", {})}
    model = SinkModel.model_validate(
        {
            "from": "totals",
            "format": "avro",
            "kafka": {"bootstrapServers": kafka.servers, "topic": topic, "schemaRegistry": registry, **more},
        }
    )
    context: Any = SinkContext(
        Connections(None, Secrets(None, secrets)),
        None,  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        patience=lambda what: caller or Impatient(),
    )
    return KafkaSink.from_manifest(model, "totals.kafka", columns, context)


def write(target: KafkaSink, rows: pa.Table, batch_id: int = 0) -> None:
    target.open(Writer("job", 1, lambda: None))
    try:
        target.write(SinkBatch(batch_id, 0, rows, "append", Writer("job", 1, lambda: None)))
    finally:
        target.close()


# --- the source


def test_records_of_other_clients_are_rows(
    kafka: KafkaServer, registry: RegistryServer, read: Callable[..., Job]
) -> None:
    job = read()
    schema_id = registry.register(f"{job.topic}-value", ORDER)
    kafka.produce(job.topic, [order(schema_id), (b"gone", None), order(schema_id, customer=None, tags=[])])
    assert job.rows() == [ROW, dict.fromkeys(ROW), {**ROW, "customer": None, "tags": []}]


def test_a_batch_may_hold_records_of_several_schemas(
    kafka: KafkaServer, registry: RegistryServer, read: Callable[..., Job]
) -> None:
    job = read()
    fields = [f for f in ORDER["fields"] if f["name"] != "customer"]
    later = {**ORDER, "fields": [{"name": "note", "type": "string", "default": ""}, *fields]}
    first, second = (registry.register(f"{job.topic}-value", schema) for schema in (ORDER, later))
    assert first != second
    new = written(second, later, {**ROW, "id": 2, "at": AT.replace(tzinfo=UTC), "note": "new"})
    kafka.produce(job.topic, [order(first), new, order(first, id=3), new])
    rows = job.rows()
    assert [row["id"] for row in rows] == [1, 2, 3, 2]
    assert [row["customer"] for row in rows] == ["ann", None, "ann", None]


def test_a_replay_gives_the_same_rows(kafka: KafkaServer, registry: RegistryServer, read: Callable[..., Job]) -> None:
    job = read()
    schema_id = registry.register(f"{job.topic}-value", ORDER)
    kafka.produce(job.topic, [order(schema_id, id=i) for i in range(100)])
    offsets = job.poll()
    first = job.source.read(offsets)
    again = read(job.topic)
    again.source.advance(offsets)
    assert again.source.read(offsets).equals(first)


def test_schemas_that_refer_to_others_are_put_together(
    kafka: KafkaServer, registry: RegistryServer, read: Callable[..., Job]
) -> None:
    money = {
        "type": "record",
        "name": "Money",
        "namespace": "shop",
        "fields": [{"name": "cents", "type": "long"}],
    }
    job = read(schema=columns_of(price=pa.struct([("cents", pa.int64())])))
    registry.register(f"{job.topic}-money", money)
    item = {"type": "record", "name": "Item", "namespace": "shop", "fields": [{"name": "price", "type": "shop.Money"}]}
    reference = {"name": "shop.Money", "subject": f"{job.topic}-money", "version": 1}
    schema_id = registry.register(f"{job.topic}-value", item, references=[reference])
    whole = {**item, "fields": [{"name": "price", "type": money}]}
    kafka.produce(job.topic, [written(schema_id, whole, {"price": {"cents": 5}})])
    assert job.rows() == [{"price": {"cents": 5}}]


@pytest.mark.parametrize(
    "make, said",
    [
        (
            lambda i: order(999_999),
            "its schema, number 999999, cannot be used: the schema registry at .* does not have",
        ),
        (lambda i: b'{"id": 1}', "it does not begin with a zero byte and the number of its schema"),
        (lambda i: order(i)[:-3], '"tags": it ends in the middle of a value'),
        (lambda i: order(i) + b"x", "it has bytes behind its end"),
    ],
)
def test_a_record_that_cannot_be_decoded_is_named(
    make: Callable[[int], bytes],
    said: str,
    kafka: KafkaServer,
    registry: RegistryServer,
    read: Callable[..., Job],
) -> None:
    job = read()
    schema_id = registry.register(f"{job.topic}-value", ORDER)
    kafka.produce(job.topic, [order(schema_id), make(schema_id)])
    where = f'Source "orders": the record at offset 1 of partition 0 of the topic {job.topic} cannot be decoded'
    with pytest.raises(JobError, match=f"{where}: {said}"):
        job.rows()


def test_a_column_of_another_type_is_named(
    kafka: KafkaServer, registry: RegistryServer, read: Callable[..., Job]
) -> None:
    job = read(schema=columns_of(customer=pa.int64()))
    schema_id = registry.register(f"{job.topic}-value", ORDER)
    kafka.produce(job.topic, [order(schema_id, customer=None), order(schema_id)])
    with pytest.raises(JobError, match=r'offset 1 of .*: "customer": a string stands where an integer is declared'):
        job.rows()


def test_a_schema_that_is_not_of_avro_is_refused(
    kafka: KafkaServer, registry: RegistryServer, read: Callable[..., Job]
) -> None:
    job = read()
    schema_id = registry.register(f"{job.topic}-value", {"$schema": _JSON_SCHEMA, "type": "object"}, schemaType="JSON")
    kafka.produce(job.topic, [order(schema_id)])
    with pytest.raises(JobError, match="cannot be used: it is of type JSON and not AVRO"):
        job.rows()


def test_a_registry_that_is_away_is_waited_for(kafka: KafkaServer, own_registry: RegistryServer) -> None:
    topic = kafka.create_topic()
    schema_id = own_registry.register(f"{topic}-value", ORDER)
    kafka.produce(topic, [order(schema_id)])
    job = Job(kafka, own_registry.url, topic)
    job.source.open(None)
    offsets = job.poll()
    own_registry.kill()
    found: list[pa.Table] = []
    reading = threading.Thread(target=lambda: found.append(job.source.read(offsets)))
    reading.start()
    with pytest.raises(Unavailable, match=r'Source "orders": the schema registry at .* does not answer'):
        Job(kafka, own_registry.url, topic, caller=Impatient()).source.check()
    assert reading.is_alive()
    own_registry.start()
    reading.join(60)
    assert found[0].to_pylist() == [ROW]
    job.source.close()


# --- how the registry is reached


def test_the_source_says_at_the_start_what_is_wrong_with_the_registry(
    kafka: KafkaServer, registry: RegistryServer
) -> None:
    topic = kafka.create_topic()
    assert (
        Job(kafka, registry.url, topic).source.check()
        == f"{topic}: 1 partition, 0 offsets; schemas from {registry.url}"
    )
    elsewhere = registry.url.replace("/ccompat/v7", "/nowhere")
    for ask in ("check", "open"):
        source = Job(kafka, elsewhere, topic).source
        with pytest.raises(JobError, match=r"answers with 404 .*Correct schemaRegistry\.url"):
            source.check() if ask == "check" else source.open(None)


def test_a_password_is_sent_and_never_shown(kafka: KafkaServer) -> None:
    topic = kafka.create_topic()
    with OneAnswer(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n") as server:
        job = Job(kafka, f"http://127.0.0.1:{server.port}", topic)
        secrets = {"SCHEMA_REGISTRY_USERNAME": "ann", "SCHEMA_REGISTRY_PASSWORD": "pa:ss"}
        source = job.make(secrets, authSecretRef={"name": "registry"})
        with pytest.raises(JobError, match=r"refuses this job .*schemaRegistry\.authSecretRef") as refused:
            source.check()
    assert "Basic YW5uOnBhOnNz".lower() in server.asked.lower()
    assert "pa:ss" not in str(refused.value)
    with pytest.raises(JobError, match="There is no password of Secret 'registry'"):
        job.make({"SCHEMA_REGISTRY_USERNAME": "ann"}, authSecretRef={"name": "registry"})


@pytest.mark.parametrize(
    "answer, error, said",
    [
        (
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
            Unavailable,
            "does not answer as it should: 503",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<p>Hi", JobError, "answers with something else than JSON"),
        (b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", JobError, "answers with 302 Found"),
        (b"", Unavailable, "does not answer: "),
    ],
)
def test_what_is_no_answer_of_a_registry(answer: bytes, error: type[Exception], said: str, kafka: KafkaServer) -> None:
    with OneAnswer(answer) as server:
        source = Job(kafka, f"http://127.0.0.1:{server.port}", kafka.create_topic()).source
        with pytest.raises(error, match=said):
            source.check()


def test_a_certificate_that_is_not_trusted_is_named(kafka: KafkaServer, registry: RegistryServer) -> None:
    job = Job(kafka, registry.secure_url, kafka.create_topic())
    with pytest.raises(JobError, match=r"not trusted .*schemaRegistry\.certificatesSecretRef"):
        job.source.check()
    trusting = job.make({"SCHEMA_REGISTRY_CA": registry.ca.read_text()}, certificatesSecretRef={"name": "registry"})
    assert trusting.check().endswith(f"; schemas from {registry.secure_url}")
    with pytest.raises(JobError, match=r"ca\.crt .* holds no certificate in PEM"):
        job.make({"SCHEMA_REGISTRY_CA": "none"}, certificatesSecretRef={"name": "registry"})


# --- the sink


TOTALS = columns_of(customer=pa.string(), total=pa.decimal128(38, 2), day=pa.date32())


def totals(*rows: tuple[str | None, str, int]) -> pa.Table:
    columns = {"customer": [r[0] for r in rows], "total": [Decimal(r[1]) for r in rows]}
    return pa.table({**columns, "day": [date(2026, 11, r[2]) for r in rows]}, schema=TOTALS)


def test_other_clients_read_what_is_written(kafka: KafkaServer, registry: RegistryServer) -> None:
    topic = kafka.create_topic()
    write(sink(kafka, registry.url, topic, TOTALS, key=["customer"]), totals(("ann", "-12.50", 21), (None, "0", 22)))
    assert [registry.read(value) for value in kafka.values(topic)] == [
        {"customer": "ann", "total": Decimal("-12.50"), "day": date(2026, 11, 21)},
        {"customer": None, "total": Decimal("0.00"), "day": date(2026, 11, 22)},
    ]
    assert [m.key() for m in kafka.read(topic)] == [b"ann", None]
    assert registry.latest(f"{topic}-value")["fields"][0] == {
        "name": "customer",
        "type": ["null", "string"],
        "default": None,
    }


def test_what_the_sink_writes_the_source_reads(
    kafka: KafkaServer, registry: RegistryServer, read: Callable[..., Job]
) -> None:
    topic = kafka.create_topic()
    rows = pa.Table.from_pylist([ROW, dict.fromkeys(ROW)], COLUMNS)
    write(sink(kafka, registry.url, topic, COLUMNS), rows)
    assert read(topic).rows() == rows.to_pylist()


def test_the_schema_is_registered_once_and_only_by_a_start(kafka: KafkaServer, registry: RegistryServer) -> None:
    topic = kafka.create_topic()
    subject = f"{topic}-value"
    said = sink(kafka, registry.url, topic, TOTALS).check()
    assert said.startswith(f"{topic}: 1 partition; a start will register its schema as {subject} at {registry.url}: {{")
    assert subject not in registry.subjects()
    for batch_id in range(2):
        write(sink(kafka, registry.url, topic, TOTALS), totals(("ann", "1", 21)), batch_id)
    assert registry.ask("GET", f"/subjects/{subject}/versions") == [1]
    assert "; its schema is number " in sink(kafka, registry.url, topic, TOTALS).check()


def test_a_schema_that_the_registry_does_not_take_is_refused_before_the_first_batch(
    kafka: KafkaServer, registry: RegistryServer
) -> None:
    topic = kafka.create_topic()
    write(sink(kafka, registry.url, topic, TOTALS), totals(("ann", "1", 21)))
    registry.ask("PUT", f"/config/{topic}-value", {"compatibility": "BACKWARD"})
    wider = pa.schema([*TOTALS, pa.field("orders", pa.int64())])
    assert "a start will register" in sink(kafka, registry.url, topic, wider).check()
    other = sink(kafka, registry.url, topic, columns_of(customer=pa.int64()))
    for refuse in (other.check, lambda: other.open(Writer("job", 1, lambda: None))):
        with pytest.raises(JobError, match=rf'sink "totals.kafka": the schema .* the subject {topic}-value .*STRING'):
            refuse()
    assert registry.ask("GET", f"/subjects/{topic}-value/versions") == [1]
    assert len(kafka.values(topic)) == 1


def test_the_record_keeps_the_name_that_the_subject_gave_it(kafka: KafkaServer, registry: RegistryServer) -> None:
    topic = kafka.create_topic()
    theirs = {
        "type": "record",
        "name": "Total",
        "namespace": "shop",
        "fields": [{"name": "customer", "type": "string"}],
    }
    registry.register(f"{topic}-value", theirs)
    registry.ask("PUT", f"/config/{topic}-value", {"compatibility": "BACKWARD"})
    write(sink(kafka, registry.url, topic, TOTALS), totals(("ann", "1", 21)))
    latest = registry.latest(f"{topic}-value")
    assert (latest["name"], latest["namespace"], len(latest["fields"])) == ("Total", "shop", 3)


def test_what_avro_does_not_take_is_refused_in_words(kafka: KafkaServer, registry: RegistryServer) -> None:
    topic = kafka.create_topic()

    def refused(columns: pa.Schema) -> str:
        with pytest.raises(JobError) as e:
            sink(kafka, registry.url, topic, columns)
        return str(e.value)

    assert 'sink "totals.kafka": column "count_star()" has a name' in refused(pa.schema([("count_star()", pa.int64())]))
    assert "Cast it to VARCHAR" in refused(columns_of(took=pa.month_day_nano_interval()))


def test_a_registry_that_is_away_keeps_the_sink_waiting(kafka: KafkaServer, own_registry: RegistryServer) -> None:
    topic = kafka.create_topic()
    own_registry.kill()
    with pytest.raises(Unavailable, match=r'sink "totals.kafka": the schema registry at .* does not answer'):
        sink(kafka, own_registry.url, topic, TOTALS).check()
    target = sink(kafka, own_registry.url, topic, TOTALS, patient())
    writing = threading.Thread(target=lambda: write(target, totals(("ann", "1", 21))))
    writing.start()
    own_registry.start()
    writing.join(60)
    assert [own_registry.read(value)["customer"] for value in kafka.values(topic)] == ["ann"]


# --- helpers


class OneAnswer:
    """A server that says the same to everybody."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.asked = ""
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "OneAnswer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _run(self) -> None:
        peer, _ = self._listener.accept()
        with peer:
            self.asked = peer.recv(65536).decode()
            peer.sendall(self._answer)
