"""A store that waits for its system to come back."""

import random
import threading
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

from streamjob_runtime.clock import Clock
from streamjob_runtime.errors import AlreadyExists, NotFound, Unavailable
from streamjob_runtime.stores.base import Entry, Store

FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 30.0

T = TypeVar("T")


class StoreTrouble(NamedTuple):
    """A call that has failed and is being tried again."""

    what: str  # which store, in the user's words
    error: str
    since_ms: int  # the first failure, milliseconds since the epoch, UTC
    attempts: int  # failures so far, from 1


class RetryingStore:
    """Tries every call that ends in `Unavailable` again, for as long as it takes; from any thread.

    Waits are random, up to a bound that doubles from 0.1 s to 30 s. `on_trouble` hears of each failure, and None once
    no call is in trouble any more; it is called by the thread that has the trouble. When `stop` is set, waiting ends
    and the `Unavailable` is raised. A create or a replace that was tried again and then finds its own bytes there has
    succeeded: it was an earlier try that took effect.
    """

    def __init__(
        self,
        inner: Store,
        clock: Clock,
        random: random.Random,
        stop: threading.Event,
        on_trouble: Callable[[StoreTrouble | None], None],
        what: str,
    ) -> None:
        self._inner = inner
        self._clock = clock
        self._random = random
        self._stop = stop
        self._on_trouble = on_trouble
        self._what = what
        self._lock = threading.Lock()
        self._troubles: dict[int, StoreTrouble] = {}  # by thread

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

    def _retry(self, attempt: Callable[[], T]) -> T:
        trouble: StoreTrouble | None = None
        while True:
            try:
                result = attempt()
            except Unavailable as err:
                trouble = self._failed(trouble, str(err))
                if self._clock.wait(self._backoff_s(trouble.attempts), self._stop):
                    self._give_up()
                    raise
            except BaseException:
                self._answered(trouble)
                raise
            else:
                self._answered(trouble)
                return result

    def _backoff_s(self, attempts: int) -> float:
        doublings = min(attempts - 1, 20)
        return self._random.uniform(0, min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2**doublings))

    def _failed(self, earlier: StoreTrouble | None, error: str) -> StoreTrouble:
        since_ms = earlier.since_ms if earlier else self._clock.now_ms()
        trouble = StoreTrouble(self._what, error, since_ms, earlier.attempts + 1 if earlier else 1)
        with self._lock:  # held while telling, so that what is told last is what is true
            self._troubles[threading.get_ident()] = trouble
            self._on_trouble(trouble)
        return trouble

    def _answered(self, trouble: StoreTrouble | None) -> None:
        if trouble is not None:
            with self._lock:
                del self._troubles[threading.get_ident()]
                self._on_trouble(next(iter(self._troubles.values()), None))

    def _give_up(self) -> None:
        with self._lock:
            del self._troubles[threading.get_ident()]
