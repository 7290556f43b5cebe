"""`streamjob check` as a user and an operator meet it: it says what a run would say, and changes nothing."""

import json
import os
import re
import signal
import socket
import sys
from pathlib import Path

import pytest

from streamjob_runtime.engine.steps import Step
from support.command import STREAMJOB, running, streamjob
from support.minio import MinioServer
from support.runtime import TIMEOUT_S, Runtime, wait_for
from support.sources import LineServer

MANIFEST = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: job}
spec:
  batchInterval: 20ms
  sources: [{name: lines, files: {path: in/, maxFilesPerBatch: 1}, format: text}]
  tables: [{name: kinds, files: {path: kinds.csv}, format: csv, schema: {value: VARCHAR, label: VARCHAR}}]
  pipeline: [{name: v, sql: "SELECT label, count(*) AS n FROM lines JOIN kinds USING (value) GROUP BY label"}]
  sinks: [{from: v, mode: complete, files: {path: out/}, format: csv}]
  checkpoint: {location: ck}
"""
OLD = 1_700_000_000  # seconds; a file of that time is left alone by its writer


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A folder with a job's manifest and four files of input."""
    (tmp_path / "in").mkdir()
    for n in range(4):
        file = tmp_path / "in" / f"{n}.txt"
        file.write_text("a\n")
        os.utime(file, (OLD + n, OLD + n))
    (tmp_path / "kinds.csv").write_text("value,label\na,first\n")
    (tmp_path / "job.yaml").write_text(MANIFEST)
    return tmp_path


def change(job: Path, before: str, after: str) -> None:
    text = (job / "job.yaml").read_text()
    assert before in text
    (job / "job.yaml").write_text(text.replace(before, after))


def files(job: Path) -> dict[str, bytes]:
    return {str(f.relative_to(job)): f.read_bytes() for f in job.glob("**/*") if f.is_file()}


def test_a_new_job_in_order_is_checked_thing_by_thing(job: Path) -> None:
    before = files(job)
    checked = streamjob("check", "job.yaml", cwd=job)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.splitlines() == [
        "its form and its SQL: in order",
        f"the checkpoint location {job / 'ck'}: one of many creates at once wins",
        "the log there: there is none: the job starts from the beginning",
        f"the static table kinds: 1 file at {job}",
        f'sink "v.files": {job / "out"} answers',
        f'source "lines": 4 files at {job / "in"}/',
    ]
    assert files(job) == before


def test_a_folder_that_may_come_later_is_a_warning(job: Path) -> None:
    change(job, "path: in/", "path: inn/")
    checked = streamjob("check", "job.yaml", cwd=job)
    assert checked.returncode == 0
    last = checked.stdout.splitlines()[-1]
    assert last.startswith(f'source "lines": warning: there is no folder {job / "inn"}. Its files are read once')


def test_a_job_that_has_run_is_told_where_it_would_go_on(job: Path) -> None:
    killed = Runtime(job / "job.yaml", {}, at=(Step.COMMITTED, 2))
    assert killed.wait() < 0, killed.err
    before = files(job)
    checked = streamjob("check", "job.yaml", "--log-format", "json", "--termination-log", "../end", cwd=job)
    assert (checked.returncode, checked.stdout) == (0, "")
    lines = {line["what"]: line["found"] for line in map(json.loads, checked.stderr.splitlines())}
    said = r"fits; a start goes on from the (beginning|checkpoint of batch \d) and computes \d batch(es)? again"
    assert re.fullmatch(said, lines["the log there"])
    end = {"reason": "Done", "exitCode": 0, "message": "The job could start."}
    assert json.loads(job.with_name("end").read_text()) == end
    assert files(job) == before


