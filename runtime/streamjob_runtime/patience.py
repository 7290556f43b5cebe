"""Waiting for a system outside to come back."""

import random
import threading
from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar

from streamjob_runtime.clock import Clock
from streamjob_runtime.errors import Refused, Unavailable

FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 30.0
# A Secret that is changed reaches a pod within about two minutes; whoever rotates credentials changes the system's side
# before or after that.
ROTATION_S = 300.0

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
    and the error is raised.

    A system that has answered before and then refuses the credentials (`Refused`) is asked again for five minutes:
    credentials are being rotated, in the Secret and in the system, in whatever order. Who calls reads them anew.
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
        self._has_answered = False

    def call(self, attempt: Callable[[], T]) -> T:
        """See `Caller`."""
        trouble: Trouble | None = None
        while True:
            try:
                result = attempt()
            except (Unavailable, Refused) as err:
                if isinstance(err, Refused) and not self._may_be_rotated(trouble):
                    self._answered(trouble)
                    raise
                trouble = self._failed(trouble, str(err))
                if self._clock.wait(self._backoff_s(trouble.attempts), self._stop):
                    self._give_up()
                    raise
            except BaseException:
                self._answered(trouble)
                raise
            else:
                self._has_answered = True
                self._answered(trouble)
                return result

    def _may_be_rotated(self, trouble: Trouble | None) -> bool:
        waited_ms = self._clock.now_ms() - trouble.since_ms if trouble else 0
        return self._has_answered and waited_ms < ROTATION_S * 1000

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
