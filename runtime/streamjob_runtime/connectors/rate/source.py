"""Rows made up at a steady rate."""

from typing import Any

import numpy as np
import pyarrow as pa

from streamjob_runtime.connectors.source import OffsetRange, SourceStatus
from streamjob_runtime.connectors.source_context import SourceContext, SourceSpec

SCHEMA = pa.schema([pa.field("value", pa.int64()), pa.field("timestamp", pa.timestamp("us"))])
_PARTITION = "rate"


class RateSource:
    """Row n has the value n and the time t0 + n / rate, at which it is due; t0 is the time of the first batch.

    A replay gives the same rows; a pause is made up for.
    """

    def __init__(self, name: str, rows_per_second: int) -> None:
        self._name = name
        self._rate = rows_per_second
        self._t0: int | None = None  # milliseconds since the epoch
        self._offset = 0
        self._due = 0
        self._limited = False
        self._until: int | None = None

    @classmethod
    def from_manifest(cls, source: SourceSpec, schema: pa.Schema, context: SourceContext) -> "RateSource":
        """See `open_source`."""
        return cls(source.name, source.config.rows_per_second)

    def check(self) -> str:
        """See `Source`."""
        return f"{self._rate} rows a second, made up here"

    def begin(self, earlier: Any) -> Any:
        """See `Source`. Rows that nobody has seen may be made up later."""
        return None

    def open(self, state: Any) -> None:
        """See `Source`."""
        if state is not None:
            self._t0, self._offset = state["t0"], int(state["offset"])

    def limit_to_available(self) -> None:
        """See `Source`: what is due at the next `poll`."""
        self._limited = True

    @property
    def exhausted(self) -> bool:
        """See `Source`."""
        return self._until is not None and self._offset >= self._until

    def poll(self, limit: int | None, now_ms: int) -> OffsetRange | None:
        """See `Source`."""
        t0 = now_ms if self._t0 is None else self._t0
        self._due = max(self._due, self._offset, self._due_at(now_ms, t0))
        if self._limited and self._until is None:
            self._until = self._due
        end = self._due if self._until is None else self._until
        if limit is not None:
            end = min(end, self._offset + limit)
        return OffsetRange({_PARTITION: (self._offset, end)}, {"t0": t0}) if end > self._offset else None

    def advance(self, offsets: OffsetRange) -> None:
        """See `Source`."""
        self._t0 = int(offsets.detail["t0"])
        self._offset = offsets.partitions[_PARTITION][1]

    def read(self, offsets: OffsetRange) -> pa.Table:
        """See `Source`. Times are UTC, in microseconds."""
        values = np.arange(*offsets.partitions[_PARTITION], dtype=np.int64)
        seconds, rest = np.divmod(values, self._rate)
        times = int(offsets.detail["t0"]) * 1000 + seconds * 1_000_000 + rest * 1_000_000 // self._rate
        return pa.Table.from_arrays([pa.array(values), pa.array(times).cast(pa.timestamp("us"))], schema=SCHEMA)

    def acknowledge(self, offsets: OffsetRange) -> None:
        """See `Source`. Nobody asks."""

    def snapshot(self) -> Any:
        """See `Source`."""
        return {"t0": self._t0, "offset": self._offset}

    def release(self, state: Any) -> None:
        """See `Source`. Nothing is kept."""

    def _due_at(self, now_ms: int, t0: int) -> int:
        return (now_ms - t0) * self._rate // 1000 + 1

    def survey(self, now_ms: int) -> None:
        """See `Source`."""
        if self._t0 is not None and not self._limited:
            self._due = max(self._due, self._due_at(now_ms, self._t0))

    def status(self) -> SourceStatus:
        """See `Source`."""
        position = {_PARTITION: self._offset}
        if self._t0 is None:
            return SourceStatus({_PARTITION: max(self._due, self._offset)}, position=position)
        oldest_ms = self._t0 + self._offset * 1000 // self._rate
        return SourceStatus({_PARTITION: max(self._due, self._offset)}, position=position, oldest_ms=oldest_ms)

    def close(self) -> None:
        """See `Source`."""
