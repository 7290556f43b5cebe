"""What a delta sink promises, on each kind of store: each batch once, whatever was killed or frozen in between."""

import dataclasses
import datetime
import json
import resource
import signal
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Field, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError
from deltalake.schema import PrimitiveType
from hypothesis import given, settings
from hypothesis import strategies as st

from streamjob_api.sinks import Sink as SinkModel
from streamjob_runtime.connectors.delta.look import Wish
from streamjob_runtime.connectors.delta.place import place_of
from streamjob_runtime.connectors.delta.sink import DeltaSink
from streamjob_runtime.connectors.open import open_sink
from streamjob_runtime.connectors.sink import Delivery, SinkBatch, Writer
from streamjob_runtime.connectors.sink_context import SinkContext
from streamjob_runtime.errors import Fenced, JobError, Unavailable
from streamjob_runtime.stores.connections import Connections, Secrets
from support.delta import JOB, WORDS, WRITER, DeltaFolder, delta_folder
from support.hdfs import HdfsServer
from support.memory import MemoryStore
from support.minio import MinioServer
from support.proxy import CUT_AFTER, CUT_BEFORE, Lost, Proxy, proxy

MODES = ("append", "update", "complete")
ROWS = [("a", 1), ("b", 2)]
NOWHERE = Connections(None, Secrets(None, {}))


def schema_of(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(columns)


@pytest.fixture(params=["local", "s3", "hdfs"])
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DeltaFolder]:
    """A place for a table of the test's own; a test for each kind of store."""
    location, connections = str(tmp_path / "a täble"), NOWHERE
    if request.param == "s3":
        server = cast(MinioServer, request.getfixturevalue("minio"))
        location, connections = f"s3://{server.create_bucket()}/a prefix/table", server.connections
    elif request.param == "hdfs":
        location = cast(HdfsServer, request.getfixturevalue("hdfs")).create_root().replace(" ", "-") + "/table"
    with delta_folder(location, connections) as made:
        yield made


where_it_is_fast = pytest.mark.parametrize("there", ["local", "s3"], indirect=True)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[DeltaFolder]:
    """The same in a local folder only."""
    with delta_folder(str(tmp_path / "table"), NOWHERE) as made:
        yield made


def batch(
    batch_id: int,
    rows: list[tuple[Any, ...]],
    mode: str = "append",
    epoch: int = 1,
    newest_epoch: int | None = None,
    schema: pa.Schema = WORDS,
    job_id: str = JOB,
    deleted: list[tuple[Any, ...]] | None = None,
) -> SinkBatch:
    def check() -> None:
        if epoch < (newest_epoch or epoch):
            raise Fenced("another process runs the job")

    table, gone = (
        pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in given], schema=schema)
        for given in (rows, deleted or [])
    )
    writer = Writer(job_id, epoch, check)
    return SinkBatch(batch_id, 1_700_000_000_000, table, mode, writer, deleted=None if deleted is None else gone)


def test_append_adds_each_batch_and_an_empty_one_makes_no_commit(there: DeltaFolder) -> None:
    sink = there.opened()
    assert sink.delivery is Delivery.EXACTLY_ONCE
    before = there.version
    for batch_id, rows in enumerate([ROWS, [], [("a", 1)], []]):
        sink.write(batch(batch_id, rows))
    assert there.rows() == [("a", 1), ("a", 1), ("b", 2)]
    assert there.version == before + 2


def test_update_keeps_one_row_a_key_and_the_last_one_of_a_batch(there: DeltaFolder) -> None:
    sink = there.opened("update")
    sink.write(batch(0, [*ROWS, (None, 0)], "update"))
    sink.write(batch(1, [("b", 3), ("c", 4), ("b", 5), (None, 6)], "update"))
    assert there.rows() == [("a", 1), ("b", 5), ("c", 4), (None, 6)]


def test_update_deletes_what_is_no_longer_in_the_result_in_the_same_commit(there: DeltaFolder) -> None:
    sink = there.opened("update")
    sink.write(batch(0, [*ROWS, ("c", 3), (None, 0)], "update", deleted=[]))
    before = there.version
    sink.write(batch(1, [("d", 4), ("b", 5)], "update", deleted=[("a", 1), (None, 0), ("never", 1)]))
    assert (there.rows(), there.version) == ([("b", 5), ("c", 3), ("d", 4)], before + 1)
    gone = batch(2, [], "update", deleted=[("c", 3)])
    sink.write(gone)
    assert (there.rows(), there.version) == ([("b", 5), ("d", 4)], before + 2)
    sink.write(gone)
    there.opened("update", epoch=2).write(batch(2, [], "update", epoch=2, deleted=[("c", 3)]))
    assert there.rows() == [("b", 5), ("d", 4)]


