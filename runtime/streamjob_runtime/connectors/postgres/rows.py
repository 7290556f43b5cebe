"""Rows as COPY takes them: CSV, in which an unquoted nothing is NULL."""

import io
from collections.abc import Callable, Iterator
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.types as pt

from streamjob_runtime.formats import times
from streamjob_runtime.formats.json_text import or_null

_ROWS = 1 << 16  # that are text at a time


def as_csv(rows: pa.Table, as_json: frozenset[str] = frozenset()) -> Iterator[bytes]:
    """The rows, in pieces of whole lines; the columns in `as_json` as JSON, whatever they hold."""
    for batch in rows.to_batches(max_chunksize=_ROWS):
        columns = [
            or_null(column) if field.name in as_json else _text(column)
            for field, column in zip(batch.schema, batch.columns, strict=True)
        ]
        out = io.BytesIO()
        # All texts are quoted, so that none is taken for NULL or for the end.
        table = pa.Table.from_arrays(columns, names=[str(i) for i in range(len(columns))])
        pacsv.write_csv(table, out, pacsv.WriteOptions(include_header=False, quoting_style="needed"))
        yield out.getvalue()


def _text(column: "pa.Array[Any]") -> "pa.Array[Any]":
    """The column in a type that is written as PostgreSQL reads it."""
    kind = column.type
    if pt.is_dictionary(kind):
        return _text(column.cast(kind.value_type))
    if times.is_time(kind):
        return column if times.is_plain(column) else times.text(column, postgres=True)
    if pt.is_binary(kind) or pt.is_large_binary(kind):
        return _each(column, lambda value: f"\\x{value.hex()}")
    if pt.is_interval(kind):
        return _each(column, lambda v: f"{v.months} mons {v.days} days {v.nanoseconds // 1000} microseconds")
    if pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind):
        return _arrays(column)
    if pt.is_struct(kind) or pt.is_map(kind):
        return cast("pa.Array[Any]", or_null(column))
    return column


def _arrays(column: "pa.Array[Any]") -> "pa.Array[Any]":
    """Lists as array literals: {1,NULL,"a b"}."""
    items = _text(cast("pa.ListArray[Any]", column).flatten()).cast(pa.string()).to_pylist()
    quoted = iter([_item(item) for item in items])
    lengths = pc.list_value_length(column).to_pylist()
    lists = ["{" + ",".join(next(quoted) for _ in range(n)) + "}" if n is not None else None for n in lengths]
    return pa.array(lists, pa.string())


def _item(text: str | None) -> str:
    if text is None:
        return "NULL"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _each(column: "pa.Array[Any]", say: Callable[[Any], str]) -> "pa.Array[Any]":
    return pa.array([None if value is None else say(value) for value in column.to_pylist()], pa.string())
