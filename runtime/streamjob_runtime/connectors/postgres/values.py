"""Values that fit their column's type by name, and that PostgreSQL would change all the same, without a word."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from streamjob_runtime.connectors.postgres.table import Column
from streamjob_runtime.formats.structs import fields_of

_JSON = ("json", "jsonb")


def is_json(column: Column, kind: Any) -> bool:
    """Whether values of that Arrow type get into the column as JSON that is made here."""
    return column.type.name in _JSON and not column.type.array and pt.is_nested(kind)


def would_change(columns: Iterable[Column], rows: pa.Table) -> str | None:
    """What PostgreSQL would change, in words that say what to do; None: nothing. The rows have the columns' names."""
    for column in columns:
        for chunk in rows.column(column.name).chunks:
            if is_json(column, chunk.type) and not _is_finite(chunk):
                return (
                    f'its column "{column.name}" gets NaN or infinity within a list or an object, which JSON does not '
                    "know: let it be NULL in the pipeline, CASE WHEN isfinite(x) THEN x END"
                )
            widest = column.type.numbers[0] if column.type.name == "character varying" and column.type.numbers else None
            if widest is not None and _has_surplus_blanks(chunk, pa.scalar(widest)):
                return (
                    f'its column "{column.name}" is of type {column.text}, which would cut blanks from the end of a '
                    f"longer text: make the column wider, or cut the blanks in the pipeline, rtrim({column.name})"
                )
    return None


def _is_finite(values: Any) -> bool:
    """Whether no number within is NaN or infinite."""
    kind = values.type
    if pt.is_floating(kind):
        return pc.all(pc.is_finite(values)).as_py() is not False
    if pt.is_struct(kind):
        return all(_is_finite(child) for child in fields_of(values))
    if pt.is_map(kind):
        pairs = pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)]))
        return _is_finite(values.cast(pairs))
    return not pt.is_nested(kind) or pt.is_union(kind) or _is_finite(values.flatten())


def _has_surplus_blanks(values: Any, widest: "pa.Scalar[Any]") -> bool:
    """Whether a text that is too long would be cut, and not refused: what is too much are blanks."""
    if pt.is_nested(values.type):
        return _has_surplus_blanks(values.flatten(), widest)
    if pt.is_dictionary(values.type):
        return _has_surplus_blanks(values.cast(values.type.value_type), widest)
    if pt.is_null(values.type):
        return False
    long = values.filter(pc.greater(pc.utf8_length(values), widest))
    return bool(pc.any(pc.less_equal(pc.utf8_length(pc.utf8_rtrim(long, " ")), widest)).as_py())