def test_a_column_may_have_the_name_of_the_mark_of_what_is_deleted(local: DeltaFolder) -> None:
    schema = schema_of(Deleted=pa.string(), deleted_=pa.bool_())
    sink = local.opened("update", schema=schema, key=("deleted",))
    sink.write(batch(0, [("a", True), ("b", False)], "update", schema=schema, deleted=[]))
    sink.write(batch(1, [("c", True)], "update", schema=schema, deleted=[("a", True)]))
    assert local.rows() == [("b", False), ("c", True)]


@pytest.mark.parametrize("cut", [False, True])
def test_a_zero_equals_any_zero_and_nan_equals_nan(local: DeltaFolder, cut: bool) -> None:
    schema = schema_of(word=pa.float64(), n=pa.int64())
    others = struct.unpack("2d", struct.pack("2Q", 0xFFF8000000000000, 0x7FF8000000000001))  # NaN of other bits
    rows = [(key, n) for n, key in enumerate([0.0, -0.0, float("nan"), *others, 1.0])]
    sink = local.opened("update", schema=schema)
    for batch_id, piece in enumerate([[row] for row in rows] if cut else [rows]):
        sink.write(batch(batch_id, piece, "update", schema=schema))
    assert sorted(map(str, local.rows())) == ["(0.0, 1)", "(1.0, 5)", "(nan, 4)"]


def test_update_of_rows_that_are_all_key(there: DeltaFolder) -> None:
    sink = there.opened("update", key=("word", "n"))
    for batch_id in range(2):
        sink.write(batch(batch_id, [*ROWS, ROWS[0], (None, 3), ("a", 2)], "update"))
    assert there.rows() == sorted([*ROWS, (None, 3), ("a", 2)], key=repr)


def test_update_leaves_columns_alone_that_the_result_does_not_have(local: DeltaFolder) -> None:
    schema = schema_of(word=pa.string(), n=pa.int64(), note=pa.string())
    DeltaTable.create(local.place.url, schema)
    write_deltalake(local.table(), pa.table({"word": ["a"], "n": [1], "note": ["old"]}), mode="append")
    local.opened("update").write(batch(0, [("a", 7), ("b", 2)], "update"))
    assert local.rows() == [("a", 7, "old"), ("b", 2, None)]


def test_complete_replaces_everything_in_one_commit(there: DeltaFolder) -> None:
    sink = there.opened("complete")
    sink.write(batch(0, ROWS, "complete"))
    before = there.version
    sink.write(batch(1, [("c", 3)], "complete"))
    assert (there.rows(), there.version) == ([("c", 3)], before + 1)
    sink.write(batch(2, [], "complete"))
    assert there.rows() == []


@pytest.mark.parametrize("mode", MODES)
def test_a_batch_that_is_written_again_changes_nothing(there: DeltaFolder, mode: str) -> None:
    first = there.opened(mode)
    first.write(batch(7, ROWS, mode))
    before = there.version
    first.write(batch(7, ROWS, mode))
    assert there.version == before
    again = there.opened(mode, epoch=2)
    assert there.version == before + 1, "the commit that names the new epoch"
    again.write(batch(7, ROWS, mode, epoch=2))
    assert there.version == before + 1
    again.write(batch(8, [("c", 3)], mode, epoch=2))
    assert ("c", 3) in there.rows()


@pytest.mark.parametrize("mode", MODES)
def test_a_process_that_wakes_after_its_replacement_writes_nothing(there: DeltaFolder, mode: str) -> None:
    old, elder = there.opened(mode), there.opened(mode)
    old.write(batch(0, ROWS, mode))
    new = there.opened(mode, epoch=2)
    before = there.rows()
    with pytest.raises(Unavailable, match="changed by somebody else at the same moment"):
        old.write(batch(1, [("z", 9)], mode, newest_epoch=2))  # it had looked before: the table refuses it
    for sink in (old, elder):
        for batch_id in (0, 1, 2):
            with pytest.raises(Fenced):
                sink.write(batch(batch_id, [("z", 9)], mode, newest_epoch=2))
    assert there.rows() == before
    new.write(batch(1, [("c", 3)], mode, epoch=2))
    assert ("c", 3) in there.rows() and ("z", 9) not in there.rows()


def test_a_late_commit_before_the_replacement_has_begun_counts_once(there: DeltaFolder) -> None:
    old = there.opened()
    old.write(batch(0, ROWS))
    old.write(batch(1, [("c", 3)]))  # its COMMIT in the log is missing: the replacement writes the batch again
    new = there.opened(epoch=2)
    new.write(batch(1, [("c", 3)], epoch=2))
    assert there.rows() == [*ROWS, ("c", 3)]


