"""The live view in a real terminal: it shows the job, and leaves the terminal as it was."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.command import STREAMJOB
from support.runtime import TIMEOUT_S, wait_for

MANIFEST = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: shown-job}
spec:
  batchInterval: 50ms
  sources: [{name: ticks, rate: {rowsPerSecond: 100}}]
  pipeline: [{name: totals, sql: SELECT count(*) AS seen FROM ticks}]
  sinks: [{from: totals, mode: complete, console: {}}]
  checkpoint: {location: ck}
"""
HIDE, SHOW = b"\x1b[?25l", b"\x1b[?25h"  # the cursor


class Terminal:
    """A process under a pseudo-terminal, and all that it has shown."""

    def __init__(self, process: subprocess.Popen[bytes], fd: int) -> None:
        self.process = process
        self.shown = b""
        self._fd = fd
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._fd, 65536)
            except OSError:  # the other end is closed
                return
            if not data:
                return
            self.shown += data

    def settings(self) -> list[object]:
        return termios.tcgetattr(self._fd)

    def press_ctrl_c(self) -> None:
        os.write(self._fd, b"\x03")


@contextmanager
def terminal(folder: Path) -> Iterator[Terminal]:
    (folder / "job.yaml").write_text(MANIFEST)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    with subprocess.Popen(
        [STREAMJOB, "run", "job.yaml"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    ) as process:
        os.close(theirs)
        made = Terminal(process, ours)
        try:
            yield made
        finally:
            process.kill()
            process.wait()
            made.reader.join(TIMEOUT_S)
            os.close(ours)


def test_the_live_view_shows_the_job_and_ctrl_c_restores_the_terminal(tmp_path: Path) -> None:
    with terminal(tmp_path) as made:
        before = made.settings()
        for text in (b"shown-job", b"Running", b"seen"):
            wait_for(lambda text=text: text in made.shown or made.process.poll() is not None)  # type: ignore[misc]
        made.press_ctrl_c()
        assert made.process.wait(TIMEOUT_S) == 0, made.shown
        made.reader.join(TIMEOUT_S)
        assert made.settings() == before
    assert HIDE in made.shown
    assert made.shown.rindex(SHOW) > made.shown.rindex(HIDE)
    assert b"stopped shown-job: the next start goes on from here" in made.shown[made.shown.rindex(SHOW) :]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_restores_the_terminal_too(tmp_path: Path, number: signal.Signals) -> None:
    with terminal(tmp_path) as made:
        wait_for(lambda: b"seen" in made.shown or made.process.poll() is not None)
        made.process.send_signal(number)
        made.process.send_signal(number)
        assert made.process.wait(TIMEOUT_S) in (0, 128 + number)
        made.reader.join(TIMEOUT_S)
    assert made.shown.rindex(SHOW) > made.shown.rindex(HIDE)