NOW = "  trigger: availableNow\n  sources: [{name: lines, files: {path: "
WRONG = {
    "form": ("20ms", "20 ms"),
    "SQL": ("SELECT label", "SELECT lable"),
    "state": ("count(*) AS n", "sum(length(value)) AS n"),
    "another job's log": ("name: job}", "name: other}"),
    "another kind of source": (
        "lines, files: {path: in/, maxFilesPerBatch: 1}",
        "lines, tcp: {host: 127.0.0.1, port: 1}",
    ),
    "a missing table": ("files: {path: kinds.csv}, format", "files: {path: kind.csv}, format"),
    "a table of another form": ("label: VARCHAR}", "label: BIGINT}"),
    "a place that is none": ("location: ck", "location: job.yaml"),
    "a folder that is not there": ("  sources: [{name: lines, files: {path: in/", NOW + "inn/"),
    "a variable that nobody replaces": ("path: in/", "path: '${IN_DIR}'"),
    "a missing credential": ("path: out/", "path: 's3://bucket/out/'"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_said_in_the_words_of_run(job: Path, wrong: str) -> None:
    # Whose log it is, and what its state means, is said by a FENCE with a batch behind it. A table that cannot be read
    # is no reason to stop for a start that has its copy.
    if wrong in ("state", "another job's log", "another kind of source"):
        killed = Runtime(job / "job.yaml", {}, at=(Step.COMMITTED, 0))
        assert killed.wait() < 0, killed.err
    change(job, *WRONG[wrong])
    there = files(job)
    checked = streamjob("check", "job.yaml", "--termination-log", "../checked", cwd=job)
    assert checked.returncode == 78
    assert files(job) == there
    done = streamjob("run", "job.yaml", "--termination-log", "../ended", cwd=job)
    assert done.returncode == 78
    assert unnamed(job.with_name("checked").read_text()) == unnamed(job.with_name("ended").read_text())
    lines = [line for line in unnamed(done.stderr).splitlines(True) if not re.match(r"\d{4}-", line)]
    assert unnamed(checked.stderr) == "".join(lines)


def unnamed(text: str) -> str:
    """Without the random name of a proof's object."""
    return re.sub(r"proof/\w+", "proof/…", text)


def test_a_damaged_log_and_a_damaged_checkpoint_are_told_apart(job: Path) -> None:
    stopped = Runtime(job / "job.yaml", {}, at=(Step.COMMITTED, 3), number=signal.SIGTERM)
    assert stopped.wait() == 0, stopped.err
    for snapshot in (job / "ck" / "state" / "v").iterdir():
        snapshot.unlink()
    checked = streamjob("check", "job.yaml", cwd=job)
    assert checked.returncode == 0
    assert "checkpoint unusable" in checked.stderr
    assert "a start goes on from the beginning and computes 4 batches again" in checked.stdout
    sorted((job / "ck" / "log").iterdir())[1].unlink()
    checked = streamjob("check", "job.yaml", "--termination-log", "end", cwd=job)
    assert checked.returncode == 78
    assert "The log has no record log/000000000001" in checked.stderr
    assert json.loads((job / "end").read_text())["reason"] == "Damaged"


def test_a_server_that_is_down_is_named_and_worth_another_try(job: Path) -> None:
    server = LineServer()
    change(job, "files: {path: in/, maxFilesPerBatch: 1}", f"tcp: {{host: 127.0.0.1, port: {server.port}}}")
    checked = streamjob("check", "job.yaml", cwd=job)
    server.stop()
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.endswith(f'source "lines": 127.0.0.1:{server.port} takes connections\n')
    checked = streamjob("check", "job.yaml", "--termination-log", "end", cwd=job)
    assert checked.returncode == 75
    told = f'Source "lines": cannot connect to 127.0.0.1:{server.port}: Connection refused. Start its server.'
    assert checked.stderr == f"streamjob: {told}\n"
    assert json.loads((job / "end").read_text()) == {"reason": "Unavailable", "exitCode": 75, "message": told}


def test_a_running_job_is_not_disturbed(job: Path) -> None:
    with running([STREAMJOB, "run", "job.yaml"], job) as process:
        process.until("batch=3")
        for _ in range(3):
            checked = streamjob("check", "job.yaml", cwd=job)
            assert checked.returncode == 0, checked.stderr
        change(job, "count(*) AS n", "max(value) AS n")
        assert streamjob("check", "job.yaml", cwd=job).returncode == 78
        file = job / "in" / "late.txt"
        file.write_text("a\n")
        os.utime(file, (OLD + 9, OLD + 9))
        wait_for(lambda: '"first",5' in (job / "out" / "table.csv").read_text())
        process.send(signal.SIGTERM)
        assert process.wait() == 0, process.err


IMPATIENT = """
import sys
from pathlib import Path
from streamjob_runtime.cli.check import CheckOptions, check_job

sys.exit(check_job(CheckOptions(Path("job.yaml"), termination_log=Path("end")), patience_s={seconds}))
"""
KEYS = {"AWS_ACCESS_KEY_ID": "a-key", "AWS_SECRET_ACCESS_KEY": "a-secret"}


def s3(job: Path, port: int) -> None:
    change(job, "location: ck}", f"location: s3://bucket/ck}}\n  s3: {{endpoint: 'http://127.0.0.1:{port}'}}")


def test_a_store_that_is_down_ends_the_check_in_time(job: Path) -> None:
    s3(job, 1)
    script = IMPATIENT.format(seconds=0.5)
    with running([sys.executable, "-P", "-c", script], job, KEYS) as process:
        assert process.wait(TIMEOUT_S) == 75
    assert "waiting for a system outside" in process.err
    end = json.loads((job / "end").read_text())
    assert end["reason"] == "Unavailable"
    assert re.search(r"s3://bucket/ck/proof/\w+ at http://127.0.0.1:1 cannot be reached now .*refused", end["message"])


def test_a_store_that_does_not_answer_ends_the_check_in_time(job: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and never answers
        s3(job, silent.getsockname()[1])
        script = IMPATIENT.format(seconds=0.5)
        with running([sys.executable, "-P", "-c", script], job, KEYS) as process:
            assert process.wait(TIMEOUT_S) == 75
    end = json.loads((job / "end").read_text())
    assert end["message"] == "the checkpoint location s3://bucket/ck did not answer within 0.5 seconds. Try again."


@pytest.mark.parametrize("command", [["check"], ["checkpoints", "delete", "--yes"]], ids=" ".join)
def test_a_signal_ends_it_at_once(job: Path, command: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as rude:
        s3(job, rude.getsockname()[1])
        with running([STREAMJOB, *command, "job.yaml"], job, KEYS) as process:
            rude.settimeout(60)
            rude.accept()[0].close()  # asked, so it has begun, and it will ask again
            process.send(signal.SIGTERM)
            rude.close()
            assert process.wait(TIMEOUT_S) == 128 + signal.SIGTERM


def test_on_s3_nothing_stays_and_wrong_credentials_are_named(job: Path, minio: MinioServer) -> None:
    bucket = minio.create_bucket()
    store = minio.store(bucket)
    change(job, "location: ck}", f"location: s3://{bucket}/ck}}\n  s3: {{endpoint: '{minio.url}'}}")
    change(job, "path: out/", f"path: s3://{bucket}/out/")
    checked = streamjob("check", "job.yaml", cwd=job, environ=minio.environ)
    assert checked.returncode == 0, checked.stderr
    assert list(store.list()) == []
    store.close()
    wrong = streamjob("check", "job.yaml", cwd=job, environ={**minio.environ, "AWS_SECRET_ACCESS_KEY": "not-the-key"})
    assert wrong.returncode == 78
    assert "AWS_SECRET_ACCESS_KEY" in wrong.stderr
    assert "not-the-key" not in wrong.stderr
    change(job, f"s3://{bucket}/out/", "s3://no-such-bucket/out/")
    missing = streamjob("check", "job.yaml", cwd=job, environ=minio.environ)
    assert missing.returncode == 78
    assert "create the bucket" in missing.stderr
