"""Real runtimes in processes of their own, killed or frozen wherever a test likes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from streamjob_runtime.engine.steps import Step

TESTS = Path(__file__).parents[1]
TIMEOUT_S = 180


def wait_for(happened: Callable[[], bool], within_s: float = TIMEOUT_S) -> None:
    """Wait, not for ever, until something has happened."""
    deadline = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


class Runtime:
    """`streamjob run` of a manifest, as its user would start it but for the step at which a signal hits it.

    `at`: the step and how many times it is passed before; the process then gets `number`, by default SIGKILL.
    """

    def __init__(
        self,
        manifest: Path,
        environ: Mapping[str, str],
        at: tuple[Step, int] | None = None,
        number: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.termination = manifest.with_suffix(f".{os.urandom(4).hex()}.end")
        plan = json.dumps({"step": at[0].name, "after": at[1], "signal": int(number)} if at else None)
        command = [sys.executable, "-P", "-m", "support.run_until", plan, str(manifest), str(self.termination)]
        self._process = subprocess.Popen(
            command,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(TESTS), **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid

    def wait(self) -> int:
        """The exit code; minus the signal's number if a signal ended it."""
        self.out, self.err = self._process.communicate(timeout=TIMEOUT_S)
        return self._process.returncode

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def wait_until_stopped(self) -> None:
        """Until SIGSTOP has frozen it."""
        pid, status = os.waitpid(self.pid, os.WUNTRACED)
        assert pid == self.pid and os.WIFSTOPPED(status), f"ended instead: {status}"

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def end(self) -> None:
        """Make sure that nothing is left of it."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate(timeout=TIMEOUT_S)
