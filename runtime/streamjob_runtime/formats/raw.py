"""Raw bytes: every line is a row of one column, `value`."""

import pyarrow as pa

from streamjob_runtime.formats import lines
from streamjob_runtime.formats.sifted import Misfits, Sifted, sifted

SCHEMA = pa.schema([pa.field("value", pa.binary())])


class RawDecoder:
    """Lines that end in LF, whatever their bytes are. An empty line is a row."""

    def decode(self, data: bytes, most: int | None = None) -> pa.Table:
        """One row a line, without its newline; what follows the last newline is a row if it is not empty."""
        return pa.Table.from_arrays([lines.split(data)], schema=SCHEMA)

    def sift(self, data: bytes, misfits: Misfits, most: int | None = None) -> Sifted:
        """See `Decoder`: no bytes are bad ones."""
        return sifted(self.decode(data), misfits, {}, lambda: list(enumerate(lines.each(data))))

    def names(self, data: bytes) -> None:
        """Lines of bytes name no columns."""

    def line_of(self, data: bytes, row: int) -> tuple[int, str]:
        """A row is a line."""
        return row, ""
