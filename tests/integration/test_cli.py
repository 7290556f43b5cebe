"""The command as a user meets it: how it ends, what it says, and what its checkpoints tell."""

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from streamjob_operator.answers import last_batch, last_checkpoint
from streamjob_runtime.engine.steps import Step
from support.command import STREAMJOB, Running, running, streamjob
from support.minio import MinioServer
from support.runtime import TIMEOUT_S, Runtime, wait_for

OLD = 1_700_000_000  # seconds; a file of that time is left alone by its writer

MANIFEST = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: job}
spec:
  batchInterval: 20ms
  trigger: availableNow
  sources: [{name: lines, files: {path: in/, maxFilesPerBatch: 1}, format: text}]
  pipeline: [{name: v, sql: SELECT value FROM lines}]
  sinks: [{from: v, files: {path: out/}, format: csv}]
  checkpoint: {location: ck}
""".lstrip()


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A folder with a job's manifest, job.yaml, and four files of input."""
    (tmp_path / "in").mkdir()
    for n in range(4):
        file = tmp_path / "in" / f"{n}.txt"
        file.write_text(f"line {n}\n")
        os.utime(file, (OLD + n, OLD + n))
    (tmp_path / "job.yaml").write_text(MANIFEST)
    return tmp_path


def change(job: Path, before: str, after: str) -> None:
    text = (job / "job.yaml").read_text()
    assert before in text
    (job / "job.yaml").write_text(text.replace(before, after))


def test_a_job_that_is_done_ends_with_0(job: Path) -> None:
    done = streamjob("run", "job.yaml", "--termination-log", "end", "--log-format", "json", cwd=job)
    assert done.returncode == 0, done.stderr
    end = json.loads((job / "end").read_text())
    assert (end["reason"], end["exitCode"], end["message"]) == ("Done", 0, "The job is done.")
    # As the operator reads it, who may not have asked the job before its end.
    batch = last_batch(end["batch"])
    assert (batch["id"], batch["inputRows"], batch["lag"]) == (3, 1, 0)
    assert last_checkpoint(end["checkpoint"])["batch"] == 3
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["rows"] for line in lines if line["message"] == "batch"] == [1, 1, 1, 1]


@pytest.mark.parametrize("schema", ["{word: VARCHAR, n: INT, a: INT}", "{a: INT, n: INT, word: VARCHAR}"])
@pytest.mark.parametrize(
    ("header", "columns", "line", "written"),
    [
        ("false", ", columns: [word, n, a]", "x,1,2\n", '"word","n","a"\n"x",1,2\n'),
        ("true", "", "word,n,a\nx,1,2\n", '"a","n","word"\n2,1,"x"\n'),
    ],
    ids=["as columns says", "as the alphabet"],
)
def test_the_order_of_columns_is_not_that_of_the_schemas_fields(
    job: Path, schema: str, header: str, columns: str, line: str, written: str
) -> None:
    """The API server sorts the fields of an object, and a manifest gives the same result on a laptop."""
    change(job, "path: in/", f"path: csv/, header: {header}")
    change(job, "format: text", f"format: csv, schema: {schema}{columns}")
    change(job, "SELECT value", "SELECT *")
    (job / "csv").mkdir()
    (job / "csv" / "rows.csv").write_text(line)
    os.utime(job / "csv" / "rows.csv", (OLD, OLD))
    done = streamjob("run", "job.yaml", cwd=job)
    assert done.returncode == 0, done.stderr
    assert [part.read_text() for part in (job / "out").glob("*.csv")] == [written]


