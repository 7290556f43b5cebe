"""A store in a directory of this machine, or of a file system that is mounted here."""

import itertools
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

from streamjob_runtime.errors import AlreadyExists, JobError, NotFound
from streamjob_runtime.stores.base import Entry
from streamjob_runtime.stores.connections import Connections
from streamjob_runtime.stores.keys import RESERVED, check_key, check_prefix
from streamjob_runtime.stores.os_errors import translate

_STALE_S = 3600  # no write takes so long: what is older was left by a process that died
_REMEMBERED_FOLDERS = 10_000
_NO_FILE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class Links(Protocol):
    """Which symbolic links are followed."""

    def check(self, key: str) -> None:
        """Raise `JobError` if the object must not be read, for a link on the way to it."""
        ...

    def enters(self, key: str) -> bool:
        """Whether objects below the key are listed, a link to a folder."""
        ...


class _FilesAlone:
    """Links to files."""

    def check(self, key: str) -> None:
        """See `Links`."""

    def enters(self, key: str) -> bool:
        """See `Links`."""
        return False


class LocalStore:
    """Objects are files below `root`, which is made by the first write.

    An object is written under a temporary name, made durable (fsync), and given its final name by a hard link, which
    fails when the name is taken: that is the atomic create. `delete` is not made durable: after a loss of power the
    object may be back. Without `links`, symbolic links to files are followed, and those to folders are not.
    """

    def __init__(self, root: Path, links: Links | None = None) -> None:
        self._root = root.absolute()
        self._links = links or _FilesAlone()
        self._temporary = self._root / RESERVED
        self._counter = itertools.count()
        self._replacing = threading.Lock()
        self._durable_folders: set[Path] = set()
        self._swept = False

    @classmethod
    def from_url(cls, url: str, connections: Connections) -> "LocalStore":
        """The store at a plain path or a `file://` URL."""
        del connections  # a directory needs none
        return cls(Path(unquote(url.removeprefix("file://"))) if url.startswith("file://") else Path(url))

    @property
    def url(self) -> str:
        """See `Store`."""
        return str(self._root)

    def create(self, key: str, data: bytes) -> None:
        """See `Store`."""
        path = self._path(key)
        with translate(path):
            self._make_folder(path.parent)
            with self._written(data) as temporary:
                try:
                    self._link(temporary, path)
                except FileExistsError as err:
                    # The name may have been given a moment ago, or by ourselves in a call whose last step failed:
                    # whoever is told that the object is there must be able to rely on it.
                    _sync_folder(path.parent)
                    raise AlreadyExists(f"{path} is there already.") from err
                _sync_folder(path.parent)

    def read(self, key: str) -> bytes:
        """See `Store`."""
        path = self._path(key)
        self._links.check(key)
        with translate(path):
            try:
                return path.read_bytes()
            except _NO_FILE as err:
                raise NotFound(f"There is no file {path}.") from err

    def stat(self, key: str) -> Entry:
        """See `Store`."""
        path = self._path(key)
        self._links.check(key)
        with translate(path):
            try:
                found = path.stat()
            except _NO_FILE as err:
                raise NotFound(f"There is no file {path}.") from err
        if not stat.S_ISREG(found.st_mode):
            raise NotFound(f"{path} is not a file.")
        return _entry(key, found)

    def list(self, prefix: str = "", recursive: bool = True) -> Iterator[Entry]:
        """See `Store`."""
        check_prefix(prefix)
        folder, _, begin = prefix.rpartition("/")
        with translate(self._root / folder):
            yield from self._walk(self._root / folder, f"{folder}/" if folder else "", begin, recursive)

    def replace(self, key: str, data: bytes, expected: str | None) -> str:
        """See `Store`. Threads of this process that share the store cannot come between the check and the rename."""
        path = self._path(key)
        if expected is None:
            self.create(key, data)
            return self.stat(key).version
        with self._replacing:
            if self.stat(key).version != expected:
                raise AlreadyExists(f"{path} was replaced by somebody else.")
            with translate(path), self._written(data) as temporary:
                version = _entry(key, temporary.stat()).version
                temporary.replace(path)
                _sync_folder(path.parent)
                return version

    def delete(self, key: str) -> None:
        """See `Store`."""
        path = self._path(key)
        with translate(path), suppress(*_NO_FILE):
            path.unlink()

    def close(self) -> None:
        """See `Store`."""

    def _path(self, key: str) -> Path:
        check_key(key)
        return self._root / key

    @contextmanager
    def _written(self, data: bytes) -> Iterator[Path]:
        """A temporary file with these bytes, durable; it is gone afterwards."""
        path, descriptor = self._open_temporary()
        try:
            with closing(os.fdopen(descriptor, "wb", buffering=0)) as file:
                view = memoryview(data)
                while view:  # one call writes at most 2 GiB
                    view = view[file.write(view) :]
                os.fsync(file.fileno())
            yield path
        finally:
            with suppress(FileNotFoundError):
                path.unlink()

    def _open_temporary(self) -> tuple[Path, int]:
        if not self._swept:
            self._sweep()
        while True:
            # Pods that share a file system may have the same pid: O_EXCL tells, and the next number is tried.
            path = self._temporary / f"{os.getpid()}-{next(self._counter)}"
            try:
                return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            except FileExistsError:
                continue
            except FileNotFoundError:
                _make(self._temporary)

    def _sweep(self) -> None:
        """Remove what writers that died have left behind."""
        _make(self._temporary)
        os.utime(self._temporary)  # the time now, by the clock that the files have theirs from
        now = self._temporary.stat().st_mtime
        for path in self._temporary.iterdir():
            with suppress(FileNotFoundError):
                if now - path.stat().st_mtime > _STALE_S:
                    path.unlink()
        self._swept = True

    def _make_folder(self, folder: Path) -> None:
        """Make the folder and those above it, durable; once, as long as it stays."""
        if folder in self._durable_folders:
            return
        chain = [folder, *folder.parents]
        # Those below the root are made durable although they are there: who made them may have died before that.
        ours = [each for each in chain if self._root in each.parents or not each.exists()]
        _make(folder)
        for each in reversed(ours):
            _sync_folder(each.parent)
        if len(self._durable_folders) >= _REMEMBERED_FOLDERS:
            self._durable_folders.clear()
        self._durable_folders.add(folder)

    def _link(self, temporary: Path, path: Path) -> None:
        try:
            os.link(temporary, path)
        except FileNotFoundError:  # somebody removed the folder since we made it
            self._durable_folders.discard(path.parent)
            self._make_folder(path.parent)
            os.link(temporary, path)

    def _walk(self, folder: Path, path: str, begin: str, recursive: bool) -> Iterator[Entry]:
        """Entries below `folder`, whose own key is `path`, with names that start with `begin`."""
        try:
            with os.scandir(folder) as found:
                # A folder sorts as its keys do, with the slash: "a-b" comes before "a/b", "ab" after it.
                items = sorted((item.name + "/" * self._is_folder(path + item.name, item), item) for item in found)
        except (FileNotFoundError, NotADirectoryError):
            return  # no such folder: no such keys
        for name, item in items:
            if not name.startswith(begin) or name == f"{RESERVED}/":
                continue
            if name.endswith("/"):
                if recursive:
                    yield from self._walk(folder / item.name, path + name, "", recursive)
                continue
            with suppress(FileNotFoundError):  # gone since the folder was read
                if item.is_file():
                    if item.is_symlink():
                        self._links.check(path + name)
                    yield _entry(path + name, item.stat())

    def _is_folder(self, key: str, item: "os.DirEntry[str]") -> bool:
        """Whether there are objects below it."""
        if item.is_symlink():
            return item.is_dir() and self._links.enters(key)
        return item.is_dir()


def _make(folder: Path) -> None:
    """Make the folder and those above it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError:
        try:
            folder.mkdir(parents=True, exist_ok=True)  # or somebody has just taken one of those above away
        except FileNotFoundError as err:
            raise JobError(
                f"{folder} cannot be made ({err.strerror}): the file system lets nobody make a folder there. Choose "
                "another place."
            ) from None


def _entry(key: str, found: os.stat_result) -> Entry:
    # A replacement is a new file beside the old one, so its inode differs, or at least its time.
    version = f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"
    return Entry(key, found.st_size, found.st_mtime_ns // 1_000_000, version)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
