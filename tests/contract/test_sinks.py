"""What every sink promises, on every store: each batch once, whatever was killed in between."""

import json
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamjob_runtime.connectors.files.sink import FilesSink
from streamjob_runtime.connectors.queue.sink import QueueSink
from streamjob_runtime.connectors.shared.output_queue import OutputQueue
from streamjob_runtime.connectors.shared.partitions import split
from streamjob_runtime.connectors.sink import Delivery, Sink, SinkBatch, Writer
from streamjob_runtime.errors import Fenced, JobError, Unavailable
from streamjob_runtime.formats.open import make_encoder
from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.local import LocalStore
from support.flaky import Fault, FlakyStore
from support.memory import MemoryStore
from support.stores import OpenStore

Row = dict[str, Any]


def schema_of(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(columns)


WORDS = schema_of(word=pa.string(), n=pa.int64())
WRITER = Writer("job", 1, lambda: None)
RESTARTED = Writer("job", 2, lambda: None, begun=True)
BATCHES: tuple[list[Row], ...] = (
    [{"word": "a", "n": 1}, {"word": "b", "n": 2}, {"word": "a", "n": 3}],
    [],
    [{"word": "c", "n": n} for n in range(5)],
)
ALL_ROWS = [row for rows in BATCHES for row in rows]


def batch(
    batch_id: int,
    rows: list[Row],
    mode: str = "append",
    epoch: int = 1,
    newest_epoch: int = 1,
    again: bool = False,
) -> SinkBatch:
    def check() -> None:
        if epoch < newest_epoch:
            raise Fenced("another process runs the job")

    return SinkBatch(
        batch_id, 1_700_000_000_000, pa.Table.from_pylist(rows, schema=WORDS), mode, Writer("job", epoch, check), again
    )


def files_sink(
    store: Store, mode: str = "append", partition_by: Sequence[str] = (), writer: Writer = RESTARTED
) -> FilesSink:
    sink = FilesSink("out", store, make_encoder("json"), mode, partition_by)
    sink.open(writer)
    return sink


def rows_of(store: Store) -> list[Row]:
    """All rows in all files, as a reader of everything below the path sees them."""
    rows = []
    for entry in store.list():
        partition = dict(part.split("=") for part in entry.key.split("/")[:-1])
        rows += [{**json.loads(line), **partition} for line in store.read(entry.key).splitlines()]
    return sorted(rows, key=lambda row: (row["word"], row["n"]))


def content(store: Store) -> list[tuple[str, bytes]]:
    return [(entry.key, store.read(entry.key)) for entry in store.list()]


by_layout = pytest.mark.parametrize("partition_by", [(), ("word",)], ids=["flat", "partitioned"])
by_store = pytest.mark.parametrize("open_again", ["memory", "local", "s3", "hdfs"], indirect=True)


@by_store
@by_layout
def test_a_reader_of_all_files_sees_each_row_once(store: Store, partition_by: Sequence[str]) -> None:
    sink = files_sink(store, partition_by=partition_by)
    for batch_id, rows in enumerate(BATCHES):
        sink.write(batch(batch_id, rows))
    assert rows_of(store) == sorted(ALL_ROWS, key=lambda row: (row["word"], row["n"]))


@by_store
def test_files_are_named_by_their_batch_and_an_empty_batch_has_none(store: Store) -> None:
    sink = files_sink(store)
    for batch_id, rows in enumerate(BATCHES):
        sink.write(batch(batch_id, rows))
    assert [entry.key for entry in store.list()] == ["part-000000000000.json", "part-000000000002.json"]


@by_store
@by_layout
def test_a_batch_that_is_written_again_after_a_restart_changes_nothing(
    open_again: OpenStore, partition_by: Sequence[str]
) -> None:
    files_sink(open_again(), partition_by=partition_by).write(batch(7, BATCHES[0]))
    before = content(open_again())
    again = batch(7, BATCHES[0][::-1], epoch=2, newest_epoch=2, again=True)
    files_sink(open_again(), partition_by=partition_by).write(again)
    assert content(open_again()) == before


@by_store
@by_layout
@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.AFTER])
def test_a_batch_that_broke_off_between_its_files_becomes_whole(
    open_again: OpenStore, partition_by: Sequence[str], fault: Fault
) -> None:
    store = open_again()
    rows = [{"word": word, "n": n} for n, word in enumerate("abcabc")]
    files = 3 if partition_by else 1
    for call in range(files):
        flaky = FlakyStore(store, [Fault.NONE, *[Fault.NONE] * call, fault])
        with pytest.raises(Unavailable):
            files_sink(flaky, partition_by=partition_by).write(batch(call, rows))
        # The second time the rows come in another order, as groups do.
        files_sink(store, partition_by=partition_by).write(batch(call, rows[::-1], again=True))
    assert sorted(row["n"] for row in rows_of(store)) == sorted(list(range(6)) * files)


