"""A run of an engine, seen from outside: when batches were committed, and what its processes used meanwhile."""

import contextlib
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

import psutil

_SAMPLE_S = 0.1
LONGEST_RUN_S = 900.0
IDLE_S = 2.0


@dataclass(frozen=True)
class Batch:
    """One batch."""

    committed: float  # seconds since the epoch
    rows: int
    duration_ms: float  # as the engine says


@dataclass(frozen=True)
class Run:
    """All that was seen of a run."""

    started: float
    batches: list[Batch]
    usage: "Usage"
    idle: tuple[float, float, int] | None = None  # from, to, triggers: when nothing was left to do


@dataclass
class Usage:
    """What a process and its children used, over time."""

    times: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    peak_rss: int = 0  # bytes, of all processes together

    def cpu_between(self, start: float, end: float) -> float:
        """CPU-seconds between two times, interpolated."""
        return self._at(end) - self._at(start)

    def _at(self, when: float) -> float:
        i = min(max(bisect_left(self.times, when), 1), len(self.times) - 1)
        (t0, t1), (c0, c1) = self.times[i - 1 : i + 1], self.cpu_s[i - 1 : i + 1]
        return c0 + (c1 - c0) * (when - t0) / (t1 - t0)


@contextlib.contextmanager
def watched(pid: int) -> Iterator[Usage]:
    """Sample the process and its children until the context ends."""
    usage, done = Usage(), threading.Event()

    def watch() -> None:
        while not done.wait(_SAMPLE_S):
            with contextlib.suppress(psutil.NoSuchProcess):
                _sample(psutil.Process(pid), usage)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield usage
    finally:
        done.set()
        thread.join()


def _sample(root: psutil.Process, usage: Usage) -> None:
    cpu = rss = 0.0
    for process in (root, *root.children(recursive=True)):
        with process.oneshot():
            times = process.cpu_times()
            cpu += times.user + times.system
            rss += process.memory_info().rss
    usage.times.append(time.time())
    usage.cpu_s.append(cpu)
    usage.peak_rss = max(usage.peak_rss, int(rss))
