"""kill -9 of a real runtime at every step of the protocol: the sinks' content equals that of a run without faults."""

import json
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import pytest

from streamjob_runtime.engine.steps import Step
from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.hdfs import HdfsStore
from streamjob_runtime.stores.local import LocalStore
from support import killed
from support.hdfs import HdfsServer
from support.minio import MinioServer
from support.runtime import wait_for

FILES = 23
"""Batches, too: enough for four checkpoints, a boundary and deletions, with batches after the last checkpoint."""

MANIFEST = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: killed}}
spec:
  batchInterval: 10ms
  trigger: {trigger}
  sources:
  - name: events
    files: {{path: "{root}/in/", maxFilesPerBatch: 1}}
    format: json
    schema: {{id: BIGINT, kind: VARCHAR, t: TIMESTAMP}}
    watermark: {{column: t, delay: 3s}}
  tables:
  - name: kinds
    files: {{path: "{root}/kinds.csv"}}
    format: csv
    schema: {{kind: VARCHAR, label: VARCHAR}}
  pipeline:
  - {{name: labelled, sql: "SELECT id, label, t FROM events JOIN kinds USING (kind)"}}
  - {{name: counts, sql: "SELECT label, count(*) AS n, sum(id) AS total FROM labelled GROUP BY label"}}
  - name: windows
    sql: |
      SELECT label, window_start, count(*) AS n FROM events JOIN kinds USING (kind)
      GROUP BY label, tumble(t, INTERVAL '5 seconds')
  - name: pairs
    sql: |
      SELECT a.id, b.id AS next, a.t FROM events AS a LEFT JOIN events AS b
      ON a.kind = b.kind AND a.id % 3 > 0 AND b.t BETWEEN a.t + INTERVAL '1 millisecond' AND a.t + INTERVAL '4 seconds'
  sinks:
  - {{from: pairs, mode: append, files: {{path: "{root}/pairs/"}}, format: json}}
  - {{from: labelled, mode: append, files: {{path: "{root}/labelled/"}}, format: parquet}}
  - {{from: counts, mode: complete, files: {{path: "{root}/counts/"}}, format: json}}
  - {{from: windows, mode: append, files: {{path: "{root}/windows/", partitionBy: [label]}}, format: csv}}
  checkpoint: {{location: "{root}/checkpoint", interval: 50ms, retained: 2}}
{s3}
"""


class World(killed.World):
    """A job's systems: its files, and a store that looks into all of it."""

    def __init__(self, root: str, manifest: Path, store: Store, environ: Mapping[str, str] | None = None) -> None:
        super().__init__(manifest, environ)
        self.root = root
        self.store = store

    def output(self) -> dict[str, bytes]:
        """Every file that the sinks have written; of the groups, which nobody has asked to sort, the rows in order."""
        entries = [e for sink in ("labelled/", "counts/", "windows/", "pairs/") for e in self.store.list(sink)]
        read = {e.key: self.store.read(e.key) for e in entries}
        return {k: b"".join(sorted(v.splitlines(True))) if k.startswith("counts/") else v for k, v in read.items()}