def test_the_client_alone_takes_an_older_number_so_the_sink_looks_first(local: DeltaFolder) -> None:
    local.opened().write(batch(5, ROWS))
    rows = pa.Table.from_pylist([{"word": "z", "n": 9}], schema=WORDS)

    def marked(number: int) -> CommitProperties:
        return CommitProperties(app_transactions=[Transaction(f"streamjob/{JOB}/views", number)])

    fresh = local.table()
    write_deltalake(fresh, rows, mode="append", commit_properties=marked(3))
    assert ("z", 9) in local.rows(), "without a look the older number goes in"
    stale, rival = local.table(), local.table()
    write_deltalake(rival, rows, mode="append", commit_properties=marked(6))
    with pytest.raises(CommitFailedError, match="Concurrent transaction"):
        write_deltalake(stale, rows, mode="append", commit_properties=marked(7))


@where_it_is_fast
def test_other_jobs_other_steps_and_other_writers_do_not_get_in_the_way(there: DeltaFolder) -> None:
    sinks = [there.opened(), there.opened(job_id="0000000000000002"), there.opened(step="other")]
    for batch_id in range(2):
        sinks[0].write(batch(batch_id, ROWS))
        sinks[1].write(batch(batch_id, ROWS, job_id="0000000000000002"))
        sinks[2].write(batch(batch_id, ROWS))
        write_deltalake(there.table(), batch(0, [("x", 0)]).rows, mode="append")
    assert len(there.rows()) == 14


@where_it_is_fast
@pytest.mark.parametrize("mode", MODES)
def test_the_table_may_be_compacted_meanwhile(there: DeltaFolder, mode: str) -> None:
    sink = there.opened(mode)
    for batch_id in range(4):
        sink.write(batch(batch_id, [(f"k{batch_id}", batch_id)], mode))
    there.table().optimize.compact()
    rows = [("k9", 9)]
    try:
        sink.write(batch(4, rows, mode))
    except Unavailable:
        sink.write(batch(4, rows, mode))
    assert there.rows() == (rows if mode == "complete" else [*((f"k{i}", i) for i in range(4)), *rows])


def test_a_start_over_many_batches_finds_its_marker_in_a_checkpoint_of_the_table(local: DeltaFolder) -> None:
    sink = local.opened()
    for batch_id in range(5):
        sink.write(batch(batch_id, [("a", batch_id)]))
    table = local.table()
    table.create_checkpoint()
    table.cleanup_metadata()
    local.opened(epoch=2).write(batch(4, [("a", 4)], epoch=2))
    assert len(local.rows()) == 5


def test_markers_are_never_forgotten(local: DeltaFolder) -> None:
    DeltaTable.create(
        local.place.url, WORDS, configuration={"delta.setTransactionRetentionDuration": "interval 0 days"}
    )
    local.opened().write(batch(3, ROWS))
    local.table().create_checkpoint()
    local.opened(epoch=2).write(batch(3, ROWS, epoch=2))
    assert local.rows() == ROWS


def test_a_log_that_is_an_older_copy_is_found(local: DeltaFolder) -> None:
    local.opened(epoch=3).write(batch(5, ROWS, epoch=3))
    with pytest.raises(JobError, match=r"a later start of this job has written the Delta table at .*older copy"):
        local.opened(epoch=2)
    with pytest.raises(JobError, match=r"has later batches than the job.*batch 5"):
        local.opened(epoch=4).write(batch(4, ROWS, epoch=4))


def test_two_jobs_with_copies_of_one_log_are_found(local: DeltaFolder) -> None:
    one, other = local.opened(), local.opened()
    one.write(batch(0, ROWS))
    with pytest.raises(JobError, match="another process with a copy of this job's log writes the Delta table"):
        other.write(batch(0, [("c", 3)]))


def test_a_table_that_is_taken_away_or_put_back_is_found(local: DeltaFolder, tmp_path: Path) -> None:
    sink = local.opened()
    sink.write(batch(0, ROWS))
    sink.write(batch(1, ROWS))
    (tmp_path / "table").rename(tmp_path / "gone")
    with pytest.raises(Unavailable):
        sink.write(batch(2, ROWS))
    with pytest.raises(JobError, match="has lost batches that were committed to it"):
        sink.write(batch(2, ROWS))
    local.opened().write(batch(0, ROWS))
    with pytest.raises(JobError, match="has lost batches that were committed to it"):
        sink.write(batch(2, ROWS))


def test_partitions(there: DeltaFolder) -> None:
    sink = there.opened(partition_by=("WORD",))
    sink.write(batch(0, [*ROWS, (None, 3), ("a/b =%", 4)]))
    assert there.table().metadata().partition_columns == ["word"]
    assert there.rows() == sorted([*ROWS, (None, 3), ("a/b =%", 4)], key=repr)
    there.opened("update", key=("word",), epoch=2).write(batch(1, [("a", 9), (None, 9)], "update", epoch=2))
    assert there.rows() == sorted([("a", 9), ("b", 2), (None, 9), ("a/b =%", 4)], key=repr)


FAULTS = (CUT_BEFORE, CUT_AFTER, Lost(forward=True, status=503))


