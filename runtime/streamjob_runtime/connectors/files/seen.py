"""Which files were read already: a bounded memory."""

import base64
import zlib
from typing import Any

MAX_AGE_MS = 7 * 24 * 3600 * 1000  # as Spark's maxFileAge


class SeenFiles:
    """Keys with their modification times, those of the seven days before the newest one.

    An older file that is not remembered may have been read or not: it is passed over.
    """

    def __init__(self, state: Any = None) -> None:
        self._modified: dict[str, int] = {}
        self._newest = 0
        self._forgotten = 0
        if state is not None:
            text = zlib.decompress(base64.b64decode(state["files"])).decode("utf-8", "surrogateescape")
            for line in text.split("\0") if text else ():
                modified, _, key = line.partition(" ")
                self._modified[key] = int(modified)
            self._newest, self._forgotten = int(state["newest"]), int(state["forgotten"])

    def __contains__(self, key: str) -> bool:
        return key in self._modified

    def differs(self, key: str, modified_ms: int) -> bool:
        """Whether a file that was read has another time now than it had then."""
        return self._modified.get(key, modified_ms) != modified_ms

    @property
    def forgotten(self) -> int:
        """How many files were read and are too old to be remembered."""
        return self._forgotten

    def too_old(self, modified_ms: int) -> bool:
        """Whether a file of that time that is not remembered must be passed over."""
        return modified_ms < self._newest - MAX_AGE_MS

    def add(self, key: str, modified_ms: int, now_ms: int) -> None:
        """Remember a file. A time in the future, by a wrong clock, must not make all others old."""
        self._modified[key] = modified_ms
        self._newest = max(self._newest, min(modified_ms, now_ms))

    def forget(self) -> None:
        """Let go of the files that became too old."""
        old = [key for key, modified in self._modified.items() if self.too_old(modified)]
        for key in old:
            del self._modified[key]
        self._forgotten += len(old)

    def to_json(self) -> dict[str, Any]:
        """What the constructor takes. Names are much alike, so that they are kept compressed."""
        text = "\0".join(f"{modified} {key}" for key, modified in sorted(self._modified.items()))
        packed = zlib.compress(text.encode("utf-8", "surrogateescape"), 1)
        return {"newest": self._newest, "forgotten": self._forgotten, "files": base64.b64encode(packed).decode()}
