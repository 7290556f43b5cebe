"""The local store: what is special about a directory."""

import errno
import os
from pathlib import Path

import pytest

from streamjob_runtime.errors import JobError, NotFound, Unavailable
from streamjob_runtime.stores.connections import Connections, Secrets
from streamjob_runtime.stores.local import LocalStore
from streamjob_runtime.stores.open import open_store
from streamjob_runtime.stores.os_errors import translate


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "not" / "there" / "yet"


def keys(store: LocalStore) -> list[str]:
    return [entry.key for entry in store.list()]


def test_objects_are_plain_files(root: Path) -> None:
    store = LocalStore(root)
    store.create("log/000", b"hello")
    assert (root / "log" / "000").read_bytes() == b"hello"
    assert not list((root / ".tmp").iterdir())


def test_reading_makes_no_folder(root: Path) -> None:
    store = LocalStore(root)
    assert keys(store) == []
    store.delete("a/b")
    with pytest.raises(NotFound):
        store.read("a/b")
    assert not root.exists()


def test_half_written_files_are_no_objects_and_leave_when_they_are_old(root: Path) -> None:
    temporary = root / ".tmp"
    temporary.mkdir(parents=True)
    (temporary / "1-1").write_bytes(b"of a process that died long ago")
    os.utime(temporary / "1-1", (1_000_000_000, 1_000_000_000))
    (temporary / f"{os.getpid()}-0").write_bytes(b"of a writer in another pod, with the same pid")
    store = LocalStore(root)
    assert keys(store) == []
    store.create("a", b"x")
    assert keys(store) == ["a"]
    assert [path.name for path in temporary.iterdir()] == [f"{os.getpid()}-0"]


def test_folders_that_are_removed_meanwhile_are_made_again(root: Path) -> None:
    store = LocalStore(root)
    store.create("log/000", b"x")
    store.delete("log/000")
    (root / "log").rmdir()
    (root / ".tmp").rmdir()
    store.create("log/000", b"y")
    assert store.read("log/000") == b"y"


def test_every_step_of_a_create_is_durable_before_the_next(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    sync, link = os.fsync, os.link

    def record_sync(descriptor: int) -> None:
        steps.append(f"fsync {Path(f'/proc/self/fd/{descriptor}').readlink().relative_to(root)}")
        sync(descriptor)

    def record_link(source: Path, target: Path) -> None:
        steps.append("link")
        link(source, target)

    LocalStore(root).create("wal/a/000", b"x")
    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(os, "link", record_link)
    store = LocalStore(root)
    store.create("wal/b/000", b"x")
    pid = os.getpid()
    assert steps == ["fsync .", "fsync wal", f"fsync .tmp/{pid}-0", "link", "fsync wal/b"]
    steps.clear()
    store.create("wal/b/001", b"x")
    assert steps == [f"fsync .tmp/{pid}-1", "link", "fsync wal/b"]
    steps.clear()
    store.replace("wal/b/001", b"y", store.stat("wal/b/001").version)
    assert steps == [f"fsync .tmp/{pid}-2", "fsync wal/b"]


def test_a_link_to_a_file_is_an_object_and_one_to_a_folder_is_not(root: Path) -> None:
    store = LocalStore(root)
    store.create("real/a", b"hello")
    (root / "b").symlink_to(root / "real" / "a")
    (root / "round").symlink_to(root)
    assert keys(store) == ["b", "real/a"]
    assert store.stat("b").size == 5


def test_a_file_where_a_folder_is_needed_is_the_jobs_fault(root: Path) -> None:
    store = LocalStore(root)
    store.create("log", b"x")
    with pytest.raises(JobError, match=r"log.*a file stands where a folder is needed"):
        store.create("log/000", b"x")
    (root / "file").write_bytes(b"")
    with pytest.raises(JobError, match=r"file.*a file stands where a folder is needed"):
        LocalStore(root / "file").create("a", b"x")


def test_a_name_that_is_too_long_is_the_jobs_fault(root: Path) -> None:
    with pytest.raises(JobError, match="shorter path"):
        LocalStore(root).create("x" * 300, b"")


@pytest.mark.parametrize(
    ("code", "error", "remedy"),
    [
        (errno.EACCES, JobError, "give this user permission"),
        (errno.EROFS, JobError, "not read-only"),
        (errno.EPERM, JobError, "hard links"),
        (errno.ENOSPC, Unavailable, "make room"),
        (errno.EIO, Unavailable, "Input/output error"),
        (errno.ESTALE, Unavailable, "Stale"),
        (errno.ETIMEDOUT, Unavailable, "timed out"),
    ],
)
def test_the_systems_errors_say_what_to_do(code: int, error: type[Exception], remedy: str) -> None:
    with pytest.raises(error, match=f"/some/place.*{remedy}"), translate(Path("/some/place")):
        raise OSError(code, os.strerror(code))


def test_a_path_and_a_file_url_name_the_same_store(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connections = Connections(None, Secrets(None, {}))
    open_store(f"{root}/a b", connections).create("x", b"1")
    assert open_store(f"file://{root}/a%20b", connections).read("x") == b"1"
    monkeypatch.chdir(root)
    relative = open_store("a b", connections)
    monkeypatch.chdir("/")
    assert relative.read("x") == b"1"
    assert relative.url == f"{root}/a b"


def test_an_unknown_scheme_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(JobError, match=r"gopher://x: .*'gopher'.*file, hdfs, s3"):
        open_store("gopher://x", Connections(None, Secrets(None, {})))