@contextmanager
def behind_a_proxy(server: MinioServer) -> Iterator[tuple[Proxy, DeltaFolder]]:
    with proxy(server.port) as between:
        connection = cast(Any, server.connections.s3)
        connection.endpoint = between.url
        connections = Connections(connection, server.connections.secrets)
        with delta_folder(f"s3://{server.create_bucket()}/table", connections) as there:
            yield between, there


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("put", [0, 1], ids=["rows", "commit"])
def test_an_answer_that_is_lost_leaves_each_row_once(minio: MinioServer, mode: str, put: int) -> None:
    with behind_a_proxy(minio) as (between, there):
        sink = there.opened(mode)
        # Once: the client's own retry mends it. Three times: it gives up, and the batch is written again.
        for batch_id, (fault, times) in enumerate((fault, times) for fault in FAULTS for times in (1, 3)):
            between.put.extend([None] * put + [fault] * times)
            with suppress(Unavailable):
                sink.write(batch(batch_id, [(str(batch_id), 0)], mode))
            between.put.clear()
            sink.write(batch(batch_id, [(str(batch_id), 0)], mode))
        assert there.rows() == ([(str(n), 0) for n in range(6)] if mode != "complete" else [("5", 0)])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("replacement", ["only begins", "writes the batch", "goes on"])
def test_a_commit_that_was_on_its_way_when_the_replacement_began_is_refused(
    minio: MinioServer, mode: str, replacement: str
) -> None:
    arrived, released = threading.Event(), threading.Event()

    def gate(method: str, path: str) -> None:
        if method == "PUT" and "_delta_log" in path and held:
            arrived.set()
            released.wait(30)

    held = False
    with behind_a_proxy(minio) as (between, there), ThreadPoolExecutor(1) as thread:
        between.gate = gate
        old = there.opened(mode)
        old.write(batch(0, ROWS, mode))
        held = True
        late = thread.submit(old.write, batch(1, [("z", 9)], mode, newest_epoch=2))
        assert arrived.wait(30)
        with delta_folder(there.location, minio.connections) as direct:
            new = direct.opened(mode, epoch=2)
            if replacement != "only begins":
                new.write(batch(1, [("z", 9)], mode, epoch=2))
            if replacement == "goes on":
                new.write(batch(2, [("y", 8)], mode, epoch=2))
            before = direct.rows()
            released.set()
            with pytest.raises(Unavailable, match="changed by somebody else"):
                late.result(60)
            assert direct.rows() == before
        with pytest.raises(Fenced):
            old.write(batch(1, [("z", 9)], mode, newest_epoch=2))


EVERYTHING: dict[str, tuple[pa.DataType, list[Any]]] = {
    "b": (pa.bool_(), [True, False]),
    "i1": (pa.int8(), [-128, 127]),
    "i2": (pa.int16(), [-(2**15), 2**15 - 1]),
    "i4": (pa.int32(), [-(2**31), 2**31 - 1]),
    "i8": (pa.int64(), [-(2**63), 2**63 - 1]),
    "u1": (pa.uint8(), [0, 255]),
    "u2": (pa.uint16(), [0, 2**16 - 1]),
    "u4": (pa.uint32(), [0, 2**32 - 1]),
    "u8": (pa.uint64(), [0, 2**64 - 1]),
    "f4": (pa.float32(), [1.5, float("-inf")]),
    "f8": (pa.float64(), [0.1, 1e308]),
    "dec": (pa.decimal128(38, 10), [Decimal("1234567890123456789012345678.0123456789"), Decimal("-1E-10")]),
    "huge": (pa.decimal128(38, 0), [Decimal(10**38 - 1), Decimal(-(10**38) + 1)]),
    "s": (pa.string(), ['a "quoted", ünï\n\\.\n\\N\ttext\0', ""]),
    "bytes": (pa.binary(), [bytes(range(256)), b""]),
    "day": (pa.date32(), [datetime.date(1, 1, 1), datetime.date(9999, 12, 31)]),
    "ts": (pa.timestamp("us"), [datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31, 23, 59, 59, 999999)]),
    "tss": (pa.timestamp("s"), [datetime.datetime(1, 1, 1), datetime.datetime(2026, 11, 21)]),
    "tz": (
        pa.timestamp("us", "UTC"),
        [datetime.datetime(2026, 11, 21, 9, 0, 0, 1, datetime.UTC), datetime.datetime(1900, 1, 1, tzinfo=datetime.UTC)],
    ),
    "ints": (pa.list_(pa.int64()), [[1, None, 3], []]),
    "fixed": (pa.list_(pa.float64(), 2), [[0.5, 1.5], [2.0, 3.0]]),
    "deep": (pa.list_(pa.list_(pa.uint8())), [[[1, 2], [], [255]], []]),
    "object": (pa.struct([("a", pa.int32()), ("b", pa.string())]), [{"a": 1, "b": 'x"y'}, {"a": None, "b": None}]),
    "map": (pa.map_(pa.string(), pa.int32()), [[("k", 1)], []]),
    "kind": (pa.dictionary(pa.uint8(), pa.string()), ["x", "y"]),
}


