"""Rows to messages: the bytes of each row, for systems that do not know of lines."""

from typing import Any

import pyarrow as pa

from streamjob_runtime.formats import plain_text
from streamjob_runtime.formats.json_lines import objects

_ROWS = 1 << 16


def json_messages(rows: pa.Table) -> list[bytes | None]:
    """A JSON object a row, with every column."""
    found: list[bytes | None] = []
    for batch in rows.to_batches(max_chunksize=_ROWS):
        found += objects(batch).cast(pa.binary()).to_pylist()
    return found


def column_messages(column: "pa.ChunkedArray[Any]") -> list[bytes | None]:
    """The text of each value in UTF-8; of bytes the bytes themselves; of NULL, None. What is nested stands as JSON."""
    kind = column.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return column.to_pylist()
    found: list[bytes | None] = plain_text.text(column).cast(pa.binary()).to_pylist()
    return found
