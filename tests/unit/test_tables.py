"""Static tables: which version a batch joins with, and that a replay joins with the same."""

from contextlib import suppress
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamjob_runtime.checkpoint.cleanup import table_key
from streamjob_runtime.connectors.files.contents import FileContents
from streamjob_runtime.connectors.files.decoding import FileDecoder
from streamjob_runtime.engine.tables import StaticTable, StaticTables
from streamjob_runtime.errors import Damaged, JobError
from streamjob_runtime.formats.open import make_decoder, make_encoder
from support.memory import MemoryStore

COLUMNS: dict[str, pa.DataType] = {"id": pa.int64(), "name": pa.string()}
SCHEMA = pa.schema(COLUMNS)


class World:
    """A table's files, the job's store, and what the query was given."""

    def __init__(self, refresh_ms: int | None = None) -> None:
        self.files = MemoryStore()
        self.copies = MemoryStore()
        self.used: dict[str, list[dict[str, Any]]] = {}
        self.warnings: list[str] = []
        self.refresh_ms = refresh_ms
        self.put("a.csv", "1,one")
        self.tables = self.start()

    def start(self) -> StaticTables:
        """The tables of a runtime that has just started."""
        decoder = make_decoder("csv", SCHEMA, header=False)
        table = StaticTable("names", FileContents("names", self.files, None, FileDecoder(decoder)), self.refresh_ms)
        return StaticTables([table], self.copies, self._use, lambda _, text, **__: self.warnings.append(text))

    def put(self, key: str, text: str) -> None:
        self.files.delete(key)
        self.files.create(key, text.encode())

    def _use(self, name: str, rows: pa.Table) -> None:
        self.used[name] = rows.to_pylist()


ONE = {"id": 1, "name": "one"}
TWO = {"id": 2, "name": "two"}


def test_without_refresh_a_table_is_read_once() -> None:
    world = World()
    first = world.tables.refresh(0)
    world.put("b.csv", "2,two")
    assert world.tables.refresh(10**9) == first
    assert world.used["names"] == [ONE]


def test_a_refresh_reads_again_when_it_is_due_and_something_changed() -> None:
    world = World(refresh_ms=60_000)
    first = world.tables.refresh(1_000)
    world.put("b.csv", "2,two")
    assert world.tables.refresh(60_999) == first
    second = world.tables.refresh(61_000)
    assert second != first
    assert world.used["names"] == [ONE, TWO]
    assert world.tables.refresh(121_000) == second


def test_a_replay_joins_with_the_version_that_the_log_names() -> None:
    world = World(refresh_ms=60_000)
    old = world.tables.refresh(0)
    world.put("a.csv", "2,two")
    restarted = world.start()
    restarted.use(old)
    assert world.used["names"] == [ONE]
    assert restarted.refresh(0) != old
    assert world.used["names"] == [TWO]


def test_a_missing_copy_is_damage_and_is_named() -> None:
    world = World()
    versions = world.tables.refresh(0)
    world.copies.delete(table_key("names", versions["names"]))
    with pytest.raises(Damaged, match=f"tables/names/{versions['names']}"):
        world.start().use(versions)


def test_a_changed_copy_is_damage_and_is_named() -> None:
    world = World()
    versions = world.tables.refresh(0)
    key = table_key("names", versions["names"])
    world.copies.replace(key, world.copies.read(key)[:-1] + b"x", world.copies.stat(key).version)
    with pytest.raises(Damaged, match=f"{key} .* is not what was written"):
        world.start().use(versions)


def test_no_file_at_the_start_is_refused() -> None:
    world = World()
    world.files.delete("a.csv")
    with pytest.raises(JobError, match="The static table 'names' has no file at memory"):
        world.tables.refresh(0)


def test_a_file_that_cannot_be_decoded_is_named_with_its_record() -> None:
    world = World()
    world.put("a.csv", "1,one\nx,two")
    with pytest.raises(JobError, match=r"record 1 of the file a.csv at memory cannot be decoded"):
        world.tables.refresh(0)


@pytest.mark.parametrize("content", [b"", b"id,name\n1,one\n", b"PAR1"], ids=["empty", "csv", "cut"])
def test_columns_of_a_file_that_is_no_parquet_are_refused_by_its_name(content: bytes) -> None:
    files = MemoryStore()
    files.create("a.parquet", content)
    with pytest.raises(JobError, match=r"table 'names': .* the file a.parquet at memory .*not a whole Parquet file"):
        FileContents("names", files, None).schema()


@given(st.lists(st.tuples(st.integers(0, 10**4), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4))
def test_any_damage_to_a_parquet_file_is_said_or_does_no_harm(damage: list[tuple[int, bytes]]) -> None:
    rows = pa.table({"id": [1, 2], "näme": ["one", "two"]})
    content = bytearray(make_encoder("parquet").encode(rows))
    for place, there in damage:
        place %= len(content)
        content[place : place + len(there)] = there
    files = MemoryStore()
    files.create("a.parquet", bytes(content))
    contents = FileContents(
        "names",
        files,
        None,
        FileDecoder(make_decoder("parquet", rows.schema)),
    )
    for look in (contents.schema, contents.check):
        with suppress(JobError):
            look()


def test_a_table_that_cannot_be_read_again_stays_as_it_is_with_a_warning() -> None:
    world = World(refresh_ms=60_000)
    first = world.tables.refresh(0)
    world.put("a.csv", "x,broken")
    assert world.tables.refresh(60_000) == first
    assert world.used["names"] == [ONE]
    assert world.warnings == ["static table not refreshed, the old rows stay"]
    world.put("a.csv", "2,two")
    world.tables.refresh(120_000)
    assert world.used["names"] == [TWO]


def test_rows_that_the_query_refuses_are_in_no_version() -> None:
    class Strict(World):
        def _use(self, name: str, rows: pa.Table) -> None:
            if rows.column("name").to_pylist() == ["bad"]:
                raise JobError("no such value")
            super()._use(name, rows)

    world = Strict(refresh_ms=60_000)
    first = world.tables.refresh(0)
    world.put("a.csv", "1,bad")
    for now_ms in (60_000, 120_000):  # and it is said each time, until it is mended
        assert world.tables.refresh(now_ms) == first
    assert world.warnings == ["static table not refreshed, the old rows stay"] * 2
    world.put("a.csv", "2,two")
    assert world.tables.refresh(180_000) != first
    assert world.used["names"] == [TWO]


class Vanishing(MemoryStore):
    """Files that somebody replaces by others between the listing and the first read."""

    replaced = False

    def read(self, key: str) -> bytes:
        if not self.replaced:
            self.replaced = True
            self.delete(key)
            self.create("later.csv", b"2,two")
        return super().read(key)


def test_a_file_that_is_gone_before_it_is_read_is_no_end_of_the_job() -> None:
    world = World()
    world.files = Vanishing()
    world.files.create("a.csv", b"1,one")
    world.start().refresh(0)
    assert world.used["names"] == [TWO]
    again = Vanishing()
    again.create("a.csv", b"1,one")
    assert (
        "1 file at"
        in FileContents("names", again, None, FileDecoder(make_decoder("csv", SCHEMA, header=False))).check()
    )