@pytest.mark.parametrize("mode", MODES)
def test_every_type_comes_back_as_it_was(local: DeltaFolder, mode: str) -> None:
    schema = schema_of(**{name: kind for name, (kind, _) in EVERYTHING.items()})
    values = {name: [*values, None] for name, (_, values) in EVERYTHING.items()}
    rows = pa.table({name: pa.array(values[name], kind) for name, (kind, _) in EVERYTHING.items()}, schema=schema)
    sink = local.opened(mode, schema=schema, key=("i8",))
    for batch_id in range(2):
        sink.write(SinkBatch(batch_id, 0, rows, mode, WRITER))
    assert "fits" in sink.check()
    found = local.rows()
    assert len(found) == (6 if mode == "append" else 3)
    wanted = sorted((tuple(values[name][i] for name in EVERYTHING) for i in range(3)), key=repr)
    assert found[:: 2 if mode == "append" else 1] == wanted


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=20))
def test_any_text_is_a_key(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    with delta_folder(str(tmp_path_factory.mktemp("delta") / "table"), NOWHERE) as there:
        sink = there.opened("update")
        for batch_id in range(2):
            sink.write(batch(batch_id, [(text, batch_id) for text in texts], "update"))
        assert there.rows() == sorted(((text, 1) for text in set(texts)), key=repr)


MISFITS: dict[str, tuple[pa.Schema, str]] = {
    "no column": (schema_of(word=pa.string()), r'it has no column "n", only word: add it .*ADD COLUMNS \(n long\)'),
    "type": (
        schema_of(word=pa.string(), n=pa.int32()),
        '"n" is of type integer, which does not hold every long .*cast',
    ),
    "scale": (schema_of(word=pa.string(), n=pa.decimal128(20, 2)), r"decimal\(20,2\), which does not hold every long"),
    "text": (schema_of(word=pa.int32(), n=pa.int64()), '"word" is of type integer, which does not hold every string'),
    "not null": (
        pa.schema([*WORDS, pa.field("id", pa.string(), nullable=False)]),
        '"id" may not be NULL, and the result has no such column: add it',
    ),
    "several": (schema_of(word=pa.binary(), m=pa.int64()), '"word" is of type binary.*; it has no column "n"'),
}


@pytest.mark.parametrize(("schema", "message"), MISFITS.values(), ids=MISFITS.keys())
def test_a_table_that_does_not_fit_is_refused_beforehand(local: DeltaFolder, schema: pa.Schema, message: str) -> None:
    DeltaTable.create(local.place.url, schema)
    for look in (local.sink().check, lambda: local.sink().open(WRITER)):
        with pytest.raises(JobError, match=f'sink "views.delta": the Delta table at .* cannot be written: .*{message}'):
            look()
    assert local.version == 0


def test_a_complete_result_whose_columns_changed_is_refused(local: DeltaFolder) -> None:
    DeltaTable.create(local.place.url, schema_of(word=pa.string(), n=pa.int64(), was=pa.string()))
    with pytest.raises(JobError, match=r'"was" is not in the result, which is to be the whole table: add it.*drop it'):
        local.sink("complete").check()
    local.opened("append").write(batch(0, ROWS))
    assert local.rows() == [("a", 1, None), ("b", 2, None)]


FITS = (
    schema_of(word=pa.string(), n=pa.decimal128(19, 0)),
    schema_of(n=pa.int64(), WORD=pa.string()),
    schema_of(word=pa.string(), n=pa.decimal128(21, 2)),
)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("schema", FITS, ids=str)
def test_a_table_that_fits_is_taken(local: DeltaFolder, schema: pa.Schema, mode: str) -> None:
    DeltaTable.create(local.place.url, schema)
    sink = local.sink(mode)
    assert sink.check().endswith("fits (version 0)")
    assert local.version == 0, "a check makes nothing"
    sink.open(WRITER)
    sink.write(batch(0, ROWS, mode))
    assert len(local.rows()) == 2


def test_a_check_of_a_table_that_is_not_there_makes_nothing(there: DeltaFolder) -> None:
    assert there.sink().check() == f"a start will make the Delta table at {there.location}"
    assert not there.there


def test_a_check_finds_a_store_that_may_only_be_read(local: DeltaFolder) -> None:
    class ReadOnly(MemoryStore):
        def replace(self, key: str, data: bytes, expected: str | None) -> str:
            raise JobError("AccessDenied")

    local.opened()
    wish = Wish("views.delta", "views", local.place, "append")
    with pytest.raises(JobError, match="AccessDenied"):
        DeltaSink(wish, WORDS, folder=ReadOnly()).check()


def test_two_starts_that_make_the_table_at_once_make_one(local: DeltaFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_yet(*_: object) -> None:
        return None

    sink = local.sink()
    local.opened()
    with monkeypatch.context() as patched:
        patched.setattr("streamjob_runtime.connectors.delta.look.find_table", none_yet)
        with pytest.raises(Unavailable, match="somebody else at the same moment"):
            sink.open(WRITER)
    sink.open(WRITER)
    assert local.version == 1


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "time": ({"schema": schema_of(word=pa.string(), at=pa.time64("us"))}, '"at" is of type time64.*cast it'),
    "interval": ({"schema": schema_of(word=pa.string(), d=pa.month_day_nano_interval())}, '"d" is of type .*cast it'),
    "nanoseconds": ({"schema": schema_of(word=pa.string(), at=pa.timestamp("ns"))}, '"at" is of type timestamp.ns'),
    "inside": ({"schema": schema_of(word=pa.string(), x=pa.list_(pa.time64("us")))}, '"x" is of type list.*cast it'),
    "name": ({"schema": pa.schema({"count(n)": pa.int64()})}, r'"count\(n\)" has a name that Delta cannot take.*AS'),
    "key": ({"mode": "update", "key": ("wrod",)}, 'key names the column "wrod", which the result does not have'),
    "partition": ({"partition_by": ("wrod",)}, 'partitionBy names the column "wrod", which the result does not have'),
    "all": ({"partition_by": ("word", "n")}, "partitionBy names every column"),
    "nested": (
        {"partition_by": ("x",), "schema": schema_of(x=pa.list_(pa.int64()), n=pa.int64())},
        'the column "x" is a list or an object',
    ),
}


@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_delta_cannot_hold_is_refused_beforehand(
    local: DeltaFolder, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(JobError, match=message):
        local.sink(**options).check()


PARTING = {name: values for name, (_, values) in EVERYTHING.items() if name not in ("f8", "s")}
PARTING |= {
    "f8": [0.1, -1.5],
    "s": ["a/b=c %41 ünï\n\0", " "],
    "cents": [Decimal("-1.05"), Decimal("0.05")],
}
NO_PARTING = ("dec", "cents", "bytes", "ints", "fixed", "deep", "object", "map")


@pytest.mark.parametrize("name", PARTING)
def test_values_that_part_a_table_come_back_as_they_were_or_their_type_is_refused(
    local: DeltaFolder, name: str
) -> None:
    kind = EVERYTHING[name][0] if name in EVERYTHING else pa.decimal128(9, 2)
    schema = schema_of(k=kind, n=pa.int64())
    rows = [(value, n) for n, value in enumerate([*PARTING[name], None])]
    if name in NO_PARTING:
        with pytest.raises(
            JobError, match=r'the column "[kK]" is .*: (take columns with single values|cast it to VARCHAR)'
        ):
            local.sink("append", schema=schema, partition_by=("K",)).check()
        return
    sink = local.opened("update", schema=schema, key=("k",), partition_by=("K",))
    for batch_id in range(2):
        sink.write(batch(batch_id, rows, "update", schema=schema))
    assert sorted(local.rows(), key=lambda row: row[1]) == rows


def test_a_table_that_is_parted_by_what_does_not_come_back_is_refused(local: DeltaFolder) -> None:
    schema = schema_of(word=pa.string(), n=pa.decimal128(21, 2))
    DeltaTable.create(local.place.url, schema, partition_by=["n"])
    with pytest.raises(JobError, match=r'"n" is of type decimal\(21,2\).*: cast it to VARCHAR .*write to another path'):
        local.sink(schema=schema).check()
    without = schema_of(word=pa.string())
    local.opened(schema=without).write(batch(0, [("a",)], schema=without))
    assert local.rows() == [("a", None)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("text", ["", "__HIVE_DEFAULT_PARTITION__"])
@pytest.mark.parametrize("kind", [pa.string(), pa.dictionary(pa.uint8(), pa.string())], ids=["text", "enum"])
def test_a_text_that_would_be_null_as_a_partition_is_refused(
    local: DeltaFolder, mode: str, text: str, kind: pa.DataType
) -> None:
    schema = schema_of(word=kind, n=pa.int64())
    local.opened(schema=WORDS, partition_by=("word",))
    sink = local.opened(mode, epoch=2, schema=schema)  # partitionBy is left out, and the table parted all the same
    with pytest.raises(
        JobError, match=rf'"views.delta": the column "word" is \'{text}\' in 1 row.*taken for NULL.*nullif'
    ):
        sink.write(batch(0, [("a", 1), (text, 2)], mode, epoch=2, schema=schema))
    assert local.rows() == []
    sink.write(batch(0, [("a", 1), (None, 2)], mode, epoch=2, schema=schema))
    assert len(local.rows()) == 2


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20), min_size=1, max_size=5))
def test_any_text_parts_a_table(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    with delta_folder(str(tmp_path_factory.mktemp("delta") / "table"), NOWHERE) as there:
        sink = there.opened("update", partition_by=("word",))
        for batch_id in range(2):
            sink.write(batch(batch_id, [(text, batch_id) for text in texts], "update"))
        assert there.rows() == sorted(((text, 1) for text in set(texts)), key=repr)


def test_other_partitions_are_refused(local: DeltaFolder) -> None:
    local.opened(partition_by=("word",))
    with pytest.raises(JobError, match="it is partitioned by word, and partitionBy says n: leave partitionBy out"):
        local.sink(partition_by=("n",)).check()


def test_a_constraint_of_the_table_is_named(local: DeltaFolder) -> None:
    local.opened()
    local.table().alter.add_constraint({"small": "n < 5"})
    sink = local.opened(epoch=2)
    with pytest.raises(
        JobError, match=r"failed validation check.* b .*: filter such rows out in the pipeline, or drop the table's"
    ):
        sink.write(batch(0, [("a", 1), ("b", 7)], epoch=2))
    assert local.rows() == []


def test_a_table_that_only_grows_takes_no_complete_result(local: DeltaFolder) -> None:
    local.opened().write(batch(0, ROWS))
    local.table().alter.set_table_properties({"delta.appendOnly": "true"})
    with pytest.raises(JobError, match=r"take mode append, or unset the table's property delta\.appendOnly"):
        local.opened("complete", epoch=2).write(batch(1, ROWS, "complete", epoch=2))
    assert local.rows() == ROWS


@pytest.mark.parametrize("mode", ["append", "update"])
def test_columns_that_change_while_the_job_runs_are_looked_at_again(local: DeltaFolder, mode: str) -> None:
    sink = local.opened(mode)
    sink.write(batch(0, ROWS, mode))
    local.table().alter.add_columns([Field("more", PrimitiveType("string"))])
    with pytest.raises(Unavailable):
        sink.write(batch(1, [("c", 3)], mode))
    sink.write(batch(1, [("c", 3)], mode))
    assert ("c", 3, None) in local.rows()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("columns", "message"),
    [({"word": pa.string()}, 'has no column "n"'), ({"word": pa.string(), "n": pa.int16()}, '"n" is of type short')],
)
def test_a_column_that_goes_or_becomes_narrower_while_the_job_runs_ends_it(
    local: DeltaFolder, mode: str, columns: dict[str, pa.DataType], message: str
) -> None:
    sink = local.opened(mode)
    sink.write(batch(0, ROWS, mode))
    empty = pa.schema(list(columns.items())).empty_table()
    write_deltalake(local.table(), empty, mode="overwrite", schema_mode="overwrite")
    with pytest.raises(Unavailable):
        sink.write(batch(1, [("c", 3)], mode))
    with pytest.raises(JobError, match=message):
        sink.write(batch(1, [("c", 3)], mode))
    assert local.rows() == []


