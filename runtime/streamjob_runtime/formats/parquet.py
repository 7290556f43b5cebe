"""Parquet: columns with their types, compressed by zstd."""

import io
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from streamjob_runtime.formats.base import BadRecord


def read_schema(data: bytes) -> pa.Schema:
    """The columns that a file names. Raises `BadRecord`, as `ParquetDecoder` does."""
    with _opened(data) as file:
        schema = file.schema_arrow
    # SQL tells no names apart by upper and lower case.
    names = Counter(name.lower() for name in schema.names)
    _refuse_several(name for name in schema.names if names[name.lower()] > 1)
    return schema


def _refuse_several(names: Iterable[str]) -> None:
    for name in names:
        raise BadRecord(f'it has more than one column of the name "{name}"', 0, "")


@contextmanager
def _opened(data: bytes) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(pa.BufferReader(data)) as file:
            yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as e:  # the last one of a column's name
        raise BadRecord(f"it is not a whole Parquet file: {e}", 0, "") from None


class ParquetDecoder:
    """A file's columns by name, cast to the declared types.

    A column that the file does not have is NULL, one that is not declared is not read. A cast that would lose digits
    is a `BadRecord`, except that times are cut to the declared unit.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema

    def decode(self, data: bytes) -> pa.Table:
        """The rows of one file. Raises `BadRecord`, always with record 0: the file as a whole."""
        with _opened(data) as file:
            there = Counter(file.schema_arrow.names)
            _refuse_several(name for name in self._schema.names if there[name] > 1)
            table = file.read([name for name in self._schema.names if name in there])
        columns: dict[str, Any] = {
            f.name: _cast(table.column(f.name), f) if f.name in there else pa.nulls(table.num_rows, f.type)
            for f in self._schema
        }
        return pa.table(columns, self._schema)


def _cast(column: "pa.ChunkedArray[Any]", field: "pa.Field[Any]") -> "pa.ChunkedArray[Any]":
    loose = pa.types.is_timestamp(column.type) and pa.types.is_temporal(field.type)
    try:
        return column.cast(field.type, safe=not loose)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as e:
        reason = f'column "{field.name}" is {column.type} in the file and {field.type} as declared: {e}'
        raise BadRecord(reason, 0, "") from None


class ParquetEncoder:
    """One row group a million rows, zstd."""

    suffix = ".parquet"

    def encode(self, rows: pa.Table) -> bytes:
        """The bytes of one file; the same rows give the same bytes."""
        out = io.BytesIO()
        # Chunks must not show in the bytes; what Arrow keeps of its own types in the metadata, readers do not need.
        pq.write_table(rows.combine_chunks(), out, compression="zstd", row_group_size=1 << 20)
        return out.getvalue()
