"""JSON lines: a line is an object, a field a column."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pajson
import pyarrow.types as pt

from streamjob_runtime.excerpts import Words
from streamjob_runtime.formats import json_keys, json_text, json_values, lines
from streamjob_runtime.formats.base import BadRecord
from streamjob_runtime.formats.casts import leaves
from streamjob_runtime.formats.sifted import Misfits, Sifted, sifted
from streamjob_runtime.formats.structs import fields_of

_BLOCK = 4 << 20  # bytes that one thread parses at once
_PIECE = 1 << 20  # what Arrow refused is given to it again in pieces of so many bytes,
_SLOW = 64 << 10  # and then of so many; those that it refuses again are read record by record
_ENCODE_ROWS = 1 << 16
_MINUS_ZERO = re.compile(rb"-0\s*[,}\]]")  # as an integer it loses its sign
_NUMBER_FOR_TEXT = re.compile(r"Column\(/([^/]*)\) changed from string to number")


class JsonDecoder:
    """Objects, one a line, in UTF-8; blank lines are skipped.

    A field that is missing or null is NULL, a field that is not declared is ignored. Where text is declared, any other
    value is taken as its JSON text: `12.50` as "12.50", an object as "{...}", with the digits that it has. Where an
    integer is declared, 1.0 and 1e3 are integers; where a decimal is declared, numbers are rounded to its scale, and
    strings of digits are taken too; where a floating-point number is declared, so are "NaN", "Infinity" and
    "-Infinity". A field whose name is a column's but for its case is that column's, unless one has the very name. Of a
    name that stands twice in an object the last counts. All else is a `BadRecord`.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._as_declared = _Quick(schema)
        self._spelled: dict[tuple[str, ...], _Quick] = {}  # by the names that the data has for the columns

    def decode(self, data: bytes, most: int | None = None) -> pa.Table:
        """One row a line that is not blank. Raises `BadRecord`, whose number counts blank lines too."""
        data = data.removeprefix(lines.BOM)
        lines.check_utf8(data)
        if not data or data.isspace():
            return self._schema.empty_table()
        return pa.concat_tables(self._tables(data, 0))

    def sift(self, data: bytes, misfits: Misfits, most: int | None = None) -> Sifted:
        """See `Decoder`. Blank lines are no records."""
        wrong: dict[int, Words] = {}
        try:
            rows = self.decode(data)
        except BadRecord:
            rows, wrong = self.sift_records([record for _, record in _records(data)])
        return sifted(rows, misfits, wrong, lambda: _records(data))

    def sift_records(self, records: Sequence[bytes]) -> tuple[pa.Table, dict[int, Words]]:
        """The rows of the good records, each in a line of its own, and of each bad one why it is bad."""
        tables: list[pa.Table] = [self._schema.empty_table()]
        wrong: dict[int, Words] = {}
        for first, last in _pieces(records):
            table = self._read_records(records[first:last])
            bad: dict[int, Words] = {}
            if table is None:  # of fewer Arrow would take as long as this does
                table, bad = json_values.sift_records(records[first:last], self._schema)
            tables.append(table)
            wrong |= {first + i: reason for i, reason in bad.items()}
        return pa.concat_tables(tables), wrong

    def _read_records(self, records: Sequence[bytes]) -> pa.Table | None:
        """What Arrow makes of the records; None if it does not make a row of each."""
        data = b"\n".join(records)
        if data.count(b"\n") != len(records) - 1 or _count_records(data) != len(records):
            return None
        try:
            lines.check_utf8(data)
        except BadRecord:
            return None
        table = self._read(data)
        return table if table is not None and table.num_rows == len(records) else None

    def names(self, data: bytes) -> list[str]:
        """The keys of the first records."""
        return json_keys.keys(data.removeprefix(lines.BOM))

    def line_of(self, data: bytes, row: int) -> tuple[int, str]:
        """The number and the beginning of the line that became that row."""
        number, line = _records(data)[row]
        return number, lines.excerpt(line)

    def _tables(self, data: bytes, first: int) -> Iterator[pa.Table]:
        """Decode lines, of which the first has the number `first`: by Arrow where it can, else in smaller pieces."""
        count = _count_records(data)
        # Data that begins with null ends the process in Arrow: it gets objects only.
        table = self._read(data) if count >= 0 else None
        # Arrow also takes several objects in a line, and one over several lines unless a block ends there.
        if table is not None and table.num_rows == count:
            yield table
            return
        pieces = lines.pieces(data, _PIECE if len(data) > _PIECE else _SLOW)
        if len(pieces) == 1:
            yield json_values.decode_lines(data, first, self._schema)
            return
        for piece in pieces:
            yield from self._tables(piece, first)
            first += piece.count(b"\n")

    def _read(self, data: bytes) -> pa.Table | None:
        """What Arrow makes of the lines; None if it does not make all of them."""
        try:
            return self._as_declared.read(data)
        except _OtherSpellings:
            found = json_keys.spelled(self._schema, data)
        spelling = tuple(found.get(name, name) for name in self._schema.names)
        if list(spelling) == self._schema.names:
            return None
        if spelling not in self._spelled:
            renamed = [f.with_name(name) for f, name in zip(self._schema, spelling, strict=True)]
            self._spelled[spelling] = _Quick(pa.schema(renamed))
        try:
            table = self._spelled[spelling].read(data)
        except _OtherSpellings:
            return None
        return None if table is None else table.rename_columns(self._schema.names)


