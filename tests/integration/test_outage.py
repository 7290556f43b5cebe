"""A store that fails or hangs: the job waits, says so, loses nothing and goes on."""

import json
import re
import signal
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamjob_runtime.stores.s3 import S3Store
from support.command import STREAMJOB, Running, running
from support.minio import MinioServer
from support.proxy import HANG_BEFORE, proxy
from support.runtime import wait_for

MANIFEST = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: job}}
spec:
  batchInterval: 50ms
  sources: [{{name: lines, files: {{path: s3://{bucket}/in/, maxFilesPerBatch: 1}}, format: text}}]
  pipeline: [{{name: v, sql: SELECT value FROM lines}}]
  sinks: [{{from: v, files: {{path: s3://{bucket}/out/}}, format: json}}]
  checkpoint: {{location: s3://{bucket}/ck}}
  s3: {{endpoint: "{endpoint}"}}
"""


class Job:
    """A job on S3 with its HTTP server."""

    def __init__(self, process: Running, store: S3Store) -> None:
        self.process = process
        self.store = store
        process.until("serving http://")
        found = re.search(r"serving (http://\S+)/", process.err)
        assert found is not None
        self.url = found[1]
        self._put = 0

    def put(self, files: int) -> None:
        """Give it that many more files, of one line each."""
        for _ in range(files):
            self.store.create(f"in/{self._put:03d}.txt", f"line {self._put}\n".encode())
            self._put += 1

    def has_written_all(self) -> bool:
        rows = [
            json.loads(row)["value"]
            for entry in self.store.list("out/")
            for row in self.store.read(entry.key).splitlines()
        ]
        counts = Counter(rows)
        assert all(count == 1 for count in counts.values()), counts
        return set(counts) == {f"line {n}" for n in range(self._put)}

    def ready(self) -> tuple[int, dict[str, str]]:
        """The status and the body of /readyz."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def alive(self) -> bool:
        with urllib.request.urlopen(f"{self.url}/healthz", timeout=10) as answer:
            return bool(answer.status == 200)


@contextmanager
def job(folder: Path, server: MinioServer, endpoint: str) -> Iterator[Job]:
    bucket = server.create_bucket()
    (folder / "job.yaml").write_text(MANIFEST.format(bucket=bucket, endpoint=endpoint))
    store = server.store(bucket)
    try:
        with running([STREAMJOB, "run", "job.yaml", "--http-port", "0"], folder, server.environ) as process:
            made = Job(process, store)
            made.put(5)
            wait_for(made.has_written_all)
            assert made.ready()[0] == 200
            yield made
    finally:
        store.close()


def goes_on_and_ends(made: Job, server: MinioServer) -> None:
    wait_for(lambda: made.ready()[0] == 200)
    made.put(5)
    wait_for(made.has_written_all)
    made.process.send(signal.SIGINT)
    assert made.process.wait() == 0, made.process.err
    assert made.has_written_all()
    assert "the system outside answers again" in made.process.err
    assert server.secret_key not in made.process.err + made.process.out


def test_a_store_that_is_killed_and_comes_back(tmp_path: Path, own_minio: MinioServer) -> None:
    with job(tmp_path, own_minio, own_minio.url) as made:
        made.put(20)  # the store goes away in the middle of their batches, or soon after
        own_minio.kill()
        wait_for(lambda: made.ready()[0] == 503)
        status, body = made.ready()
        assert (status, body["reason"]) == (503, "Waiting")
        assert re.search(r"(checkpoint store|source|sink).* has failed for .* and is tried again", body["message"])
        assert made.alive()
        assert "waiting for a system outside" in made.process.err
        own_minio.start()
        goes_on_and_ends(made, own_minio)


def test_a_store_that_hangs_and_answers_again(tmp_path: Path, minio: MinioServer) -> None:
    with proxy(minio.port) as between, job(tmp_path, minio, between.url) as made:
        between.hang_s, between.every = 2.0, HANG_BEFORE
        made.put(5)
        wait_for(lambda: made.ready()[0] == 503)
        assert made.ready()[1]["reason"] == "Waiting"
        assert made.alive()
        between.every = None
        goes_on_and_ends(made, minio)
