r"""Bytes as text: as DuckDB's cast to VARCHAR writes them and its cast to BLOB reads them, `ab\x00\xFF`."""

import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_ODD = r"[^ !#-&(-\[\]-~]"  # what is no printable ASCII, and the quotes and the backslash
_ODD_BYTE = re.compile(_ODD.encode())


def text(column: Any) -> Any:
    """The text of each value; NULL stays."""
    if not pc.any(pc.match_substring_regex(column, _ODD)).as_py():
        return column.cast(pa.string())
    return pa.array([None if value is None else one(value) for value in column.to_pylist()], pa.string())


def one(value: bytes) -> str:
    """The text of one value."""
    return _ODD_BYTE.sub(lambda odd: b"\\x%02X" % odd[0][0], value).decode("ascii")
