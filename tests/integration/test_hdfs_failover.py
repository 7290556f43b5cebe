"""Two name nodes behind one name: the active one dies or falls silent, the other one takes over, nothing is lost."""

import json
import random
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from streamjob_runtime.errors import AlreadyExists, Unavailable
from streamjob_runtime.stores.hdfs import HdfsStore
from streamjob_runtime.stores.proof import prove_atomic_create
from support.command import STREAMJOB, running
from support.hdfs_pair import HdfsPair
from support.runtime import wait_for

MANIFEST = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: failed-over}}
spec:
  batchInterval: 50ms
  sources: [{{name: lines, files: {{path: "{root}/in/", maxFilesPerBatch: 1}}, format: text}}]
  pipeline:
  - {{name: same, sql: SELECT value FROM lines}}
  - {{name: sums, sql: "SELECT count(*) AS n, sum(value::BIGINT)::BIGINT AS total FROM lines"}}
  sinks:
  - {{from: same, files: {{path: "{root}/rows/"}}, format: json}}
  - {{from: sums, mode: complete, files: {{path: "{root}/sums/"}}, format: json}}
  checkpoint: {{location: "{root}/checkpoint", interval: 250ms}}
  hdfs: {{configMapRef: {{name: hadoop-site}}}}
"""


def test_a_job_goes_on_with_the_name_node_that_takes_over(tmp_path: Path, hdfs_pair: HdfsPair) -> None:
    root = f"{hdfs_pair.url}/job"
    store = HdfsStore(root, str(hdfs_pair.conf))
    put = 0

    def feed(files: int) -> None:
        nonlocal put
        for _ in range(files):
            store.create(f"in/{put:03d}", f"{put}\n".encode())
            put += 1

    def rows(sink: str) -> list[dict[str, object]]:
        parts = [store.read(entry.key) for entry in store.list(f"{sink}/")]
        return [json.loads(line) for part in parts for line in part.splitlines()]

    def is_complete() -> bool:
        values = sorted(int(str(row["value"])) for row in rows("rows"))
        return values == list(range(put)) and rows("sums") == [{"n": put, "total": put * (put - 1) // 2}]

    (tmp_path / "job.yaml").write_text(MANIFEST.format(root=root))
    environ = {"HADOOP_CONF_DIR": str(hdfs_pair.conf)}
    with running([STREAMJOB, "run", "job.yaml"], tmp_path, environ) as process:
        feed(2)
        wait_for(is_complete)
        feed(6)  # the name node is killed in the middle of their batches
        wait_for(lambda: len(rows("rows")) > 3)
        dead = hdfs_pair.active
        hdfs_pair.kill(dead)
        process.until("waiting for a system outside")
        hdfs_pair.fail_over()
        feed(2)
        wait_for(is_complete)
        hdfs_pair.start(dead)
        process.send(signal.SIGINT)
        assert process.wait() == 0, process.err
    assert is_complete()
    assert "the system outside answers again" in process.err


def test_the_store_asks_the_other_name_node_when_one_is_silent(
    hdfs_pair: HdfsPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = HdfsStore(f"{hdfs_pair.url}/store", str(hdfs_pair.conf))
    store.create("log/0", b"zero")
    version = store.replace("out", b"one", None)
    monkeypatch.setattr("streamjob_runtime.stores.hdfs_calls._ANSWER_S", 2.0)
    silent = hdfs_pair.active
    with hdfs_pair.frozen(silent):
        hdfs_pair.fail_over()
        # It may be the first that the next client asks, too, but not of the one after that.
        for _ in hdfs_pair.nodes:
            with suppress(Unavailable):
                store.stat("log/0")
        monkeypatch.undo()
        with pytest.raises(AlreadyExists):
            store.create("log/0", b"another")
        store.replace("out", b"two", version)
        with pytest.raises(AlreadyExists):
            store.replace("out", b"three", version)
        assert [(e.key, store.read(e.key)) for e in store.list()] == [("log/0", b"zero"), ("out", b"two")]
        prove_atomic_create(store, random.Random(1))
        hdfs_pair.kill(silent)
    hdfs_pair.start(silent)
    store.delete("out")
    assert [entry.key for entry in store.list("log/")] == ["log/0"]
