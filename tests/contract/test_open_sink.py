"""From a manifest's sink to the sink that writes."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from streamjob_api.sinks import Sink as SinkModel
from streamjob_runtime.connectors.console.sink import TextPrinter
from streamjob_runtime.connectors.open import open_sink
from streamjob_runtime.connectors.shared.output_queue import OutputQueue
from streamjob_runtime.connectors.sink import SinkBatch, Writer
from streamjob_runtime.connectors.sink_context import SinkContext
from streamjob_runtime.errors import JobError
from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.connections import Connections, Secrets

ROWS = pa.table({"word": ["a", "b", "c"]})
WRITER = Writer("job", 1, lambda: None)
BATCH = SinkBatch(0, 0, ROWS, "append", WRITER)


def sink_of(**fields: Any) -> SinkModel:
    return SinkModel.model_validate({"from": "words", **fields})


def context(base_dir: Path, printed: io.StringIO | None = None, **queues: OutputQueue) -> SinkContext:
    connections = Connections(None, Secrets(None, {}))
    return SinkContext(connections, lambda store, _: store, base_dir, TextPrinter(printed or io.StringIO()), queues)


def write(sink: SinkModel, around: SinkContext) -> None:
    opened = open_sink(sink, "out", ROWS.schema, around)
    opened.open(WRITER)
    opened.write(BATCH)
    opened.close()


def test_files_are_written_below_the_manifests_folder(tmp_path: Path) -> None:
    write(sink_of(files={"path": "results/words"}, format="csv"), context(tmp_path))
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.glob("**/*.csv")] == ["results/words/part-000000000000.csv"]


def test_an_absolute_path_or_url_stays_as_it_is(tmp_path: Path) -> None:
    around = context(Path("/nowhere"))
    assert around.resolve(str(tmp_path)) == str(tmp_path)
    assert around.resolve("s3://out/words/") == "s3://out/words/"


def test_the_store_of_files_gets_its_retries_under_a_name_for_people(tmp_path: Path) -> None:
    wrapped = []

    def wrap(store: Store, what: str) -> Store:
        wrapped.append(what)
        return store

    around = SinkContext(Connections(None, Secrets(None, {})), wrap, tmp_path, TextPrinter(io.StringIO()))
    open_sink(sink_of(files={"path": "out"}, format="json"), "views", ROWS.schema, around)
    assert wrapped == [f'sink "views" ({tmp_path}/out)']


def test_console_rows_follow_the_manifest(tmp_path: Path) -> None:
    out = io.StringIO()
    write(sink_of(console={"rows": 2}), context(tmp_path, out))
    assert "2 of 3 rows" in out.getvalue()


def test_a_queue_is_the_one_under_the_sinks_name(tmp_path: Path) -> None:
    queue = OutputQueue()
    write(sink_of(queue={}), context(tmp_path, out=queue))
    assert queue.rows() == ROWS


def test_a_queue_that_nobody_gave_is_explained(tmp_path: Path) -> None:
    with pytest.raises(JobError, match='sink "out": a queue sink needs an OutputQueue'):
        open_sink(sink_of(queue={}), "out", None, context(tmp_path))


def test_a_column_that_is_not_there_is_found_before_the_first_batch(tmp_path: Path) -> None:
    sink = sink_of(files={"path": "out", "partitionBy": ["wrod"]}, format="json")
    with pytest.raises(JobError, match='names the column "wrod"'):
        open_sink(sink, "out", ROWS.schema, context(tmp_path))


def test_an_unknown_kind_is_told_the_known_ones(tmp_path: Path) -> None:
    sink = SimpleNamespace(kind="papyrus", config=None, mode="append", format=None)
    with pytest.raises(
        JobError,
        match='no sink of kind "papyrus" is installed; there are console, delta, files, kafka, postgres, queue',
    ):
        open_sink(sink, "out", None, context(tmp_path))