@by_store
def test_a_process_that_wakes_after_its_replacement_adds_nothing(open_again: OpenStore) -> None:
    old, new = files_sink(open_again()), files_sink(open_again())
    old.write(batch(0, BATCHES[0]))
    new.write(batch(1, BATCHES[2], epoch=2, newest_epoch=2))
    new.write(batch(2, BATCHES[0], epoch=2, newest_epoch=2))
    before = content(open_again())
    with suppress(Fenced):  # a store may take the equal bytes for its own
        old.write(batch(1, BATCHES[2], epoch=1, newest_epoch=2))
    assert content(open_again()) == before


@by_store
def test_files_of_somebody_else_are_not_taken_for_our_own(open_again: OpenStore) -> None:
    other, sink = files_sink(open_again()), files_sink(open_again())
    for batch_id in range(3):
        other.write(batch(batch_id, BATCHES[0]))
    for batch_id in (0, 1):
        with pytest.raises(
            JobError, match=rf"part-00000000000{batch_id}\.json already, and this job has not written it"
        ):
            sink.write(batch(batch_id, BATCHES[2]))


@by_store
@by_layout
def test_a_job_that_begins_does_not_write_between_the_files_of_another(
    open_again: OpenStore, partition_by: Sequence[str]
) -> None:
    files_sink(open_again(), partition_by=partition_by, writer=WRITER).write(batch(3, BATCHES[0]))
    with pytest.raises(JobError, match=r"part-000000000003\.json already, and this job has written nothing yet"):
        files_sink(open_again(), partition_by=partition_by, writer=WRITER)


def test_a_job_that_begins_is_not_kept_from_files_that_are_none_of_a_job() -> None:
    store = MemoryStore()
    for key in ("part-00000-1f2e.json", "part-000000000000.csv", "old/part-000000000000.json", "readme.md"):
        store.create(key, b"")
    files_sink(store, writer=WRITER).write(batch(0, BATCHES[0]))


def test_a_text_that_readers_take_for_null_is_no_partition() -> None:
    rows = [{"word": "__HIVE_DEFAULT_PARTITION__", "n": 1}]
    with pytest.raises(JobError, match=r'"word" of partitionBy has the value \'__HIVE_DEFAULT_PARTITION__'):
        files_sink(MemoryStore(), partition_by=("word",)).write(batch(0, rows))


@pytest.mark.parametrize("open_again", ["local", "s3"], indirect=True)
def test_a_folder_whose_name_is_too_long_is_named_and_nothing_of_its_batch_is_written(open_again: OpenStore) -> None:
    store = open_again()
    rows = [{"word": word, "n": n} for n, word in enumerate(("a", "x" * 250, "é" * 126, "zzz"))]
    sink = files_sink(store, partition_by=("word",))
    with pytest.raises(
        JobError,
        match=r'"out": the column "word" of partitionBy has the value \'é{40}\'…, .* of 257 bytes.*left\(word, 40\)',
    ) as refused:
        sink.write(batch(0, rows))
    assert "é" not in refused.value.words.bare and "has a value, whose folder" in refused.value.words.bare
    assert content(store) == []
    rows[2]["word"] = "é" * 125
    sink.write(batch(0, rows))
    assert len(content(store)) == 4


def test_folders_that_are_too_long_together_are_named() -> None:
    rows = [{"word": "x" * 240, **dict.fromkeys("abcd", "y" * 230), "n": 1}]
    partition_by = ("word", *"abcd")
    with pytest.raises(JobError, match=r'the column "word" of partitionBy has the value .* of 245 bytes'):
        list(split(pa.Table.from_pylist(rows), partition_by, "out", None))


@by_store
@pytest.mark.parametrize("mode", ["append", "complete"])
def test_a_check_changes_nothing_whatever_is_there(open_again: OpenStore, mode: str) -> None:
    store = open_again()
    sink = FilesSink("out", store, make_encoder("json"), mode)
    assert sink.check() == f"{store.url} answers"
    assert content(store) == []
    files_sink(open_again(), mode).write(batch(0, BATCHES[0], mode))
    before = content(store)
    sink.check()
    assert content(store) == before


