"""A store in memory, for simulations: fast, and with the same contract as the real ones."""

import itertools
import threading
from collections.abc import Iterator

from streamjob_runtime.clock import Clock, ManualClock
from streamjob_runtime.errors import AlreadyExists, NotFound
from streamjob_runtime.stores.base import Entry
from streamjob_runtime.stores.keys import check_key, check_prefix


class MemoryStore:
    """A dictionary of objects. It outlives `close`, so a simulated restart goes on with the same one."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or ManualClock()
        self._objects: dict[str, tuple[Entry, bytes]] = {}
        self._versions = itertools.count(1)
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return "memory"

    def create(self, key: str, data: bytes) -> None:
        self.replace(key, data, None)

    def read(self, key: str) -> bytes:
        return self._get(key)[1]

    def stat(self, key: str) -> Entry:
        return self._get(key)[0]

    def list(self, prefix: str = "", recursive: bool = True) -> Iterator[Entry]:
        check_prefix(prefix)
        with self._lock:
            keys = sorted(key for key in self._objects if key.startswith(prefix))
            entries = [self._objects[key][0] for key in keys if recursive or "/" not in key.removeprefix(prefix)]
        yield from entries

    def replace(self, key: str, data: bytes, expected: str | None) -> str:
        check_key(key)
        with self._lock:
            current = self._objects.get(key)
            if expected is None and current is not None:
                raise AlreadyExists(f"{key} is there already.")
            if expected is not None and current is None:
                raise NotFound(f"There is no {key}.")
            if current is not None and current[0].version != expected:
                raise AlreadyExists(f"{key} was replaced by somebody else.")
            version = str(next(self._versions))
            self._objects[key] = (Entry(key, len(data), self._clock.now_ms(), version), bytes(data))
            return version

    def delete(self, key: str) -> None:
        check_key(key)
        with self._lock:
            self._objects.pop(key, None)

    def close(self) -> None:
        pass

    def _get(self, key: str) -> tuple[Entry, bytes]:
        check_key(key)
        with self._lock:
            if key not in self._objects:
                raise NotFound(f"There is no {key}.")
            return self._objects[key]
