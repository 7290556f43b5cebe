"""Jobs that tests kill: whatever they read and write, they start, die, freeze and come to their end in the same way."""

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path

from streamjob_runtime.engine.steps import Step
from support.runtime import Runtime

FILES = 12
"""Of `write_events`, and batches of a job that reads them: enough for two checkpoints with batches behind them."""

# A job of three sinks with a mode each, over the files of `write_events`; `{sinks}` are their lines.
MANIFEST = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: killed}}
spec:
  batchInterval: 10ms
  trigger: availableNow
  sources:
  - name: events
    files: {{path: "{folder}/in/", maxFilesPerBatch: 1}}
    format: json
    schema: {{id: BIGINT, kind: VARCHAR, price: "DECIMAL(12, 2)"}}
  pipeline:
  - {{name: dear, sql: "SELECT id, kind, price FROM events WHERE price > 1"}}
  - name: totals
    sql: SELECT kind, id % 100 AS rest, count(*) AS n, sum(price) AS total FROM events GROUP BY kind, id % 100
  - {{name: best, sql: "SELECT * FROM totals ORDER BY total DESC, kind, rest LIMIT 10"}}
  sinks:
{sinks}
  checkpoint: {{location: "{folder}/checkpoint", interval: 50ms, retained: 2}}
"""

# Of that job: after how many passes of which step. Each batch passes WRITTEN three times.
KILLS = [
    (0, Step.FENCED),
    (0, Step.RECOVERED),
    (0, Step.INTENDED),
    (0, Step.WRITTEN),
    (1, Step.WRITTEN),
    (7, Step.POLLED),
    (7, Step.INTENDED),
    (7, Step.COMPUTED),
    (3 * 7, Step.WRITTEN),
    (3 * 7 + 1, Step.WRITTEN),
    (3 * 7 + 2, Step.WRITTEN),
    (7, Step.COMMITTED),
    (0, Step.UPLOADED),
    (1, Step.CHECKPOINTED),
    (0, Step.BOUNDED),
]


class World:
    """A job with its systems. What is in its sinks only the test's own world knows."""

    def __init__(self, manifest: Path, environ: Mapping[str, str] | None = None) -> None:
        self.manifest = manifest
        self.environ = environ or {}

    def runtime(self, at: tuple[Step, int] | None = None, number: signal.Signals = signal.SIGKILL) -> Runtime:
        """A start of the job, which gets a signal after so many passes of a step."""
        return Runtime(self.manifest, self.environ, at, number)

    def kill(self, *kills: tuple[Step, int]) -> None:
        """Start the job once for each of these, and kill it there."""
        for at in kills:
            killed = self.runtime(at)
            assert killed.wait() == -signal.SIGKILL, killed.err

    def finish(self) -> None:
        """Start the job and let it come to its end."""
        runtime = self.runtime()
        assert runtime.wait() == 0, runtime.err


def wake(frozen: Runtime) -> None:
    """Let a runtime go on whose replacement has run meanwhile: it must notice, and end as one that was fenced."""
    frozen.send(signal.SIGCONT)
    assert frozen.wait() == 75, frozen.err
    assert json.loads(frozen.termination.read_text())["reason"] == "Fenced"


def write_events(folder: Path, rows_a_file: int) -> None:
    """Files of events in `folder`, old enough that nobody is waited for who might still write them."""
    folder.mkdir()
    for n in range(FILES):
        ids = range(n * rows_a_file, (n + 1) * rows_a_file)
        lines = [json.dumps({"id": i, "kind": "ab"[i % 2], "price": price(i)}) for i in ids]
        path = folder / f"{n:03d}.json"
        path.write_text("\n".join(lines))
        settled(path, n)


def price(event: int) -> float:
    """The price of an event of `write_events`."""
    return (event * 37 % 1000) / 100


def settled(path: Path, n: int) -> None:
    """Give the n-th file a time of long ago, by which files are read in order."""
    os.utime(path, (1_700_000_000 + n, 1_700_000_000 + n))
