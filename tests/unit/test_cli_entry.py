"""The process of the command ends with the command's exit code, and loses nothing that was written."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from streamjob_runtime.cli.entry import exit_code


def ends(code: object) -> Callable[[], object]:
    return lambda: sys.exit(code)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (lambda: None, 0, ""),
        (ends(None), 0, ""),
        (ends(78), 78, ""),
        (ends(-1), 255, ""),
        (ends("cannot"), 1, "cannot\n"),
        (lambda: 1 / 0, 1, "ZeroDivisionError: division by zero\n"),
    ],
)
def test_the_exit_code_is_as_python_would_have_it(
    command: Callable[[], object], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(command) == code
    assert capsys.readouterr().err.endswith(said)


# A thread of a library that is in the middle of something when the command is done.
DISTURBED = """
import threading, time
from streamjob_runtime.cli import entry, main

class Main:
    def __call__(self):
        threading.Thread(target=time.sleep, args=(60,)).start()
        print("all of it", end="")
        raise SystemExit(3)

main.main = Main()
entry.run()
"""


def test_no_thread_holds_the_end_up_or_changes_it() -> None:
    done = subprocess.run([sys.executable, "-c", DISTURBED], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (3, "all of it")


def test_nobody_who_reads_is_no_traceback() -> None:
    command = f"{sys.executable} -c 'from streamjob_runtime.cli.entry import run; run()' --help | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.stderr) == ("U", "")
