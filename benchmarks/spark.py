"""Spark's half: spark_job.py in a process of its own, with the Python that has it."""

import json
import os
import shutil
import subprocess
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.measure import IDLE_S, LONGEST_RUN_S, Batch, Run, watched
from benchmarks.workloads import Batches, Inputs, Workload
from scripts import tools

NAME = "Spark"
_PYTHON = tools.place("spark").path / "bin" / "python"


def check_installed() -> None:
    """Exit with what to do if Spark cannot run here."""
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        raise SystemExit("bench: Spark needs Java 17 or newer. Install it: apt-get install openjdk-17-jre-headless")
    if not _PYTHON.exists():
        raise SystemExit("bench: Spark is not installed. Run: python -m scripts.tools spark")


def run_big(workload: Workload, inputs: Inputs, folder: Path) -> Run:
    """All big batches, one after the other, to the end. The result is in `folder/out`."""
    return _run(workload, inputs.big, inputs.ads, folder, 0.0, 2)


def run_small(workload: Workload, inputs: Inputs, folder: Path) -> Run:
    """A batch a file, and then nothing to do for a while."""
    return _run(workload, inputs.small, inputs.ads, folder, IDLE_S, 2)


def run_untuned(workload: Workload, inputs: Inputs, folder: Path) -> Run:
    """A few small batches with as many shuffle partitions as Spark has by default: many, for two cores."""
    return _run(workload, inputs.few, inputs.ads, folder, 0.0, None)


def _run(workload: Workload, batches: Batches, ads: Path, folder: Path, idle_s: float, partitions: int | None) -> Run:
    args = {
        "workload": workload.name,
        "input": str(batches.folder),
        "ads": str(ads),
        "output": str(folder / "out"),
        "files": batches.files_per_batch,
        "idle": idle_s,
        "partitions": partitions,
    }
    return run_job(args, batches.rows, folder)


def run_job(args: dict[str, Any], rows: tuple[int, ...], folder: Path) -> Run:
    """One process of Spark; `rows`: of each batch that reads any."""
    folder.mkdir(parents=True)
    args = {**args, "checkpoint": str(folder / "checkpoint"), "progress": str(folder / "progress.json")}
    log = folder / "log.txt"
    with log.open("w") as out:
        started = time.time()
        command = [str(_PYTHON), str(Path(__file__).with_name("spark_job.py")), json.dumps(args)]
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=folder, start_new_session=True)
        try:
            with watched(process.pid) as usage:
                code = process.wait(LONGEST_RUN_S)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, 9)
                process.wait()
    if code:
        raise SystemExit(f"{NAME} ended with {code}:\n{log.read_text()[-4000:]}")
    said = json.loads((folder / "progress.json").read_text())
    done, idle = _batches(said["progress"], folder / "checkpoint" / "commits", rows), said["idle"]
    if idle is None:
        return Run(started, done, usage)
    triggers = sum(idle[0] <= _seconds(p["timestamp"]) <= idle[1] for p in said["progress"])
    return Run(started, done, usage, (idle[0], idle[1], triggers))


def _batches(progress: list[dict[str, Any]], commits: Path, rows: tuple[int, ...]) -> list[Batch]:
    """The batches that were committed.

    Their rows are those of the files that they read: Spark's own count leaves out what a pushed-down filter dropped.
    """
    left = iter(rows)
    found = []
    for said in progress:
        if "addBatch" in said["durationMs"]:
            (source,) = said["sources"]
            count = next(left) if source["startOffset"] != source["endOffset"] else 0
            committed = (commits / str(said["batchId"])).stat().st_mtime
            found.append(Batch(committed, count, said["durationMs"]["triggerExecution"]))
    return found


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()