def test_a_column_that_comes_while_a_complete_result_is_written_ends_it(local: DeltaFolder) -> None:
    sink = local.opened("complete")
    sink.write(batch(0, ROWS, "complete"))
    local.table().alter.add_columns([Field("more", PrimitiveType("string"))])
    with pytest.raises(Unavailable):
        sink.write(batch(1, [("c", 3)], "complete"))
    with pytest.raises(JobError, match='its column "more" is not in the result'):
        sink.write(batch(1, [("c", 3)], "complete"))


@pytest.mark.parametrize(
    ("environ", "location", "message"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "hush-hush"}, "", "SignatureDoesNotMatch.*check AWS_ACCESS_KEY_ID"),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, "", "InvalidAccessKeyId.*check AWS_ACCESS_KEY_ID"),
        ({}, "s3://no-such-bucket/table", "NoSuchBucket.*create the bucket"),
    ],
)
def test_an_access_that_is_refused_is_explained_without_the_secret(
    minio: MinioServer, environ: dict[str, str], location: str, message: str
) -> None:
    own = minio.connections
    connections = Connections(own.s3, Secrets(None, {**minio.environ, **environ}))
    with delta_folder(location or f"s3://{minio.create_bucket()}/table", connections) as there:
        for look in (there.sink().check, lambda: there.sink().open(WRITER)):
            with pytest.raises(JobError, match=message) as raised:
                look()
            assert minio.secret_key not in str(raised.value) and "hush-hush" not in str(raised.value)
            assert raised.value.__suppress_context__
        assert "hush-hush" not in repr(there.place)


