"""What a user does with jobs on a cluster, by kubectl, and what kubectl says to it."""

import json
import secrets
from collections.abc import Iterator

import pytest

from streamjob_api import names
from support.jobs import Job, Jobs
from support.storage import BUCKET

SOON_S = 60
CONSOLE = {"from": "totals", "mode": "append", "console": {}}


def test_a_job_becomes_ready_and_kubectl_get_tells_how_it_fares(jobs: Jobs) -> None:
    job = jobs.job("views")
    job.feed(3)
    job.apply()
    job.wait_until_ready()
    job.wait_until_read()
    jobs.cluster.wait(lambda: job.status.get("lastCheckpoint"), what="a checkpoint in the status")
    header, row = jobs.cluster.kubectl("get", "stj", "views", "-n", jobs.namespace).splitlines()
    assert header.split() == ["NAME", "READY", "PHASE", "BATCH", "CHECKPOINT", "RESTARTS", "AGE"]
    name, ready, phase, batch, checkpoint, restarts, _ = row.split()
    assert (name, ready, phase, restarts) == ("views", "True", "Running", "0")
    assert int(batch) >= 0 and checkpoint.endswith("s")
    assert events(job) == ["Started"]

    uid = job.pods()[-1]["metadata"]["uid"]
    job.apply(restart={"maxFailures": 9}, nodeLoss={"after": "30s"}, deletion={"checkpoints": "Retain"})
    generation = jobs.cluster.get("stj", "views", jobs.namespace)["metadata"]["generation"]
    assert generation == 2
    job.wait_for("jsonpath={.status.observedGeneration}=2")
    assert job.condition("Progressing")["reason"] == "UpToDate"
    assert [pod["metadata"]["uid"] for pod in job.pods()] == [uid], "what only the operator reads needs no new pod"
    job.finish()


def test_a_changed_job_is_checked_drained_and_goes_on_with_what_it_had(jobs: Jobs) -> None:
    job = jobs.running("changed")
    revision = job.status["revision"]
    with job.fed():
        job.apply(batchInterval="100ms")
        job.wait_for_attempt(2)
        job.wait_until_read()
    job.finish()
    assert job.status["revision"] != revision
    assert job.status["restarts"] == 0, "nobody counts what was asked for"
    jobs.cluster.wait(lambda: not job.pods(names.ROLE_CHECK), what="the end of the check's pod")
    configs = jobs.cluster.objects("configmap", jobs.namespace, f"{names.LABEL_JOB}={job.name}")
    assert [config["metadata"]["name"] for config in configs] == [f"{job.name}-{job.status['revision']}"]
    assert events(job) == ["Started", "Updating", "Started"]


def test_a_value_of_a_config_map_that_changes_is_checked_and_the_job_goes_on_with_it(jobs: Jobs) -> None:
    def say(interval: str) -> None:
        data = {"BUCKET": BUCKET, "INTERVAL": interval}
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "varied"}, "data": data}
        jobs.cluster.apply(json.dumps(config), jobs.namespace)

    job = jobs.job("varied", variablesFrom=[{"configMapRef": {"name": "varied"}}], batchInterval="${INTERVAL}")
    location = job.spec["checkpoint"]["location"].replace(f"s3://{BUCKET}/", "s3://${BUCKET}/")
    job.feed(3)
    job.apply(checkpoint={**job.spec["checkpoint"], "location": location})
    assert "there is no ConfigMap varied" in job.wait_for_condition("Ready", "VariablesMissing")
    say("200ms")
    job.wait_until_ready()
    job.wait_until_read()
    assert job.status["checkpointLocation"].startswith(f"s3://{BUCKET}/")
    with job.fed():
        say("100ms")
        job.wait_for_attempt(2)
        job.wait_until_read()
    job.finish()
    assert job.status["restarts"] == 0
    assert events(job) == ["Started", "Updating", "Started"]


def test_a_change_that_does_not_fit_the_state_is_refused_until_it_is_undone(jobs: Jobs) -> None:
    job = jobs.running("refused")
    good = job.spec["pipeline"]
    with job.fed():
        totals = {"name": "totals", "sql": "SELECT kind, t, count(*) AS n, 0 AS total FROM events GROUP BY kind, t"}
        job.apply(pipeline=[totals, good[1]])
        said = job.wait_for_condition("Progressing", "ChangeRefused")
        assert "the job runs on as it was" in said
        assert "does not fit this job: totals changed" in said
        assert "Undo the change, or give the job a new checkpoint location" in said
        assert job.condition("Ready")["status"] == "True"
        job.apply(pipeline=good)
        job.wait_for_condition("Progressing", "UpToDate")
    job.finish()
    assert job.status["attempt"] == 1
    assert events(job) == ["Started", "ChangeRefused"]


def test_a_suspended_job_has_no_pod_and_goes_on_when_it_is_resumed(jobs: Jobs) -> None:
    job = jobs.running("suspended")
    with job.fed():
        job.apply(suspend=True)
        job.wait_for("condition=Suspended")
        jobs.cluster.wait(lambda: not job.pods(), what="the end of the pod")
    assert job.status["phase"] == "Suspended"
    written = job.versions("rows")
    job.feed(2)
    job.apply(suspend=False)
    job.wait_for_attempt(2)
    job.wait_until_read()
    assert job.versions("rows").items() >= written.items()
    job.finish()
    assert job.status["restarts"] == 0
    assert events(job) == ["Started", "Suspended", "Started"]