def test_a_check_finds_a_bucket_that_may_only_be_read() -> None:
    class ReadOnly(MemoryStore):
        def replace(self, key: str, data: bytes, expected: str | None) -> str:
            raise JobError("AccessDenied")

    with pytest.raises(JobError, match="AccessDenied"):
        FilesSink("out", ReadOnly(), make_encoder("json"), "append").check()


@by_store
def test_complete_is_one_file_with_the_whole_result(open_again: OpenStore) -> None:
    store = open_again()
    sink = files_sink(store, "complete")
    for batch_id, rows in enumerate(BATCHES):
        sink.write(batch(batch_id, rows, "complete"))
        assert [entry.key for entry in store.list()] == ["table.json"]
        assert rows_of(store) == sorted(rows, key=lambda row: (row["word"], row["n"]))
    again = files_sink(open_again(), "complete")
    again.write(batch(2, BATCHES[0], "complete", 2, 2))
    assert len(rows_of(store)) == len(BATCHES[0])


@by_store
@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.AFTER])
def test_complete_goes_on_after_an_unclear_answer(open_again: OpenStore, fault: Fault) -> None:
    store = open_again()
    sink = files_sink(FlakyStore(store, [Fault.NONE, Fault.NONE, fault]), "complete")
    sink.write(batch(0, BATCHES[0], "complete"))
    with pytest.raises(Unavailable):
        sink.write(batch(1, BATCHES[2], "complete"))
    sink.write(batch(1, BATCHES[2], "complete"))
    assert len(rows_of(store)) == len(BATCHES[2])
    sink.write(batch(2, BATCHES[0], "complete"))
    assert len(rows_of(store)) == len(BATCHES[0])


@by_store
def test_complete_is_not_replaced_by_a_process_that_was_replaced(open_again: OpenStore) -> None:
    old = files_sink(open_again(), "complete")
    old.write(batch(0, BATCHES[0], "complete"))
    new = files_sink(open_again(), "complete")
    new.write(batch(1, BATCHES[2], "complete", 2, 2))
    before = content(open_again())
    with pytest.raises(Fenced):
        old.write(batch(1, BATCHES[0], "complete", 1, 2))
    assert content(open_again()) == before


@by_store
def test_complete_overrules_one_late_write_of_a_predecessor_but_no_rival(open_again: OpenStore) -> None:
    store = open_again()
    old = files_sink(open_again(), "complete")
    sink = files_sink(open_again(), "complete")
    old.write(batch(0, BATCHES[0], "complete"))  # had looked at the log before the new one began
    sink.write(batch(0, BATCHES[2], "complete"))
    assert len(rows_of(store)) == len(BATCHES[2])
    rival = files_sink(open_again(), "complete")
    rival.write(batch(0, BATCHES[0], "complete"))
    with pytest.raises(JobError, match=r"somebody else changes table\.json"):
        sink.write(batch(1, BATCHES[2], "complete"))


@by_store
def test_complete_comes_back_when_its_file_was_deleted(store: Store) -> None:
    sink = files_sink(store, "complete")
    for batch_id in range(3):
        sink.write(batch(batch_id, BATCHES[0], "complete"))
        store.delete("table.json")
    sink.write(batch(3, BATCHES[2], "complete"))
    assert len(rows_of(store)) == len(BATCHES[2])


rows_strategy = st.lists(
    st.fixed_dictionaries({"word": st.sampled_from("abc"), "n": st.integers(0, 99)}), min_size=0, max_size=6
)


@settings(max_examples=60, deadline=None)
@given(
    batches=st.lists(rows_strategy, min_size=1, max_size=5),
    plan=st.lists(st.sampled_from(Fault), max_size=40),
    partition_by=st.sampled_from([(), ("word",)]),
    data=st.data(),
)
def test_any_faults_and_restarts_leave_each_row_once(
    batches: list[list[Row]], plan: list[Fault], partition_by: tuple[str, ...], data: st.DataObject
) -> None:
    store = MemoryStore()
    flaky = FlakyStore(store, plan)
    sink: Sink | None = None
    epoch = 0
    for batch_id, rows in enumerate(batches):
        again = False
        while True:
            try:
                if sink is None:
                    epoch += 1
                    sink = files_sink(flaky, partition_by=partition_by)
                shuffled = list(data.draw(st.permutations(rows)))
                sink.write(batch(batch_id, shuffled, epoch=epoch, newest_epoch=epoch, again=again))
                break
            except Unavailable:
                sink, again = None, True
    expected = sorted((row for rows in batches for row in rows), key=lambda row: (row["word"], row["n"]))
    assert rows_of(store) == expected


