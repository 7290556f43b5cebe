"""A job whose process is killed, frozen and replaced, as a supervisor on another machine would see it."""

import random
import re
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from support.command import STREAMJOB, Running, running
from support.runtime import wait_for

_BATCH = re.compile(r"batch=(\d+) .*$", re.MULTILINE)
_PAUSES = threading.Event()  # never set


class Restarted:
    """`streamjob run` of one manifest, always in some process. `err` is what all of them have said."""

    def __init__(self, manifest: Path, environ: Mapping[str, str], rng: random.Random, stack: ExitStack) -> None:
        self._manifest = manifest
        self._environ = environ
        self._rng = rng
        self._stack = stack
        self._before: list[Running] = []
        self.process = self._start()

    @property
    def err(self) -> str:
        return "".join(process.err for process in (*self._before, self.process))

    def until_batch(self, number: int) -> None:
        """Until that batch is committed, and one by the present process; then for a moment more: within a later one.

        A process that is stopped before it has taken over is none that was replaced: it takes over when it wakes.
        """
        wait_for(lambda: (self._committed() >= number and _newest(self.process.err) >= 0) or self.process.ended)
        assert not self.process.ended, self.process.err
        _PAUSES.wait(self._rng.uniform(0, 0.4))

    def until_said(self, words: str) -> None:
        """Until the process that runs now has said that once more."""
        before = len(re.findall(words, self.process.err))
        wait_for(lambda: len(re.findall(words, self.process.err)) > before or self.process.ended)
        assert not self.process.ended, self.process.err

    def kill(self) -> None:
        """SIGKILL, and a new process."""
        self.process.send(signal.SIGKILL)
        assert self.process.wait() == -signal.SIGKILL, self.process.err
        self._replace()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Its process does nothing for as long as this lasts."""
        self.process.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send(signal.SIGCONT)

    def freeze_and_replace(self, batches: int) -> None:
        """Freeze the process, let a new one run that many batches, and wake the old one, which must end by itself."""
        frozen = self.process
        frozen.send(signal.SIGSTOP)
        before = self._committed()
        self._replace()
        self.until_batch(before + batches)
        frozen.send(signal.SIGCONT)
        assert frozen.wait() == 75, frozen.err
        ended = frozen.err.splitlines()[-1]
        assert ended.startswith("streamjob: Another process runs the job"), frozen.err
        assert "rdkafka" not in frozen.err and "FATAL" not in frozen.err, frozen.err

    def finish(self) -> None:
        """Until the job is done."""
        assert self.process.wait() == 0, self.process.err

    def _replace(self) -> None:
        self._before.append(self.process)
        self.process = self._start()

    def _start(self) -> Running:
        command: list[str | Path] = [STREAMJOB, "run", self._manifest]
        return self._stack.enter_context(running(command, self._manifest.parent, self._environ))

    def _committed(self) -> int:
        """The newest batch that any process has committed."""
        return _newest(self.err)


def _newest(said: str) -> int:
    """The newest batch that a log tells of, but for those that were computed again."""
    found = (int(match[1]) for match in _BATCH.finditer(said) if "replayed" not in match[0])
    return max(found, default=-1)
