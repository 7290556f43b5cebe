"""A piece of work in a process of its own, with an end to its time and its memory.

What SQL computes while it is planned cannot be stopped from within, nor be held to an amount of memory.
"""

import contextlib
import io
import os
import pickle
import resource
import select
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What the work may take."""

    cpu_s: int = 20  # of processor time
    memory: int = 1024 * _MIB  # bytes more than the process had; where the system holds processes to that (Linux)
    silence_s: float = 300.0  # without a word, in case it waits for something


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Stopped(Exception):
    """The work was ended, or ended itself by the limits."""

    at: int | None  # the last step it has told
    why: str


def bounded(work: Callable[[Callable[[int], None]], Any], limits: Limits) -> Any:
    """What the work gives, which must go through pickle. It may tell the number of the step it is at.

    Raises `Stopped`, and what the work raises.
    """
    # Before the fork: what stands in the buffers would be written twice.
    sys.stdout.flush()
    sys.stderr.flush()
    from_child, to_parent = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(from_child)
        _work(work, limits, to_parent)
    os.close(to_parent)
    try:
        return _result(child, from_child, limits)
    finally:
        os.close(from_child)


def _work(work: Callable[[Callable[[int], None]], Any], limits: Limits, to_parent: int) -> None:
    """The child's life."""
    code = 1
    try:
        with os.fdopen(to_parent, "wb") as out:
            resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + 1))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            # What a library says as it dies of too little memory is of no use to anybody.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            with contextlib.suppress(ValueError, OSError):
                most = _held() + limits.memory
                resource.setrlimit(resource.RLIMIT_DATA, (most, most))

            def tell(said: Any) -> None:
                pickle.dump(said, out)
                out.flush()

            try:
                tell(("done", work(lambda at: tell(("at", at)))))
            except (MemoryError, SystemError):
                # A library that gets no memory may also say that there was an error, and none that it can name.
                tell(("memory", None))
            except Exception as error:
                tell(("raised", error))
            code = 0
    finally:
        os._exit(code)


def _held() -> int:
    """The bytes of data that this process has; 0 where the system does not say."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[5]
    except OSError:
        return 0
    return int(pages) * resource.getpagesize()


def _result(child: int, from_child: int, limits: Limits) -> Any:
    at: int | None = None
    said = b""
    status = None
    try:
        while select.select([from_child], [], [], limits.silence_s)[0]:
            more = os.read(from_child, 1 << 16)
            if not more:
                break
            said += more
        else:
            os.kill(child, signal.SIGKILL)
    finally:
        _, status = os.waitpid(child, 0)
    for kind, value in _messages(said):
        if kind == "at":
            at = value
        elif kind == "raised":
            raise value
        elif kind == "done":
            return value
    ended = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    if ended in (signal.SIGXCPU, signal.SIGKILL):
        raise Stopped(at, f"more than {limits.cpu_s} seconds of processor time")
    raise Stopped(at, f"more than {limits.memory // _MIB} MiB of memory")


def _messages(said: bytes) -> list[tuple[str, Any]]:
    found = []
    stream = io.BytesIO(said)
    with contextlib.suppress(EOFError, pickle.UnpicklingError):
        while True:
            found.append(pickle.load(stream))  # noqa: S301 - our own child's
    return found
