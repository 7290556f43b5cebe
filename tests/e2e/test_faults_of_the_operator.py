"""The operator may die, stall or be there twice: no job has two runtimes, and none stays behind its spec."""

from collections.abc import Iterator

import pytest

from support.cluster import Cluster
from support.jobs import Job, Jobs
from support.operator_process import OperatorProcess
from support.operator_release import OperatorRelease
from support.pod_history import PodHistory

LEASE_S = 60


@pytest.fixture
def unserved(operator: OperatorRelease, jobs: Jobs) -> Iterator[Jobs]:
    """Jobs that no operator looks after, but those that a test starts."""
    with operator.away():
        yield jobs


def test_an_operator_that_is_killed_after_any_step_is_made_up_for_by_the_next(unserved: Jobs) -> None:
    job = unserved.job("orphan")
    job.feed(3)
    with PodHistory(unserved.cluster, unserved.namespace, job.name) as history:
        job.apply()
        for step in ("Observed", "AddFinalizer", "CreateConfig", "CreatePod", "StatusWritten"):
            killed_at(job, step)
        with OperatorProcess(unserved.cluster, unserved.namespace):
            job.wait_until_ready()
        assert job.status["attempt"] == 1 and len(job.pods()) == 1
        job.wait_until_read()

        job.apply(batchInterval="100ms")
        for step in ("CreateConfig", "CreatePod", "DeletePod", "DeleteConfig", "StatusWritten"):
            killed_at(job, step)
        with OperatorProcess(unserved.cluster, unserved.namespace):
            job.wait_for_attempt(2)
        job.finish()

        job.cluster.kubectl("delete", "stj", job.name, "-n", job.namespace, "--wait=false")
        for step in ("DeletePod", "RemoveFinalizer"):
            killed_at(job, step)
        assert not job.cluster.find("stj", job.name, job.namespace)
    assert history.never_two(), (history.most_live, history.uids)
    assert sorted(history.uids) == ["orphan-1-0", "orphan-2-0"]


def test_two_operators_at_once(unserved: Jobs) -> None:
    cluster, namespace = unserved.cluster, unserved.namespace
    job = unserved.job("shared")
    job.feed(3)
    with (
        OperatorProcess(cluster, namespace),
        OperatorProcess(cluster, namespace),
        PodHistory(cluster, namespace, job.name) as history,
    ):
        job.apply()
        job.wait_until_ready()
        with job.fed():
            cluster.kill_in_pod(job.pod, namespace)
            job.wait_for_attempt(2)
            job.apply(batchInterval="100ms")
            job.wait_for_attempt(3)
            job.wait_until_read()
        job.finish()
    assert history.never_two(), (history.most_live, history.uids)
    assert sorted(history.uids) == ["shared-1-0", "shared-2-0", "shared-3-0"]
    # One may start the pod while the other has yet to write down why: then nobody counts it. Or it takes the pod that
    # the other has asked to end for one that has failed.
    assert job.status["restarts"] <= 2


def test_a_leader_that_stalls_is_replaced_and_steps_down_when_it_wakes(operator: OperatorRelease, jobs: Jobs) -> None:
    cluster = jobs.cluster
    operator.set_replicas(2)
    job = jobs.running("led")
    leader = operator.leader()
    pod = leader.partition("_")[0]
    with PodHistory(cluster, jobs.namespace, job.name) as history:
        cluster.kill_in_pod(pod, operator.namespace, "STOP")
        cluster.kill_in_pod(job.pod, jobs.namespace)
        cluster.wait(lambda: operator.leader() not in ("", leader), LEASE_S, "another leader")
        assert not operator.leader().startswith(pod)
        job.wait_for_attempt(2)
        cluster.kill_in_pod(pod, operator.namespace, "CONT")
        cluster.wait(lambda: restarts(cluster, operator, pod) == 1, what="the end of the old leader's process")
        job.feed(3)
        job.finish()
    assert history.never_two(), (history.most_live, history.uids)
    assert job.status["attempt"] == 2
    operator.set_replicas(1)


def killed_at(job: Job, step: str) -> None:
    """One operator's life, which ends by kill -9 as soon as the step is done."""
    with OperatorProcess(job.cluster, job.namespace, (step, 0)) as process:
        process.wait_until_killed()


def restarts(cluster: Cluster, operator: OperatorRelease, pod: str) -> int:
    """How often a pod's process was started again."""
    (status,) = cluster.get("pod", pod, operator.namespace)["status"]["containerStatuses"]
    return int(status["restartCount"])
