"""StreamJob's half: the manifests, and a run of `streamjob run` in a process of its own."""

import json
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import IDLE_S, LONGEST_RUN_S, Batch, Run, Usage, watched
from benchmarks.workloads import Batches, Inputs, Workload

NAME = "StreamJob"
_INTERVAL_MS = 10  # of small batches: the least there is
_QUIET_S = 0.5

_WORD_COUNT = """
  sources:
  - {{name: lines, files: {{path: "{input}/", maxFilesPerBatch: {files}}}, format: text}}
  pipeline:
  - {{name: words, sql: "SELECT unnest(string_split(value, ' ')) AS word FROM lines"}}
  - {{name: result, sql: "SELECT word, count(*) AS n FROM words GROUP BY word"}}
  sinks:
  - {{from: result, mode: complete, files: {{path: "{output}/"}}, format: parquet}}
"""

COUNTED = """
  tables:
  - {{name: ads, files: {{path: "{ads}"}}, format: parquet}}
  pipeline:
  - name: result
    sql: |
      SELECT campaign_id, window_start, count(*) AS n
      FROM events JOIN ads USING (ad_id)
      WHERE event_type = 'view'
      GROUP BY campaign_id, tumble(event_time, INTERVAL '10 seconds')
"""
"""The views of each campaign by window, of the source `events`."""

_AD_VIEWS = (
    """
  sources:
  - name: events
    files: {{path: "{input}/", maxFilesPerBatch: {files}}}
    format: json
    schema: {{ad_id: VARCHAR, event_type: VARCHAR, event_time: TIMESTAMP}}
    watermark: {{column: event_time, delay: 10s}}
"""
    + COUNTED
    + """
  sinks:
  - {{from: result, mode: append, files: {{path: "{output}/"}}, format: parquet}}
"""
)

JOB = """apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: {name}}}
spec:
  batchInterval: {interval}
  trigger: {trigger}
  checkpoint: {{location: "{checkpoint}"}}
"""


def run_big(workload: Workload, inputs: Inputs, folder: Path) -> Run:
    """All big batches, one after the other, to the end. The result is in `folder/out`."""
    with Process(_manifest(workload, inputs.big, inputs.ads, folder, "availableNow", "1s")) as process:
        process.wait_for_end()
        return Run(process.started, process.batches, process.usage)


def run_small(workload: Workload, inputs: Inputs, folder: Path) -> Run:
    """A batch a file, and then nothing to do for a while."""
    interval = f"{_INTERVAL_MS}ms"
    with Process(_manifest(workload, inputs.small, inputs.ads, folder, "processingTime", interval)) as process:
        process.wait_for_batches(len(inputs.small.rows))
        start = time.time()
        time.sleep(IDLE_S)
        end = time.time()
        process.popen.send_signal(signal.SIGTERM)
        process.wait_for_end()
        return Run(process.started, process.batches, process.usage, (start, end, round(IDLE_S * 1000 / _INTERVAL_MS)))


def _manifest(workload: Workload, batches: Batches, ads: Path, folder: Path, trigger: str, interval: str) -> Path:
    folder.mkdir(parents=True)
    text = JOB + {"word-count": _WORD_COUNT, "ad-views": _AD_VIEWS}[workload.name].lstrip("\n")
    path = folder / "streamjob.yaml"
    path.write_text(
        text.format(
            name=workload.name,
            input=batches.folder,
            ads=ads,
            output=folder / "out",
            checkpoint=folder / "checkpoint",
            files=batches.files_per_batch,
            trigger=trigger,
            interval=interval,
        )
    )
    return path


class Process:
    """A runtime, and what its log says. A batch's line is written as soon as its COMMIT is in the log."""

    def __init__(self, manifest: Path) -> None:
        self._manifest = manifest
        self.batches: list[Batch] = []
        self._said: list[str] = []
        self._news: queue.SimpleQueue[bool] = queue.SimpleQueue()  # one a line; False: no more

    def __enter__(self) -> "Process":
        command = Path(sys.executable).with_name("streamjob")
        self.started = time.time()
        self.popen = subprocess.Popen(
            [command, "run", self._manifest, "--log-format", "json"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._watch = watched(self.popen.pid)
        self.usage: Usage = self._watch.__enter__()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.popen.kill()
        self.popen.wait()
        self._reader.join()
        self._watch.__exit__(None, None, None)

    def _read(self) -> None:
        assert self.popen.stderr is not None
        with self.popen.stderr as lines:
            for line in lines:
                now = time.time()
                said: dict[str, Any] = json.loads(line) if line.startswith("{") else {"message": line}
                if said["message"] == "batch":
                    self.batches.append(Batch(now, said["rows"], said["durationMs"]))
                else:
                    self._said.append(line)
                self._news.put(True)
        self._news.put(False)

    def wait_for_batches(self, count: int) -> None:
        """Until there were so many batches, and for a while no other."""
        end = time.monotonic() + LONGEST_RUN_S
        while time.monotonic() < end:
            try:
                if not self._news.get(timeout=_QUIET_S):
                    break
            except queue.Empty:
                if len(self.batches) >= count:
                    return
        raise SystemExit(f"{NAME} made {len(self.batches)} batches of {count}:\n{''.join(self._said)}")

    def wait_for_end(self) -> None:
        """Until it ended by itself."""
        if code := self.popen.wait(LONGEST_RUN_S):
            self._reader.join()
            raise SystemExit(f"{NAME} ended with {code}:\n{''.join(self._said)}")
        self._reader.join()
