"""Copies of static tables, one for each version that batches joined with: a replay joins with the same rows."""

import contextlib
import io
import zlib

import pyarrow as pa
import pyarrow.parquet as pq

from streamjob_runtime.checkpoint.cleanup import table_key
from streamjob_runtime.errors import AlreadyExists, Damaged, NotFound
from streamjob_runtime.stores.base import Store


def write_copy(store: Store, table: str, files_version: str, rows: pa.Table) -> str:
    """Keep the rows; give the version's name, which says of which files they are and what the copy's checksum is."""
    out = io.BytesIO()
    pq.write_table(rows, out, compression="zstd")
    data = out.getvalue()
    version = f"{files_version}-{zlib.crc32(data):08x}"
    with contextlib.suppress(AlreadyExists):  # the same bytes, written by an earlier run
        store.create(table_key(table, version), data)
    return version


def is_of_files(version: str, files_version: str) -> bool:
    """Whether the version is of exactly those files."""
    return version.rpartition("-")[0] == files_version


def read_copy(store: Store, table: str, version: str) -> pa.Table:
    """The rows of that version. Raises `Damaged` if the copy is missing or not what was written."""
    key = table_key(table, version)
    try:
        data = store.read(key)
    except NotFound as error:
        raise Damaged(f"The copy {key} of the static table {table!r} is missing at {store.url}.") from error
    if f"{zlib.crc32(data):08x}" != version.rpartition("-")[2]:
        raise Damaged(f"The copy {key} of the static table {table!r} at {store.url} is not what was written.")
    return pq.read_table(io.BytesIO(data))