def test_a_job_that_has_read_all_there_was_is_complete(jobs: Jobs) -> None:
    job = jobs.job("once", trigger="availableNow")
    job.feed(9)
    job.end_feed()
    job.apply()
    job.wait_for("condition=Complete")
    job.wait_until_complete()
    assert job.status["phase"] == "Completed"
    assert "batch=" in jobs.cluster.logs(job.pod, jobs.namespace), "its pod stays, for its log"


def test_a_deleted_job_drains_and_keeps_its_checkpoint_or_does_not(jobs: Jobs) -> None:
    job = jobs.running("removed")
    job.delete()
    kept = job.versions("checkpoint")
    assert any("/state/" in key for key in kept)

    # Applied again, it goes on: what it has written stays, and is not written again.
    written = job.versions("rows")
    job.feed(2)
    job.apply(deletion={"checkpoints": "Delete"})
    job.wait_until_ready()
    job.wait_until_read()
    assert job.versions("rows").items() > written.items()
    job.finish()

    job.delete()
    assert not job.versions("checkpoint")
    jobs.cluster.wait(lambda: not job.pods() + job.pods(names.ROLE_CLEANUP), what="the end of all pods")
    assert job.versions("rows"), "what it has written is nobody's to delete"


def test_a_namespace_goes_with_the_jobs_in_it(jobs: Jobs) -> None:
    cluster = jobs.cluster
    name = f"test-{secrets.token_hex(4)}"
    cluster.kubectl("create", "namespace", name)
    other = Jobs(cluster, jobs.storage, name)
    job = other.running("passing", deletion={"checkpoints": "Delete"})
    cluster.kubectl("delete", "namespace", name, f"--timeout={SOON_S}s")
    assert not cluster.find("namespace", name)
    assert job.versions("checkpoint"), "nothing can be started in a namespace that goes, so the checkpoints stay"


# --- jobs that do not start


@pytest.fixture(scope="module")
def stuck(jobs_of_session: Jobs) -> Iterator[dict[str, Job]]:
    """Jobs that cannot run as they are, all applied at once."""
    with jobs_of_session.passing():
        wrong = {"pipeline": [{"name": "totals", "sql": "SELECT knd FROM events"}], "sinks": [CONSOLE]}
        connection = {"endpoint": jobs_of_session.storage.endpoint, "credentialsSecretRef": {"name": "absent"}}
        made = [
            jobs_of_session.job("wrong-sql", **wrong),
            jobs_of_session.job("no-secret", s3=connection),
            jobs_of_session.job("no-image", image="registry.invalid/team/runtime:1"),
            jobs_of_session.job("no-node", resources={"requests": {"cpu": "1000"}}),
            jobs_of_session.job("no-location", checkpoint={"interval": "1s"}),
        ]
        for job in made:
            job.apply()
        yield {job.name: job for job in made}


def test_wrong_sql_fails_at_once_in_the_words_of_validate(stuck: dict[str, Job]) -> None:
    job = stuck["wrong-sql"]
    said = job.wait_for_condition("Failed", "InvalidManifest")
    assert "spec.pipeline[0].sql: The step totals names the column knd, which is not there. Did you mean kind?" in said
    assert (job.status["attempt"], job.status["restarts"], job.status["phase"]) == (1, 0, "Failed")


def test_a_missing_secret_is_named_and_the_job_starts_when_it_is_there(stuck: dict[str, Job]) -> None:
    job = stuck["no-secret"]
    said = job.wait_for_condition("Ready", "SecretMissing")
    assert said.startswith(f'Secret "absent" is missing: create it in namespace "{job.namespace}"')
    secret = job.storage.secret()
    secret["metadata"]["name"] = "absent"
    job.cluster.apply(json.dumps(secret), job.namespace)
    job.wait_until_ready()
    assert job.status["attempt"] == 1


def test_an_image_that_cannot_be_pulled_is_named(stuck: dict[str, Job]) -> None:
    said = stuck["no-image"].wait_for_condition("Ready", "ImagePullFailed")
    assert said.startswith("the image registry.invalid/team/runtime:1 cannot be pulled")


def test_a_pod_that_fits_on_no_node_says_what_is_short(stuck: dict[str, Job]) -> None:
    said = stuck["no-node"].wait_for_condition("Ready", "Unschedulable")
    assert said.startswith("no node takes the pod") and "Insufficient cpu" in said


def test_a_job_without_a_place_for_checkpoints_says_how_to_get_one(stuck: dict[str, Job]) -> None:
    said = stuck["no-location"].wait_for_condition("Failed", "InvalidSpec")
    assert "spec.checkpoint.location is missing" in said
    assert not stuck["no-location"].pods()


def events(job: Job) -> list[str]:
    """The reasons of the job's Events, in the order in which kubectl shows them.

    Whether batches are too slow for the interval is the machine's affair.
    """
    shown = job.cluster.kubectl("events", "-n", job.namespace, "--for", f"stj/{job.name}", "--no-headers")
    return [reason for line in shown.splitlines() if (reason := line.split()[2]) != "BatchesTooSlow"]
