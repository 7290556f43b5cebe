"""Waiting for a system outside to come back."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol, TypeVar

from streamjob_runtime.clock import Clock
from streamjob_runtime.errors import Refused, StreamJobError, Unavailable

FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 30.0
SILENT_S = 4.0  # a call that has brought nothing for so long is shown, long before its own timeouts end it
PROBE_S = 2.0  # how often a system is asked whether it is there, while a call to it takes long
# A Secret that is changed reaches a pod within about two minutes; whoever rotates credentials changes the system's side
# before or after that.
ROTATION_S = 300.0

T = TypeVar("T")

NO_ANSWER = "it has not answered yet"  # no number in it: what is said must stay the same while it lasts


class Trouble(NamedTuple):
    """A system outside that fails or does not answer, and that is waited for."""

    what: str  # which system, in the user's words
    error: str
    since_ms: int  # the first failure, milliseconds since the epoch, UTC
    attempts: int  # failures so far, or the call that has no answer: from 1


class Caller(Protocol):
    """Makes a call to a system outside, and decides what happens when the system does not answer."""

    def call(self, attempt: Callable[[], T], probe: Callable[[], None] | None = None) -> T:
        """What `attempt` gives. Raises what it raises.

        `probe`: asks the system for something small; where an attempt is one long call that says nothing of how it goes
        on, this tells a system that is slow from one that is not there. Called by another thread, it may raise.
        """
        ...


class Impatient:
    """Makes each call once."""

    def call(self, attempt: Callable[[], T], probe: Callable[[], None] | None = None) -> T:
        """See `Caller`."""
        del probe
        return attempt()


class _Call:
    """A call that is under way, of one thread."""

    def __init__(self, heard: float) -> None:
        self.heard = heard  # Clock.monotonic() when it began, or last brought something
        self.paused = False  # within it, another system is called
        self.trouble: Trouble | None = None  # its attempts so far


_under_way = threading.local()  # .signs: how the calls of this thread are told of a sign of life, innermost last


def alive() -> None:
    """The system that this thread calls just now has answered a part of what was asked, so that the call goes on.

    For attempts that take long in pieces; outside of a call nothing happens.
    """
    signs: list[Callable[[], None]] = getattr(_under_way, "signs", [])
    if signs:
        signs[-1]()


class Patient:
    """Tries every call that ends in `Unavailable` again, for as long as it takes; from any thread.

    Waits are random, up to a bound that doubles from 0.1 s to 30 s. `on_trouble` hears of each failure, and None once
    no call is in trouble any more; it is called by the thread that has the trouble. When `stop` is set, waiting ends
    and the error is raised. A call that gives no sign of life for `silent_s` is trouble as well, though nobody hears of
    it: `silent` tells whoever asks.

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
        silent_s: float = SILENT_S,
    ) -> None:
        self._clock = clock
        self._random = random
        self._stop = stop
        self._on_trouble = on_trouble
        self._what = what
        self._silent_s = silent_s
        self._lock = threading.Lock()
        self._calls: list[_Call] = []
        self._has_answered = False

    def call(self, attempt: Callable[[], T], probe: Callable[[], None] | None = None) -> T:
        """See `Caller`."""
        with self._under_way() as call:
            while True:
                try:
                    with self._probed(call, probe):
                        result = attempt()
                except (Unavailable, Refused) as err:
                    if isinstance(err, Refused) and not self._may_be_rotated(call.trouble):
                        self._answered(call)
                        raise
                    attempts = self._failed(call, err.words.bare)
                    if self._clock.wait(self._backoff_s(attempts), self._stop):
                        raise
                    call.heard = self._clock.monotonic()
                except BaseException:
                    self._answered(call)
                    raise
                else:
                    self._has_answered = True
                    self._answered(call)
                    return result

    def silent(self) -> Trouble | None:
        """The call that has had no answer for the longest time, if that is long and none of its attempts has failed."""
        now, now_ms = self._clock.monotonic(), self._clock.now_ms()
        with self._lock:
            waiting = [c.heard for c in self._calls if not c.paused and c.trouble is None]
        since = min(waiting, default=now)
        if now - since < self._silent_s:
            return None
        return Trouble(self._what, NO_ANSWER, now_ms - round(1000 * (now - since)), 1)

    @contextmanager
    def _under_way(self) -> Iterator[_Call]:
        """A call of this thread. Calls within it pause it: what they wait for is another system."""
        call = _Call(self._clock.monotonic())

        def sign() -> None:
            call.heard = self._clock.monotonic()

        signs: list[Callable[[], None]] = _under_way.__dict__.setdefault("signs", [])
        outer: list[_Call] = _under_way.__dict__.setdefault("calls", [])
        if outer:
            outer[-1].paused = True
        signs.append(sign)
        outer.append(call)
        with self._lock:
            self._calls.append(call)
        try:
            yield call
        finally:
            with self._lock:
                self._calls.remove(call)
            signs.pop()
            outer.pop()
            if outer:
                signs[-1]()
                outer[-1].paused = False

    @contextmanager
    def _probed(self, call: _Call, probe: Callable[[], None] | None) -> Iterator[None]:
        """While the attempt takes long, every answer to the probe is a sign of life."""
        if probe is None:
            yield
            return
        done = threading.Event()

        def ask() -> None:
            while not self._clock.wait(PROBE_S, done):
                try:
                    probe()
                except Unavailable:
                    continue
                except StreamJobError:
                    pass  # an answer, too
                call.heard = self._clock.monotonic()

        threading.Thread(target=ask, name="probe", daemon=True).start()
        try:
            yield
        finally:
            done.set()

    def _may_be_rotated(self, trouble: Trouble | None) -> bool:
        waited_ms = self._clock.now_ms() - trouble.since_ms if trouble else 0
        return self._has_answered and waited_ms < ROTATION_S * 1000

    def _backoff_s(self, attempts: int) -> float:
        doublings = min(attempts - 1, 20)
        return self._random.uniform(0, min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2**doublings))

    def _failed(self, call: _Call, error: str) -> int:
        earlier = call.trouble
        since_ms = earlier.since_ms if earlier else self._clock.now_ms()
        trouble = Trouble(self._what, error, since_ms, earlier.attempts + 1 if earlier else 1)
        with self._lock:  # held while telling, so that what is told last is what is true
            call.trouble = trouble
            self._on_trouble(trouble)
        return trouble.attempts

    def _answered(self, call: _Call) -> None:
        if call.trouble is not None:
            with self._lock:
                call.trouble = None
                self._on_trouble(next((c.trouble for c in self._calls if c.trouble is not None), None))
