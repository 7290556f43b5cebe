"""Text: every line is a row of one column, `value`."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from streamjob_runtime.formats import lines
from streamjob_runtime.formats.base import BadRecord
from streamjob_runtime.formats.sifted import Misfits, Sifted, sifted

SCHEMA = pa.schema([pa.field("value", pa.string())])

# Arrow's CSV reader, told of a delimiter that the text does not hold and of no quotes, is the quickest splitter of
# lines at hand: 1.3 GB/s a core, twice what split_pattern or numpy do.
_DELIMITER = b"\x1f"
_BLOCK = 4 << 20
_PARSE = pacsv.ParseOptions(delimiter=_DELIMITER.decode(), quote_char=False, ignore_empty_lines=False)
_READ = pacsv.ReadOptions(column_names=["value"], block_size=_BLOCK)
_CONVERT = pacsv.ConvertOptions(column_types={"value": pa.string()})


class TextDecoder:
    """Lines that end in LF or CRLF, in UTF-8; a byte order mark at the start is passed over. An empty line is a row."""

    def decode(self, data: bytes, most: int | None = None) -> pa.Table:
        """One row a line; what follows the last newline is a row if it is not empty. Raises `BadRecord`."""
        data = data.removeprefix(lines.BOM)
        if not data:
            return SCHEMA.empty_table()
        if _DELIMITER not in data:
            if b"\r" in data:
                data = data.replace(b"\r\n", b"\n")
            if b"\r" not in data:
                try:
                    return pacsv.read_csv(lines.reader(data), _READ, _PARSE, _CONVERT)
                except pa.ArrowInvalid:
                    pass  # a line longer than a block, or not UTF-8: the slower way says which
        lines.check_utf8(data)
        values = lines.split(data).cast(pa.string())
        if b"\r" in data:
            values = pc.replace_substring_regex(values, r"\r$", "")
        return pa.Table.from_arrays([values], schema=SCHEMA)

    def sift(self, data: bytes, misfits: Misfits, most: int | None = None) -> Sifted:
        """See `Decoder`: a line that is not UTF-8 is bad."""
        try:
            return sifted(self.decode(data), misfits, {}, lambda: _records(data))
        except BadRecord:
            records = _records(data)
        wrong = {i: reason for i, (_, line) in enumerate(records) if (reason := lines.no_utf8(line)) is not None}
        # Behind an empty line: what is a byte order mark at the very beginning is text in the middle.
        good = b"".join(line + b"\n" for i, (_, line) in enumerate(records) if i not in wrong)
        rows = self.decode(b"\n" + good).slice(1)
        return sifted(rows, misfits, wrong, lambda: records)

    def names(self, data: bytes) -> None:
        """Lines of text name no columns."""

    def line_of(self, data: bytes, row: int) -> tuple[int, str]:
        """A row is a line."""
        return row, ""


def _records(data: bytes) -> list[tuple[int, bytes]]:
    return list(enumerate(lines.each(data.removeprefix(lines.BOM))))
