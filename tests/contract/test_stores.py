"""What `Store` promises, on every store."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from streamjob_runtime.errors import AlreadyExists, JobError, NotFound
from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.proof import prove_atomic_create
from support.stores import KINDS, OpenStore

pytestmark = pytest.mark.parametrize("open_again", [*KINDS, "memory"], indirect=True)

ODD_KEYS = ["ünï/日本 語.txt", "a+b&c=d%20/e?f#g;h", "col=x%2Fy/part-0.parquet", "..data/…", "~/.hidden", "a b/ c"]
ESCAPES = [
    "",
    "/etc/passwd",
    "../up",
    "a/../../up",
    "a/..",
    "./a",
    "a//b",
    "a/",
    ".tmp/x",
    "sink/.tmp/x",
    "nul\0",
    "\udcff",
    "x" * 1000,
]


def keys(store: Store, prefix: str = "", recursive: bool = True) -> list[str]:
    return [entry.key for entry in store.list(prefix, recursive)]


def test_what_was_created_is_there_for_all_and_after_a_reopen(open_again: OpenStore) -> None:
    first, other = open_again(), open_again()
    first.create("log/000", b"hello")
    assert other.read("log/000") == b"hello"
    first.close()
    assert open_again().read("log/000") == b"hello"
    assert keys(open_again()) == ["log/000"]


def test_a_create_of_what_is_there_fails_and_changes_nothing(open_again: OpenStore, store: Store) -> None:
    store.create("log/000", b"first")
    before = store.stat("log/000")
    for each in (store, open_again()):
        with pytest.raises(AlreadyExists, match="log/000"):
            each.create("log/000", b"second")
    assert store.read("log/000") == b"first"
    assert store.stat("log/000") == before


def test_of_racing_creates_exactly_one_wins(open_again: OpenStore) -> None:
    rivals = 8
    stores = [open_again() for _ in range(rivals)]
    for turn in range(5):
        key = f"log/{turn}"
        start = threading.Barrier(rivals)

        def race(rival: int, key: str = key, start: threading.Barrier = start) -> bool:
            start.wait(10)
            try:
                stores[rival].create(key, b"rival %d" % rival)
            except AlreadyExists:
                return False
            return True

        with ThreadPoolExecutor(rivals) as pool:
            won = [rival for rival, is_won in enumerate(pool.map(race, range(rivals))) if is_won]
        assert len(won) == 1
        assert stores[0].read(key) == b"rival %d" % won[0]


def test_a_reader_sees_the_whole_object_or_none(open_again: OpenStore) -> None:
    writer, reader = open_again(), open_again()
    whole = [bytes([turn]) * 1_000_000 for turn in range(10)]
    done = threading.Event()
    seen: list[bytes] = []

    def read_all_the_time() -> None:
        while not done.is_set():
            seen.extend(reader.read(entry.key) for entry in reader.list("state/"))

    thread = threading.Thread(target=read_all_the_time)
    thread.start()
    try:
        for turn, data in enumerate(whole):
            writer.create(f"state/{turn}", data)
    finally:
        done.set()
        thread.join(30)
    assert not thread.is_alive()
    assert set(seen) <= set(whole)


def test_an_object_that_is_not_there_is_not_found(store: Store) -> None:
    store.create("a/b", b"")
    for key in ("nothing", "a", "a/b/c", "a/c"):
        with pytest.raises(NotFound, match=key):
            store.read(key)
        with pytest.raises(NotFound, match=key):
            store.stat(key)


def test_a_listing_is_sorted_by_key(store: Store) -> None:
    names = ["b", "a/b", "a-b", "a.b", "a0", "a/a/z", "A", "a/é", "a/z", "日"]
    for name in names:
        store.create(name, name.encode())
    assert keys(store) == sorted(names)
    assert [entry.size for entry in store.list()] == [len(name.encode()) for name in sorted(names)]


def test_a_listing_takes_any_prefix(store: Store) -> None:
    for name in ["log/000", "log/001", "log/010", "log/old/000", "logs", "state/op/1"]:
        store.create(name, b"")
    assert keys(store, "log/") == ["log/000", "log/001", "log/010", "log/old/000"]
    assert keys(store, "log/00") == ["log/000", "log/001"]
    assert keys(store, "log") == ["log/000", "log/001", "log/010", "log/old/000", "logs"]
    assert keys(store, "log/o") == ["log/old/000"]
    assert keys(store, "wal/") == keys(store, "log/000/") == []


def test_a_flat_listing_leaves_out_what_is_deeper(store: Store) -> None:
    for name in ["log/000", "log/old/000", "logs", "top"]:
        store.create(name, b"")
    assert keys(store, recursive=False) == ["logs", "top"]
    assert keys(store, "log/", recursive=False) == ["log/000"]
    assert keys(store, "lo", recursive=False) == ["logs"]


def test_an_empty_store_lists_nothing(store: Store) -> None:
    assert keys(store) == keys(store, "log/") == []


def test_a_listing_and_stat_say_the_same(store: Store) -> None:
    store.create("a/b", b"12345")
    (entry,) = store.list()
    assert entry == store.stat("a/b")
    assert (entry.key, entry.size) == ("a/b", 5)
    assert entry.modified_ms > 1_600_000_000_000  # milliseconds, not seconds


def test_a_replace_needs_the_version_that_is_there(open_again: OpenStore, store: Store) -> None:
    store.create("out", b"one")
    first = store.stat("out").version
    second = store.replace("out", b"two", first)
    assert second == store.stat("out").version != first
    with pytest.raises(AlreadyExists, match="out"):
        open_again().replace("out", b"three", first)
    assert open_again().read("out") == b"two"


def test_a_replace_of_nothing_creates(store: Store) -> None:
    version = store.replace("out", b"one", None)
    assert version == store.stat("out").version
    with pytest.raises(AlreadyExists, match="out"):
        store.replace("out", b"two", None)
    assert store.read("out") == b"one"


def test_a_replace_of_what_is_gone_fails(store: Store) -> None:
    version = store.replace("out", b"one", None)
    store.delete("out")
    with pytest.raises(NotFound, match="out"):
        store.replace("out", b"two", version)
    assert keys(store) == []


def test_of_racing_replaces_exactly_one_wins(store: Store) -> None:
    rivals = 8
    version = store.replace("out", b"old", None)
    start = threading.Barrier(rivals)

    def race(rival: int) -> bool:
        start.wait(10)
        try:
            store.replace("out", b"rival %d" % rival, version)
        except AlreadyExists:
            return False
        return True

    with ThreadPoolExecutor(rivals) as pool:
        won = [rival for rival, is_won in enumerate(pool.map(race, range(rivals))) if is_won]
    assert len(won) == 1
    assert store.read("out") == b"rival %d" % won[0]


def test_what_was_deleted_is_gone_and_may_be_deleted_again(open_again: OpenStore, store: Store) -> None:
    store.create("a/b", b"old")
    store.create("a/c", b"")
    store.delete("a/b")
    store.delete("a/b")
    open_again().delete("never/there")
    with pytest.raises(NotFound):
        open_again().read("a/b")
    assert keys(store) == ["a/c"]
    store.create("a/b", b"new")
    assert store.read("a/b") == b"new"


@pytest.mark.parametrize("key", ESCAPES)
def test_a_key_cannot_lead_out_of_the_store(store: Store, key: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: store.create(key, b"x"),
        lambda: store.replace(key, b"x", None),
        lambda: store.read(key),
        lambda: store.stat(key),
        lambda: store.delete(key),
    ]
    for call in calls:
        with pytest.raises(JobError, match="cannot name an object"):
            call()


def test_a_prefix_cannot_lead_out_of_the_store(store: Store) -> None:
    for prefix in ("../", "/", "/etc/", "a/../.."):
        with pytest.raises(JobError, match="cannot name an object"):
            list(store.list(prefix))


def test_odd_names_come_back_as_they_were(store: Store) -> None:
    for key in ODD_KEYS:
        store.create(key, key.encode())
    assert keys(store) == sorted(ODD_KEYS)
    for key in ODD_KEYS:
        assert store.read(key) == key.encode()
        assert keys(store, key) == [key]
        store.delete(key)
    assert keys(store) == []


@pytest.mark.parametrize("size", [0, 1, 20_000_000])
def test_objects_of_any_size_come_back_whole(store: Store, size: int) -> None:
    data = random.Random(size).randbytes(size)
    store.create("state/big", data)
    assert store.stat("state/big").size == size
    assert store.read("state/big") == data


def test_the_proof_of_the_atomic_create_passes_and_leaves_nothing(store: Store) -> None:
    prove_atomic_create(store, random.Random(1))
    prove_atomic_create(store, random.Random(1))
    assert keys(store) == []
