"""What stands in the termination log while the process works, for the case that it ends without a word."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from streamjob_runtime.cli.exit import CRASH, termination_line

_LOG = "The pod's log may say more."
_SHOWN = 3  # files that several threads decode at once


class LastWords:
    """Keeps the file up to date, whatever thread does what. A change costs some microseconds, and is not made durable.

    Where the file cannot be written, nothing is said.
    """

    def __init__(self, path: Path | None) -> None:
        self._lock = threading.Lock()
        self._batch = ""
        self._decoded: list[str] = []
        self._written = ""
        self._file: int | None = None
        if path is not None:
            with suppress(OSError):
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)

    def batch(self, text: str) -> None:
        """What is to be said of the batch that is computed; "": nothing."""
        with self._lock:
            self._batch = text
            self._write()

    @contextmanager
    def decoding(self, what: str) -> Iterator[None]:
        """Meanwhile this is decoded: a file or a table, in the user's words."""
        if self._file is None:
            yield
            return
        with self._lock:
            self._decoded.append(what)
            self._write()
        try:
            yield
        finally:
            with self._lock:
                self._decoded.remove(what)
                self._write()

    def over(self) -> None:
        """From now on nothing is written: somebody says how the process ends."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _write(self) -> None:
        line = self._line()
        if self._file is None or line == self._written:
            return
        data = line.encode()
        with suppress(OSError):
            os.pwrite(self._file, data, 0)
            os.ftruncate(self._file, len(data))
            self._written = line

    def _line(self) -> str:
        if not self._decoded:
            return termination_line("EndedInBatch", CRASH, self._batch, {}) if self._batch else ""
        others = len(self._decoded) - _SHOWN
        shown = ", ".join(self._decoded[:_SHOWN]) + (f" and {others} more" if others > 0 else "")
        message = (
            f"The process has ended while it decoded {shown}, without a word of its own: it was killed, or a library "
            f"fails on what stands there. {self._batch or _LOG}"
        )
        return termination_line("EndedInDecoding", CRASH, message, {})
