"""A store that fails on purpose."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from enum import Enum
from typing import TypeVar

from streamjob_runtime.errors import StreamJobError, Unavailable
from streamjob_runtime.stores.base import Entry, Store

T = TypeVar("T")


class Fault(Enum):
    """What happens to a call."""

    NONE = "none"
    BEFORE = "before"  # it fails, and nothing was applied
    AFTER = "after"  # it is applied, and fails


class FlakyStore:
    """Gives each call the next fault of `plan`, in the order of the calls; none once the plan has ended.

    A fault makes the call raise `Unavailable`. Where the call has an answer of its own (`AlreadyExists` …), a fault
    AFTER hides it.
    """

    def __init__(self, inner: Store, plan: Iterable[Fault]) -> None:
        self._inner = inner
        self._plan: Iterator[Fault] = iter(plan)
        self._lock = threading.Lock()
        self.calls = 0

    @property
    def url(self) -> str:
        return self._inner.url

    def create(self, key: str, data: bytes) -> None:
        self._apply(f"create {key}", lambda: self._inner.create(key, data))

    def read(self, key: str) -> bytes:
        return self._apply(f"read {key}", lambda: self._inner.read(key))

    def stat(self, key: str) -> Entry:
        return self._apply(f"stat {key}", lambda: self._inner.stat(key))

    def list(self, prefix: str = "", recursive: bool = True) -> Iterable[Entry]:
        return self._apply(f"list {prefix}", lambda: list(self._inner.list(prefix, recursive)))

    def replace(self, key: str, data: bytes, expected: str | None) -> str:
        return self._apply(f"replace {key}", lambda: self._inner.replace(key, data, expected))

    def delete(self, key: str) -> None:
        self._apply(f"delete {key}", lambda: self._inner.delete(key))

    def close(self) -> None:
        self._inner.close()

    def _apply(self, what: str, call: Callable[[], T]) -> T:
        with self._lock:
            self.calls += 1
            fault = next(self._plan, Fault.NONE)
        if fault is Fault.BEFORE:
            raise Unavailable(f"{what}: failed on purpose, before it was applied")
        if fault is Fault.NONE:
            return call()
        with suppress(StreamJobError):
            call()
        raise Unavailable(f"{what}: failed on purpose, after it was applied")