ODD = ["a/b", "ü=x", None, "..", "100%", "a b", "'\"", "2024-01-01 00:00:00"]


def test_hive_partitions_are_read_back_as_they_were(tmp_path: Path) -> None:
    schema = schema_of(text=pa.string(), day=pa.date32(), n=pa.int64())
    rows = [{"text": text, "day": date(2024, 1, 1 + i % 2), "n": i} for i, text in enumerate(ODD * 2)]
    sink = FilesSink("out", LocalStore(tmp_path), make_encoder("parquet"), "append", ("text", "day"))
    sink.open(WRITER)
    sink.write(SinkBatch(0, 0, pa.Table.from_pylist(rows, schema=schema), "append", WRITER))
    partitioning = ds.partitioning(pa.schema([schema.field("text"), schema.field("day")]), flavor="hive")
    found = ds.dataset(tmp_path, format="parquet", partitioning=partitioning).to_table()
    assert sorted(found.to_pylist(), key=lambda row: int(row["n"])) == [
        {"n": row["n"], "text": row["text"], "day": row["day"]} for row in rows
    ]


@pytest.mark.parametrize("format_", ["json", "csv", "parquet"])
def test_a_plain_glob_reads_every_format(tmp_path: Path, format_: str) -> None:
    sink = FilesSink("out", LocalStore(tmp_path), make_encoder(format_), "append")
    sink.open(WRITER)
    for batch_id, rows in enumerate(BATCHES):
        sink.write(batch(batch_id, rows))
    files = sorted(map(str, tmp_path.glob(f"**/*.{format_}")))
    assert len(files) == 2
    readable: Any = format_
    assert ds.dataset(files, format=readable).to_table().to_pylist() == ALL_ROWS


@pytest.mark.parametrize(
    ("mode", "partition_by", "message"),
    [
        ("update", (), "files cannot take mode update.*use append"),
        ("complete", ("word",), "cannot be partitioned"),
        ("append", ("wrod",), 'names the column "wrod", which the result does not have; it has word, n'),
        ("append", ("word", "n"), "names every column"),
    ],
)
def test_what_files_cannot_do_is_refused_in_words(mode: str, partition_by: Sequence[str], message: str) -> None:
    with pytest.raises(JobError, match=message):
        files_sink(MemoryStore(), mode, partition_by).write(batch(0, BATCHES[0], mode))


def test_a_nested_column_is_no_partition() -> None:
    rows = pa.table({"tags": [["a"]], "n": [1]})
    with pytest.raises(JobError, match=r'"tags" of type list.*cast it to VARCHAR'):
        files_sink(MemoryStore(), partition_by=("tags",)).write(SinkBatch(0, 0, rows, "append", WRITER))


def test_a_queue_keeps_each_batch_id_once_over_restarts() -> None:
    queue = OutputQueue()
    assert queue.rows().num_rows == 0
    for _ in range(2):
        sink = QueueSink(queue)
        sink.open(WRITER)
        for batch_id in (1, 0):
            sink.write(batch(batch_id, BATCHES[0][: batch_id + 1]))
        sink.close()
    assert sink.delivery is Delivery.EXACTLY_ONCE
    assert [(batch_id, rows.num_rows) for batch_id, rows in queue.batches()] == [(0, 1), (1, 2)]
    assert queue.rows().to_pylist() == [BATCHES[0][0], *BATCHES[0][:2]]


def test_a_queue_gives_each_batch_once_and_wakes_who_waits() -> None:
    queue = OutputQueue()
    assert queue.get(timeout=0) is None
    got: list[int] = []

    def take() -> None:
        for _ in range(2):
            found = queue.get(timeout=30)
            assert found is not None
            got.append(found[0])

    taker = threading.Thread(target=take)
    taker.start()
    rows = pa.Table.from_pylist(BATCHES[0], schema=WORDS)
    queue.put(0, rows)
    queue.put(1, rows)
    taker.join(timeout=30)
    assert got == [0, 1]
    queue.put(1, rows)
    assert queue.get(timeout=0) is None
