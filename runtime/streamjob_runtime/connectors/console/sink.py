"""The console sink: the newest rows, for somebody who looks on."""

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.compute as pc
from rich.cells import cell_len, set_cell_size

from streamjob_runtime.connectors.sink import Delivery, SinkBatch, Writer
from streamjob_runtime.connectors.sink_context import Printer, SinkContext, SinkSpec

DEFAULT_ROWS = 20
MAX_CELL = 40  # columns of a terminal


class ConsoleSink:
    """Shows the first rows of each batch that has any. At least once: a batch that is written again is shown again.

    Where rows may leave the result, a first column says `-` of those that did, as they were, and `+` of all others.
    """

    delivery = Delivery.AT_LEAST_ONCE

    def __init__(self, name: str, print_rows: Printer, limit: int = DEFAULT_ROWS) -> None:
        self._name = name
        self._print = print_rows
        self._limit = limit

    @classmethod
    def from_manifest(cls, sink: SinkSpec, name: str, schema: pa.Schema | None, context: SinkContext) -> "ConsoleSink":
        """The sink that a manifest describes."""
        return cls(name, context.print_rows, sink.config.rows)

    def check(self) -> str:
        """See `Sink`."""
        return "the console"

    def open(self, writer: Writer) -> None:
        """See `Sink`."""

    def write(self, batch: SinkBatch) -> None:
        """See `Sink`. A batch without rows shows nothing, but an empty `complete` result is news and is shown."""
        if batch.count or batch.mode == "complete":
            self._print(batch, self._name, _signed(batch, self._limit))

    def close(self) -> None:
        """See `Sink`."""


def _signed(batch: SinkBatch, limit: int) -> pa.Table:
    """The first changes of a batch; those that take something away come first."""
    if batch.deleted is None:
        return batch.rows.slice(0, limit)
    gone = batch.deleted.slice(0, limit)
    rows = batch.rows.slice(0, limit - gone.num_rows)
    signs = pa.chunked_array([["-"] * gone.num_rows + ["+"] * rows.num_rows], pa.string())
    # Columns are shown by their places: another one may well have this name.
    return pa.concat_tables([gone, rows]).add_column(0, "op", signs)


class TextPrinter:
    """A `Printer` that writes aligned plain text."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def __call__(self, batch: SinkBatch, name: str, rows: pa.Table) -> None:
        """Write a title, the rows and an empty line."""
        heading = title(name, batch.batch_id, batch.batch_time_ms, rows.num_rows, batch.count)
        self._out.write("\n".join([heading, *text_table(rows), "", ""]))
        self._out.flush()


def title(name: str, batch_id: int, batch_time_ms: int, shown: int, total: int) -> str:
    """What stands above a batch's rows: sink, batch id, batch time and how many rows of how many are shown."""
    count = f"{shown} of {total} rows" if shown < total else f"{total} row{'' if total == 1 else 's'}"
    return f"{name} · batch {batch_id} · {iso_utc(batch_time_ms)} · {count}"


def text_table(rows: pa.Table) -> list[str]:
    """The lines of a plain table: a header, a rule, a line a row; numbers to the right."""
    columns = [[cell(name), *map(cell, values(rows.column(i)))] for i, name in enumerate(rows.column_names)]
    widths = [max(map(cell_len, column)) for column in columns]
    right = [_is_number(field.type) for field in rows.schema]
    lines = [
        " │ ".join(_pad(text, width, r) for text, width, r in zip(line, widths, right, strict=True)).rstrip()
        for line in zip(*columns, strict=True)
    ]
    return [*lines[:1], "─┼─".join("─" * width for width in widths), *lines[1:]]


def values(column: "pa.ChunkedArray[Any]") -> list[Any]:
    """The column as Python values; times that Python's own cannot hold (nanoseconds, infinity) as Arrow's text."""
    try:
        return column.to_pylist()
    except (OverflowError, ValueError):
        return pc.cast(column, pa.string()).to_pylist()


def cell(value: Any, width: int = MAX_CELL) -> str:
    """A value as one line of at most `width` terminal columns, free of control characters.

    Times are ISO 8601; those with a zone are in UTC and end in Z. Rows come from outside: a terminal's escape
    sequences in them must not reach it.
    """
    text = _text(value)
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def iso_utc(ms: int) -> str:
    """Milliseconds since the epoch as ISO 8601 in UTC; the milliseconds are left out when they are 0."""
    return _iso(datetime.fromtimestamp(ms / 1000, UTC), "auto" if ms % 1000 == 0 else "milliseconds")


def _text(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case str():
            return value
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.10g}" if math.isfinite(value) else str(value)
        case Decimal():
            return f"{value:f}"
        case bytes():
            return value.hex()
        case datetime():
            return _iso(value)
        case list():
            return "[" + ", ".join(map(_text, value)) + "]"
        case dict():
            return "{" + ", ".join(f"{k}: {_text(v)}" for k, v in value.items()) + "}"
        case tuple():  # an entry of a map
            return ": ".join(map(_text, value))
        case _:
            return str(value)


def _iso(time: datetime, timespec: str = "auto") -> str:
    if time.tzinfo is None:
        return time.isoformat(timespec=timespec)
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _pad(text: str, width: int, right: bool) -> str:
    space = " " * (width - cell_len(text))
    return space + text if right else text + space
