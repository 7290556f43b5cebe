"""Waiting for a system outside to come back."""

import random
import threading
from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar

from streamjob_runtime.clock import Clock
from streamjob_runtime.errors import Unavailable

FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 30.0

T = TypeVar("T")


class Trouble(NamedTuple):
    """A call that has failed and is being tried again."""

    what: str  # which system, in the user's words
    error: str
    since_ms: int  # the first failure, milliseconds since the epoch, UTC
    attempts: int  # failures so far, from 1


class Caller(Protocol):
    """Makes a call to a system outside, and decides what happens when the system does not answer."""

    def call(self, attempt: Callable[[], T]) -> T:
        """What `attempt` gives. Raises what it raises."""
        ...


class Impatient:
    """Makes each call once."""

    def call(self, attempt: Callable[[], T]) -> T:
        """See `Caller`."""
        return attempt()


class Patient:
    """Tries every call that ends in `Unavailable` again, for as long as it takes; from any thread.

    Waits are random, up to a bound that doubles from 0.1 s to 30 s. `on_trouble` hears of each failure, and None once
    no call is in trouble any more; it is called by the thread that has the trouble. When `stop` is set, waiting ends
    and the `Unavailable` is raised.
    """

    def __init__(
        self,
        clock: Clock,
        random: random.Random,
        stop: threading.Event,
        on_trouble: Callable[[Trouble | None], None],
        what: str,
    ) -> None:
        self._clock = clock
        self._random = random
        self._stop = stop
        self._on_trouble = on_trouble
        self._what = what
        self._lock = threading.Lock()
        self._troubles: dict[int, Trouble] = {}  # by thread

    def call(self, attempt: Callable[[], T]) -> T:
        """See `Caller`."""
        trouble: Trouble | None = None
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

    def _failed(self, earlier: Trouble | None, error: str) -> Trouble:
        since_ms = earlier.since_ms if earlier else self._clock.now_ms()
        trouble = Trouble(self._what, error, since_ms, earlier.attempts + 1 if earlier else 1)
        with self._lock:  # held while telling, so that what is told last is what is true
            self._troubles[threading.get_ident()] = trouble
            self._on_trouble(trouble)
        return trouble

    def _answered(self, trouble: Trouble | None) -> None:
        if trouble is not None:
            with self._lock:
                del self._troubles[threading.get_ident()]
                self._on_trouble(next(iter(self._troubles.values()), None))

    def _give_up(self) -> None:
        with self._lock:
            del self._troubles[threading.get_ident()]
