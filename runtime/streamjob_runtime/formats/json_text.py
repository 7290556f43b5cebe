"""Values as JSON text: columns at once where Arrow can, values one by one elsewhere."""

import json
import math
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from streamjob_runtime.errors import JobError

_CONTROL = r"[\x00-\x1f]"
_ESCAPED = r'[\x00-\x1f"\\]'


def value_text(value: Any) -> str:
    """A value as JSON: times in ISO form, decimals with all their digits, bytes in hexadecimal, NaN as null."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float():
            return repr(value) if math.isfinite(value) else "null"
        case Decimal():
            return format(value, "f")
        case int():
            return str(value)
        case bytes():
            return _quoted(value.hex())
        case datetime() | date():
            return _quoted(value.isoformat())
        case dict():
            return "{" + ",".join(f"{_quoted(str(k))}:{value_text(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ",".join(map(value_text, value)) + "]"
    return _quoted(str(value))


def texts(column: "pa.Array[Any] | pa.ChunkedArray[Any]") -> list[str | None]:
    """Each value as JSON; None for no value. Raises `JobError` for a time that Python has none for."""
    try:
        # Otherwise Arrow gives a map as a list, and an empty one cannot be told from an empty list.
        values = column.to_pylist(maps_as_pydicts="strict")
    except OverflowError:
        raise JobError(
            f"A result of type {column.type} holds a time outside the years 1 to 9999 within it, or an infinite one. "
            "Cast it to VARCHAR in the pipeline, or leave these rows out."
        ) from None
    return [None if value is None else value_text(value) for value in values]


def column_text(column: "pa.Array[Any]") -> "pa.Array[Any]":
    """A column as JSON text, without nulls."""
    kind = column.type
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        text = column.cast(pa.string())
    elif pa.types.is_floating(kind):
        finite = pc.if_else(pc.is_finite(column), column, pa.scalar(None, kind))
        text = finite.cast(pa.string())
    elif pa.types.is_timestamp(kind):
        text = _quote(pc.replace_substring(column.cast(pa.string()), " ", "T", max_replacements=1))
    elif pa.types.is_date(kind):
        text = _quote(column.cast(pa.string()))
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        text = _string_text(column.cast(pa.string()))
    else:
        text = pa.array(texts(column), pa.string())
    return text.fill_null("null")


def _string_text(column: "pa.Array[Any]") -> "pa.Array[Any]":
    if not _any(column, _ESCAPED):
        return _quote(column)
    if _any(column, _CONTROL):
        return pa.array([None if value is None else _quoted(value) for value in column.to_pylist()], pa.string())
    return _quote(pc.replace_substring(pc.replace_substring(column, "\\", "\\\\"), '"', '\\"'))


def _any(column: "pa.Array[Any]", pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(column, pattern)).as_py())


def _quote(column: "pa.Array[Any]") -> "pa.Array[Any]":
    return pc.binary_join_element_wise('"', column, '"', "")  # type: ignore[call-overload, no-any-return]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
