"""Every kind of store, for tests that must hold on each."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.hdfs import HdfsStore
from streamjob_runtime.stores.local import LocalStore
from support.hdfs import HdfsServer
from support.memory import MemoryStore
from support.minio import MinioServer

KINDS = ("local", "s3", "hdfs")
"""The stores that a job can have; tests that need no real one may add "memory"."""

OpenStore = Callable[[], Store]


@contextmanager
def opener(
    kind: str, folder: Path, minio: Callable[[], MinioServer], hdfs: Callable[[], HdfsServer]
) -> Iterator[OpenStore]:
    """What opens one fresh root of the kind, as often as it is called; each store it gave is closed in the end."""
    opened: list[Store] = []
    memory = MemoryStore()
    bucket = minio().create_bucket() if kind == "s3" else ""
    folder_of_hdfs = hdfs().create_root() if kind == "hdfs" else ""

    def open_again() -> Store:
        store: Store
        if kind == "local":
            store = LocalStore(folder / "store")
        elif kind == "hdfs":
            store = HdfsStore(folder_of_hdfs)
        elif kind == "s3":
            store = minio().store(f"{bucket}/a prefix")
        else:
            store = memory
        opened.append(store)
        return store

    try:
        yield open_again
    finally:
        for store in opened:
            store.close()
