"""kill -9 of a job that follows a log file, which is rotated while the job is down: each line is in the output once."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from streamjob_runtime.engine.steps import Step
from support.command import streamjob
from support.runtime import Runtime

MANIFEST = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: follows}
spec:
  batchInterval: 10ms
  trigger: availableNow
  sources:
  - name: access
    files: {path: logs/access.log, follow: true}
    format: json
    schema: {n: BIGINT}
    maxRecordsPerBatch: 4
  pipeline: [{name: rows, sql: "SELECT n FROM access"}]
  sinks: [{from: rows, files: {path: out/}, format: json}]
  checkpoint: {location: ck, interval: 50ms, retained: 2}
"""
LINES = 60
KILLS = [
    (0, Step.FENCED),
    (0, Step.POLLED),
    (0, Step.INTENDED),
    (5, Step.INTENDED),
    (5, Step.COMPUTED),
    (5, Step.WRITTEN),
    (5, Step.COMMITTED),
    (1, Step.UPLOADED),
    (1, Step.CHECKPOINTED),
    (0, Step.BOUNDED),
    (0, Step.SWEPT),
]


def rename(log: Path) -> None:
    log.rename(log.with_name("access.log.1"))


def copy_and_cut(log: Path) -> None:
    shutil.copyfile(log, log.with_name("access.log.1"))
    os.truncate(log, 0)


def append(log: Path, numbers: range, end: str = "\n") -> None:
    with log.open("a") as file:
        file.write("\n".join(json.dumps({"n": n}) for n in numbers) + end)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    (tmp_path / "job.yaml").write_text(MANIFEST)
    append(tmp_path / "logs" / "access.log", range(LINES))
    return tmp_path


def written(folder: Path) -> list[int]:
    return sorted(json.loads(line)["n"] for f in folder.glob("out/*.json") for line in f.read_text().splitlines())


@pytest.mark.parametrize("rotate", [rename, copy_and_cut])
@pytest.mark.parametrize(("passes", "step"), KILLS, ids=lambda v: v.name if isinstance(v, Step) else str(v))
def test_a_kill_and_a_rotation_change_nothing(
    job: Path, step: Step, passes: int, rotate: Callable[[Path], None]
) -> None:
    log = job / "logs" / "access.log"
    killed = Runtime(job / "job.yaml", {}, (step, passes))
    assert killed.wait() == -signal.SIGKILL, killed.err
    append(log, range(LINES, LINES + 3))
    if (
        job / "ck" / "log" / "000000000001"
    ).exists():  # as long as no batch names the file, nobody knows its other name
        rotate(log)
    append(log, range(LINES + 3, LINES + 6), end="")
    again = Runtime(job / "job.yaml", {})
    assert again.wait() == 0, again.err
    assert written(job) == list(range(LINES + 5)), "the last line has no end yet"
    append(log, range(LINES + 6, LINES + 6))
    last = Runtime(job / "job.yaml", {})
    assert last.wait() == 0, last.err
    assert written(job) == list(range(LINES + 6))


def test_bytes_that_a_batch_needs_and_are_gone_are_named(job: Path) -> None:
    killed = Runtime(job / "job.yaml", {}, (Step.INTENDED, 2))
    assert killed.wait() == -signal.SIGKILL, killed.err
    (job / "logs" / "access.log").write_text('{"n": 0}\n')
    again = Runtime(job / "job.yaml", {})
    assert again.wait() == 78
    assert "which a batch needs again, are in no file there any more" in again.err


def test_to_follow_what_was_read_as_whole_files_is_another_source(job: Path) -> None:
    whole = (job / "job.yaml").read_text().replace(", follow: true", "")
    (job / "whole.yaml").write_text(whole)
    os.utime(job / "logs" / "access.log", (1_700_000_000, 1_700_000_000))
    assert streamjob("run", "whole.yaml", cwd=job).returncode == 0
    done = streamjob("run", "job.yaml", cwd=job)
    assert done.returncode == 78 and "source access changed" in done.stderr
