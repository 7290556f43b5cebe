"""All that `make test` does: `python -m scripts.run_tests [arguments of pytest]`.

What the tests need is installed and built beside them. Lint begins at once, and then the tests: one waits for what it
needs (tests/support/installed.py). The last line is pytest's.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from scripts import cache, tools
from scripts.kind import cluster, engine
from scripts.kind.steps import is_ci, say, works

ROOT = Path(__file__).parent.parent
KEPT = "STREAMJOB_CLUSTER_IS_KEPT"
"""Tells the tests that they need not remove the cluster in the end."""

DOWNLOADED = ("kafka", "hdfs", "registry", "postgres")
# In the order in which tests can go on with them: making the cluster takes a while, too.
BUILT = ("kubernetes", "etcd", "kind", "coredns", "minio", "helm", "kwok")
# What is built on a machine that is not CI's: its user has a cluster, or does without.
BUILT_FOR_USERS = ("minio", "helm")

WORKERS = 4  # of which one has the cluster's tests; all of them wait most of the time
CI_ENDS_AFTER_S = 75 * 60
TELLS_WITHIN_S = 120
CLAIMED_WITHIN_S = 120
ENDS_WITHIN_S = 30
DOWN_WITHIN_S = 180


def main(arguments: list[str]) -> int:
    """Lint and test; the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no cluster is left
    with ExitStack() as stack:
        stack.enter_context(as_it_was())
        helpers = prepare(stack)
        code = subprocess.run(["make", "--no-print-directory", "lint"], cwd=ROOT, check=False).returncode
        if code == 0:
            code = run_tests(arguments)
        failed = [helper for helper in helpers if helper.poll()]
    if failed and is_ci() and code == 0:
        say("something could not be installed, see above, though no test has missed it")
        return 1
    return code


def run_tests(arguments: list[str]) -> int:
    """The exit code of pytest, which CI ends so early that it still tells what failed, and what took long."""
    command = [sys.executable, "-m", "pytest", f"-n{WORKERS}", *(["--durations=25"] if is_ci() else []), *arguments]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | {KEPT: "1"}) as tests:
        try:
            return tests.wait(CI_ENDS_AFTER_S if is_ci() else None)
        except subprocess.TimeoutExpired:
            say(f"the tests were ended, for they took more than {CI_ENDS_AFTER_S // 60} minutes")
            end(tests)
            return 1
        except SystemExit:
            end(tests)
            raise


def end(tests: "subprocess.Popen[bytes]") -> None:
    """End pytest, which tells what it knows."""
    tests.send_signal(signal.SIGINT)
    try:
        tests.wait(TELLS_WITHIN_S)
    except subprocess.TimeoutExpired:
        tests.kill()


@contextmanager
def as_it_was() -> Iterator[None]:
    """When the block ends there is no Docker engine and no cluster that was not there before; nothing is said of it."""
    had_engine = engine.is_running()
    had_cluster = had_engine and cluster.is_up()
    try:
        yield
    finally:
        if not had_cluster:
            keep = ["--keep-engine"] if had_engine else []
            works(sys.executable, "-m", "scripts.kind", "down", *keep, seconds=DOWN_WITHIN_S)


def prepare(stack: ExitStack) -> list["subprocess.Popen[bytes]"]:
    """Install and build beside everything else, until the stack is closed."""
    built = BUILT if is_ci() else BUILT_FOR_USERS
    helpers = [stack.enter_context(beside("scripts.tools", *names)) for names in (DOWNLOADED, built)]
    deadline = time.monotonic() + CLAIMED_WITHIN_S
    for helper, names in zip(helpers, (DOWNLOADED, built), strict=True):
        # From now on whoever needs one of them waits.
        while helper.poll() is None and not all(tools.is_there(name) or cache.is_claimed(name) for name in names):
            assert time.monotonic() < deadline, "the tools could not be claimed"
            time.sleep(0.05)
    if is_ci() or all(shutil.which(name, path=tools.path()) for name in ("docker", "kind", "kubectl")):
        # Tests get access of their own to the cluster.
        kubeconfig = stack.enter_context(tempfile.TemporaryDirectory()) + "/kubeconfig"
        helpers.append(stack.enter_context(beside("scripts.kind", "up", "--with-images", "--kubeconfig", kubeconfig)))
    return helpers


@contextmanager
def beside(module: str, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A module of this project that runs as a program until it has done its work, or the block ends.

    It has the same priority as the tests: those of the cluster take longest, and wait for what is built here.
    """
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=sys.stderr, process_group=0)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(ENDS_WITHIN_S)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
