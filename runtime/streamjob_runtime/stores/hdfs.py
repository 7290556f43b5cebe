"""A store in a folder of HDFS."""

import itertools
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from io import RawIOBase
from pathlib import Path

from hdfs_native import Client, FileStatus, WriteOptions

from streamjob_runtime.errors import AlreadyExists, JobError, NotFound, StreamJobError, Unavailable
from streamjob_runtime.patience import alive
from streamjob_runtime.stores.base import Entry
from streamjob_runtime.stores.connections import Connections
from streamjob_runtime.stores.hdfs_calls import Calls
from streamjob_runtime.stores.hdfs_errors import translate
from streamjob_runtime.stores.hdfs_kerberos import Login, use_krb5_conf
from streamjob_runtime.stores.hdfs_site import Site, rotated
from streamjob_runtime.stores.keys import RESERVED, check_key, check_prefix

CONF_DIR = "HADOOP_CONF_DIR"
USER = "HADOOP_USER_NAME"

_URL = re.compile(r"hdfs://(?P<authority>[A-Za-z0-9._-]*(?::[0-9]{1,5})?)(?P<path>/.*)?")
_STALE_MS = 3_600_000  # no write takes so long: what is older was left by a process that died
# The client's own patience, which by default is three minutes: the job's is longer, and says what it waits for.
_IMPATIENT = {
    "dfs.client.failover.max.attempts": "4",
    "dfs.client.failover.sleep.base.millis": "100",
    "dfs.client.failover.sleep.max.millis": "1000",
    "dfs.client.socket-timeout": "20000",
}


