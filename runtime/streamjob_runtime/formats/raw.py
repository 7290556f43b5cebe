"""Raw bytes: one column, `value`."""

import pyarrow as pa

from streamjob_runtime.formats import lines

SCHEMA = pa.schema([pa.field("value", pa.binary())])


class RawDecoder:
    """A whole file is one row."""

    def decode(self, data: bytes) -> pa.Table:
        """One row, also for an empty file."""
        return pa.table({"value": pa.array([data], pa.binary())}, SCHEMA)


class RawLinesDecoder:
    """A line is one row, whatever its bytes are: for sources whose records are lines."""

    def decode(self, data: bytes) -> pa.Table:
        """One row a line, without its newline; what follows the last newline is a row if it is not empty."""
        if not data:
            return SCHEMA.empty_table()
        return pa.table({"value": lines.split(data)}, SCHEMA)
