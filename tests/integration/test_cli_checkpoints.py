"""`streamjob checkpoints` on the log of a job that was killed: what it shows, and the damage it finds."""

import json
import os
import pty
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streamjob_runtime.engine.steps import Step
from support.command import STREAMJOB, streamjob
from support.runtime import Runtime

MANIFEST = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: job}}
spec:
  batchInterval: 10ms
  sources: [{{name: lines, tcp: {{host: 127.0.0.1, port: {port}}}, format: text}}]
  tables: [{{name: kinds, files: {{path: kinds.csv}}, format: csv, schema: {{value: VARCHAR, label: VARCHAR}}}}]
  pipeline: [{{name: v, sql: "SELECT label, count(*) AS n FROM lines JOIN kinds USING (value) GROUP BY label"}}]
  sinks: [{{from: v, mode: complete, files: {{path: out/}}, format: csv}}]
  checkpoint: {{location: ck}}
"""


@contextmanager
def sender() -> Iterator[int]:
    """A TCP server that sends a line every few milliseconds; its port."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)

        def send() -> None:
            while not done.is_set():
                try:
                    connection, _ = server.accept()
                    with connection:
                        while not done.wait(0.005):
                            connection.sendall(b"a\n")
                except OSError:
                    continue

        thread = threading.Thread(target=send)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            done.set()
            thread.join(10)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a job that was killed after a commit, with checkpoints and batches since the last."""
    folder = tmp_path_factory.mktemp("killed") / "job"
    folder.mkdir()
    (folder / "kinds.csv").write_text("value,label\na,first\n")
    with sender() as port:
        (folder / "job.yaml").write_text(MANIFEST.format(port=port))
        runtime = Runtime(folder / "job.yaml", {}, at=(Step.COMMITTED, 23))
        assert runtime.wait() < 0, runtime.err
    return folder


@pytest.fixture
def job(killed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(killed, tmp_path / "job"))


def test_list_says_which_there_are_and_what_a_restart_would_do(job: Path) -> None:
    listed = streamjob("checkpoints", "list", "job.yaml", cwd=job)
    assert listed.returncode == 0
    head, *rows, last = listed.stdout.splitlines()
    assert re.split(" {2,}", head.strip()) == ["AFTER BATCH", "OF", "WATERMARK", "STATE", "SIZE", "WHAT IT IS FOR"]
    assert rows[0].rstrip().endswith("a start goes on from here")
    assert all("in reserve" in row for row in rows[1:])
    batches = [int(row.split()[0]) for row in rows]
    assert batches and batches == sorted(batches, reverse=True)
    first = batches[0] + 1
    which = {24: "", 23: "computes batch 23"}.get(first, f"computes the batches {first} to 23")
    again = f", {which} again, whose results are written already" if which else ""
    assert last == f"The next start loads the checkpoint of batch {batches[0]}{again}, and goes on with batch 24."


def test_a_watermark_that_is_not_ahead_is_not_set_back(job: Path) -> None:
    unasked = streamjob("checkpoints", "reset-watermark", "job.yaml", cwd=job)
    assert unasked.returncode == 2 and "give --yes" in unasked.stderr
    killed = streamjob("checkpoints", "reset-watermark", "job.yaml", "--yes", cwd=job)
    assert killed.returncode == 78 and "did not stop in good order" in killed.stderr
    before = sorted((job / "ck" / "log").iterdir())
    assert sorted((job / "ck" / "log").iterdir()) == before


def test_show_says_each_record_in_a_line(job: Path) -> None:
    shown = streamjob("checkpoints", "show", "job.yaml", cwd=job)
    assert shown.returncode == 0
    commits = re.findall(r"^\d+ +1 +COMMIT +batch (\d+): \d+ rows? in, 1 out *$", shown.stdout, re.M)
    assert commits[-1] == "23"
    assert re.search(r"INTENT +batch 23 at \S+Z; lines: \S+\[\d+, \d+\); table kinds version \w+", shown.stdout)


def test_a_whole_log_is_whole(job: Path) -> None:
    verified = streamjob("checkpoints", "verify", "job.yaml", cwd=job)
    assert (verified.returncode, verified.stderr) == (0, "")
    assert re.fullmatch(r"\d+ log records and \d+ snapshot files read at \S+/ck: all whole\n", verified.stdout)


def removed(file: Path) -> None:
    file.unlink()


def changed(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


DAMAGE = {
    "a record changed": ("log/*", -2, changed),
    "the newest record changed": ("log/*", -1, changed),
    "a record removed": ("log/*", -2, removed),
    "a snapshot changed": ("state/v/*", -1, changed),
    "a snapshot removed": ("state/v/*", -1, removed),
    "the sources' snapshot changed": ("state/@sources/*", -1, changed),
    "the sources' snapshot removed": ("state/@sources/*", -1, removed),
    "a table's copy changed": ("tables/kinds/*", -1, changed),
    "a table's copy removed": ("tables/kinds/*", -1, removed),
    "received lines changed": ("wal/lines/*", -1, changed),
    "received lines removed": ("wal/lines/*", -1, removed),
}


@pytest.mark.parametrize(("pattern", "which", "damage"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_found_and_named(job: Path, pattern: str, which: int, damage: object) -> None:
    log = "".join(record.read_text() for record in (job / "ck" / "log").iterdir())
    # The newest snapshot counts for nothing if the job was killed before a record named it.
    counting = [f for f in (job / "ck").glob(pattern) if f.is_file() and ("/state/" not in str(f) or f.stem in log)]
    file = sorted(counting)[which]
    assert callable(damage)
    damage(file)
    verified = streamjob("checkpoints", "verify", "job.yaml", cwd=job)
    assert verified.returncode == 1, verified.stdout
    lines = [line for line in verified.stdout.splitlines() if line.startswith("damaged: ")]
    assert any(str(file.relative_to(job / "ck")) in line for line in lines), verified.stdout


def objects(job: Path) -> list[str]:
    return [str(f.relative_to(job / "ck")) for f in (job / "ck").glob("**/*") if f.is_file()]


def newest_record(job: Path) -> int:
    return max(int(f.name) for f in (job / "ck" / "log").iterdir())


def test_delete_removes_all_that_the_job_has_kept(job: Path) -> None:
    (job / "ck" / "notes.txt").write_text("mine")
    count = len(objects(job))  # the FENCE of the deletion comes, the notes stay
    first = f"{count} objects of the job job deleted at {job / 'ck'}."
    for said in (first, f"There is nothing of the job job at {job / 'ck'}."):
        deleted = streamjob("checkpoints", "delete", "job.yaml", "--yes", "--termination-log", "end", cwd=job)
        assert (deleted.returncode, deleted.stdout, deleted.stderr) == (0, said + "\n", "")
        assert objects(job) == ["notes.txt"]
        end = json.loads((job / "end").read_text())
        assert (end["reason"], end["exitCode"]) == ("Done", 0)
    assert list((job / "out").iterdir())  # results are not the checkpoint's


def test_delete_asks_and_where_nobody_answers_wants_yes(job: Path) -> None:
    before = objects(job)
    deleted = streamjob("checkpoints", "delete", "job.yaml", cwd=job)
    assert deleted.returncode == 2
    assert "give --yes" in deleted.stderr
    assert objects(job) == before


def test_delete_refuses_another_jobs_log(job: Path) -> None:
    before = objects(job)
    text = (job / "job.yaml").read_text()
    (job / "job.yaml").write_text(text.replace("name: job}", "name: other}"))
    deleted = streamjob("checkpoints", "delete", "job.yaml", "--yes", "--termination-log", "end", cwd=job)
    assert deleted.returncode == 78
    assert "belongs to the job 'job', and this is 'other'" in deleted.stderr
    assert json.loads((job / "end").read_text())["reason"] == "JobError"
    assert objects(job) == before


@pytest.mark.parametrize(("answer", "left"), [("n", True), ("y", False)])
def test_delete_asks_in_a_terminal(job: Path, answer: str, left: bool) -> None:
    terminal, inner = pty.openpty()
    try:
        os.write(terminal, answer.encode() + b"\n")
        done = subprocess.run(
            [STREAMJOB, "checkpoints", "delete", "job.yaml"],
            cwd=job,
            stdin=inner,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(terminal)
        os.close(inner)
    assert done.returncode == 0, done.stderr
    assert f"Delete the log and the state of the job job at {job / 'ck'}? [y/N]" in done.stdout + done.stderr
    assert bool(objects(job)) is left
