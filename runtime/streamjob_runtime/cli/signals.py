"""Ctrl-C, SIGTERM and patience: how a command that waits for systems outside comes to its end."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# How long a stop waits for a system outside that does not answer, seconds.
GRACE_S = 20.0
# And then for a call that is under way in a client library, which nothing can interrupt.
LAST_CALL_S = 3.0


@contextmanager
def patience(seconds: float, give_up: threading.Event, abandon: Callable[[], int]) -> Iterator[Callable[[], None]]:
    """Gives what starts the time: after `seconds`, unless the inside has ended, `give_up` is set.

    A call that hangs on even then is left `LAST_CALL_S` later by the end of the process: `abandon` says why, and gives
    the exit code.
    """
    ended = threading.Event()

    def end_in_time() -> None:
        if ended.wait(seconds):
            return
        give_up.set()
        if not ended.wait(LAST_CALL_S):
            os._exit(abandon())

    timer = threading.Thread(target=end_in_time, name="patience", daemon=True)
    try:
        yield timer.start
    finally:
        ended.set()
        if timer.ident is not None:
            timer.join()  # one that lived on would disturb Python's own end


@contextmanager
def end_on_signals(give_up: threading.Event) -> Iterator[None]:
    """While inside, a signal ends the command in order, but at once: `give_up` is set, and `SystemExit` raised.

    Without a handler the first process of a container would not even hear SIGTERM.
    """

    def end(number: int, _frame: object) -> None:
        give_up.set()
        sys.exit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stop_on_signals(
    stop: threading.Event,
    give_up: threading.Event,
    say: Callable[[str, str], None],
    restore: Callable[[], None],
    abandon: Callable[[], int],
    grace_s: float,
) -> Iterator[None]:
    """While inside: a signal sets `stop`, and `grace_s` later `give_up`, should outside systems stay silent.

    A second signal ends the process as a kill would, after `restore` (of the terminal): whatever was under way is made
    good at the next start. So does a call that hangs on after `give_up` (`patience`, which calls `abandon`).
    """
    # The handler does nothing: it would run inside whatever the main thread does, locks held. Python writes each
    # signal's number to the socket, whichever thread the kernel gave it to, and a thread of ours waits for it there.
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    wakeup_before = signal.set_wakeup_fd(writer.fileno())
    with patience(grace_s, give_up, abandon) as start_timer:

        def wait() -> None:
            if reader.recv(1):
                say("info", "stopping: the batch is finished and a checkpoint taken first; once more to stop at once")
                stop.set()
                start_timer()
                if number := reader.recv(1):
                    restore()
                    os._exit(128 + number[0])

        waiter = threading.Thread(target=wait, name="signals", daemon=True)
        waiter.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup_before)
            for number, handler in before.items():
                signal.signal(number, handler)
            # The thread sees the end of the socket. One that lived on would disturb Python's own end.
            writer.close()
            waiter.join()
            reader.close()
