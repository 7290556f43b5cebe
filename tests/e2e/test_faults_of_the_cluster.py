"""A node, the API server or the store fails for a while: no job writes anything twice, and each goes on by itself."""

import json
import time

from support.cluster import Cluster, CommandFailed
from support.jobs import Job, Jobs

MINUTE_S = 60
LOOK_S = 2
LONG_S = 180
API_SERVER = "kube-apiserver"


def test_a_frozen_node_that_thaws_after_its_job_was_started_elsewhere(jobs: Jobs) -> None:
    cluster = jobs.cluster
    _, node = cluster.workers()
    job = jobs.running("frozen", nodeLoss={"after": "2s"}, podTemplate={"affinity": prefers(node)})
    assert cluster.node_of(job.pod, jobs.namespace) == node
    _, process = cluster.process_of(job.pod, jobs.namespace)

    with job.fed():
        cluster.pause_node(node)
        job.wait_for_attempt(2, LONG_S)
        job.wait_until_read()
    assert job.status["lastFailure"]["reason"] == "NodeLost"
    assert cluster.node_of(job.pod, jobs.namespace) != node
    job.finish()
    # With the new process out of the way, whatever is written from now on is written by the old one.
    job.apply(suspend=True)
    job.wait_for("condition=Suspended")
    before = written(job)
    cluster.unpause_node(node)
    cluster.wait(lambda: not cluster.runs(node, process), LONG_S, "the end of the old process")
    assert written(job) == before


def test_an_api_server_that_is_killed(jobs: Jobs) -> None:
    cluster = jobs.cluster
    job = jobs.running("unwatched")
    with job.fed():
        node, process = cluster.process_of(f"{API_SERVER}-{control_plane(cluster)}", "kube-system")
        cluster.kill(node, process)
        cluster.wait(lambda: not cluster.runs(node, process), what="the end of the API server")
        cluster.wait(lambda: answers(cluster), LONG_S, "an API server")
        cluster.kill_in_pod(job.pod, jobs.namespace)
        job.wait_for_attempt(2)
        job.wait_until_read()
    job.finish()
    assert len([pod for pod in job.pods() if pod["status"]["phase"] == "Running"]) == 1


def test_a_store_that_is_away_for_a_minute(jobs: Jobs) -> None:
    cluster = jobs.cluster
    job, other = jobs.running("waiting"), jobs.running("starting")
    for each in (job, other):
        each.feed(3)
    with jobs.storage.frozen():
        began = time.monotonic()
        cluster.kill_in_pod(other.pod, jobs.namespace)
        said = job.wait_for_condition("Degraded", "Waiting")
        assert "is tried again" in said
        # The runtime told the operator of it; the kubelet's probes may say so some seconds later.
        job.wait_for_condition("Ready", "Waiting")
        while time.monotonic() < began + MINUTE_S:
            ready = job.condition("Ready")
            assert (ready["status"], ready["reason"]) == ("False", "Waiting")
            assert [pod["status"]["phase"] for pod in job.pods()] == ["Running"], "a job that waits is not killed"
            time.sleep(LOOK_S)
    for each in (job, other):
        each.wait_until_ready()
        each.feed(3)
        each.finish()
    job.wait_for_condition("Degraded", "AsExpected")
    assert job.status["attempt"] == 1 and other.status["attempt"] == 2


def prefers(node: str) -> dict[str, object]:
    """The affinity of a pod that goes elsewhere only when that node is lost."""
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    term = {"weight": 100, "preference": {"matchExpressions": [here]}}
    return {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term]}}


def written(job: Job) -> dict[str, str]:
    """All that counts of what the job has written: a snapshot's file counts only when the log names it."""
    found = {key: version for part in ("rows", "windows", "totals") for key, version in job.versions(part).items()}
    return found | job.versions("checkpoint/log")


def control_plane(cluster: Cluster) -> str:
    """The node of the API server."""
    nodes = json.loads(cluster.kubectl("get", "nodes", "-l", "node-role.kubernetes.io/control-plane", "-o", "json"))
    return str(nodes["items"][0]["metadata"]["name"])


def answers(cluster: Cluster) -> bool:
    """Whether the API server does."""
    try:
        cluster.kubectl("get", "--raw", "/readyz", "--request-timeout=2s")
    except CommandFailed:
        return False
    return True
