"""Folders of partitions are written as Hive and Spark write them, and read back as columns."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamjob_api.sources import Source, StaticTable
from streamjob_runtime import memory
from streamjob_runtime.clock import ManualClock
from streamjob_runtime.connectors.files.contents import FileContents
from streamjob_runtime.connectors.files.decoding import FileDecoder
from streamjob_runtime.connectors.files.folders import Folders
from streamjob_runtime.connectors.files.paths import matches_glob
from streamjob_runtime.connectors.files.source import FilesSource
from streamjob_runtime.connectors.open import open_source, open_table
from streamjob_runtime.connectors.shared.partitions import escaped, split, unescaped, values_of
from streamjob_runtime.connectors.source_context import SourceContext
from streamjob_runtime.connectors.table import TableContext
from streamjob_runtime.errors import JobError
from streamjob_runtime.formats.columns import Columns
from streamjob_runtime.formats.open import make_decoder, make_encoder
from streamjob_runtime.stores.connections import Connections, Secrets
from support.memory import MemoryStore

WIRE_COLUMNS: list[tuple[str, Any]] = [("id", pa.int64()), ("day", pa.string()), ("n", pa.int64())]
WIRE = pa.schema(WIRE_COLUMNS)


class Reading:
    """A folder in memory, read by a source."""

    def __init__(self, format_: str = "json", root: str = "", most: int = 1 << 30, **columns: Any) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore(self.clock)
        self.said: list[dict[str, Any]] = []
        self.decoder = FileDecoder(make_decoder(format_, WIRE), Columns(WIRE.names, **columns), Folders(root))
        say = lambda level, message, **fields: self.said.append({"level": level, "message": message, **fields})  # noqa: E731
        self.source = FilesSource("s", self.store, self.decoder, WIRE, 100, self.clock, most=most, say=say)
        self.source.open(None)

    def put(self, key: str, *rows: dict[str, Any], packed: bool = False) -> None:
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        self.store.create(key, gzip.compress(data) if packed else data)
        self.clock.advance(2)

    def batch(self) -> list[dict[str, Any]]:
        offsets = self.source.poll(None, self.clock.now_ms())
        assert offsets is not None
        self.source.advance(offsets)
        return self.source.read(offsets).to_pylist()


@pytest.mark.parametrize("format_", ["json", "csv", "parquet"])
def test_what_partition_by_wrote_is_read_back(format_: str) -> None:
    rows = pa.table({"id": [1, 2, 3], "day": ["a/b=c d", None, "é"], "n": pa.array([7, 8, None], pa.int64())})
    reading = Reading(format_)
    for folder, part in split(rows, ["day", "n"], "out"):
        reading.store.create(f"{folder}part-0.{format_}", make_encoder(format_).encode(part))
        reading.clock.advance(2)
    found = sorted(reading.batch(), key=lambda row: int(row["id"]))
    assert found == rows.to_pylist()
    table = FileContents("t", reading.store, None, reading.decoder)
    assert sorted(table.read(table.files()).to_pylist(), key=lambda row: int(row["id"])) == rows.to_pylist()


def test_folders_above_the_path_count_too_and_case_does_not() -> None:
    reading = Reading(root="s3://bucket/x/DAY=2024-01-02/")
    reading.put("N=5/a.json", {"id": 1})
    assert reading.batch() == [{"id": 1, "day": "2024-01-02", "n": 5}]


def test_a_folder_that_does_not_fit_is_refused_with_what_it_says() -> None:
    reading = Reading()
    reading.put("n=x/a.json", {"id": 1})
    with pytest.raises(JobError, match="""its folder says 'x' for the column "n", which is no int64"""):
        reading.batch()
    reading = Reading()
    reading.put("n=1/a.json", {"id": 1, "n": 1}, {"id": 2, "n": None})
    reading.put("n=1/b.json", {"id": 1, "n": 2})
    with pytest.raises(JobError, match="""its folder says 1 for the column "n", and the file another value"""):
        reading.batch()


def test_a_parquet_table_has_the_columns_of_its_folders() -> None:
    store = MemoryStore()
    store.create("day=1/a.parquet", make_encoder("parquet").encode(pa.table({"id": [1]})))
    contents = FileContents("t", store, None, format="parquet")
    assert [(f.name, f.type) for f in contents.schema()] == [("id", pa.int64()), ("day", pa.string())]
    contents.take_columns(contents.schema())
    assert contents.read(contents.files()).to_pylist() == [{"id": 1, "day": "1"}]


def test_names_are_escaped_as_hive_and_spark_do_and_no_more() -> None:
    assert escaped("a b+c&d,e;f~g@h!i$j(k)|é}") == "a b+c&d,e;f~g@h!i$j(k)|é}"
    assert escaped("\"#%'*/:=?\\{[]^\x01\x1f\x7f\n") == "%22%23%25%27%2A%2F%3A%3D%3F%5C%7B%5B%5D%5E%01%1F%7F%0A"
    # What others escape beyond that is understood; what is no escape stays.
    assert [unescaped(text) for text in ("a%20b", "%C3%A9", "100%", "%zz", "%FF")] == ["a b", "é", "100%", "%zz", "%FF"]
    assert values_of("x/a=1/b%3D=__HIVE_DEFAULT_PARTITION__/a=2/c=/f=1.json") == {"a": "2", "b=": None, "c": ""}


@given(st.text(min_size=1), st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_whatever_is_escaped_comes_back(column: str, value: str) -> None:
    column = column.encode("utf-8", "ignore").decode() or "c"
    folder = f"{escaped(column)}={escaped(value)}/"
    assert folder.count("/") == 1
    assert values_of(folder + "f") == {column: value}


@pytest.mark.parametrize("value", ["", "__HIVE_DEFAULT_PARTITION__"])
def test_a_text_that_readers_take_for_null_is_refused(value: str) -> None:
    rows = pa.table({"id": [1], "day": [value]})
    with pytest.raises(JobError, match=r'"day" of partitionBy has the value .*nullif\(day, '):
        list(split(rows, ["day"], "out"))


def test_a_column_with_an_underscore_has_folders_that_are_read() -> None:
    assert matches_glob(None, "_day=1/a.json")
    assert not matches_glob(None, "_day/a.json")
    assert not matches_glob(None, "_a=1")
    assert not matches_glob(None, ".x=1/a.json")


def test_a_column_that_no_file_has_is_warned_of_once() -> None:
    reading = Reading()
    reading.put("day=1/a.json", {"id": 1, "nn": 2})
    reading.batch()
    reading.put("day=1/b.json", {"id": 1, "nn": 2})
    reading.batch()
    (said,) = reading.said
    assert said.pop("message") == "no record has this column, it is NULL in all rows"
    assert said == {"level": "warning", "source": "s", "column": "n", "there": "id, nn, day", "similar": "nn"}


def test_a_record_without_a_required_value_is_refused_by_its_line() -> None:
    reading = Reading(required=["n"])
    reading.put("a.json", {"id": 1, "n": 1}, {"id": 2, "nn": 2})
    with pytest.raises(JobError, match=r'a\.json, line 2: it has no "n", which is required\. It begins: {"id": 2'):
        reading.batch()


def test_a_file_that_becomes_too_large_is_refused_by_its_name() -> None:
    reading = Reading(most=1 << 20)
    reading.put("large.json.gz", *[{"id": i} for i in range(100_000)], packed=True)
    with pytest.raises(JobError, match=r"the file memory/large\.json\.gz becomes more than 1 MiB when it is unpacked"):
        reading.batch()
    table = FileContents("t", reading.store, None, reading.decoder, most=1 << 20)
    with pytest.raises(JobError, match=r"the file large\.json\.gz at memory becomes more than 1 MiB"):
        table.read(table.files())


def test_many_packed_files_are_read_in_batches_that_fit() -> None:
    reading = Reading(most=1 << 20)
    for i in range(20):
        reading.put(f"{i:02}.json.gz", *[{"id": n} for n in range(30_000)], packed=True)  # 400 kB, and 720 kB as rows
    batches = []
    while reading.source.poll(None, reading.clock.now_ms()) is not None:
        batches.append(len(reading.batch()) // 30_000)
    assert sum(batches) == 20
    assert max(batches) <= 8


def test_a_column_that_no_file_of_a_table_has_is_warned_of() -> None:
    reading = Reading()
    reading.put("day=1/a.json", {"id": 1})
    said: list[str] = []
    say = lambda level, message, **fields: said.append(f"{level} {fields}")  # noqa: E731
    table = FileContents("t", reading.store, None, reading.decoder, say=say)
    assert table.read(table.files()).num_rows == 1
    assert said == ["warning {'table': 't', 'column': 'n', 'there': 'id, day'}"]


def test_a_file_may_become_a_share_of_the_memory(tmp_path: Path) -> None:
    machine = memory.limit(tmp_path)
    assert machine > 1 << 28
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.limit(tmp_path) == machine
    (tmp_path / "memory.max").write_text(f"{1 << 28}\n")
    assert memory.limit(tmp_path) == 1 << 28
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text(f"{1 << 27}\n")
    assert memory.limit(tmp_path) == 1 << 27
    assert 0 < memory.for_one_file() <= machine // 4


def test_a_manifest_says_how_its_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "in" / "day=1").mkdir(parents=True)
    (tmp_path / "in" / "day=1" / "a.csv").write_bytes(b'ID,text\n7,"say \\"hi\\""\n')
    schema = {"id": "BIGINT", "day": "INTEGER", "text": "VARCHAR"}
    fields: dict[str, Any] = {"format": "csv", "schema": schema, "escape": "\\", "required": ["id"]}
    spec = Source.model_validate({"name": "src", "files": {"path": "in/"}, **fields})
    table = StaticTable.model_validate({"name": "tab", "files": {"path": "in"}, **fields})
    wire = pa.schema([*list(WIRE)[:1], pa.field("day", pa.int64())]).append(pa.field("text", pa.string()))
    rows = [{"id": 7, "day": 1, "text": 'say "hi"'}]
    clock = ManualClock()
    nowhere = Connections(None, Secrets(None, {}))
    source = open_source(
        spec, wire, SourceContext(nowhere, MemoryStore(), 1, clock, random.Random(0), base_dir=tmp_path)
    )
    source.open(None)
    source.poll(None, clock.now_ms())
    clock.advance(1)
    offsets = source.poll(None, clock.now_ms())
    assert offsets is not None
    assert source.read(offsets).to_pylist() == rows
    source.close()
    contents = open_table(table, TableContext(nowhere, base_dir=tmp_path))
    contents.take_columns(wire)
    found = contents.newest(lambda version: False)
    assert found is not None
    assert found[1].to_pylist() == rows
    (tmp_path / "in" / "day=1" / "a.csv").write_bytes(b"text\nx\n")
    with pytest.raises(JobError, match=r'record 1 of the file in/day=1/a.csv .* it has no "id"'):
        contents.newest(lambda version: False)
