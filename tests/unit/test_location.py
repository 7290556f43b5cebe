"""Where a job's log is, when nobody says so."""

import json
from pathlib import Path

import pytest

from streamjob_api.models import StreamJob
from streamjob_runtime.checkpoint.records import Fence, Record, encode, log_key
from streamjob_runtime.cli.location import location_of, open_checkpoints
from streamjob_runtime.errors import JobError
from streamjob_runtime.stores.connections import Connections, Secrets


def job(location: str | None = None) -> StreamJob:
    spec = {
        "sources": [{"name": "s", "rate": {}}],
        "sinks": [{"from": "s", "console": {}}],
        **({"checkpoint": {"location": location}} if location else {}),
    }
    return StreamJob.model_validate(
        {"apiVersion": "streamjob.dev/v1alpha1", "kind": "StreamJob", "metadata": {"name": "job"}, "spec": spec}
    )


def write_log(folder: Path, version: str) -> None:
    (folder / "log").mkdir(parents=True)
    fence = Fence("1", "job", 0, {})
    (folder / log_key(0)).write_bytes(encode(Record(0, 1, "n", 0, version, fence))[1])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a manifest in its folder `jobs`."""
    (tmp_path / "jobs").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_job_is_the_same_one_from_every_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from_above = Path(location_of(job(), Path("jobs/job.yaml"), None)).absolute()
    monkeypatch.chdir(here / "jobs")
    assert Path(location_of(job(), Path("job.yaml"), None)).absolute() == from_above == here / "jobs/.streamjob/job"


@pytest.mark.parametrize("location", ["ck", "/var/ck", "s3://bucket/ck"])
def test_a_path_of_the_manifest_begins_at_its_folder_and_one_of_the_command_line_here(location: str) -> None:
    beside = {"ck": "jobs/ck"}.get(location, location)
    assert location_of(job(location), Path("jobs/job.yaml"), None) == beside
    assert location_of(job("other"), Path("jobs/job.yaml"), location) == location


def test_a_log_where_version_0_1_had_the_default_is_told_and_not_passed_over(here: Path) -> None:
    write_log(here / ".streamjob/job", "0.1.0")
    with pytest.raises(JobError, match=r"where version 0.1 put it.*mv .streamjob/job jobs/.streamjob/job"):
        location_of(job(), Path("jobs/job.yaml"), None)
    assert location_of(job(), Path("job.yaml"), None) == ".streamjob/job"
    assert location_of(job(), Path("jobs/job.yaml"), ".streamjob/job") == ".streamjob/job"
    (here / "jobs/.streamjob").mkdir()
    (here / ".streamjob/job").rename(here / "jobs/.streamjob/job")
    assert location_of(job(), Path("jobs/job.yaml"), None) == "jobs/.streamjob/job"


def test_the_log_of_another_job_of_the_same_name_is_none_of_this_one(here: Path) -> None:
    write_log(here / ".streamjob/job", "0.2.0")
    assert location_of(job(), Path("jobs/job.yaml"), None) == "jobs/.streamjob/job"


def test_a_folder_that_is_made_for_checkpoints_is_nobody_elses(here: Path) -> None:
    connections = Connections(None, Secrets(None, {}))
    open_checkpoints("jobs/.streamjob/job", connections).create("log/0", b"")
    assert (here / "jobs/.streamjob/job").stat().st_mode & 0o777 == 0o700
    assert (here / "jobs/.streamjob").stat().st_mode & 0o077
    (here / "own").mkdir(mode=0o750)
    open_checkpoints(str(here / "own"), connections).create("log/0", b"")
    assert (here / "own").stat().st_mode & 0o777 == 0o750


def test_what_is_no_log_is_left_alone(here: Path) -> None:
    (here / ".streamjob/job/log").mkdir(parents=True)
    (here / ".streamjob/job/log/000000000000").write_text(json.dumps({"format": 1}))
    assert location_of(job(), Path("jobs/job.yaml"), None) == "jobs/.streamjob/job"
