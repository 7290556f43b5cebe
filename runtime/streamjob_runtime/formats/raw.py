"""Raw bytes: every line is a row of one column, `value`."""

import pyarrow as pa

from streamjob_runtime.formats import lines

SCHEMA = pa.schema([pa.field("value", pa.binary())])


class RawDecoder:
    """Lines that end in LF, whatever their bytes are. An empty line is a row."""

    def decode(self, data: bytes, most: int | None = None) -> pa.Table:
        """One row a line, without its newline; what follows the last newline is a row if it is not empty."""
        return pa.Table.from_arrays([lines.split(data)], schema=SCHEMA)

    def names(self, data: bytes) -> None:
        """Lines of bytes name no columns."""

    def line_of(self, data: bytes, row: int) -> tuple[int, str]:
        """A row is a line."""
        return row, ""