def test_a_store_that_is_away_is_waited_for(own_minio: MinioServer) -> None:
    with delta_folder(f"s3://{own_minio.create_bucket()}/table", own_minio.connections) as there:
        sink = there.opened()
        sink.write(batch(0, ROWS))
        own_minio.kill()
        for _ in range(2):
            with pytest.raises(Unavailable, match="cannot be reached now") as raised:
                sink.write(batch(1, ROWS))
            assert own_minio.secret_key not in str(raised.value)
        own_minio.start()
        sink.write(batch(1, ROWS))
        assert len(there.rows()) == 4


def test_a_disk_that_takes_no_more_is_waited_for(local: DeltaFolder) -> None:
    sink = local.opened()
    many = [("word", n) for n in range(1000)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)  # no file may be longer: what a test can have of a full disk
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(Unavailable, match=r"cannot be reached now .*os error 27"):
            sink.write(batch(0, many))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    sink.write(batch(0, many))
    assert len(local.rows()) == len(many)


def test_what_the_environment_says_of_renames_does_not_count(
    minio: MinioServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_S3_ALLOW_UNSAFE_RENAME", "true")
    monkeypatch.setenv("AWS_CONDITIONAL_PUT", "disabled")
    with delta_folder(f"s3://{minio.create_bucket()}/table", minio.connections) as there:
        old = there.opened()
        there.opened(epoch=2)
        with pytest.raises(Fenced):
            old.write(batch(0, ROWS, newest_epoch=2))
        assert there.rows() == []


def test_a_keytab_is_refused_before_anything_is_asked() -> None:
    keytab = SimpleNamespace(
        principal="etl@EXAMPLE.COM", keytab_secret_ref=SimpleNamespace(name="etl", key="etl.keytab")
    )
    hdfs = SimpleNamespace(user=None, config_map_ref=None, kerberos=keytab)
    with pytest.raises(JobError, match=r"hdfs://nn:8020/t: Delta's client cannot log in to HDFS with a keytab"):
        place_of("hdfs://nn:8020/t", Connections(None, Secrets(None, {}), hdfs))


def test_a_folder_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        delta_folder(str(tmp_path / "file" / "table"), NOWHERE) as there,
        pytest.raises(JobError, match="a file stands where a folder is needed"),
    ):
        there.opened()
    with pytest.raises(JobError, match="in HDFS, Delta's client takes only letters"):
        DeltaFolder("hdfs://name/a folder", NOWHERE).sink()
    with pytest.raises(JobError, match="cannot use a folder with a % in its path"):
        DeltaFolder(str(tmp_path / "100%"), NOWHERE).sink()


