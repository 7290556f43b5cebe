"""Rows from the process itself."""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from streamjob_runtime.errors import Damaged, JobError
from streamjob_runtime.sources.base import OffsetRange, SourceStatus

if TYPE_CHECKING:
    from streamjob_runtime.sources.open import SourceContext, SourceSpec

_PARTITION = "queue"

Rows = pa.Table | Sequence[Mapping[str, Any]]


class InputQueue:
    """Rows on their way into a job of this process: `put` them, and `close` when no more will come.

    Rows have the numbers 0, 1, 2 … and stay until the job's checkpoints no longer need them. Any thread may call.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: deque[tuple[int, Rows]] = deque()  # the number of the first row, and the rows
        self._start = 0
        self._end = 0
        self._closed = False

    def put(self, rows: Rows) -> None:
        """Add rows: a table, or a mapping of columns to values for each. Raises ValueError when it is closed."""
        with self._lock:
            if self._closed:
                raise ValueError("the queue is closed: no rows can be put into it")
            if len(rows) > 0:
                self._kept.append((self._end, rows if isinstance(rows, pa.Table) else list(rows)))
                self._end += len(rows)

    def close(self) -> None:
        """Say that no more rows will come."""
        with self._lock:
            self._closed = True

    @property
    def closed(self) -> bool:
        """Whether no more rows will come."""
        with self._lock:
            return self._closed

    @property
    def start(self) -> int:
        """The number of the first row that is kept."""
        with self._lock:
            return self._start

    @property
    def end(self) -> int:
        """The number that the next row will have."""
        with self._lock:
            return self._end

    def rows(self, start: int, end: int) -> list[Rows]:
        """The rows `[start, end)`, in pieces. Raises `Damaged` for those that were let go."""
        with self._lock:
            if start < self._start or end > self._end:
                raise Damaged(
                    f"The queue holds the rows {self._start} to {self._end}, and the rows {start} to {end} were asked "
                    "for. A queue keeps its rows in the process's memory only: start the job with a new checkpoint."
                )
            pieces = []
            for first, rows in self._kept:
                low, high = max(start, first) - first, min(end, first + len(rows)) - first
                if low < high:
                    pieces.append(rows.slice(low, high - low) if isinstance(rows, pa.Table) else rows[low:high])
            return pieces

    def release(self, end: int) -> None:
        """Let go of the pieces that lie wholly before row `end`."""
        with self._lock:
            while self._kept and self._kept[0][0] + len(self._kept[0][1]) <= end:
                first, rows = self._kept.popleft()
                self._start = first + len(rows)


class QueueSource:
    """The rows of an `InputQueue`, in the order they were put in; offsets are their numbers.

    They are in the memory of the process, so a job survives a restart of its loop, not of the process.
    """

    def __init__(self, name: str, queue: InputQueue, schema: pa.Schema) -> None:
        self._name = name
        self._queue = queue
        self._schema = schema
        self._offset = 0
        self._until: int | None = None

    @classmethod
    def from_manifest(cls, source: "SourceSpec", schema: pa.Schema, context: "SourceContext") -> "QueueSource":
        """See `open_source`."""
        if source.name not in context.queues:
            raise JobError(
                f'Source "{source.name}" is a queue, which only a program that runs the job can fill. '
                "From the command line use tcp, files or rate."
            )
        return cls(source.name, context.queues[source.name], schema)

    def open(self, state: Any) -> None:
        """See `Source`."""
        self._offset = 0 if state is None else int(state["offset"])

    def limit_to_available(self) -> None:
        """See `Source`."""
        self._until = self._queue.end

    @property
    def exhausted(self) -> bool:
        """See `Source`."""
        return self._until is not None and self._offset >= self._until

    def poll(self, limit: int | None, now_ms: int) -> OffsetRange | None:
        """See `Source`."""
        end = self._queue.end if self._until is None else self._until
        if limit is not None:
            end = min(end, self._offset + limit)
        return OffsetRange({_PARTITION: (self._offset, end)}) if end > self._offset else None

    def advance(self, offsets: OffsetRange) -> None:
        """See `Source`."""
        self._offset = offsets.partitions[_PARTITION][1]

    def read(self, offsets: OffsetRange) -> pa.Table:
        """See `Source`."""
        pieces = self._queue.rows(*offsets.partitions[_PARTITION])
        return pa.concat_tables([self._schema.empty_table(), *map(self._table, pieces)])

    def _table(self, rows: Rows) -> pa.Table:
        """Columns by name: one that is missing is NULL, one that is not declared is left out."""
        try:
            if not isinstance(rows, pa.Table):
                return pa.Table.from_pylist(rows, self._schema)
            columns: dict[str, Any] = {
                f.name: rows[f.name].cast(f.type) if f.name in rows.schema.names else pa.nulls(len(rows), f.type)
                for f in self._schema
            }
            return pa.table(columns, self._schema)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as e:
            raise JobError(
                f'Source "{self._name}": rows that were put into the queue do not fit the declared columns: {e}. '
                "Put in rows of the declared types, or correct the schema."
            ) from None

    def snapshot(self) -> Any:
        """See `Source`."""
        return {"offset": self._offset}

    def release(self, state: Any) -> None:
        """See `Source`."""
        self._queue.release(int(state["offset"]))

    def status(self) -> SourceStatus:
        """See `Source`."""
        return SourceStatus({_PARTITION: self._queue.end}, message="closed" if self._queue.closed else "")

    def close(self) -> None:
        """See `Source`. The queue stays as it is."""