@pytest.mark.parametrize(
    "arguments",
    [
        ("missing.yaml",),
        ("in",),
        ("job.yaml", "--checkpoint", ""),
        ("job.yaml", "--secrets", "none"),
        ("job.yaml", "--x"),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(job: Path, arguments: tuple[str, ...]) -> None:
    done = streamjob("run", *arguments, cwd=job)
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: streamjob run")


S3 = "location: s3://bucket/ck}\n  s3: {endpoint: 'http://127.0.0.1:1', credentialsSecretRef: {name: minio}}"
WRONG = {
    "no object of ours": (MANIFEST, "", "job.yaml:1:1: holds no StreamJob"),
    "two": (MANIFEST, MANIFEST + "---\n" + MANIFEST, "job.yaml:12:1: holds a second StreamJob; give each its own file"),
    "form": ("20ms", "20 ms", "job.yaml:5:18: spec.batchInterval: must be a duration"),
    "sql": (
        "SELECT value",
        "SELECT valu",
        "spec.pipeline[0].sql: The step v names the column valu, which is not there.",
    ),
    "a file in the way": ("location: ck", "location: job.yaml/ck", "a file stands where a folder is needed"),
    "a file system without folders": ("location: ck", "location: /proc/ck", "lets nobody make a folder there"),
    "a folder that is not there": ("path: in/", "path: inn/", "there is no folder"),
    "a file that is not there": ("path: in/,", "path: inn,", "there is no file or folder"),
    "a variable that nobody replaces": ("path: in/", "path: '${IN_DIR}/in/'", "the variable IN_DIR has no value"),
    "one in a sink": ("path: out/", "path: '${OUT_DIR}/'", "the variable OUT_DIR has no value"),
    "one in the checkpoint's place": ("location: ck", "location: '$(CK)/ck'", "$(CK) stands there as it is"),
    "no secret": ("location: ck}", S3, "There is no Secret 'minio': no folder secrets/minio."),
    "another job's log": ("name: job}", "name: other}", "belongs to the job 'job', and this is 'other'"),
}


@pytest.mark.parametrize(("before", "after", "says"), WRONG.values(), ids=WRONG)
def test_a_job_that_is_wrong_ends_with_78_and_one_line(job: Path, before: str, after: str, says: str) -> None:
    if "other" in after:
        assert streamjob("run", "job.yaml", cwd=job).returncode == 0
    change(job, before, after)
    (job / "secrets").mkdir()
    done = streamjob("run", "job.yaml", "--secrets", "secrets", "--termination-log", "end", cwd=job)
    assert done.returncode == 78
    (line,) = [line for line in done.stderr.splitlines() if " INFO " not in line]
    assert says in line
    end = json.loads((job / "end").read_text())
    assert (end["exitCode"], f"{end['message']}") == (78, line.removeprefix("streamjob: "))
    assert end["reason"] in ("InvalidManifest", "JobError")


def test_run_says_the_same_lines_as_validate(job: Path) -> None:
    change(job, "SELECT value FROM lines", "SELECT valu FROM lines ORDER BY value")
    change(job, "format: csv}]", "format: csv}, {from: v, mode: complete, console: {}}]")
    checked = streamjob("validate", "job.yaml", cwd=job)
    assert checked.returncode == 1
    ran = streamjob("run", "job.yaml", cwd=job)
    assert ran.returncode == 78
    assert checked.stdout
    assert ran.stderr.endswith(checked.stdout)
    looked = streamjob("checkpoints", "list", "job.yaml", cwd=job)
    assert looked.returncode == 0  # a log can be read whatever the SQL says
    assert looked.stdout.startswith("There is no log at ")


def test_a_port_that_is_taken_ends_with_75(job: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = streamjob("run", "job.yaml", "--http-port", port, "--termination-log", "end", cwd=job)
    assert done.returncode == 75
    assert done.stderr.startswith(f"streamjob: port {port} on 127.0.0.1 is taken by another process; choose another")
    assert json.loads((job / "end").read_text())["reason"] == "Unavailable"


def test_a_reason_that_cannot_be_written_is_said_and_changes_nothing(job: Path) -> None:
    done = streamjob("run", "job.yaml", "--termination-log", "none/end", cwd=job)
    assert done.returncode == 0
    assert "none/end cannot be written: No such file or directory" in done.stderr


SCRIPT = """
import os, signal, sys, threading
from pathlib import Path
from streamjob_runtime.cli.run import RunOptions, run_job
from streamjob_runtime.engine.steps import Step, no_hook

def crash(step, batch):
    if step is Step.COMPUTED:
        raise RuntimeError("a fault of ours")

def interrupt_twice(step, batch):
    if step is Step.INTENDED:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(60)  # whatever the job is busy with

options = RunOptions(Path("job.yaml"), log_format="json", termination_log=Path("end"))
sys.exit(run_job(options, {hook}, grace_s=0.3))
"""


@contextmanager
def script(job: Path, hook: str = "no_hook", environ: Mapping[str, str] | None = None) -> Iterator[Running]:
    """`streamjob run job.yaml --termination-log end --log-format json` with a hook and a short patience."""
    with running([sys.executable, "-P", "-c", SCRIPT.replace("{hook}", hook)], job, environ) as process:
        yield process


def test_a_fault_of_ours_ends_with_1_and_its_traceback(job: Path) -> None:
    with script(job, "crash") as process:
        assert process.wait() == 1
    last = json.loads(process.err.splitlines()[-1])
    assert (last["message"], last["reason"], last["exitCode"]) == ("a fault of ours", "InternalError", 1)
    assert "in crash" in last["traceback"]
    assert json.loads((job / "end").read_text())["exitCode"] == 1


def test_the_first_interrupt_finishes_the_batch_and_takes_a_checkpoint(job: Path) -> None:
    change(job, "  trigger: availableNow\n", "")
    stopped = Runtime(job / "job.yaml", {}, at=(Step.INTENDED, 1), number=signal.SIGINT)
    assert stopped.wait() == 0, stopped.err
    # The exit code is that of a job that is done, and only here stands that this one is not.
    assert json.loads(stopped.termination.read_text())["reason"] == "Stopped"
    listed = streamjob("checkpoints", "list", "job.yaml", cwd=job).stdout.splitlines()
    assert listed[1].split()[0] == "1"
    assert listed[-1] == "The next start loads the checkpoint of batch 1, and goes on with batch 2."
    assert len(list(job.glob("out/*.csv"))) == 2


def test_the_second_interrupt_ends_it_at_once(job: Path) -> None:
    with script(job, "interrupt_twice") as process:
        assert process.wait(TIMEOUT_S) == 128 + signal.SIGINT
    assert (job / "end").read_text() == ""  # nothing is said
    shown = streamjob("checkpoints", "list", "job.yaml", cwd=job).stdout
    assert shown.endswith("finishes batch 0, which was under way, and goes on with batch 1.\n")


def test_a_signal_before_the_job_is_even_read_ends_it_by_its_own_hand(job: Path) -> None:
    """A container's first process has no other: the kernel does nothing with a signal that it does not handle."""
    (job / "job.yaml").unlink()
    os.mkfifo(job / "job.yaml")
    with running([STREAMJOB, "run", "job.yaml"], job) as process, (job / "job.yaml").open("w"):
        process.send(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == 128 + signal.SIGTERM


@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
def test_a_store_that_is_not_there_is_waited_for_until_an_interrupt(job: Path, twice: bool) -> None:
    change(job, "location: ck}", S3)
    keys = {"AWS_ACCESS_KEY_ID": "a-key", "AWS_SECRET_ACCESS_KEY": "a-secret"}
    with script(job, environ=keys) as process:
        process.until("Connection refused")
        process.send(signal.SIGINT)
        if twice:
            process.until("once more to stop at once")
            process.send(signal.SIGINT)
        assert process.wait(TIMEOUT_S) in ((130, 75) if twice else (75,))
    lines = [json.loads(line) for line in process.err.splitlines()]
    told = [line for line in lines if line["message"] == "waiting for a system outside"]
    assert told[0]["what"] == "the checkpoint store s3://bucket/ck"
    assert len({line["n"] for line in told}) >= len(told) - 2  # sixteen threads have the same trouble
    if not twice:
        end = json.loads((job / "end").read_text())
        assert (end["reason"], end["exitCode"]) == ("Unavailable", 75)
    assert "a-secret" not in process.err + process.out


def test_a_call_that_hangs_does_not_hold_up_the_end_for_ever(job: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and never answers
        change(job, "location: ck}", S3.replace("127.0.0.1:1'", f"127.0.0.1:{silent.getsockname()[1]}'"))
        with script(job, environ={"AWS_ACCESS_KEY_ID": "a-key", "AWS_SECRET_ACCESS_KEY": "a-secret"}) as process:
            process.until("starting job")
            silent.accept()[0].close()  # asked, so it is waiting for an answer
            process.send(signal.SIGINT)
            assert process.wait(TIMEOUT_S) == 75
    end = json.loads((job / "end").read_text())
    assert end["reason"] == "Unavailable"
    assert "was asked to stop and waited for systems outside" in end["message"]
    assert json.loads(process.err.splitlines()[-1])["message"] == end["message"]


def test_a_folder_that_is_not_there_yet_is_waited_for_and_said_once(job: Path) -> None:
    change(job, "  trigger: availableNow\n", "")
    (job / "in").rename(job / "later")
    with script(job) as process:
        process.until(f"there is no file to read at {job / 'in'}/ yet")
        (job / "later").rename(job / "in")
        wait_for(lambda: len(list(job.glob("out/*.csv"))) == 4)
        process.send(signal.SIGTERM)
        assert process.wait() == 0, process.err
    assert process.err.count("there is no file to read") == 1


def test_wrong_credentials_are_named_and_not_shown(job: Path, minio: MinioServer) -> None:
    bucket = minio.create_bucket()
    change(job, "location: ck}", f"location: s3://{bucket}/ck}}\n  s3: {{endpoint: '{minio.url}'}}")
    keys = {"AWS_ACCESS_KEY_ID": minio.access_key, "AWS_SECRET_ACCESS_KEY": "not-the-secret-key"}
    for style in ("text", "json"):
        done = streamjob("run", "job.yaml", "--termination-log", "end", "--log-format", style, cwd=job, environ=keys)
        assert done.returncode == 78
        assert "AWS_SECRET_ACCESS_KEY" in done.stderr
        for text in (done.stdout, done.stderr, (job / "end").read_text()):
            assert not any(value in text for value in keys.values())
    looked = streamjob("checkpoints", "verify", "job.yaml", cwd=job, environ=keys)
    assert looked.returncode == 78
    assert not any(value in looked.stdout + looked.stderr for value in keys.values())
