"""Which files are read, when, and what is said when one is not what it was."""

import gzip
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from streamjob_runtime.clock import ManualClock
from streamjob_runtime.connectors.files import new_files
from streamjob_runtime.connectors.files.decoding import FileDecoder
from streamjob_runtime.connectors.files.paths import list_files, matches_glob, split_glob
from streamjob_runtime.connectors.files.seen import SeenFiles
from streamjob_runtime.connectors.files.source import FilesSource
from streamjob_runtime.connectors.open import open_source
from streamjob_runtime.connectors.source_context import SourceContext
from streamjob_runtime.errors import JobError
from streamjob_runtime.formats.json_lines import JsonDecoder
from streamjob_runtime.formats.text import TextDecoder
from streamjob_runtime.stores.base import Entry
from streamjob_runtime.stores.connections import Connections, Secrets
from streamjob_runtime.stores.local import LocalStore
from support.memory import MemoryStore

TEXT = pa.schema([pa.field("value", pa.string())])
DAY_S = 24 * 3600


class Folder:
    """A folder of text files, and the source that reads it."""

    def __init__(self, **settings: Any) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore(self.clock)
        self.settings = settings
        self.source = self.open(None)

    def open(self, state: Any) -> FilesSource:
        settings: dict[str, Any] = {"max_files": 100, "schema": TEXT, "decoder": FileDecoder(TextDecoder())}
        source = FilesSource("in", self.store, clock=self.clock, **settings | self.settings)
        source.open(state)
        return source

    def write(self, key: str, content: str | bytes | None = None, settled: bool = True) -> Entry:
        data = content.encode() if isinstance(content, str) else content
        self.store.create(key, f"{key}\n".encode() if data is None else data)
        entry = self.store.stat(key)
        self.clock.advance(1 if settled else 0)
        return entry

    def overwrite(self, key: str, content: str) -> None:
        self.store.replace(key, content.encode(), self.store.stat(key).version)
        self.clock.advance(1)

    def batch(self, limit: int | None = None) -> list[str]:
        offsets = self.source.poll(limit, self.clock.now_ms())
        if offsets is None:
            return []
        self.source.advance(offsets)
        return [str(v) for v in self.source.read(offsets).column("value").to_pylist()]


def test_files_are_read_by_time_and_then_by_name() -> None:
    folder = Folder()
    folder.write("z")
    folder.write("b", settled=False)
    folder.write("a", settled=False)
    folder.write("sub/c")
    assert folder.batch() == ["z", "a", "b", "sub/c"]


def test_a_batch_reads_so_many_files_at_most() -> None:
    folder = Folder(max_files=2)
    for key in "abcde":
        folder.write(key)
    assert [folder.batch() for _ in range(4)] == [["a", "b"], ["c", "d"], ["e"], []]


def test_a_batch_reads_so_many_bytes_at_most_unless_one_file_has_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_files, "MAX_BYTES", 6)
    folder = Folder()
    for key in ("a", "b", "c", "d", "long name", "e"):
        folder.write(key)
    assert [folder.batch() for _ in range(4)] == [["a", "b", "c"], ["d"], ["long name"], ["e"]]


def test_names_that_say_half_written_are_passed_over_until_renamed() -> None:
    folder = Folder()
    for key in (".a", "_b", "_tmp/c", "d.tmp", "e.part", "f.inprogress", "g._COPYING_", "x/.y/z"):
        folder.write(key)
    assert folder.batch() == []
    folder.write("d")
    assert folder.batch() == ["d"]


def test_a_file_is_left_alone_until_it_has_settled() -> None:
    folder = Folder()
    folder.write("a", settled=False)
    assert folder.batch() == []
    assert folder.source.status().message == "files that may still be written, and are waited for: 1"
    folder.clock.advance(0.9)
    folder.store.replace("a", b"more\n", folder.store.stat("a").version)
    folder.clock.advance(0.9)
    assert folder.batch() == []
    folder.clock.advance(0.1)
    assert folder.batch() == ["more"]


