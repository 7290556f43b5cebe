from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from streamjob_api.models import Checkpoint, Step, StreamJobSpec
from streamjob_api.sinks import Sink
from streamjob_api.sources import Source, StaticTable
from streamjob_api.systems.console import ConsoleSink
from streamjob_api.systems.files import FilesSink, FilesSource, TableFiles
from streamjob_api.systems.queue import QueueSink, QueueSource
from streamjob_api.systems.tcp import TcpSource


def spec(**fields: Any) -> StreamJobSpec:
    queue = Source(name="rows", queue=QueueSource(), schema_={"id": "BIGINT"})
    return StreamJobSpec(**{"sources": (queue,), "sinks": (Sink(from_="rows", queue=QueueSink()),)} | fields)


def test_a_spec_is_made_in_python_as_well() -> None:
    made = spec(pipeline=(Step(name="all", sql="SELECT * FROM rows"),))
    assert made.batch_interval == timedelta(seconds=2)
    assert made.trigger == "processingTime"
    assert made.sources[0].kind == "queue"
    assert made.sources[0].config == QueueSource()
    assert made.sinks[0].kind == "queue"
    assert made.sinks[0].mode == "append"


@pytest.mark.parametrize(
    ("batch", "interval", "effective", "batches"),
    [
        ("2s", None, timedelta(seconds=10), 5),
        ("100ms", None, timedelta(milliseconds=500), 5),
        ("2s", "14s", timedelta(seconds=14), 7),
        ("30s", "5m", timedelta(minutes=5), 10),
    ],
)
def test_a_checkpoint_is_taken_every_so_many_batches(
    batch: str, interval: str | None, effective: timedelta, batches: int
) -> None:
    made = spec(batch_interval=batch, checkpoint=Checkpoint.model_validate({"interval": interval}))
    assert made.checkpoint_interval == effective
    assert made.batches_per_checkpoint == batches


def test_sinks_have_unique_names_that_other_sinks_do_not_change() -> None:
    console, queue = Sink(from_="rows", console=ConsoleSink()), Sink(from_="rows", queue=QueueSink())
    assert spec(sinks=(console, queue, console)).sink_names == ("rows.console", "rows.queue", "rows.console.2")
    assert spec(sinks=(queue, console)).sink_names == ("rows.queue", "rows.console")


def test_the_rules_hold_for_what_is_made_in_python() -> None:
    with pytest.raises(ValidationError, match="a queue source needs a schema"):
        Source(name="rows", queue=QueueSource())
    with pytest.raises(ValidationError, match="a sink needs a kind"):
        Sink(from_="rows")
    with pytest.raises(ValidationError, match="no pipeline step or source"):
        spec(sinks=(Sink(from_="other", queue=QueueSink()),))


def test_only_files_have_a_csv_header() -> None:
    schema = {"id": "BIGINT"}
    files = FilesSource(path="in")
    assert Source(name="a", files=files, format="csv", schema_=schema).csv_header
    bare = FilesSource(path="in", header=False)
    assert not Source(name="a", files=bare, format="csv", schema_=schema, columns=("id",)).csv_header
    tcp = TcpSource(host="localhost", port=9999)
    assert not Source(name="a", tcp=tcp, format="csv", schema_=schema, columns=("id",)).csv_header


def test_without_columns_their_order_is_that_of_the_alphabet() -> None:
    """A JSON object has no order, and the API server sorts its fields."""
    made = Source(name="a", queue=QueueSource(), schema_={"z": "BIGINT", "a": "VARCHAR", "M": "DATE"})
    assert list((made.ordered_schema or {}).items()) == [("M", "DATE"), ("a", "VARCHAR"), ("z", "BIGINT")]
    lines = Source(name="a", tcp=TcpSource(host="localhost", port=1), format="text")
    assert lines.ordered_schema is None


def test_columns_say_the_order_of_csv_without_a_header_line() -> None:
    order = ("z", "a", "m")
    schema = {"a": "VARCHAR", "m": "DATE", "z": "BIGINT"}
    tcp = TcpSource(host="localhost", port=1)
    made = Source(name="a", tcp=tcp, format="csv", schema_=schema, columns=order)
    assert list((made.ordered_schema or {}).items()) == [("z", "BIGINT"), ("a", "VARCHAR"), ("m", "DATE")]
    files = TableFiles(path="in", header=False)
    table = StaticTable(name="t", files=files, format="csv", schema_=schema, columns=order)
    assert tuple(table.ordered_schema or {}) == order


def test_models_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        spec().trigger = "availableNow"  # type: ignore[misc]


@pytest.mark.parametrize(
    "path",
    [
        "in",
        "./in",
        "/data/in",
        "../x",
        "a:b",
        "in/*.json",
        "file:///data",
        "s3://bucket",
        "s3://bucket/a b/",
        "päth",
        "hdfs://x/y",
        "hdfs://x:9000/a b/*",
        "hdfs:///y",
    ],
)
def test_locations(path: str) -> None:
    assert FilesSink(path=path).path == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "hdfs://",
        "hdfs://me:pw@x/y",
        "hdfs://x:y/",
        "gs://x/y",
        "s3://",
        "s3:/bucket/x",
        "S3://bucket",
        "http://x",
        "a\nb",
        "s3://_/x",
    ],
)
def test_no_locations(path: str) -> None:
    with pytest.raises(ValidationError):
        FilesSink(path=path)
