"""A store that waits for its system to come back."""

import random
import threading
from collections.abc import Callable, Iterable

from streamjob_runtime.clock import Clock
from streamjob_runtime.errors import AlreadyExists, NotFound, Unavailable
from streamjob_runtime.patience import SILENT_S, Patient, Trouble
from streamjob_runtime.stores.base import Entry, Store


class RetryingStore:
    """Tries every call that ends in `Unavailable` again, as `Patient` does; from any thread.

    A create or a replace that was tried again and then finds its own bytes there has succeeded: it was an earlier try
    that took effect.
    """

    def __init__(
        self,
        inner: Store,
        clock: Clock,
        random: random.Random,
        stop: threading.Event,
        on_trouble: Callable[[Trouble | None], None],
        what: str,
        silent_s: float = SILENT_S,
    ) -> None:
        self._inner = inner
        self.patient = Patient(clock, random, stop, on_trouble, what, silent_s)
        self._retry = self.patient.call

    @property
    def url(self) -> str:
        """See `Store`."""
        return self._inner.url

    def create(self, key: str, data: bytes) -> None:
        """See `Store`."""
        tried = False

        def attempt() -> None:
            nonlocal tried
            try:
                self._inner.create(key, data)
            except Unavailable:
                tried = True
                raise
            except AlreadyExists:
                if not tried or not self._holds(key, data):
                    raise

        self._retry(attempt)

    def read(self, key: str) -> bytes:
        """See `Store`."""
        return self._retry(lambda: self._inner.read(key))

    def stat(self, key: str) -> Entry:
        """See `Store`."""
        return self._retry(lambda: self._inner.stat(key))

    def list(self, prefix: str = "", recursive: bool = True) -> Iterable[Entry]:
        """See `Store`. The whole listing is taken before it is given back."""
        return self._retry(lambda: list(self._inner.list(prefix, recursive)))

    def replace(self, key: str, data: bytes, expected: str | None) -> str:
        """See `Store`."""
        tried = False

        def attempt() -> str:
            nonlocal tried
            try:
                return self._inner.replace(key, data, expected)
            except Unavailable:
                tried = True
                raise
            except (AlreadyExists, NotFound):
                # The version is asked for first: if somebody comes between, it is an old one, and replaces nothing.
                version = self._version(key) if tried else None
                if version is None or not self._holds(key, data):
                    raise
                return version

        return self._retry(attempt)

    def delete(self, key: str) -> None:
        """See `Store`."""
        self._retry(lambda: self._inner.delete(key))

    def close(self) -> None:
        """See `Store`."""
        self._inner.close()

    def _holds(self, key: str, data: bytes) -> bool:
        try:
            return self._inner.read(key) == data
        except NotFound:
            return False

    def _version(self, key: str) -> str | None:
        try:
            return self._inner.stat(key).version
        except NotFound:
            return None