def test_a_file_with_a_time_in_the_future_is_read_when_two_looks_find_it_unchanged(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("from another clock\n")
    clock = ManualClock(now_ms=1_000_000_000_000)  # the file's time is decades ahead
    source = FilesSource("in", LocalStore(tmp_path), FileDecoder(TextDecoder()), TEXT, 10, clock)
    source.open(None)
    assert source.poll(None, clock.now_ms()) is None
    clock.advance(0.5)
    assert source.poll(None, clock.now_ms()) is None
    clock.advance(0.5)
    assert source.poll(None, clock.now_ms()) is not None
    source.close()


def test_objects_that_appear_as_a_whole_are_read_at_once() -> None:
    folder = Folder(settle_ms=0)
    folder.write("a", settled=False)
    assert folder.batch() == ["a"]


def test_a_file_that_grows_after_it_was_read_is_said_to_be_read_no_more() -> None:
    folder = Folder()
    folder.write("a")
    folder.write("b")
    assert folder.batch() == ["a", "b"]
    assert not folder.source.status().warns
    folder.overwrite("a", "a\nmore\n")
    assert folder.batch() == []
    status = folder.source.status()
    assert status.warns and status.message.startswith("changed since it was read, and not read again: a. Write new")
    state = folder.source.snapshot()
    folder.source = folder.open(state)
    folder.batch()
    assert folder.source.status().warns, "a restart has not forgotten it"


def test_a_file_that_is_replaced_later_is_not_read_again() -> None:
    folder = Folder()
    folder.write("a")
    assert folder.batch() == ["a"]
    folder.overwrite("a", "new\n")
    assert folder.batch() == []


def test_a_replay_refuses_a_file_that_was_changed_or_is_gone() -> None:
    folder = Folder()
    folder.write("a")
    offsets = folder.source.poll(None, folder.clock.now_ms())
    assert offsets is not None
    folder.overwrite("a", "b\n")
    replayed = folder.open(None)
    replayed.advance(offsets)
    with pytest.raises(JobError, match=r'Source "in": the file memory/a was changed since it was listed.*Put it back'):
        replayed.read(offsets)
    folder.store.delete("a")
    with pytest.raises(JobError, match=r'Source "in": the file memory/a is gone.*new checkpoint location'):
        replayed.read(offsets)


def test_a_file_that_vanishes_or_changes_before_it_is_read_stops_nothing() -> None:
    folder = Folder(max_files=1)
    for key in "abc":
        folder.write(key)
    assert folder.batch() == ["a"]
    folder.store.delete("b")
    folder.overwrite("c", "changed\n")
    assert [folder.batch() for _ in range(4)] == [[], [], ["changed"], []]


def test_a_file_that_cannot_be_decoded_is_named_and_can_be_corrected() -> None:
    schema = pa.schema([pa.field("value", pa.int64())])
    folder = Folder(schema=schema, decoder=FileDecoder(JsonDecoder(schema)))
    folder.write("a.json", '{"value":1}\n{"value":"x"}\n')
    with pytest.raises(JobError) as caught:
        folder.batch()
    assert str(caught.value) == (
        'Source "in": the file memory/a.json, line 2: field "value": a string stands where an integer is declared. '
        'It begins: {"value":"x"} Correct the file or take it away, or say by onBadRecord what becomes of such records.'
    )
    folder.overwrite("a.json", '{"value":1}\n{"value":2}\n')
    folder.source = folder.open(None)
    assert folder.batch() == ["1", "2"]


def test_compression_is_told_by_the_suffix() -> None:
    folder = Folder()
    folder.write("a.txt.gz", gzip.compress(b"packed\n"))
    assert folder.batch() == ["packed"]


def test_a_file_longer_than_the_limit_is_split_and_its_rows_are_counted() -> None:
    folder = Folder()
    folder.write("a", "1\n2\n3\n4\n5\n")
    folder.write("b", "6\n")
    folder.write("empty", "")
    ranges = []
    for _ in range(4):
        offsets = folder.source.poll(2, folder.clock.now_ms())
        if offsets is not None:
            folder.source.advance(offsets)
            ranges.append(dict(offsets.partitions))
    assert ranges == [
        {"files/a": (0, 2)},
        {"files/a": (2, 4)},
        {"files": (0, 2), "files/a": (4, 5)},
        {"files": (2, 3)},
    ]


def test_only_the_file_in_progress_is_decoded_again_after_a_restart() -> None:
    folder = Folder()
    folder.write("a", "1\n2\n3\n")
    assert folder.batch(limit=2) == ["1", "2"]
    folder.source = folder.open(folder.source.snapshot())
    folder.write("b", "4\n")
    assert folder.batch(limit=2) == ["3"]
    assert folder.batch(limit=2) == ["4"]


def test_files_older_than_a_week_before_the_newest_are_passed_over_and_counted() -> None:
    folder = Folder()
    folder.write("old")
    late = folder.write("_late")
    assert folder.batch() == ["old"]
    folder.clock.advance(8 * DAY_S)
    folder.write("new")
    assert folder.batch() == ["new"]
    folder.source = folder.open(folder.source.snapshot())
    # "old" was read and is forgotten; it must not come again.
    assert folder.batch() == []
    assert folder.source.status().message == ""
    folder.store._objects["late"] = (Entry("late", late.size, late.modified_ms, "x"), b"_late\n")
    assert folder.batch() == []
    assert folder.source.status().message == ("files passed over, seven days older than the newest: 1")


def test_a_file_from_the_future_does_not_make_all_others_too_old() -> None:
    folder = Folder()
    future = folder.clock.now_ms() + 100 * DAY_S * 1000
    folder.store._objects["a"] = (Entry("a", 2, future, "x"), b"a\n")
    assert folder.batch() == []
    folder.clock.advance(1)
    assert folder.batch() == ["a"]
    folder.write("b")
    assert folder.batch() == ["b"]


def test_the_memory_of_what_was_read_is_bounded_and_compact() -> None:
    seen = SeenFiles()
    for i in range(20_000):
        seen.add(f"logs/2024/part-{i:08d}.json", i * 60_000, 10**12)
    seen.forget()
    state = seen.to_json()
    again = SeenFiles(state)
    week = 7 * 24 * 60
    assert again.forgotten == 20_000 - 1 - week
    assert f"logs/2024/part-{19_999 - week:08d}.json" in again
    assert f"logs/2024/part-{19_998 - week:08d}.json" not in again
    assert again.to_json() == state
    assert len(state["files"]) < 15 * week


def test_what_is_available_includes_files_that_have_not_settled_and_nothing_later() -> None:
    folder = Folder()
    folder.write("a", settled=False)
    folder.source.limit_to_available()
    assert (folder.batch(), folder.source.exhausted) == ([], False)
    folder.clock.advance(1)
    folder.write("later")
    assert (folder.batch(), folder.source.exhausted) == (["a"], True)
    assert folder.batch() == []


def test_what_is_available_does_not_begin_a_file_anew() -> None:
    folder = Folder()
    folder.write("a", "1\n2\n3\n")
    assert folder.batch(limit=2) == ["1", "2"]
    folder.source = folder.open(folder.source.snapshot())
    folder.source.limit_to_available()
    assert folder.batch(limit=5) == ["3"]
    assert folder.source.exhausted


def test_what_is_available_does_not_wait_for_a_file_that_was_taken_away() -> None:
    folder = Folder()
    folder.write("a", settled=False)
    folder.source.limit_to_available()
    folder.store.delete("a")
    assert (folder.batch(), folder.source.exhausted) == ([], True)


class SlowListing(MemoryStore):
    """A store whose listing takes its time, two seconds to begin with."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.clock = clock
        self.listings = 0
        self.seconds = 2.0

    def list(self, prefix: str = "", recursive: bool = True) -> Any:
        self.listings += 1
        self.clock.advance(self.seconds)
        return super().list(prefix, recursive)


def test_a_slow_listing_takes_a_fifth_of_the_time_at_most() -> None:
    clock = ManualClock()
    store = SlowListing(clock)
    source = FilesSource("in", store, FileDecoder(TextDecoder()), TEXT, 10, clock)
    source.open(None)
    began = clock.now_ms()
    while clock.now_ms() < began + 100_000:
        source.poll(None, clock.now_ms())
        clock.advance(0.5)
    assert 9 <= store.listings <= 11


@pytest.mark.parametrize("listings_before", [0, 1, 2, 5])
def test_a_listing_that_waited_for_a_store_that_was_away_delays_no_other(listings_before: int) -> None:
    clock = ManualClock()
    store = SlowListing(clock)
    source = FilesSource("in", store, FileDecoder(TextDecoder()), TEXT, 10, clock, settle_ms=0)
    source.open(None)

    def list_once(seconds: float) -> None:
        store.seconds = seconds
        source.poll(None, clock.now_ms())
        clock.advance(1)

    for _ in range(listings_before):
        list_once(0.1)
    list_once(60)
    assert store.listings == listings_before + 1
    store.create("a", b"row\n")
    list_once(0.1)
    assert source.status().latest == {"files": 1}


@pytest.mark.parametrize(
    ("path", "root", "pattern"),
    [
        ("/in/", "/in/", None),
        ("/in/*.json", "/in/", "*.json"),
        ("/in/a", "/in/", "a"),
        ("a", ".", "a"),
        ("*.txt", ".", "*.txt"),
        ("s3://bucket", "s3://bucket", None),
        ("s3://bucket/", "s3://bucket/", None),
        ("s3://bucket/in/", "s3://bucket/in/", None),
        ("s3://bucket/in/x-[0-9].csv", "s3://bucket/in/", "x-[0-9].csv"),
        ("s3://bucket/in", "s3://bucket/", "in"),
        ("file:///in/a?", "file:///in/", "a?"),
    ],
)
def test_a_path_is_a_root_and_a_pattern(path: str, root: str, pattern: str | None) -> None:
    assert split_glob(path) == (root, pattern)


def test_wildcards_are_for_the_last_part_of_a_path() -> None:
    with pytest.raises(JobError, match="only the last part"):
        split_glob("/in/*/a.json")


@pytest.mark.parametrize(
    ("pattern", "keys"),
    [
        (None, ["a.json", "a.json.txt", "ab", "folder/a.json", "folder/b"]),
        ("*.json", ["a.json"]),
        ("a*", ["a.json", "a.json.txt", "ab"]),
        ("folder", ["folder/a.json", "folder/b"]),
        ("a.json", ["a.json"]),
        ("missing", []),
    ],
)
def test_a_pattern_means_a_file_names_or_a_folder(pattern: str | None, keys: list[str]) -> None:
    store = MemoryStore()
    for key in ("a.json", "a.json.txt", "ab", "folder/a.json", "folder/b", ".hidden/a.json", "_SUCCESS"):
        store.create(key, b"")
    assert [entry.key for entry in list_files(store, pattern)] == keys
    assert [entry.key for entry in store.list() if matches_glob(pattern, entry.key)] == keys


def test_a_source_of_the_manifest_reads_below_the_manifests_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("a,b\n1,x\n")
    clock = ManualClock()
    context = SourceContext(
        Connections(None, Secrets(None, {})), MemoryStore(), 1, clock, random.Random(0), base_dir=tmp_path
    )
    config = SimpleNamespace(path="in/*.csv", max_files_per_batch=5, follow=False, follow_links=False)
    spec = SimpleNamespace(
        name="rows", kind="files", config=config, format="csv", csv_header=True, csv_escape='"', required=()
    )
    schema = pa.schema([pa.field("a", pa.int64())]).append(pa.field("b", pa.string()))
    source = open_source(spec, schema, context)
    source.open(None)
    source.poll(None, clock.now_ms())
    clock.advance(1)
    offsets = source.poll(None, clock.now_ms())
    assert offsets is not None
    assert source.read(offsets).to_pylist() == [{"a": 1, "b": "x"}]
    source.close()
    spec.kind = "pigeon"
    with pytest.raises(
        JobError, match='"rows": no source of kind "pigeon" is installed; there are files, kafka, queue, rate'
    ):
        open_source(spec, TEXT, context)