def test_a_commit_says_who_wrote_it(local: DeltaFolder) -> None:
    local.opened(epoch=3).write(batch(7, ROWS, epoch=3))
    log = sorted(Path(local.location, "_delta_log").glob("*.json"))[-1]
    marks = [json.loads(line)["txn"] for line in log.read_text().splitlines() if '"txn"' in line]
    assert {mark["appId"]: mark["version"] for mark in marks} == {
        f"streamjob/{JOB}/views": 7,
        f"streamjob/{JOB}/views/epoch": 3,
    }


def test_a_sink_of_a_manifest(minio: MinioServer, tmp_path: Path) -> None:
    def open_it(connections: Connections, **fields: Any) -> DeltaFolder:
        spec = SinkModel.model_validate({"from": "views", **fields})
        around = SinkContext(connections, lambda s, _: s, tmp_path, lambda *_: None)
        sink = open_sink(spec, "views.delta", WORDS, around)
        assert "a start will make the Delta table" in sink.check()
        sink.open(WRITER)
        sink.write(batch(0, ROWS, spec.mode))
        return DeltaFolder(around.resolve(spec.config.path), connections)

    assert open_it(NOWHERE, delta={"path": "out/words"}).rows() == ROWS
    assert open_it(NOWHERE, delta={"path": f"file://{tmp_path}/by-url"}).rows() == ROWS
    assert (tmp_path / "out" / "words" / "_delta_log").is_dir()
    bucket = minio.create_bucket()
    assert (
        open_it(minio.connections, mode="update", delta={"path": f"s3://{bucket}/w/", "key": ["word"]}).rows() == ROWS
    )
    with pytest.raises(JobError, match="There is no AWS_ACCESS_KEY_ID"):
        open_it(NOWHERE, delta={"path": f"s3://{bucket}/w/"})


@pytest.mark.parametrize(
    ("kind", "number", "said"),
    [(pa.timestamp("us"), 2**63 - 1, "infinity"), (pa.timestamp("us", "UTC"), 1 - 2**63, "infinity")],
)
def test_a_time_that_delta_has_no_number_for_stops_the_job(
    local: DeltaFolder, kind: pa.DataType, number: int, said: str
) -> None:
    schema = pa.schema([pa.field("t", kind)])
    rows = pa.table([pa.array([0, number], pa.int64()).cast(kind)], schema=schema)
    sink = local.opened(schema=schema)
    with pytest.raises(JobError, match=f'the column "t" holds {said}, which Delta has no number for'):
        sink.write(dataclasses.replace(batch(0, [], schema=schema), rows=rows))
    sink.write(dataclasses.replace(batch(0, [], schema=schema), rows=rows.slice(0, 1)))
    assert len(local.rows()) == 1
