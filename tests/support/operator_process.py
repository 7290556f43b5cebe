"""Operators as processes of the tests' own, beside the cluster, killed wherever a test likes."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from support.cluster import Cluster
from support.images import RUNTIME

TESTS = Path(__file__).parents[1]
TIMEOUT_S = 120


class OperatorProcess:
    """`streamjob-operator` for one namespace, without leader election; it is killed when the block ends.

    `at`: the step at which it kills itself, and how many times that step is passed before. It cannot reach the pods'
    HTTP servers, so that no progress comes into the status.
    """

    def __init__(self, cluster: Cluster, namespace: str, at: tuple[str, int] | None = None) -> None:
        plan = json.dumps({"step": at[0], "after": at[1]} if at else None)
        options = ["--namespace", namespace, "--runtime-image", RUNTIME]
        options += ["--http-host", "127.0.0.1", "--http-port", "0"]
        self._at = at
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed where the block ends
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "support.operator_until", plan, *options],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(TESTS), "KUBECONFIG": str(cluster.kubeconfig)},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(TIMEOUT_S)
        if error is not None:
            error.add_note(f"the operator said:\n{self.said()}")
        self._log.close()

    def wait_until_killed(self) -> None:
        """Until it has come to its step."""
        try:
            code = self._process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"{self._at} did not come within {TIMEOUT_S} s") from error
        assert code == -signal.SIGKILL, f"it ended with {code} instead of being killed at {self._at}"

    def said(self) -> str:
        """Its log so far."""
        self._log.seek(0)
        return self._log.read()
