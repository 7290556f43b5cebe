"""Columns as JSON text."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from streamjob_runtime.formats import blobs, decimals, times
from streamjob_runtime.formats.structs import fields_of

_CONTROL = r"[\x00-\x1f]"
_ESCAPED = r'[\x00-\x1f"\\]'
_NULL = pa.scalar(None, pa.string())

Array = Any  # of Arrow: what stands in a column is known at run time


def column_text(column: Array) -> Array:
    """Each value as JSON; NULL as `null`.

    Times stand in ISO form, decimals with all their digits, bytes as DuckDB writes them; NaN and infinity, which JSON
    has no number for, as the texts "NaN", "Infinity" and "-Infinity", as Spark writes them.
    """
    kind = column.type
    if pt.is_dictionary(kind):
        return column_text(column.dictionary_decode())
    if pt.is_union(kind):
        return _union(column)
    if pt.is_nested(kind):
        return _nested(column).fill_null("null")
    if pt.is_floating(kind):
        text = _floating(column)
    elif times.is_time(kind):
        text = _time(column)
    elif pt.is_binary(kind) or pt.is_large_binary(kind):
        text = _string_text(blobs.text(column))
    elif pt.is_decimal(kind):
        text = decimals.text(column)
    elif pt.is_boolean(kind) or pt.is_integer(kind) or pt.is_null(kind):
        text = column.cast(pa.string())
    elif pt.is_string(kind) or pt.is_large_string(kind):
        text = _string_text(column.cast(pa.string()))
    else:
        text = _string_text(pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string()))
    return text.fill_null("null")


def or_null(column: Array) -> Array:
    """Each value as JSON; NULL stays."""
    if isinstance(column, pa.ChunkedArray):
        return pa.chunked_array([or_null(chunk) for chunk in column.chunks], pa.string())
    return pc.if_else(column.is_valid(), column_text(column), _NULL)


def _floating(column: Array) -> Array:
    compute: Any = pc  # its stubs know no scalar but their own
    finite = compute.is_finite(column)
    text = compute.if_else(finite, column, pa.scalar(None, column.type)).cast(pa.string())
    if compute.all(finite).as_py() is not False:
        return text
    infinite = compute.if_else(compute.greater(column, 0), '"Infinity"', '"-Infinity"')
    return compute.if_else(finite, text, compute.if_else(compute.is_nan(column), '"NaN"', infinite))


def _time(column: Array) -> Array:
    text = times.text(column, between="T")
    return _quote(pc.replace_substring_regex(text, r"\.0+$", "") if pt.is_time(column.type) else text)


def _nested(column: Array) -> Array:
    kind = column.type
    if pt.is_struct(kind):
        parts: list[Any] = []
        for i, child in enumerate(fields_of(column)):
            parts += [("," if i else "{") + _quoted(kind.field(i).name) + ":", column_text(child)]
        text = joined([*parts, "}"]) if parts else pa.repeat(pa.scalar("{}"), len(column))
        return pc.if_else(column.is_valid(), text, _NULL)
    if pt.is_map(kind):
        listed = column.cast(pa.list_(pa.struct([kind.key_field, kind.item_field])))
        entries = listed.flatten()
        return _listed(listed, joined([_key(entries.field(0)), ":", column_text(entries.field(1))]), "{", "}")
    return _listed(column, column_text(column.flatten()), "[", "]")


def _listed(lists: Array, items: Array, begin: str, end: str) -> Array:
    """The texts of all items, put together list by list."""
    counts = np.asarray(pc.list_value_length(lists).fill_null(0)).astype(np.int64)
    offsets = pa.array(np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]), pa.int64())
    # With 64 bits: the items of a batch may be longer together than an array of texts can be.
    together = pc.binary_join(pa.LargeListArray.from_arrays(offsets, items.cast(pa.string())), ",")
    return pc.if_else(lists.is_valid(), joined([begin, together, end]), _NULL)


def _key(keys: Array) -> Array:
    """The keys of maps: JSON's are texts."""
    text = column_text(keys)
    quoted = times.is_time(keys.type) or not (pt.is_primitive(keys.type) or pt.is_decimal(keys.type))
    return text if quoted and not pt.is_nested(keys.type) else _string_text(text)


def _union(column: Array) -> Array:
    kind = column.type
    text = pa.repeat(pa.scalar("null"), len(column))
    codes = np.asarray(column.type_codes)
    for place, code in enumerate(kind.type_codes):
        if (which := codes == code).any():
            text = pc.if_else(pa.array(which), column_text(column.field(place)), text)
    return text


def _string_text(column: Array) -> Array:
    if not _any(column, _ESCAPED):
        return _quote(column)
    if _any(column, _CONTROL):
        return pa.array([None if value is None else _quoted(value) for value in column.to_pylist()], pa.string())
    return _quote(pc.replace_substring(pc.replace_substring(column, "\\", "\\\\"), '"', '\\"'))


def _any(column: Array, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(column, pattern)).as_py())


def _quote(column: Array) -> Array:
    return joined(['"', column, '"'])


def joined(parts: list[Any]) -> Array:
    """Texts put together, value by value."""
    join: Any = pc.binary_join_element_wise
    return join(*parts, "")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
