"""CSV: a line is a row, its fields are separated by commas and may be quoted."""

import io
import re

import pyarrow as pa
import pyarrow.csv as pacsv

from streamjob_runtime.formats import json_text, lines
from streamjob_runtime.formats.base import BadRecord

_BLOCK = 4 << 20  # bytes that one thread parses at once; a row must fit in
_MAX_BLOCK = (1 << 31) - 1
_ROW = re.compile(r"Row #(\d+): ")
_COLUMN = re.compile(r"In CSV column #(\d+): ")
_VALUE = re.compile(r"CSV conversion error to ([^:]+): invalid value '(.*)'", re.DOTALL)
_FIELDS = re.compile(r"Expected (\d+) columns, got (\d+)")


class CsvDecoder:
    """Fields separated by commas, quoted by `"` where they hold one, in UTF-8; blank lines are skipped.

    With a header its names tell the columns, in any order: a column that it does not name is NULL, one that is not
    declared is ignored. Without one, the fields are the columns of the schema in their order. An empty field is NULL;
    empty text is written `""`.
    """

    def __init__(self, schema: pa.Schema, header: bool) -> None:
        self._schema = schema
        self._header = header

    def decode(self, data: bytes) -> pa.Table:
        """One row a line that is not blank. Raises `BadRecord`, whose number counts the header and blank lines too."""
        data = data.removeprefix(lines.BOM)
        lines.check_utf8(data)
        if not data or data.isspace():
            return self._schema.empty_table()
        names = self._header_names(data) if self._header else self._schema.names
        try:
            return self._read(data, _BLOCK, threads=True)
        except pa.ArrowInvalid:
            pass
        try:
            # Either a row is longer than a block, or one is wrong; a single thread knows its number.
            return self._read(data, min(len(data) + 1, _MAX_BLOCK), threads=False)
        except pa.ArrowInvalid as e:
            raise _bad_record(data, str(e), names) from None

    def _header_names(self, data: bytes) -> list[str]:
        """Its names. A header that names no column of ours is most likely a row of data, or of another file."""
        head = data.lstrip(b"\r\n").split(b"\n", 1)[0]
        try:
            names: list[str] = pacsv.read_csv(lines.reader(head + b"\n")).column_names
        except pa.ArrowInvalid:
            raise BadRecord("the header is not one line of names", 0, lines.excerpt(head)) from None
        for name in self._schema.names:
            if names.count(name) > 1:
                raise BadRecord(f'the header names column "{name}" twice', 0, lines.excerpt(head))
        if not set(names) & set(self._schema.names):
            declared = ", ".join(self._schema.names)
            raise BadRecord(f"the header names none of the declared columns ({declared})", 0, lines.excerpt(head))
        return names

    def _read(self, data: bytes, block: int, threads: bool) -> pa.Table:
        names = None if self._header else self._schema.names
        read = pacsv.ReadOptions(column_names=names, block_size=block, use_threads=threads)
        parse = pacsv.ParseOptions(newlines_in_values=b'"' in data)
        convert = pacsv.ConvertOptions(
            column_types=self._schema,
            include_columns=self._schema.names,
            include_missing_columns=True,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        return pacsv.read_csv(lines.reader(data), read, parse, convert)


def _bad_record(data: bytes, message: str, names: list[str]) -> BadRecord:
    """Arrow's message in plain words. `names`: those of the fields."""
    row, column, value, fields = (p.search(message) for p in (_ROW, _COLUMN, _VALUE, _FIELDS))
    number, line = _nth_not_blank(data, int(row[1]) - 1 if row else 0)
    if value and column:
        reason = f'column "{names[int(column[1])]}": "{value[2]}" is no {value[1]}'
    elif fields:
        reason = f"the number of its fields is {fields[2]}, and that of the columns {fields[1]}"
    else:
        reason = message
    return BadRecord(reason, number, lines.excerpt(line))


def _nth_not_blank(data: bytes, n: int) -> tuple[int, bytes]:
    """The number and bytes of a line; where quoted fields hold newlines, of one shortly before the row's."""
    for number, line in enumerate(data.splitlines()):
        if line:
            if n == 0:
                return number, line
            n -= 1
    return 0, b""


class CsvEncoder:
    """A header and a line a row. NULL is an empty field, no text is `""`; nested values are JSON, bytes hexadecimal."""

    suffix = ".csv"

    def encode(self, rows: pa.Table) -> bytes:
        """The bytes of one file; the same rows give the same bytes."""
        out = io.BytesIO()
        pacsv.write_csv(_flat(rows), out)
        return out.getvalue()


def _flat(rows: pa.Table) -> pa.Table:
    for i, field in enumerate(rows.schema):
        if pa.types.is_nested(field.type):
            texts = json_text.texts(rows.column(i))
        elif pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            texts = [None if v is None else v.hex() for v in rows.column(i).to_pylist()]
        else:
            continue
        rows = rows.set_column(i, field.name, pa.array(texts, pa.string()))
    return rows
