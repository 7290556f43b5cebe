"""Values as plain text, as the SQL engine's cast reads it back: for CSV, names of folders and messages of text."""

from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from streamjob_runtime.formats import blobs, decimals, json_text, times

_STRING = pa.string()


def is_arrows(column: Any) -> bool:
    """Whether the text that Arrow writes for each value is that one."""
    kind = column.type
    if pt.is_nested(kind) or pt.is_binary(kind) or pt.is_large_binary(kind):
        return False
    if pt.is_decimal(kind):
        return decimals.is_plain(column)
    return not times.is_time(kind) or times.is_plain(column)


def text(column: Any) -> Any:
    """The text of each value; NULL stays. What is nested stands as JSON."""
    kind = column.type
    if isinstance(column, pa.ChunkedArray):
        return pa.chunked_array([text(chunk) for chunk in column.chunks], _STRING)
    if pt.is_nested(kind):
        return json_text.or_null(column)
    if pt.is_binary(kind) or pt.is_large_binary(kind):
        return blobs.text(column)
    if pt.is_decimal(kind):
        return decimals.text(column)
    return times.text(column) if times.is_time(kind) else column.cast(_STRING)
