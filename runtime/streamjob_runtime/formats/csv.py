"""CSV: a line is a row, its fields are separated by commas and may be quoted."""

import io
import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from streamjob_runtime.errors import JobError
from streamjob_runtime.excerpts import Excerpt, Words, said
from streamjob_runtime.formats import csv_quotes, json_text, lines, names, plain_text
from streamjob_runtime.formats.base import BadFile, BadRecord
from streamjob_runtime.formats.halves import sift_by_halves
from streamjob_runtime.formats.json_lines import JsonDecoder, content
from streamjob_runtime.formats.sifted import Misfits, Sifted, sifted

_BLOCK = 4 << 20  # bytes that one thread parses at once; a row must fit in
_MAX_BLOCK = (1 << 31) - 1
_ROW = re.compile(r"Row #(\d+): ")
_COLUMN = re.compile(r"In CSV column #(\d+): ")
_VALUE = re.compile(r"CSV conversion error to ([^:]+): invalid value '(.*)'", re.DOTALL)
_FIELDS = re.compile(r"Expected (\d+) columns, got (\d+)")


class CsvDecoder:
    r"""Fields separated by commas, quoted by `"` where they hold one, in UTF-8; blank lines are skipped.

    With a header its names tell the columns, in any order and whatever their case: a column that it does not name is
    NULL, one that is not declared is ignored. Without one, the fields are the columns of the schema in their order. An
    empty field is NULL; empty text is written `""`. A list or a struct is its JSON text. `escape`: what stands before a
    quote within a quoted field, another quote or a backslash.
    """

    def __init__(self, schema: pa.Schema, header: bool, escape: str = '"') -> None:
        self._schema = schema
        self._header = header
        self._escape = escape
        flat = [pa.string() if pa.types.is_nested(kind) else kind for kind in schema.types]
        self._flat = pa.schema(list(zip(schema.names, flat, strict=True)))
        self._nested = {
            i: JsonDecoder(pa.schema([("cell", kind)]))
            for i, kind in enumerate(schema.types)
            if pa.types.is_nested(kind)
        }

    def decode(self, data: bytes, most: int | None = None) -> pa.Table:
        """One row a line that is not blank. Raises `BadRecord`, whose number counts the header and blank lines too."""
        data = data.removeprefix(lines.BOM)
        lines.check_utf8(data)
        if not data or data.isspace():
            return self._schema.empty_table()
        data = csv_quotes.cleared(data, self._escape)
        if self._header and b"\n" not in data:
            data += b"\n"  # Arrow takes a header alone for a line that is cut off
        there = self._header_names(data) if self._header else None
        rows = self._rows(data, there)
        for i, field in enumerate(self._flat):
            if pa.types.is_floating(field.type):
                self._check_finite(data, there, rows.column(i), i)
        for i, decoder in self._nested.items():
            rows = rows.set_column(i, self._schema.field(i), self._cells(data, rows, i, decoder))
        return rows

    def sift(self, data: bytes, misfits: Misfits, most: int | None = None) -> Sifted:
        """See `Decoder`. A header that is no header makes a `BadFile`."""
        wrong: dict[int, Words] = {}
        try:
            rows = self.decode(data)
        except BadFile:
            raise
        except BadRecord:
            head, records = self._head_and_records(data)
            rows, wrong = sift_by_halves(
                [record for _, record in records], lambda some: self.decode(b"\n".join([b"", *head, *some, b""]))
            )
        return sifted(rows, misfits, wrong, lambda: self._head_and_records(data)[1])

    def _head_and_records(self, data: bytes) -> tuple[list[bytes], list[tuple[int, bytes]]]:
        """The header, if there is one, and the line and the bytes of each record. Raises `BadFile`."""
        records = csv_quotes.records(data.removeprefix(lines.BOM), self._escape)
        if not self._header:
            return [], records
        (number, head), *others = records
        try:
            self.decode(head)
        except BadRecord as bad:
            raise BadFile(bad.reason, number, bad.excerpt, bad.remedy) from None
        return [head], others

    def names(self, data: bytes) -> list[str] | None:
        """The names that the header gives; None: there is none."""
        if not self._header:
            return None
        return _first_line(data.removeprefix(lines.BOM))[1]

    def line_of(self, data: bytes, row: int) -> tuple[int, str]:
        """The number and the beginning of the line that became that row."""
        number, line = _nth_not_blank(data.removeprefix(lines.BOM), row + self._header)
        return number, lines.excerpt(line)

    def _header_names(self, data: bytes) -> dict[str, str]:
        """Column -> its name in the header.

        A header that names no column of ours is most likely a row of data, or of another file.
        """
        head, there = _first_line(data)
        if there is None:
            raise BadFile("the header is not one line of names", 0, lines.excerpt(head))
        found: dict[str, str] = {}
        for name in self._schema.names:
            try:
                there_name = names.found(name, there)
            except names.Ambiguous as e:
                raise BadFile(f"of the header's names {e}", 0, lines.excerpt(head)) from None
            if there_name is None:
                continue
            if there.count(there_name) > 1:
                raise BadFile(f'the header names column "{there_name}" twice', 0, lines.excerpt(head))
            found[name] = there_name
        if not found:
            declared = ", ".join(self._schema.names)
            raise BadFile(f"the header names none of the declared columns ({declared})", 0, lines.excerpt(head))
        return found

    def _rows(self, data: bytes, there: dict[str, str] | None) -> pa.Table:
        try:
            return self._read(data, there, _BLOCK, threads=True)
        except pa.ArrowInvalid:
            pass
        try:
            # Either a row is longer than a block, or one is wrong; a single thread knows its number.
            return self._read(data, there, min(len(data) + 1, _MAX_BLOCK), threads=False)
        except pa.ArrowInvalid as e:
            raise _bad_record(data, str(e), self.names(data) or self._schema.names) from None

    def _read(self, data: bytes, there: dict[str, str] | None, block: int, threads: bool) -> pa.Table:
        names = [name if there is None else there.get(name, name) for name in self._flat.names]
        read = pacsv.ReadOptions(column_names=names if there is None else None, block_size=block, use_threads=threads)
        parse = pacsv.ParseOptions(newlines_in_values=b'"' in data)
        convert = pacsv.ConvertOptions(
            column_types=dict(zip(names, self._flat.types, strict=True)),
            include_columns=names,
            include_missing_columns=True,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        return pacsv.read_csv(lines.reader(data), read, parse, convert).rename_columns(self._flat.names)

    def _check_finite(self, data: bytes, there: dict[str, str] | None, numbers: Any, i: int) -> None:
        """Raise `BadRecord` for a number that is infinite because it is too large, and not by its word."""
        compute: Any = pc
        infinite = compute.is_inf(numbers)
        if not compute.any(infinite).as_py():
            return
        name = self._flat.names[i]
        as_text = CsvDecoder(self._schema.set(i, pa.field(name, pa.string())), self._header, self._escape)
        texts = as_text._rows(data, there).column(i)
        by_word = compute.match_substring(texts, "inf", ignore_case=True)
        for row, (is_infinite, is_said) in enumerate(zip(infinite.to_pylist(), by_word.to_pylist(), strict=True)):
            if is_infinite and not is_said:
                number, line = _nth_not_blank(data, row + self._header)
                value = Excerpt(str(texts[row]), "a value")
                reason = said(f'column "{name}": ', value, f" is larger than {numbers.type} can be; declare it VARCHAR")
                raise BadRecord(reason, number, lines.excerpt(line))

    def _cells(self, data: bytes, rows: pa.Table, i: int, decoder: JsonDecoder) -> Any:
        """A column of JSON texts, taken apart."""
        texts: Any = rows.column(i).combine_chunks()
        if texts.null_count == len(texts):
            return pa.chunked_array([pa.nulls(len(texts), self._schema.field(i).type)])
        # Between the parts of a JSON text a newline is a blank, and within a string it cannot stand.
        texts = pc.replace_substring(texts.fill_null("null"), "\n", " ")
        try:
            cells = decoder.decode(content(json_text.joined(['{"cell":', texts, "}\n"])))
        except BadRecord as bad:
            number, line = _nth_not_blank(data, bad.record + self._header)
            wrong = bad.reason.without('field "cell": ')
            reason = said(f'column "{self._schema.field(i).name}", which must hold JSON: ', wrong)
            raise BadRecord(reason, number, lines.excerpt(line)) from None
        return cells.column(0)


def _first_line(data: bytes) -> tuple[bytes, list[str] | None]:
    """The header, and the names in it; None: it is not one line of names."""
    head = data.lstrip(b"\r\n").split(b"\n", 1)[0]
    try:
        read: list[str] = pacsv.read_csv(lines.reader(head + b"\n")).column_names
    except pa.ArrowInvalid:
        return head, None
    return head, read


def _bad_record(data: bytes, message: str, there: list[str]) -> BadRecord:
    """Arrow's message in plain words. `there`: the names of the fields."""
    row, column, value, fields = (p.search(message) for p in (_ROW, _COLUMN, _VALUE, _FIELDS))
    number, line = _nth_not_blank(data, int(row[1]) - 1 if row else 0)
    if value and column:
        reason = said(f'column "{there[int(column[1])]}": ', Excerpt(f'"{value[2]}"', "a value"), f" is no {value[1]}")
    elif fields:
        reason = said(f"the number of its fields is {fields[2]}, and that of the columns {fields[1]}")
    else:
        reason = said(Excerpt(message, "it is not as CSV is written"))
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
    """A header and a line a row. NULL is an empty field, no text is `""`; nested values are JSON.

    Bytes are text as DuckDB's cast writes it. Raises `JobError` where that cannot be told from another row.
    """

    suffix = ".csv"

    def encode(self, rows: pa.Table) -> bytes:
        """The bytes of one file; the same rows give the same bytes."""
        if rows.num_columns == 1 and rows.column(0).null_count:
            raise JobError(
                f'the column "{rows.column_names[0]}" is NULL in {rows.column(0).null_count} rows, and the only one: '
                "in CSV such a row is a blank line, which readers pass over. Leave these rows out in the pipeline, or "
                "write another column beside it."
            )
        out = io.BytesIO()
        pacsv.write_csv(_flat(rows), out)
        return out.getvalue()


def _flat(rows: pa.Table) -> pa.Table:
    for i, field in enumerate(rows.schema):
        column: Any = rows.column(i)
        if not all(map(plain_text.is_arrows, column.chunks)):
            rows = rows.set_column(i, field.name, plain_text.text(column))
    return rows