def _pieces(records: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Where runs of records begin and end that are looked at one by one if Arrow does not make rows of them all."""
    start = size = 0
    for i, record in enumerate(records, 1):
        size += len(record) + 1
        if size >= _SLOW or i == len(records):
            yield start, i
            start, size = i, 0


def _records(data: bytes) -> list[tuple[int, bytes]]:
    """The number and the bytes of each line that is not blank."""
    split = data.removeprefix(lines.BOM).split(b"\n")
    return [(i, line) for i, line in enumerate(split) if line and not line.isspace()]


class _OtherSpellings(Exception):
    """Keys are there that are a column's name but for their case, and values are missing."""


class _Quick:
    """Arrow's reader, for the columns of a schema by their very names."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._decimals = [i for i, kind in enumerate(schema.types) if "decimal" in str(kind)]
        self._doubtful = json_keys.doubtful_decimals(schema)
        self._other_spellings = json_keys.other_spellings(schema)

    def read(self, data: bytes) -> pa.Table | None:
        """The rows; None if Arrow refuses them, or must not get them. Raises `_OtherSpellings`."""
        if self._doubtful.is_in(data):
            return None
        table = self._read(data)
        if table is not None and _any_null(table) and self._other_spellings.is_in(data):
            raise _OtherSpellings
        return table

    def _read(self, data: bytes) -> pa.Table | None:
        schema = self._schema
        # A few records are parsed sooner than threads are woken.
        options = pajson.ReadOptions(use_threads=len(data) > _SLOW, block_size=_BLOCK)
        while True:
            parse = pajson.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
            try:
                table = pajson.read_json(lines.reader(data), options, parse).cast(self._schema)
                if any(map(_any_infinite, table.columns)):
                    return None  # JSON has no such number: 1e400 has become one
                for i in self._decimals:
                    table.column(i).validate(full=True)  # 1e9 passes for a decimal of five digits
                return table
            except pa.ArrowInvalid as e:
                # Integers where text is declared (ids) are common, and record by record would be slow.
                column = _NUMBER_FOR_TEXT.search(str(e))
                index = schema.get_field_index(column[1]) if column else -1
                if index < 0 or not pt.is_string(schema.field(index).type) or _MINUS_ZERO.search(data):
                    return None
                schema = schema.set(index, pa.field(schema.names[index], pa.int64()))


def _any_null(table: pa.Table) -> bool:
    return any(_null_within(chunk) for column in table.columns for chunk in column.chunks)


def _any_infinite(column: Any) -> bool:
    compute: Any = pc
    return any(compute.any(compute.is_inf(leaf)).as_py() for leaf in leaves(column) if pt.is_floating(leaf.type))


def _null_within(array: Any) -> bool:
    if array.null_count:
        return True
    if pt.is_struct(array.type):
        return any(_null_within(child) for child in fields_of(array))
    return bool(pt.is_list(array.type) and _null_within(array.flatten()))


def _count_records(data: bytes) -> int:
    """How many lines hold an object; -1 if one holds anything else than an object or white space."""
    count = lines.count_all_beginning(data, b"{")
    if count is None:
        records = [line.lstrip() for line in data.split(b"\n") if line and not line.isspace()]
        count = len(records) if all(record.startswith(b"{") for record in records) else -1
    return count


class JsonEncoder:
    """An object a line, with every column, as `json_text` writes values; NULL is null."""

    suffix = ".json"

    def encode(self, rows: pa.Table) -> bytes:
        """The bytes of one file; the same rows give the same bytes."""
        return b"".join(_encode(batch) for batch in rows.to_batches(max_chunksize=_ENCODE_ROWS))


def objects(batch: pa.RecordBatch, end: str = "") -> pa.StringArray:
    """Each row as an object, with `end` behind it; there must be a column."""
    parts: list[Any] = []
    for i, name in enumerate(batch.schema.names):
        parts += [
            ("," if i else "{") + json.dumps(name, ensure_ascii=False) + ":",
            json_text.column_text(batch.column(i)),
        ]
    text: pa.StringArray = json_text.joined([*parts, "}" + end])
    return text


def _encode(batch: pa.RecordBatch) -> bytes:
    if not batch.schema.names:
        return b"{}\n" * batch.num_rows
    return content(objects(batch, "\n"))


def content(text: pa.StringArray) -> bytes:
    """The strings, one behind the other: as they lie in memory. There must be no null."""
    _, offsets, content = text.buffers()
    assert content is not None
    ends: pa.Array[Any] = pa.Array.from_buffers(pa.int32(), len(text) + 1, [None, offsets], offset=text.offset)
    return content[ends[0].as_py() : ends[len(text)].as_py()].to_pybytes()
