"""What every step shares: how a command is run, and a line that says what takes how long."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

LINES_OF_A_FAILURE = 30


class StepError(Exception):
    """Why the cluster cannot be made, and what to do, in a sentence for the user."""


class ImpossibleHere(StepError):
    """The machine lacks something that only its user may decide to install."""


def is_ci() -> bool:
    """Whether this machine is there for tests only, so that packages and daemons are nobody's surprise."""
    return bool(os.environ.get("CI"))


def say(text: str) -> None:
    """A line for the user, on stderr: stdout is for results."""
    print(f"kind: {text}", file=sys.stderr, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say what is done now, and then how many seconds it took."""
    say(f"{what} …")
    start = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - start:.0f} s")


def run(*command: str | Path, stdin: bytes | None = None, env: dict[str, str] | None = None) -> str:
    """Run a command and give its output; its last lines stand in the error when it fails."""
    try:
        done = subprocess.run(command, input=stdin, env=env, capture_output=True, check=False)
    except FileNotFoundError as err:
        raise StepError(f"{command[0]} is not installed") from err
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).decode(errors="replace").splitlines()[-LINES_OF_A_FAILURE:]
        raise StepError("\n".join([f"{' '.join(map(str, command))} failed with code {done.returncode}:", *lines]))
    return done.stdout.decode(errors="replace")


def works(*command: str | Path, seconds: float = 60) -> bool:
    """Whether a command ends well, in time."""
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=seconds)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def fresh_folder(path: Path) -> Path:
    """An empty folder of this name."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def wait_for(happened: Callable[[], bool], seconds: float) -> bool:
    """Whether something happens within this time."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True
