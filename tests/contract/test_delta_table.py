"""A Delta table as a static table: which version batches join with, on each kind of store."""

import datetime
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest
from deltalake import DeltaTable, Field, write_deltalake
from deltalake.schema import PrimitiveType

from streamjob_runtime.connectors.delta.contents import DeltaContents
from streamjob_runtime.engine.tables import StaticTable, StaticTables
from streamjob_runtime.errors import JobError, Unavailable
from streamjob_runtime.patience import Impatient
from streamjob_runtime.stores.connections import Connections, Secrets
from support.delta import DeltaFolder, delta_folder
from support.hdfs import HdfsServer
from support.memory import MemoryStore
from support.minio import MinioServer

NOWHERE = Connections(None, Secrets(None, {}))
COLUMNS: dict[str, pa.DataType] = {"id": pa.int64(), "name": pa.string()}
SCHEMA = pa.schema(COLUMNS)
ONE = {"id": 1, "name": "one"}
TWO = {"id": 2, "name": "two"}


class World:
    """A Delta table, the job's store, and what the query was given."""

    def __init__(self, there: DeltaFolder) -> None:
        self.there = there
        self.copies = MemoryStore()
        self.used: list[list[dict[str, Any]]] = []
        self.warnings: list[str] = []

    def add(self, *rows: dict[str, Any], mode: Any = "append") -> None:
        place = self.there.place
        table = pa.Table.from_pylist(list(rows), SCHEMA)
        write_deltalake(place.url, table, mode=mode, storage_options=dict(place.options))

    def contents(self) -> DeltaContents:
        return DeltaContents("names", self.there.place, Impatient())

    def start(self, refresh_ms: int | None = 60_000) -> StaticTables:
        """The tables of a runtime that has just started."""
        contents = self.contents()
        assert contents.schema() == SCHEMA
        tables = [StaticTable("names", contents, refresh_ms)]
        return StaticTables(tables, self.copies, self._use, lambda _, text, **__: self.warnings.append(text))

    def _use(self, name: str, rows: pa.Table) -> None:
        assert rows.schema == SCHEMA
        self.used.append(sorted(rows.to_pylist(), key=lambda row: int(row["id"])))


@pytest.fixture(params=["local", "s3", "hdfs"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    location, connections = str(tmp_path / "table"), NOWHERE
    if request.param == "s3":
        server = cast(MinioServer, request.getfixturevalue("minio"))
        location, connections = f"s3://{server.create_bucket()}/table", server.connections
    elif request.param == "hdfs":
        location = cast(HdfsServer, request.getfixturevalue("hdfs")).create_root().replace(" ", "-") + "/table"
    with delta_folder(location, connections) as there:
        yield World(there)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[World]:
    with delta_folder(str(tmp_path / "table"), NOWHERE) as there:
        yield World(there)


def test_a_refresh_takes_up_a_new_version_and_a_replay_the_old_one(world: World) -> None:
    world.add(ONE)
    tables = world.start()
    old = tables.refresh(0)
    world.add(TWO)
    assert tables.refresh(59_999) == old
    new = tables.refresh(60_000)
    assert new != old
    assert tables.refresh(120_000) == new, "no new version, nothing is read"
    assert world.used == [[ONE], [ONE, TWO]]
    again = world.start()
    again.use(old)
    assert world.used[-1] == [ONE]
    again.refresh(0)
    assert world.used[-1] == [ONE, TWO]


def test_an_overwrite_is_seen_as_a_whole(local: World) -> None:
    local.add(ONE)
    tables = local.start()
    tables.refresh(0)
    local.add(TWO, mode="overwrite")
    tables.refresh(60_000)
    assert local.used[-1] == [TWO]


def test_a_table_that_was_made_anew_is_another_one(local: World, tmp_path: Path) -> None:
    local.add(ONE)
    tables = local.start()
    old = tables.refresh(0)
    (tmp_path / "table").rename(tmp_path / "gone")
    local.add(TWO)
    assert tables.refresh(60_000) != old, "of the same version number"
    assert local.used[-1] == [TWO]


def test_an_empty_table_and_one_in_partitions(local: World) -> None:
    place = local.there.place
    DeltaTable.create(place.url, SCHEMA, partition_by=["name"])
    tables = local.start()
    tables.refresh(0)
    assert local.used[-1] == []
    local.add(ONE, {"id": 3, "name": None}, {"id": 2, "name": "a b/c"})
    tables.refresh(60_000)
    assert local.used[-1] == [ONE, {"id": 2, "name": "a b/c"}, {"id": 3, "name": None}]


def test_every_type_is_read(local: World) -> None:
    kinds: dict[str, tuple[pa.DataType, Any]] = {
        "dec": (pa.decimal128(20, 3), Decimal("1.125")),
        "bytes": (pa.binary(), b"\x00\xff"),
        "day": (pa.date32(), datetime.date(2026, 11, 21)),
        "ts": (pa.timestamp("us"), datetime.datetime(2026, 11, 21, 9, 0, 0, 1)),
        "tz": (pa.timestamp("us", "UTC"), datetime.datetime(2026, 11, 21, 9, tzinfo=datetime.UTC)),
        "texts": (pa.list_(pa.field("element", pa.string())), ["a", None]),
        "object": (pa.struct([("a", pa.string())]), {"a": "x"}),
        "map": (pa.map_(pa.string(), pa.string()), [("k", "v")]),
    }
    rows = pa.table({name: pa.array([value, None], kind) for name, (kind, value) in kinds.items()})
    write_deltalake(local.there.place.url, rows)
    contents = local.contents()
    schema = contents.schema()
    found = contents.newest(lambda _: False)
    assert found is not None and found[1].schema == schema
    assert found[1].to_pylist() == rows.to_pylist()


def test_columns_that_change_while_the_job_runs_leave_the_old_rows_with_a_warning(local: World) -> None:
    local.add(ONE)
    tables = local.start()
    old = tables.refresh(0)
    local.there.table().alter.add_columns([Field("more", PrimitiveType("string"))])
    assert tables.refresh(60_000) == old
    assert local.warnings == ["static table not refreshed, the old rows stay"]
    assert len(local.used) == 1


def test_a_table_that_is_not_there_is_refused(world: World) -> None:
    for look in (world.contents().schema, world.contents().check):
        with pytest.raises(JobError, match=f"'names': there is no Delta table at {world.there.location}. Make it"):
            look()
    world.add(ONE)
    assert world.contents().check() == f"version 0 at {world.there.location}"


def test_a_store_that_is_away_is_waited_for(own_minio: MinioServer) -> None:
    with delta_folder(f"s3://{own_minio.create_bucket()}/table", own_minio.connections) as there:
        world = World(there)
        world.add(ONE)
        tables = world.start()
        old = tables.refresh(0)
        world.add(TWO)
        own_minio.kill()
        with pytest.raises(Unavailable, match="cannot be reached now") as raised:
            tables.refresh(60_000)
        assert own_minio.secret_key not in str(raised.value)
        own_minio.start()
        assert tables.refresh(60_000) != old
