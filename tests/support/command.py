"""The command `streamjob` in processes of its own, as a user types it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from support.runtime import TIMEOUT_S, wait_for

STREAMJOB = Path(sys.executable).with_name("streamjob")


def streamjob(
    *arguments: str | Path, cwd: Path, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], **(environ or {})}
    command = [STREAMJOB, *arguments]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


class Running:
    """A process whose output can be looked at while it runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None and process.stderr is not None
        self._process = process
        self._err: list[str] = []
        self._out: list[str] = []
        streams = ((process.stderr, self._err), (process.stdout, self._out))
        self._readers = [threading.Thread(target=into.extend, args=(stream,)) for stream, into in streams]
        for reader in self._readers:
            reader.start()

    @property
    def err(self) -> str:
        return "".join(self._err)

    @property
    def out(self) -> str:
        return "".join(self._out)

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def until(self, text: str) -> None:
        """Wait until the text stands in the log."""
        wait_for(lambda: text in self.err or self._process.poll() is not None)
        assert text in self.err, self.err

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, seconds: float = TIMEOUT_S) -> int:
        code = self._process.wait(seconds)
        for reader in self._readers:
            reader.join(TIMEOUT_S)
        return code


@contextmanager
def running(command: list[str | Path], cwd: Path, environ: Mapping[str, str] | None = None) -> Iterator[Running]:
    env = {"PATH": os.environ["PATH"], **(environ or {})}
    with subprocess.Popen(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Running(process)
        finally:
            process.kill()