class HdfsStore:
    """Objects are files below `hdfs://host:port/path`, or below `hdfs://name/path` where site files know the name.

    The path's folder is made by the first write. An object is written under a temporary name of its own, made durable,
    and given its final name by a rename that fails when the name is taken: that is the atomic create. As the client
    sends a rename again when its answer was lost, a refused one is settled by reading back: so a create of the very
    bytes that stand there succeeds. A version is a file's time with its size; a replacement is always of a later time.
    """

    def __init__(self, url: str, conf_dir: str | None = None, login: Login | None = None) -> None:
        found = _URL.fullmatch(url)
        if found is None:
            raise JobError(f"{url!r} names no place in HDFS: write hdfs://HOST:PORT/PATH.")
        path = (found["path"] or "/").strip("/")
        if path:
            check_key(path)
        self._base = f"/{path}/" if path else "/"
        self._url = f"hdfs://{found['authority']}{self._base}".rstrip("/")
        # Without a host it is the site files' own file system.
        root = f"hdfs://{found['authority']}" if found["authority"] else None
        site = Site.read(Path(conf_dir)) if conf_dir else Site()
        # A name node that is silent, as one whose machine is gone, would keep the client from asking the next one.
        name_nodes = site.name_nodes(found["authority"])
        who = {} if login is None else login.prepare(site)

        def client(n: int) -> Client:
            return Client(root, {**_IMPATIENT, **rotated(name_nodes, n)}, conf_dir, **who)

        with translate(self._url):
            self._calls = Calls(client)
        self._temporary = f"{self._base}{RESERVED}/"
        self._counter = itertools.count()
        self._replacing = threading.Lock()
        self._swept = False

    @classmethod
    def from_url(cls, url: str, connections: Connections) -> "HdfsStore":
        """The store at `hdfs://…`, with the site files of the folder that HADOOP_CONF_DIR names."""
        hdfs, environ = connections.hdfs, connections.secrets.environ
        conf_dir = environ.get(CONF_DIR) or None
        if hdfs is not None and hdfs.config_map_ref is not None and conf_dir is None:
            raise JobError(
                f"hdfs.configMapRef names {hdfs.config_map_ref.name!r}, whose files are not here: set {CONF_DIR} to a "
                "folder with core-site.xml and hdfs-site.xml."
            )
        if hdfs is not None and hdfs.user is not None:
            # The client takes the user from nowhere else, and a process runs one job.
            os.environ[USER] = hdfs.user
        if conf_dir is not None:
            use_krb5_conf(Path(conf_dir), environ)
        kerberos = hdfs.kerberos if hdfs is not None else None
        return cls(url, conf_dir, None if kerberos is None else Login.of(kerberos, connections.secrets))

    @property
    def url(self) -> str:
        """See `Store`."""
        return self._url

    def create(self, key: str, data: bytes) -> None:
        """See `Store`."""
        path, place = self._path(key)
        with self._written(place, data) as temporary:
            try:
                self._rename(temporary, path, place)
            except (Unavailable, AlreadyExists, NotFound) as failure:
                self._settle(key, data, failure)

    def read(self, key: str) -> bytes:
        """See `Store`."""
        path, place = self._path(key)
        with translate(place):
            reader = self._calls.call(lambda client: client.read(path))
            return self._calls.call(lambda _: reader.read(), len(reader))

    def stat(self, key: str) -> Entry:
        """See `Store`."""
        path, place = self._path(key)
        with translate(place):
            found = self._info(path)
        if found.isdir:
            raise NotFound(f"{place} is not a file.")
        return _entry(key, found)

    def list(self, prefix: str = "", recursive: bool = True) -> Iterator[Entry]:
        """See `Store`."""
        check_prefix(prefix)
        folder, slash, begin = prefix.rpartition("/")
        found = [
            _entry(key, status)
            for status in self._walk(self._base + folder + slash, begin, recursive)
            if RESERVED not in (key := status.path.removeprefix(self._base)).split("/")
        ]
        yield from sorted(found, key=lambda entry: entry.key)

    def replace(self, key: str, data: bytes, expected: str | None) -> str:
        """See `Store`. Threads of this process that share the store cannot come between the check and the rename."""
        if expected is None:
            self.create(key, data)
            return self.stat(key).version
        path, place = self._path(key)
        with self._replacing:
            before = self.stat(key)
            if before.version != expected:
                raise AlreadyExists(f"{place} was replaced by somebody else.")
            with self._written(place, data) as temporary, translate(place):
                written = self._info(temporary)
                later_ms = max(written.modification_time, before.modified_ms + 1)
                if later_ms != written.modification_time:
                    self._calls.call(lambda client: client.set_times(temporary, later_ms, later_ms))
                version = _version(later_ms, len(data))
                try:
                    self._rename(temporary, path, place, overwrite=True)
                except (Unavailable, NotFound):
                    if self.stat(key).version != version:
                        raise
        return version

    def delete(self, key: str) -> None:
        """See `Store`."""
        path, place = self._path(key)
        with suppress(NotFound), translate(place):
            self._delete(path)

    def close(self) -> None:
        """See `Store`. The client lets go of its connections when nobody refers to it any more."""

    def _path(self, key: str) -> tuple[str, str]:
        """The file's path, and its place for messages."""
        check_key(key)
        return self._base + key, f"{self._url}/{key}"

    def _rename(self, temporary: str, path: str, place: str, overwrite: bool = False) -> None:
        with translate(place):
            try:
                self._calls.call(lambda client: client.rename(temporary, path, overwrite))
            except FileNotFoundError:  # there is no folder for it yet; or it was renamed, and the answer got lost
                self._calls.call(lambda client: client.mkdirs(path.rpartition("/")[0], create_parent=True))
                self._calls.call(lambda client: client.rename(temporary, path, overwrite))

    def _settle(self, key: str, data: bytes, failure: StreamJobError) -> None:
        """After an answer that leaves open what happened: return if our bytes stand there, else raise."""
        try:
            if self.stat(key).size == len(data) and self.read(key) == data:
                return
        except NotFound:
            if isinstance(failure, NotFound):
                raise Unavailable(f"{self._url}/{key} was not written: its temporary file is gone.") from failure
            raise failure from None
        if isinstance(failure, AlreadyExists):
            raise failure
        raise AlreadyExists(f"{self._url}/{key} is there already.") from failure

    @contextmanager
    def _written(self, place: str, data: bytes) -> Iterator[str]:
        """The path of a temporary file with these bytes, durable; afterwards it is gone."""
        path = self._new_temporary(place, data)
        try:
            yield path
        finally:
            self._forget(path)

    def _new_temporary(self, place: str, data: bytes) -> str:
        while True:
            # Pods that share a file system may have the same pid: a name that is taken tells, and the next is tried.
            path = f"{self._temporary}{os.getpid()}-{next(self._counter)}"
            try:
                with translate(place):
                    self._calls.call(partial(_write, path, data), len(data))
                    if not self._swept:
                        self._sweep(self._info(path).modification_time)
                return path
            except AlreadyExists:
                continue
            except StreamJobError:
                self._forget(path)
                raise

    def _forget(self, path: str) -> None:
        with suppress(OSError, RuntimeError):  # the next sweep finds it
            self._delete(path)

    def _delete(self, path: str) -> None:
        self._calls.call(lambda client: client.delete(path, recursive=False))

    def _info(self, path: str) -> FileStatus:
        return self._calls.call(lambda client: client.get_file_info(path))

    def _children(self, folder: str) -> Sequence[FileStatus]:
        found = self._calls.call(lambda client: list(client.list_status(folder.rstrip("/") or "/")))
        alive()  # a deep listing is many of these
        return found

    def _sweep(self, now_ms: int) -> None:
        """Remove what writers that died have left behind; `now_ms` by the name node's clock."""
        for status in self._children(self._temporary):
            if now_ms - status.modification_time > _STALE_MS:
                self._delete(status.path)
        self._swept = True

    def _walk(self, folder: str, begin: str, recursive: bool) -> Iterator[FileStatus]:
        """The files below `folder` whose first name begins with `begin`."""
        with translate(folder):
            try:
                found = self._children(folder)
            except FileNotFoundError:
                return  # no such folder: no such keys
        for status in found:
            name = status.path.removeprefix(folder)
            # The listing of a file is the file itself.
            if not status.path.startswith(folder) or not name.startswith(begin) or name == RESERVED:
                continue
            if not status.isdir:
                yield status
            elif recursive:
                yield from self._walk(f"{status.path}/", "", recursive=True)


def _write(path: str, data: bytes, client: Client) -> None:
    writer = client.create(path, WriteOptions(overwrite=False, create_parent=True))
    try:
        if data:
            writer.write(data)
            with suppress(NotImplementedError):  # erasure-coded files cannot be flushed before they are closed
                writer.hsync()
        writer.close()
    finally:
        # Or else Python closes it once more when it is collected: after a failure that takes seconds, of any thread.
        RawIOBase.close(writer)


def _entry(key: str, found: FileStatus) -> Entry:
    return Entry(key, found.length, found.modification_time, _version(found.modification_time, found.length))


def _version(modified_ms: int, size: int) -> str:
    return f"{modified_ms:x}-{size:x}"
