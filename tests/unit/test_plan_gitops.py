"""What GitOps tools make of a job, told as what happens to it."""

import pytest

from streamjob_api.names import ROLE_CHECK, ROLE_RUNTIME
from streamjob_operator.backoff import RestartPolicy
from streamjob_operator.policy import Policy
from support.cluster_model import ClusterModel
from support.kstatus import kstatus, waits_no_more


def tree(cluster: ClusterModel) -> dict[str, object]:
    # A job without a status has the default of its CRD.
    status = cluster.status or {"observedGeneration": -1}
    gone = {"deletionTimestamp": "2026-11-21T12:00:00Z"} if cluster.deleting else {}
    return {"metadata": {"generation": cluster.generation, **gone}, "status": status}


def seen(cluster: ClusterModel) -> tuple[str, bool]:
    """What kstatus says, and whether `kubectl wait --for=condition=Ready` ends."""
    return kstatus(tree(cluster)), waits_no_more(tree(cluster), "Ready")


def running(policy: Policy | None = None) -> ClusterModel:
    cluster = ClusterModel(policy=policy or Policy())
    cluster.settle()
    cluster.starts()
    cluster.settle()
    return cluster


def test_a_new_job_is_in_progress_from_its_first_moment_until_it_is_ready() -> None:
    cluster = ClusterModel()
    assert seen(cluster) == ("InProgress", False), "before any operator has seen it"
    cluster.settle()
    assert seen(cluster) == ("InProgress", False)
    cluster.starts()
    cluster.settle()
    assert seen(cluster) == ("Current", True)


def test_a_change_is_in_progress_until_it_runs() -> None:
    cluster = running()
    cluster.edits(batchInterval="4s")
    assert seen(cluster) == ("InProgress", False), "before the operator has seen it"
    cluster.settle()
    assert cluster.pod_of(ROLE_CHECK).live
    assert seen(cluster) == ("InProgress", False)
    cluster.ends(cluster.pod_of(ROLE_CHECK), 0, "Done")
    cluster.settle()
    assert seen(cluster) == ("InProgress", False)
    cluster.drains()
    cluster.settle()
    assert seen(cluster) == ("InProgress", False)
    cluster.starts()
    cluster.settle()
    assert seen(cluster) == ("Current", True)


@pytest.mark.parametrize("how", ["by its check", "by the operator"])
def test_a_refused_change_has_failed_though_the_job_runs_on_until_it_is_undone(how: str) -> None:
    cluster = running()
    cluster.edits(batchInterval="4s")
    if how == "by its check":
        cluster.settle()
        cluster.ends(cluster.pod_of(ROLE_CHECK), 78, "JobError", "the state does not fit")
    else:
        cluster.problems = ("spec.sources: is wrong",)
    cluster.settle()
    assert seen(cluster) == ("Failed", False)
    [ready] = [c for c in cluster.status["conditions"] if c["type"] == "Ready"]
    assert (ready["status"], ready["observedGeneration"]) == ("True", 1), "it is ready as it was"
    cluster.settle()
    assert seen(cluster) == ("Failed", False), "and stays so"
    cluster.problems = ()
    cluster.edits(batchInterval="2s")
    cluster.settle()
    assert seen(cluster) == ("Current", True)


def test_a_change_of_what_only_the_operator_reads_counts_at_once() -> None:
    cluster = running()
    cluster.edits(restart={"maxFailures": 9})
    cluster.settle()
    assert seen(cluster) == ("Current", True)


def test_a_job_that_is_given_up_has_failed_and_one_that_waits_for_its_next_start_is_in_progress() -> None:
    cluster = running(Policy(restart=RestartPolicy(max_failures=1)))
    cluster.ends(cluster.runtime(), 1)
    cluster.settle()
    assert seen(cluster) == ("InProgress", False)
    cluster.waits(10)
    cluster.settle()
    cluster.starts()
    cluster.ends(cluster.runtime(), 1)
    cluster.settle()
    assert seen(cluster) == ("Failed", False)


def test_a_pod_that_is_refused_is_in_progress_as_it_is_tried_again() -> None:
    cluster = ClusterModel(refuses={ROLE_RUNTIME})
    cluster.step()
    assert seen(cluster) == ("InProgress", False)


def test_a_job_that_is_done_is_as_it_should_be() -> None:
    cluster = running(Policy(available_now=True))
    cluster.ends(cluster.runtime(), 0, "Done")
    cluster.settle()
    assert seen(cluster) == ("Current", False) and waits_no_more(tree(cluster), "Complete")


def test_a_suspended_job_is_as_it_should_be_once_it_has_drained() -> None:
    cluster = running()
    cluster.policy = Policy(suspend=True)
    cluster.edits(suspend=True)
    cluster.settle()
    assert seen(cluster) == ("InProgress", False)
    cluster.drains()
    cluster.settle()
    assert seen(cluster) == ("Current", False) and waits_no_more(tree(cluster), "Suspended")


def test_a_job_that_is_being_deleted_is_on_its_way_out() -> None:
    cluster = running()
    cluster.deleting = True
    cluster.settle()
    assert seen(cluster) == ("Terminating", False)


def test_a_job_whose_variables_have_no_values_waits_for_somebody_and_starts_when_they_do() -> None:
    cluster = ClusterModel(problems=("spec.sinks[0].kafka.topic: the variable TOPIC has no value",), unset=True)
    cluster.settle()
    assert seen(cluster) == ("Failed", False) and not cluster.pods
    [ready] = [c for c in cluster.status["conditions"] if c["type"] == "Ready"]
    assert (ready["reason"], "TOPIC" in ready["message"]) == ("VariablesMissing", True)
    assert cluster.status["phase"] == "Pending" and "outcome" not in cluster.status
    cluster.problems, cluster.unset = (), False
    cluster.settle()
    cluster.starts()
    cluster.settle()
    assert seen(cluster) == ("Current", True)


def test_a_running_job_whose_variables_lose_their_values_runs_on_and_is_replaced_as_it_was() -> None:
    cluster = running()
    ran = cluster.runtime().revision
    cluster.problems, cluster.unset = ("spec.variablesFrom[0].configMapRef: there is no ConfigMap env",), True
    cluster.settle()
    assert seen(cluster) == ("Failed", False)
    conditions = {c["type"]: c for c in cluster.status["conditions"]}
    assert (conditions["Ready"]["status"], conditions["Stalled"]["reason"]) == ("True", "VariablesMissing")
    cluster.removed(cluster.runtime())
    cluster.settle()
    assert (cluster.runtime().attempt, cluster.runtime().revision) == (2, ran)
