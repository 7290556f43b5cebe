"""The operator, as a process of its own beside the control plane."""

import contextlib
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from benchmarks.ports import free_port
from benchmarks.scale.control_plane import ControlPlane, end
from benchmarks.scale.resources import IMAGE

USER = "streamjob-operator"
_READY_WITHIN_S = 60.0


@dataclass(frozen=True)
class Operator:
    """One that runs."""

    process: psutil.Process
    log: Path
    port: int
    started: float  # seconds since the epoch
    ready_after_s: float

    def cpu_s(self) -> float:
        """CPU-seconds until now."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def peak_mib(self) -> float:
        """The most memory that was resident at any time."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        match = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert match
        return int(match[1]) / 1024

    def looks(self) -> float:
        """How often it has looked at a job."""
        match = re.search(r"^streamjob_operator_reconcile_seconds_count (\S+)$", _page(self.port, "metrics"), re.M)
        assert match
        return float(match[1])


@contextlib.contextmanager
def operating(plane: ControlPlane) -> Iterator[Operator]:
    """Run the operator until the context ends; it is ready when the context begins."""
    log, port = plane.folder / "operator.log", free_port()
    command = [sys.executable, "-m", "streamjob_operator.main", "--runtime-image", IMAGE, "--http-host", "127.0.0.1"]
    environ = {**os.environ, "KUBECONFIG": str(plane.kubeconfig(USER))}
    with log.open("ab") as stream:
        started = time.time()
        popen = subprocess.Popen([*command, "--http-port", str(port)], stderr=stream, env=environ)
        try:
            while not _is_ready(port):
                if popen.poll() is not None or time.time() - started > _READY_WITHIN_S:
                    raise RuntimeError(f"the operator did not get ready:\n{log.read_text()[-2000:]}")
                time.sleep(0.02)
            yield Operator(psutil.Process(popen.pid), log, port, started, time.time() - started)
        finally:
            end(popen)


def _is_ready(port: int) -> bool:
    try:
        _page(port, "readyz")
    except OSError:
        return False
    return True


def _page(port: int, name: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{name}", timeout=5) as answer:
        return bytes(answer.read()).decode()
