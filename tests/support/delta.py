"""Delta tables of a test's own, read by a client of their own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from streamjob_runtime.connectors.delta.look import Wish
from streamjob_runtime.connectors.delta.place import Place, place_of
from streamjob_runtime.connectors.delta.sink import DeltaSink
from streamjob_runtime.connectors.delta.table import read_rows
from streamjob_runtime.connectors.sink import Writer
from streamjob_runtime.stores.connections import Connections

JOB = "00000000feedface"
WRITER = Writer(JOB, 1, lambda: None)
_COLUMNS: dict[str, pa.DataType] = {"word": pa.string(), "n": pa.int64()}
WORDS = pa.schema(_COLUMNS)


class DeltaFolder:
    """A place for one table, and the sinks of a test that write it."""

    def __init__(self, location: str, connections: Connections) -> None:
        self.location = location
        self.connections = connections
        self._opened: list[DeltaSink] = []

    @property
    def place(self) -> Place:
        return place_of(self.location, self.connections)

    def table(self) -> DeltaTable:
        return DeltaTable(self.place.url, storage_options=dict(self.place.options))

    @property
    def there(self) -> bool:
        return DeltaTable.is_deltatable(self.place.url, dict(self.place.options))

    @property
    def version(self) -> int:
        return self.table().version()

    def rows(self) -> list[tuple[Any, ...]]:
        return sorted((tuple(row.values()) for row in read_rows(self.table()).to_pylist()), key=repr)

    def sink(
        self,
        mode: str = "append",
        schema: pa.Schema = WORDS,
        key: Sequence[str] = ("word",),
        partition_by: Sequence[str] = (),
        place: Place | None = None,
        step: str = "views",
    ) -> DeltaSink:
        keys = tuple(key) if mode == "update" else ()
        wish = Wish(f"{step}.delta", step, place or self.place, mode, keys, tuple(partition_by))
        sink = DeltaSink(wish, schema)
        self._opened.append(sink)
        return sink

    def opened(self, mode: str = "append", epoch: int = 1, job_id: str = JOB, **options: Any) -> DeltaSink:
        sink = self.sink(mode, **options)
        sink.open(Writer(job_id, epoch, lambda: None))
        return sink

    def close(self) -> None:
        for sink in self._opened:
            sink.close()


@contextmanager
def delta_folder(location: str, connections: Connections) -> Iterator[DeltaFolder]:
    """A folder whose sinks are closed in the end."""
    made = DeltaFolder(location, connections)
    try:
        yield made
    finally:
        made.close()
