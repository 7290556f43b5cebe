"""Rows on their way into a job, from the process that holds it."""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from streamjob_runtime.errors import Damaged

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
