"""Where tests get their cluster from: the one that runs, or one made now and removed afterwards."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from scripts import tools
from scripts.run_tests import KEPT

from support.cluster import NAME, ROOT, Cluster, CommandFailed, path, run

COMMANDS = ("kind", "kubectl", "helm")
IMPOSSIBLE_HERE = 3
"""How `python -m scripts.kind up` ends where a machine lacks what only its user may install."""


@contextmanager
def running_cluster(kubeconfig: Path) -> Iterator[Cluster]:
    """The cluster `streamjob`: left as it is if it runs already, else made now and removed afterwards.

    In CI everything that is missing is made, Docker engine included. Elsewhere the tests are skipped, and say how to
    get it.
    """
    had_engine = answers("docker", "info")
    had_cluster = had_engine and bool(run("docker", "ps", "--quiet", "--filter", f"label=io.x-k8s.kind.cluster={NAME}"))
    make(kubeconfig)
    try:
        yield Cluster(kubeconfig)
    finally:
        if os.environ.get(KEPT):
            pass  # `make test` has made it, and removes it
        elif not had_engine:
            scripts("-m", "scripts.kind", "down")
        elif not had_cluster:
            run("kind", "delete", "cluster", "--name", NAME)


def make(kubeconfig: Path) -> None:
    """Have a cluster, or skip the test."""
    in_ci = bool(os.environ.get("CI"))
    for command in missing():
        tools.is_there_in_the_end(command)
    if not in_ci and missing():
        skip(f"{', '.join(missing())} cannot be found")
    code = scripts("-m", "scripts.kind", "up", "--kubeconfig", str(kubeconfig))
    if code == IMPOSSIBLE_HERE:
        skip("no Docker engine answers, or there is no node image")
    assert code == 0, "the cluster could not be made, see above"
    if in_ci and missing():
        assert scripts("-m", "scripts.tools", *missing()) == 0, "a tool could not be built, see above"


def missing() -> list[str]:
    """The commands that neither the project nor the machine has."""
    return [command for command in COMMANDS if shutil.which(command, path=path()) is None]


def scripts(*arguments: str) -> int:
    """The exit code of one of the project's scripts, which says itself what it does and what went wrong."""
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, check=False).returncode


def answers(*command: str) -> bool:
    """Whether a command ends well."""
    try:
        run(*command)
    except (CommandFailed, FileNotFoundError):
        return False
    return True


def skip(why: str) -> NoReturn:
    """Skip a test, with the way to run it."""
    pytest.skip(f"no cluster: {why}; to run this test: install Docker, kind and helm, or `make kind-from-source`")
