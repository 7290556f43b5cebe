"""Ctrl-C and SIGTERM: the first one stops in order, the second at once."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# How long a stop waits for a system outside that does not answer, seconds.
GRACE_S = 20.0

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_on_signals(
    stop: threading.Event, give_up: threading.Event, say: Callable[[str, str], None], restore: Callable[[], None]
) -> Iterator[None]:
    """While inside: a signal sets `stop`, and later `give_up`, should outside systems stay silent.

    A second signal ends the process as a kill would, after `restore` (of the terminal): whatever was under way is made
    good at the next start.
    """
    # A thread waits for the signals: a handler would run inside whatever the main thread does, locks held.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    waiter = _Waiter(stop, give_up, say, restore)
    waiter.start()
    try:
        yield
    finally:
        waiter.end()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


class _Waiter(threading.Thread):
    def __init__(
        self,
        stop: threading.Event,
        give_up: threading.Event,
        say: Callable[[str, str], None],
        restore: Callable[[], None],
    ) -> None:
        super().__init__(name="signals", daemon=True)
        self._stop_event = stop
        self._say = say
        self._restore = restore
        self._ending = False
        self._timer = threading.Timer(GRACE_S, give_up.set)
        self._timer.daemon = True

    def run(self) -> None:
        signal.sigwait(_SIGNALS)
        if self._ending:
            return
        self._say("info", "stopping: the batch is finished and a checkpoint taken first; once more to stop at once")
        self._stop_event.set()
        self._timer.start()
        number = signal.sigwait(_SIGNALS)
        if not self._ending:
            self._restore()
            os._exit(128 + number)

    def end(self) -> None:
        """Wait for no signal any more. The thread is gone on return: one that lives on disturbs Python's end."""
        self._timer.cancel()
        self._ending = True
        if self.is_alive() and self.ident is not None:
            signal.pthread_kill(self.ident, signal.SIGTERM)
        self.join()