def world(kind: str, folder: Path, request: pytest.FixtureRequest | None, trigger: str = "availableNow") -> World:
    """A fresh copy of the world, with its input."""
    folder.mkdir()
    if kind == "local":
        made = World(str(folder / "data"), folder / "job.yaml", LocalStore(folder / "data"))
        s3 = ""
    elif kind == "hdfs":
        assert request is not None
        root = cast(HdfsServer, request.getfixturevalue("hdfs")).create_root()
        made = World(root, folder / "job.yaml", HdfsStore(root))
        s3 = ""
    else:
        assert request is not None
        server = cast(MinioServer, request.getfixturevalue("minio"))
        bucket = server.create_bucket()
        made = World(f"s3://{bucket}", folder / "job.yaml", server.store(bucket), server.environ)
        s3 = f"  s3: {{endpoint: '{server.url}'}}"
    made.manifest.write_text(MANIFEST.format(root=made.root, s3=s3, trigger=trigger))
    made.store.create("kinds.csv", b"kind,label\na,first\nb,second\n")
    for n in range(FILES):
        lines = [
            json.dumps({"id": 10 * n + i, "kind": "ab"[(n + i) % 2], "t": f"2026-01-01 00:00:{n * 2 + i % 3:02d}"})
            for i in range(10)
        ]
        made.store.create(f"in/{n:03d}.json", "\n".join(lines).encode())
    if kind == "local":
        for n, path in enumerate(sorted((folder / "data" / "in").iterdir())):
            killed.settled(path, n)
    return made


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a run without faults writes."""
    there = world("local", tmp_path_factory.mktemp("expected") / "world", None)
    there.finish()
    output = there.output()
    assert len([key for key in output if key.startswith("labelled/")]) == FILES
    assert b'"n":115' in output["counts/table.json"].replace(b" ", b"")
    assert len([key for key in output if key.startswith("windows/")]) >= 8
    pairs = b"".join(rows for key, rows in output.items() if key.startswith("pairs/"))
    assert pairs.count(b'"next":null') > 1
    assert pairs.count(b"\n") > 2 * pairs.count(b'"next":null')
    return output


@pytest.fixture(params=["local", "s3", "hdfs"])
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    made = world(request.param, tmp_path / "world", request)
    yield made
    made.store.close()


# The first times, and times in the middle: (after how many passes, of which step).
KILLS = [
    (0, Step.FENCED),
    (0, Step.RECOVERED),
    (0, Step.POLLED),
    (7, Step.POLLED),
    (0, Step.INTENDED),
    (7, Step.INTENDED),
    (7, Step.COMPUTED),
    (15, Step.WRITTEN),
    (16, Step.WRITTEN),
    (17, Step.WRITTEN),
    (0, Step.COMMITTED),
    (7, Step.COMMITTED),
    (0, Step.UPLOADED),
    (2, Step.UPLOADED),
    (0, Step.CHECKPOINTED),
    (2, Step.CHECKPOINTED),
    (0, Step.BOUNDED),
    (1, Step.SWEPT),
]
# The steps between which its log and its files change: its client takes half a second to close a file, a test a minute.
KILLS_IN_HDFS = [
    (7, Step.INTENDED),
    (16, Step.WRITTEN),
    (7, Step.COMMITTED),
    (2, Step.UPLOADED),
    (1, Step.SWEPT),
]
CASES = [(kind, *kill) for kind in ("local", "s3") for kill in KILLS] + [("hdfs", *kill) for kill in KILLS_IN_HDFS]


@pytest.mark.parametrize(
    ("there", "passes", "step"), CASES, indirect=["there"], ids=lambda v: v.name if isinstance(v, Step) else str(v)
)
def test_a_kill_changes_nothing(there: World, expected: dict[str, bytes], step: Step, passes: int) -> None:
    there.kill((step, passes))
    there.finish()
    assert there.output() == expected


def test_kill_upon_kill_changes_nothing(there: World, expected: dict[str, bytes]) -> None:
    there.kill((Step.WRITTEN, 4), (Step.RECOVERED, 0), (Step.COMPUTED, 1), (Step.CHECKPOINTED, 0))
    there.finish()
    assert there.output() == expected


def test_a_frozen_runtime_that_wakes_after_its_replacement_writes_nothing(
    there: World, expected: dict[str, bytes]
) -> None:
    frozen = there.runtime((Step.INTENDED, 7), signal.SIGSTOP)
    try:
        frozen.wait_until_stopped()
        there.finish()
        assert there.output() == expected
        before = {e.key: e.version for e in there.store.list()}
        killed.wake(frozen)
        assert "Another process runs the job 'killed'" in frozen.err
        assert {e.key: e.version for e in there.store.list()} == before
    finally:
        frozen.end()


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_of_two_processes_on_one_log_exactly_one_lives(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    there = world(kind, tmp_path / "world", request, trigger="processingTime")
    two = [there.runtime(), there.runtime()]
    try:
        wait_for(lambda: any(r.ended for r in two))
        (loser,) = [r for r in two if r.ended]
        (winner,) = [r for r in two if not r.ended]
        assert loser.wait() == 75, loser.err
        assert json.loads(loser.termination.read_text())["reason"] == "Fenced"
        wait_for(lambda: there.output().keys() == expected.keys())
        winner.send(signal.SIGTERM)
        assert winner.wait() == 0, winner.err
        assert there.output() == expected
    finally:
        for runtime in two:
            runtime.end()
        there.store.close()


def test_only_what_is_needed_stays(there: World) -> None:
    there.finish()
    checkpoints = {e.key.rsplit("/", 1)[1] for e in there.store.list("checkpoint/state/@sources/")}
    assert len(checkpoints) == 2
    assert len(list(there.store.list("checkpoint/log/"))) < 20
