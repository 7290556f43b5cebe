"""Lines between the thread that receives them and the loop that takes them."""

import threading
from collections import deque

from streamjob_runtime.connectors.shared.long_lines import end_of_lines
from streamjob_runtime.formats import lines

MAX_LINE = 16 << 20  # bytes
# What one read brings behind so many may still be of a line that is taken as a whole.
LONGEST = MAX_LINE + (1 << 20)
_KEPT = LONGEST + 2  # bytes of a line that is cut: by its length it is told from all that are not


class LineBuffer:
    """Whole lines, each with its newline, and the beginning of the next one. Any thread may call.

    It holds `capacity` bytes of whole lines and what one more `feed` brings. With `cuts`, a line that is too long is
    kept by its first bytes, more than `LONGEST`, and the rest of it is passed over.
    """

    def __init__(self, capacity: int, cuts: bool = False) -> None:
        self._capacity = capacity
        self._cuts = cuts
        self._changed = threading.Condition()
        self._chunks: deque[tuple[bytes, int]] = deque()  # lines, and how many
        self._bytes = 0
        self._lines = 0
        self._unfinished: list[bytes] = []
        self._unfinished_bytes = 0
        self._dropped = 0
        self._closed = False

    @property
    def lines(self) -> int:
        """How many whole lines there are."""
        with self._changed:
            return self._lines

    @property
    def dropped(self) -> int:
        """How many lines were dropped because the connection broke before they were finished."""
        with self._changed:
            return self._dropped

    def feed(self, data: bytes) -> bool:
        """Add bytes, and wait until there is room for more. False: the line is too long, or nobody takes lines now."""
        cut = data.rfind(b"\n") + 1
        with self._changed:
            if cut > 0:
                end = data.find(b"\n") if self._unfinished_bytes >= _KEPT else 0
                self._put(b"".join([*self._unfinished, data[end:cut]]))
                self._clear_unfinished()
            if cut < len(data):
                self._unfinished.append(data[cut:])
                self._unfinished_bytes += len(data) - cut
            if self._unfinished_bytes > MAX_LINE and not self._cuts:
                return False
            if self._unfinished_bytes > _KEPT:
                self._unfinished = [b"".join(self._unfinished)[:_KEPT]]
                self._unfinished_bytes = _KEPT
            self._changed.wait_for(lambda: self._bytes < self._capacity or self._closed)
            return not self._closed

    def finish_line(self) -> None:
        """The peer has ended: what it sent behind the last newline is a line, too."""
        with self._changed:
            if self._unfinished:
                self._put(b"".join([*self._unfinished, b"\n"]))
                self._clear_unfinished()

    def drop_line(self) -> None:
        """The connection broke: the rest of the unfinished line will not come."""
        with self._changed:
            self._dropped += bool(self._unfinished)
            self._clear_unfinished()

    def take(self, limit: int | None) -> tuple[bytes, int]:
        """Take whole lines out, at most `limit`; give them and their number."""
        taken = []
        with self._changed:
            wanted = left = self._lines if limit is None else min(limit, self._lines)
            while left > 0:
                chunk, count = self._chunks.popleft()
                if count > left:
                    cut = end_of_lines(chunk, left)
                    self._chunks.appendleft((chunk[cut:], count - left))
                    chunk, count = chunk[:cut], left
                taken.append(chunk)
                left -= count
                self._bytes -= len(chunk)
                self._lines -= count
            self._changed.notify_all()
        return b"".join(taken), wanted

    def close(self) -> None:
        """No more lines are wanted: `feed` waits no longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _clear_unfinished(self) -> None:
        self._unfinished.clear()
        self._unfinished_bytes = 0

    def _put(self, data: bytes) -> None:
        count = lines.count(data)
        self._chunks.append((data, count))
        self._bytes += len(data)
        self._lines += count
