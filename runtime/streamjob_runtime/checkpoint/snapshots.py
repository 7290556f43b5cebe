"""State snapshots as files of the store: Parquet for operators' states, one JSON file for the sources'."""

import io
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from streamjob_runtime.checkpoint.fit import Meaning
from streamjob_runtime.checkpoint.records import Checkpoint, StoredFile
from streamjob_runtime.errors import AlreadyExists, Damaged, NotFound
from streamjob_runtime.stores.base import Store


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole state after a batch, in memory."""

    batch: int
    time_ms: int
    watermark_ms: int | None
    event_times: Mapping[str, int]
    operators: Mapping[str, pa.Table]
    sources: Mapping[str, Any]


def upload(store: Store, snapshot: Snapshot, meaning: Meaning, epoch: int, nonce: str) -> Checkpoint:
    """Write the snapshot's files and give the record that makes them a checkpoint."""
    name = f"{snapshot.batch:012d}-{epoch:06d}-{nonce}"
    state = {
        op: _create(store, f"state/{quote(op, safe='')}/{name}.parquet", _to_parquet(rows), rows.num_rows)
        for op, rows in snapshot.operators.items()
    }
    data = json.dumps(snapshot.sources, separators=(",", ":")).encode()
    sources = _create(store, f"state/@sources/{name}.json", data, len(snapshot.sources))
    return Checkpoint(
        snapshot.batch,
        snapshot.time_ms,
        snapshot.watermark_ms,
        dict(snapshot.event_times),
        dict(meaning.fingerprints),
        meaning.engine,
        state,
        sources,
    )


def download(store: Store, checkpoint: Checkpoint) -> Snapshot:
    """The snapshot that the checkpoint refers to. Raises `Damaged` if one of its files is not whole."""
    return Snapshot(
        checkpoint.batch,
        checkpoint.time_ms,
        checkpoint.watermark_ms,
        checkpoint.event_times,
        {op: pq.read_table(io.BytesIO(read_whole(store, file))) for op, file in checkpoint.state.items()},
        download_sources(store, checkpoint),
    )


def check_there(store: Store, checkpoint: Checkpoint) -> None:
    """Look at every file of the checkpoint without reading it. Raises `Damaged` if one is missing or cut."""
    for file in checkpoint.files:
        with _missing_is_damage(store, file):
            found = store.stat(file.key).size
        if found != file.size:
            raise _not_what_was_written(store, file, found)


def download_sources(store: Store, checkpoint: Checkpoint) -> dict[str, Any]:
    """The state of every source at the checkpoint."""
    return dict(json.loads(read_whole(store, checkpoint.sources)))


def read_whole(store: Store, file: StoredFile) -> bytes:
    """The file's bytes. Raises `Damaged` if it is missing or not what was written."""
    with _missing_is_damage(store, file):
        data = store.read(file.key)
    if len(data) != file.size or zlib.crc32(data) != file.crc:
        raise _not_what_was_written(store, file, len(data))
    return data


@contextmanager
def _missing_is_damage(store: Store, file: StoredFile) -> Iterator[None]:
    try:
        yield
    except NotFound as error:
        raise Damaged(f"The checkpoint file {file.key} is missing at {store.url}.") from error


def _not_what_was_written(store: Store, file: StoredFile, size: int) -> Damaged:
    return Damaged(f"The checkpoint file {file.key} at {store.url} is not what was written ({size} bytes).")


def _create(store: Store, key: str, data: bytes, rows: int) -> StoredFile:
    try:
        store.create(key, data)
    except AlreadyExists as error:
        raise Damaged(f"Somebody else has written {key}, a name that only this process can know.") from error
    return StoredFile(key, len(data), zlib.crc32(data), rows)


def _to_parquet(rows: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(rows, out, compression="zstd")
    return out.getvalue()
