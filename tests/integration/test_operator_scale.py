"""The operator with some dozens of jobs on simulated nodes: the benchmark of docs/performance.md, small.

Times are not asserted here, only what holds on any machine.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.scale.control_plane import TOOLS

from support.installed import require

ROOT = Path(__file__).parents[2]
JOBS = 30


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    require(*TOOLS)
    folder = tmp_path_factory.mktemp("scale")
    small = ["--without-peer", "--jobs", f"{JOBS}", "--rounds", "3", "--rest", "3", "--busy", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scale", *small, "--folder", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| at rest: writes | 0 | 0: met |" in done.stdout
    found: dict[str, float] = json.loads((folder / "results.json").read_text())["kinds"]["StreamJob"]
    return found


def test_all_jobs_get_their_pods_with_five_writes_each(figures: dict[str, float]) -> None:
    # Finalizer, ConfigMap, pod, event, status; a second status where the pod takes its time to run.
    assert 5 <= figures["writes_a_job"] <= 6
    assert 0 < figures["pods_s"] <= figures["running_s"]


def test_nothing_is_written_while_nothing_happens(figures: dict[str, float]) -> None:
    assert figures["rest_writes"] == 0


def test_a_changed_spec_touches_its_own_job_only(figures: dict[str, float]) -> None:
    assert figures["edit_writes_own"] > 0 and figures["edit_writes_others"] == 0


def test_an_operator_that_finds_all_in_order_writes_nothing(figures: dict[str, float]) -> None:
    assert figures["again_writes"] == 0


def test_memory_stays_within_its_aim(figures: dict[str, float]) -> None:
    assert 0 < figures["peak_mib"] < 200
