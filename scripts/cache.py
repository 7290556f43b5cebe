"""Where tools lie: a folder outside the checkout, as pip and Go have one. Every checkout of this machine shares it.

It is `$STREAMJOB_CACHE`, or else `streamjob` in the user's cache folder (`$XDG_CACHE_HOME`, `~/.cache`). A thing is
found by its name and its pinned version, so that an old one never passes for a new one; what is there is whole.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

_MAKING = "making-"


def folder() -> Path:
    """The cache; it need not exist yet."""
    if own := os.environ.get("STREAMJOB_CACHE"):
        return Path(own).expanduser().absolute()
    users = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    # The XDG base directory specification: a relative path in there is to be ignored.
    return (users if users.is_absolute() else Path.home() / ".cache") / "streamjob"


@dataclass(frozen=True)
class Place:
    """The folder of one thing in one version."""

    name: str
    version: str

    @property
    def path(self) -> Path:
        """Where it is, or will be."""
        return folder() / self.name / self.version

    def is_there(self) -> bool:
        """Whether it is there."""
        return self.path.is_dir()

    @contextmanager
    def made(self) -> Iterator[Path]:
        """An empty folder, which becomes this place when the block ends well, and is gone otherwise."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with working_folder(self.name) as work:
            whole = work / "whole"
            whole.mkdir()
            yield whole
            whole.rename(self.path)


@contextmanager
def working_folder(what: str) -> Iterator[Path]:
    """An empty folder beside all places, gone when the block ends. What a killed process left goes first."""
    with ExitStack() as stack:
        with lock("making"):
            _sweep()
            name = stack.enter_context(tempfile.TemporaryDirectory(dir=folder(), prefix=_MAKING + what + "-"))
            descriptor = os.open(name, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # for as long as this process uses it
        yield Path(name)


def _sweep() -> None:
    for left in folder().glob(f"{_MAKING}*"):
        descriptor = os.open(left, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(left, ignore_errors=True)
        finally:
            os.close(descriptor)


_claimed: dict[str, TextIO] = {}


def claim(*names: str) -> None:
    """Take the locks of these things at once: whoever wants one waits until this process has used and left it."""
    for name in sorted(set(names) - set(_claimed)):  # in one order, so that two processes never wait for each other
        _claimed[name] = _locked(name)


def is_claimed(name: str) -> bool:
    """Whether some other process makes this thing now, or is about to."""
    with _file(name) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def lock(name: str) -> Iterator[None]:
    """No other process makes this thing meanwhile: one that does is waited for."""
    with _claimed.pop(name, None) or _locked(name):
        yield


def _locked(name: str) -> TextIO:
    file = _file(name)
    fcntl.flock(file, fcntl.LOCK_EX)  # the kernel lets it go when the file is closed, or its process ends
    return file


def _file(name: str) -> TextIO:
    path = folder() / "locks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("w")


def fingerprint(*parts: str | Path) -> str:
    """Twelve hex digits that change with any of these words, files and folders."""
    digest = hashlib.sha256()
    for part in parts:
        files = sorted(part.rglob("*")) if isinstance(part, Path) and part.is_dir() else [part]
        for file in files:
            if not isinstance(file, Path):
                digest.update(file.encode())
            elif file.is_file():
                digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


def main() -> None:
    """Say what is there, and how to remove it."""
    if not folder().is_dir():
        return
    size = subprocess.run(["du", "-sh", folder()], capture_output=True, text=True, check=False).stdout.split()
    print(f"Left for other checkouts: {folder()}, {size[0] if size else 'full'} of tools for tests.")
    if (folder() / "engine" / "before-dockerd.json").exists():
        print("The Docker engine that this project started keeps its data there: make kind-down stops it.")
    print(f"To remove it, too: rm -rf {folder()}")


if __name__ == "__main__":
    main()
