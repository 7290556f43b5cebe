"""What the operator decides, told as what happens to one job."""

from dataclasses import replace

import pytest

from streamjob_api.names import FINALIZER, ROLE_CHECK, ROLE_CLEANUP, ROLE_RUNTIME
from streamjob_operator.backoff import RestartPolicy
from streamjob_operator.model import CreatePod, DeletePod, End, EndSidecars, Progress, Waiting
from streamjob_operator.mounts import MANIFEST_MISSING
from streamjob_operator.plan import plan
from streamjob_operator.policy import Policy
from support.cluster_model import ClusterModel


def running(**fields: object) -> ClusterModel:
    cluster = ClusterModel(**fields)  # type: ignore[arg-type]
    cluster.settle()
    cluster.starts()
    cluster.settle()
    return cluster


def condition(cluster: ClusterModel, kind: str) -> dict[str, str]:
    [found] = [c for c in cluster.status["conditions"] if c["type"] == kind]
    return dict(found)


def reasons(cluster: ClusterModel) -> list[str]:
    return [n.reason for n in cluster.news]


def test_a_new_job_gets_its_finalizer_first_and_then_one_pod() -> None:
    cluster = ClusterModel()
    decided = cluster.step()
    assert [type(a).__name__ for a in decided.actions] == ["AddFinalizer", "CreatePod"]
    assert cluster.runtime().attempt == 1
    cluster.step()
    assert cluster.status["phase"] == "Starting"
    assert condition(cluster, "Ready")["status"] == "False"


def test_a_new_jobs_pod_comes_before_what_there_is_to_say_of_it_and_nothing_is_lost_by_that() -> None:
    at_once, later = ClusterModel(), ClusterModel()
    decided = later.step()
    assert decided.told_later and later.status == {} and later.news == []
    at_once.status, at_once.finalizers = decided.status, later.finalizers
    at_once.pods, at_once.configs = dict(later.pods), dict(later.configs)
    for cluster in (at_once, later):
        cluster.starts()
        cluster.settle()
    assert later.status == at_once.status
    assert reasons(later) == ["Started"]


def test_a_new_job_that_asks_for_a_restart_is_not_restarted() -> None:
    cluster = running(restart_request="1")
    assert cluster.runtime().attempt == 1 and cluster.status["restartRequest"] == "1"


def test_what_a_next_attempt_is_for_is_told_at_once() -> None:
    cluster = running()
    cluster.ends(cluster.runtime(), 137, why="EvictionByEvictionAPI")
    decided = cluster.step()
    assert any(isinstance(a, CreatePod) for a in decided.actions) and not decided.told_later


def test_a_job_whose_pod_is_ready_is_ready_and_then_nothing_is_written() -> None:
    cluster = running()
    assert cluster.status["phase"] == "Running"
    assert condition(cluster, "Ready")["status"] == "True"
    before = cluster.status
    cluster.waits(3600)
    decided = cluster.step()
    assert decided.actions == () and decided.status == before and decided.news == ()


def test_a_process_that_fails_is_started_again_after_a_wait_that_grows() -> None:
    cluster = running()
    waits = []
    for attempt in (1, 2, 3, 4):
        cluster.ends(cluster.runtime(), 1, "InternalError", "it broke")
        decided = cluster.step()
        assert cluster.runtime().attempt == attempt, "nothing is started before its time"
        assert decided.again_in is not None
        waits.append(decided.again_in)
        assert condition(cluster, "Ready")["reason"] == "BackOff"
        assert "it broke" in condition(cluster, "Ready")["message"]
        cluster.waits(decided.again_in)
        cluster.settle()
        assert cluster.runtime().attempt == attempt + 1
        cluster.starts()
    assert all(0.75 * 2**i <= w <= 2**i for i, w in enumerate(waits)), waits
    assert cluster.status["restarts"] == 4
    assert cluster.most_live == 1


def test_a_restart_counts_also_when_the_operator_dies_before_it_is_written_down() -> None:
    cluster = running()
    cluster.ends(cluster.runtime(), 1, "InternalError", "it broke")
    cluster.waits(cluster.step().again_in or 0)
    cluster.step(dies_after=1)
    assert cluster.runtime().attempt == 2 and cluster.status["attempt"] == 1
    cluster.settle()
    assert cluster.status["attempt"] == 2 and cluster.status["restarts"] == 1


def test_the_wait_has_an_end_and_jobs_do_not_all_wait_the_same() -> None:
    waits = set()
    for seed in range(5):
        cluster = running(policy=Policy(restart=RestartPolicy(max_failures=100, max=4.0)))
        cluster.rng.seed(seed)
        for _ in range(6):
            cluster.ends(cluster.runtime(), 1)
            again = cluster.step().again_in
            assert again is not None and again <= 4.0
            cluster.waits(again)
            cluster.settle()
            cluster.starts()
        waits.add(again)
    assert len(waits) == 5


def test_more_failures_than_allowed_in_a_row_make_the_job_failed_with_its_last_words() -> None:
    cluster = running(policy=Policy(restart=RestartPolicy(max_failures=2)))
    for _ in range(3):
        cluster.ends(cluster.runtime(), 1, "InternalError", "it broke")
        cluster.settle()
        cluster.waits(60)
        cluster.settle()
        cluster.starts()
    failed = condition(cluster, "Failed")
    assert failed["status"] == "True" and failed["reason"] == "TooManyFailures"
    assert "failed 3 times" in failed["message"] and "it broke" in failed["message"]
    assert "streamjob.dev/restart" in failed["message"]
    assert cluster.status["phase"] == "Failed" and not cluster.live_runtimes()
    cluster.waits(100_000)
    assert cluster.step().actions == ()


def test_failures_are_forgotten_after_a_healthy_time() -> None:
    cluster = running(policy=Policy(restart=RestartPolicy(max_failures=1, reset_after=600)))
    for _ in range(4):
        cluster.ends(cluster.runtime(), 1)
        cluster.settle()
        cluster.waits(10)
        cluster.settle()
        cluster.starts()
        decided = cluster.step()
        assert condition(cluster, "Degraded")["status"] == "True"
        assert decided.again_in == pytest.approx(600)
        cluster.waits(600)
        cluster.settle()
        assert condition(cluster, "Degraded")["status"] == "False"
    assert cluster.status["phase"] == "Running" and cluster.status["restarts"] == 4


def test_a_wrong_job_fails_at_once_and_is_not_tried_again() -> None:
    cluster = running()
    cluster.ends(cluster.runtime(), 78, "JobError", "there is no column ad")
    cluster.settle()
    failed = condition(cluster, "Failed")
    assert (failed["status"], failed["reason"]) == ("True", "JobError")
    assert "there is no column ad" in failed["message"]
    assert cluster.runtime().attempt == 1
    assert cluster.runtime().ended is not None, "the pod stays, for its log"


@pytest.mark.parametrize("way_out", ["spec", "annotation"])
def test_a_failed_job_starts_again_by_a_new_spec_or_the_annotation(way_out: str) -> None:
    cluster = running()
    cluster.ends(cluster.runtime(), 78, "JobError", "wrong")
    cluster.settle()
    if way_out == "spec":
        cluster.edits(batchInterval="3s")
    else:
        cluster.restart_request = "1"
    cluster.settle()
    cluster.starts()
    cluster.settle()
    assert cluster.runtime().attempt == 2
    assert condition(cluster, "Failed")["status"] == "False"
    assert cluster.status["phase"] == "Running"
    assert not [p for p in cluster.pods.values() if p.role == ROLE_CHECK], "there is nothing running to protect"


@pytest.mark.parametrize("code", [1, 78], ids=["once too often", "for good"])
def test_a_fix_counts_though_the_old_attempt_fails_while_the_fix_is_being_checked(code: int) -> None:
    cluster = running(policy=Policy(restart=RestartPolicy(max_failures=0)))
    cluster.edits(batchInterval="4s")
    cluster.settle()
    assert cluster.pod_of(ROLE_CHECK).live
    cluster.ends(cluster.runtime(), code, "JobError", "it broke")
    cluster.settle()
    cluster.starts()
    cluster.settle()
    assert "it broke" in next(n.message for n in cluster.news if n.warning)
    wanted = cluster.observe().wanted
    assert wanted is not None and cluster.runtime().revision == wanted.name
    assert cluster.status["phase"] == "Running" and cluster.status["failures"]["application"] == 0
    cluster.drains()
    assert not [p for p in cluster.pods.values() if p.role == ROLE_CHECK], "there is nothing left to protect"


def test_a_change_that_was_refused_is_not_started_because_the_old_spec_fails_for_good() -> None:
    cluster = running()
    cluster.edits(batchInterval="4s")
    cluster.settle()
    cluster.ends(cluster.pod_of(ROLE_CHECK), 78, "JobError", "the state does not fit")
    cluster.settle()
    cluster.ends(cluster.runtime(), 78, "JobError", "it broke")
    cluster.settle()
    assert cluster.status["phase"] == "Failed" and cluster.runtime().attempt == 1
    assert "it broke" in condition(cluster, "Failed")["message"]
    cluster.edits(batchInterval="5s")
    cluster.settle()
    assert cluster.runtime().attempt == 2


def test_what_runs_is_what_the_newest_pod_says_though_the_operator_died_before_it_wrote_that_down() -> None:
    cluster = running()
    cluster.ends(cluster.runtime(), 78, "JobError", "it broke")
    cluster.settle()
    cluster.edits(batchInterval="4s")
    cluster.step(dies_after=1)
    started = cluster.runtime()
    assert started.attempt == 2 and cluster.status["phase"] == "Failed"
    cluster.edits(batchInterval="5s")
    cluster.starts()
    cluster.settle()
    assert cluster.status["revision"] == started.revision and cluster.status["phase"] == "Running"
    assert cluster.pod_of(ROLE_CHECK).live, "the newest change is not taken for what runs"


def test_out_of_memory_is_said_in_words() -> None:
    cluster = running(policy=Policy(memory_limit="1Gi"))
    cluster.ends(cluster.runtime(), 137, "OOMKilled")
    cluster.settle()
    assert cluster.status["lastFailure"]["reason"] == "OutOfMemory"
    assert "limit 1Gi" in cluster.status["lastFailure"]["message"]
    assert "spec.resources.limits.memory" in cluster.status["lastFailure"]["message"]


@pytest.mark.parametrize("how", ["deleted", "evicted", "unavailable"])
def test_what_the_cluster_does_to_a_pod_never_fails_the_job_and_the_first_time_costs_no_wait(how: str) -> None:
    cluster = running(policy=Policy(restart=RestartPolicy(max_failures=0)))
    for attempt in range(1, 30):
        pod = cluster.runtime()
        if how == "deleted":
            cluster.removed(pod)
        elif how == "evicted":
            cluster.ends(pod, 137, why="EvictionByEvictionAPI")
        else:
            cluster.ends(pod, 75, "Unavailable", "the store is away")
        decided = cluster.step()
        if attempt == 1:
            assert any(isinstance(a, CreatePod) for a in decided.actions)
        cluster.waits(decided.again_in or 0)
        cluster.settle()
        assert cluster.runtime().attempt == attempt + 1
        cluster.starts()
    assert cluster.status["failures"]["application"] == 0
    assert cluster.status["failures"]["infrastructure"] == 29
    assert cluster.most_live == 1


def test_a_pod_that_is_being_deleted_keeps_its_place_until_it_is_gone() -> None:
    cluster = running()
    cluster.change(cluster.runtime(), deleting_until=cluster.now + 30)
    assert not cluster.step().actions
    assert cluster.status["phase"] == "Restarting"
    cluster.drains()
    cluster.settle()
    assert cluster.runtime().attempt == 2
    assert cluster.status["lastFailure"]["reason"] == "PodDeleted"


def test_a_pod_that_the_cluster_takes_away_is_told_by_the_clusters_reason() -> None:
    cluster = running()
    cluster.change(cluster.runtime(), deleting_until=cluster.now + 30, infrastructure="PreemptionByScheduler")
    cluster.step()
    cluster.change(cluster.runtime(), ended=End(0, "Stopped", "", cluster.now))
    cluster.settle()
    failure = cluster.status["lastFailure"]
    assert (failure["reason"], failure["message"]) == ("PreemptionByScheduler", "the cluster has taken the pod away")
    assert cluster.status["failures"] == {"application": 0, "infrastructure": 1}


def test_a_lost_node_is_given_its_time_and_then_the_pod_is_forced_out_and_replaced() -> None:
    cluster = running(policy=Policy(node_loss_after=60))
    pod = cluster.runtime()
    cluster.change(pod, ready=False, ready_since=None, node_lost_since=cluster.now)
    decided = cluster.step()
    assert decided.actions == () and decided.again_in == pytest.approx(60)
    assert condition(cluster, "Ready")["reason"] == "NodeLost"
    cluster.waits(60)
    decided = cluster.step()
    assert decided.actions[:1] == (DeletePod(pod.name, pod.uid, force=True),)
    assert cluster.runtime().attempt == 2
    assert cluster.status["lastFailure"]["reason"] == "NodeLost"


@pytest.mark.parametrize("started", [True, False])
def test_a_pod_that_is_not_ready_when_its_node_is_lost_is_replaced_when_kubernetes_has_evicted_it(
    started: bool,
) -> None:
    cluster = ClusterModel(policy=Policy(node_loss_after=20))
    cluster.settle()
    pod = cluster.runtime()
    if started:
        cluster.change(pod, started=cluster.now)
    cluster.loses_node(pod)
    cluster.settle()
    cluster.waits(20)
    decided = cluster.step()
    assert condition(cluster, "Ready")["reason"] == "NodeLost"
    assert decided.actions == () and decided.again_in == pytest.approx(60 + 5), "it may yet end by itself"
    cluster.waits(65)
    cluster.settle()
    assert pod.name not in cluster.pods and cluster.runtime().attempt == 2
    assert cluster.status["lastFailure"]["reason"] == "NodeLost"


def test_a_node_that_comes_back_in_time_keeps_its_pod() -> None:
    cluster = running()
    cluster.change(cluster.runtime(), ready=False, ready_since=None, node_lost_since=cluster.now)
    cluster.settle()
    cluster.waits(30)
    cluster.change(cluster.runtime(), ready=True, ready_since=cluster.now, node_lost_since=None)
    cluster.waits(100)
    cluster.settle()
    assert cluster.runtime().attempt == 1 and cluster.status["phase"] == "Running"


def test_a_pod_whose_deletion_nobody_hears_is_forced_out() -> None:
    cluster = running(policy=Policy(node_loss_after=60))
    pod = cluster.runtime()
    cluster.change(pod, deleting_until=cluster.now + 30)
    decided = cluster.step()
    assert decided.again_in is not None and decided.again_in > 90
    cluster.waits(decided.again_in)
    cluster.settle()
    assert pod.name not in cluster.pods and cluster.runtime().attempt == 2


def test_suspending_drains_and_resuming_goes_on_with_the_next_attempt() -> None:
    cluster = running()
    cluster.policy = replace(cluster.policy, suspend=True)
    cluster.edits(suspend=True)
    cluster.settle()
    assert cluster.status["phase"] == "Suspending"
    cluster.waits(5)
    cluster.drains()
    cluster.settle()
    assert cluster.status["phase"] == "Suspended" and not cluster.pods
    assert condition(cluster, "Suspended")["status"] == "True"
    cluster.policy = replace(cluster.policy, suspend=False)
    cluster.edits(suspend=False)
    cluster.settle()
    cluster.starts()
    cluster.settle()
    assert cluster.runtime().attempt == 2
    assert cluster.status["phase"] == "Running" and cluster.status["restarts"] == 0


def test_a_change_of_operator_fields_touches_no_pod() -> None:
    cluster = running()
    cluster.edits(restart={"maxFailures": 9}, deletion={"checkpoints": "Delete"}, nodeLoss={"after": "10s"})
    decided = cluster.step()
    assert decided.actions == ()
    assert cluster.status["observedGeneration"] == 2


def test_a_changed_spec_is_checked_first_then_the_job_drains_and_starts_with_it() -> None:
    cluster = running()
    old = cluster.status["revision"]
    cluster.edits(batchInterval="4s")
    cluster.settle()
    check = cluster.pod_of(ROLE_CHECK)
    assert [p.attempt for p in cluster.live_runtimes()] == [1], "the job runs on"
    assert cluster.runtime().deleting_until is None
    assert condition(cluster, "Progressing")["reason"] == "Checking"
    cluster.ends(check, 0, "Done")
    cluster.settle()
    assert cluster.runtime().deleting_until is not None
    assert cluster.status["phase"] == "Updating"
    assert "spec.batchInterval" in cluster.news[-1].message
    cluster.drains()
    cluster.settle()
    cluster.starts()
    cluster.settle()
    assert cluster.runtime().attempt == 2 and cluster.runtime().revision == cluster.status["revision"] != old
    assert list(cluster.configs) == [cluster.status["revision"]], "the old manifest is swept away"
    assert cluster.status["restarts"] == 0 and "check" not in cluster.status
    assert cluster.most_live == 1


def test_a_change_is_brought_to_the_job_once_even_if_the_operator_never_comes_to_write_it_down() -> None:
    cluster = running()
    cluster.edits(batchInterval="4s")
    cluster.settle()
    cluster.ends(cluster.pod_of(ROLE_CHECK), 0, "Done")
    cluster.step(dies_after=1)
    cluster.drains()
    started = cluster.step(dies_after=10)
    assert any(isinstance(action, CreatePod) for action in started.actions)
    cluster.settle()
    assert [p.attempt for p in cluster.live_runtimes()] == [2]
    assert cluster.runtime().deleting_until is None


def test_a_change_that_comes_before_the_first_status_is_checked_like_any_other() -> None:
    cluster = ClusterModel()
    assert cluster.step().told_later
    cluster.edits(batchInterval="4s")
    cluster.settle()
    assert cluster.runtime().deleting_until is None and cluster.runtime().attempt == 1
    assert cluster.pod_of(ROLE_CHECK).live


def test_a_change_that_fails_its_check_leaves_the_job_as_it_is_even_through_a_crash() -> None:
    cluster = running()
    old = cluster.status["revision"]
    cluster.edits(batchInterval="4s")
    cluster.settle()
    cluster.ends(cluster.pod_of(ROLE_CHECK), 78, "JobError", "the state does not fit; undo the change")
    cluster.settle()
    refused = condition(cluster, "Progressing")
    assert (refused["status"], refused["reason"]) == ("False", "ChangeRefused")
    assert "the state does not fit; undo the change" in refused["message"]
    assert condition(cluster, "Ready")["status"] == "True"
    assert "ChangeRefused" in reasons(cluster)
    cluster.ends(cluster.runtime(), 1)
    cluster.settle()
    cluster.waits(10)
    cluster.settle()
    assert cluster.runtime().attempt == 2 and cluster.runtime().revision == old


def test_undoing_a_refused_change_clears_it() -> None:
    cluster = running()
    cluster.edits(batchInterval="4s")
    cluster.settle()
    cluster.ends(cluster.pod_of(ROLE_CHECK), 78, "JobError", "no")
    cluster.settle()
    cluster.edits(batchInterval="2s")
    cluster.settle()
    assert condition(cluster, "Progressing")["reason"] == "UpToDate"
    cluster.drains()
    assert [p.attempt for p in cluster.pods.values()] == [1]
    assert len(cluster.configs) == 1


def test_a_check_that_cannot_reach_its_systems_is_tried_again_for_as_long_as_it_takes() -> None:
    cluster = running()
    cluster.edits(batchInterval="4s")
    for _ in range(20):
        cluster.settle()
        check = cluster.pod_of(ROLE_CHECK)
        cluster.ends(check, 75, "Unavailable", "the store is away")
        cluster.settle()
        assert "the store is away" in condition(cluster, "Progressing")["message"]
        cluster.waits(61)
    cluster.settle()
    cluster.ends(cluster.pod_of(ROLE_CHECK), 0, "Done")
    cluster.settle()
    assert cluster.status["phase"] == "Updating"


def test_a_newer_change_makes_the_check_of_the_one_before_superfluous() -> None:
    cluster = running()
    cluster.edits(batchInterval="4s")
    cluster.settle()
    first = cluster.pod_of(ROLE_CHECK)
    cluster.edits(batchInterval="5s")
    cluster.settle()
    cluster.drains()
    cluster.settle()
    assert cluster.pod_of(ROLE_CHECK).revision not in ("", first.revision)


def test_the_annotation_restarts_a_running_job_once() -> None:
    cluster = running()
    cluster.restart_request = "now"
    cluster.settle()
    assert cluster.status["phase"] == "Restarting"
    cluster.drains()
    cluster.settle()
    cluster.starts()
    cluster.settle()
    assert cluster.runtime().attempt == 2 and cluster.runtime().deleting_until is None
    assert cluster.status["restarts"] == 0


@pytest.mark.parametrize("state", ["done", "failed", "waiting"])
def test_the_annotation_restarts_once_also_when_the_operator_dies_before_it_is_written_down(state: str) -> None:
    cluster = running(policy=Policy(RestartPolicy(initial=30), available_now=state == "done"))
    cluster.ends(cluster.runtime(), {"done": 0, "failed": 78, "waiting": 1}[state])
    cluster.settle()
    cluster.restart_request = "now"
    cluster.step(dies_after=1)
    assert cluster.runtime().attempt == 2
    cluster.starts()
    cluster.settle()
    assert cluster.runtime().attempt == 2 and cluster.runtime().deleting_until is None
    assert cluster.status["restartRequest"] == "now" and cluster.status["phase"] == "Running"


@pytest.mark.parametrize("state", ["done", "failed", "waiting", "running"])
def test_taking_the_annotation_away_asks_for_nothing_and_the_same_value_then_counts_again(state: str) -> None:
    cluster = running(policy=Policy(available_now=True), restart_request="1")
    if state != "running":
        cluster.ends(cluster.runtime(), {"done": 0, "failed": 78, "waiting": 1}[state], "Done")
        cluster.settle()
    cluster.restart_request = ""
    cluster.settle()
    assert cluster.runtime().attempt == 1 and cluster.runtime().deleting_until is None
    assert "restartRequest" not in cluster.status
    cluster.restart_request = "1"
    cluster.settle()
    cluster.drains()
    cluster.settle()
    assert cluster.runtime().attempt == 2


def test_a_job_that_is_done_is_complete_and_its_pod_stays_for_its_log() -> None:
    cluster = running(policy=Policy(available_now=True))
    cluster.ends(cluster.runtime(), 0, "Done")
    cluster.settle()
    assert cluster.status["phase"] == "Completed"
    assert condition(cluster, "Complete")["status"] == "True"
    cluster.removed(cluster.runtime())
    cluster.waits(1000)
    cluster.settle()
    assert not cluster.pods, "a done job is not started again because its pod is removed"


def test_a_done_job_that_was_stopped_from_outside_is_not_done() -> None:
    cluster = running(policy=Policy(available_now=True))
    cluster.ends(cluster.runtime(), 0, "Stopped")
    cluster.settle()
    assert cluster.runtime().attempt == 2


def test_deleting_drains_first_and_then_lets_go() -> None:
    cluster = running()
    cluster.deleting = True
    cluster.settle()
    assert cluster.finalizers == (FINALIZER,) and cluster.runtime().deleting_until is not None
    assert cluster.status["phase"] == "Deleting"
    cluster.drains()
    cluster.settle()
    assert cluster.gone


def test_deleting_with_the_checkpoints_removes_them_by_a_pod_and_tries_again() -> None:
    cluster = running(policy=Policy(delete_checkpoints=True))
    cluster.deleting = True
    cluster.settle()
    assert not [p for p in cluster.pods.values() if p.role == ROLE_CLEANUP], "not before the job has drained"
    cluster.drains()
    cluster.settle()
    cluster.ends(cluster.pod_of(ROLE_CLEANUP), 75, "Unavailable", "the store is away")
    cluster.settle()
    assert not cluster.gone and "the store is away" in cluster.news[-1].message
    cluster.waits(60)
    cluster.settle()
    cluster.ends(cluster.pod_of(ROLE_CLEANUP), 0, "Done")
    cluster.settle()
    assert cluster.gone


@pytest.mark.parametrize("role", [ROLE_CHECK, ROLE_CLEANUP])
def test_a_helper_that_is_on_its_way_out_is_waited_for_because_its_name_is_taken(role: str) -> None:
    cluster = running(policy=Policy(delete_checkpoints=True, node_loss_after=60))
    if role == ROLE_CHECK:
        cluster.edits(batchInterval="4s")
    else:
        cluster.deleting = True
        cluster.settle()
        cluster.drains()
    cluster.settle()
    first = cluster.pod_of(role)
    cluster.change(first, deleting_until=cluster.now + 30)
    decided = cluster.step()
    assert decided.actions == () and decided.again_in == pytest.approx(30 + 5 + 60)
    cluster.waits(95)
    assert cluster.step().actions == (DeletePod(first.name, first.uid, force=True),), "its node does not answer"
    cluster.settle()
    assert cluster.pod_of(role).live and cluster.pod_of(role).uid != first.uid


def test_a_helper_on_a_lost_node_is_replaced() -> None:
    cluster = running(policy=Policy(node_loss_after=60))
    cluster.edits(batchInterval="4s")
    cluster.settle()
    cluster.starts()
    first = cluster.pod_of(ROLE_CHECK)
    cluster.loses_node(first)
    cluster.waits(cluster.step().again_in or 0)
    cluster.settle()
    assert cluster.pod_of(ROLE_CHECK).uid != first.uid


def test_in_a_namespace_that_ends_nothing_is_cleaned_up() -> None:
    cluster = running(policy=Policy(delete_checkpoints=True))
    cluster.deleting = cluster.namespace_ends = True
    cluster.settle()
    cluster.drains()
    cluster.settle()
    assert cluster.gone


def test_in_a_namespace_that_ends_no_attempt_is_counted_that_could_not_be_made() -> None:
    cluster = running()
    cluster.namespace_ends = True
    cluster.removed(cluster.runtime())
    cluster.settle()
    assert not cluster.pods
    assert cluster.status["attempt"] == 1


def test_what_a_pod_waits_for_is_the_jobs_condition() -> None:
    cluster = ClusterModel()
    cluster.settle()
    cluster.change(cluster.runtime(), waiting=Waiting("SecretMissing", 'Secret "minio" is missing: create it'))
    cluster.settle()
    assert cluster.status["phase"] == "Pending"
    assert condition(cluster, "Ready")["reason"] == "SecretMissing"
    assert condition(cluster, "Ready")["message"] == 'Secret "minio" is missing: create it'


def test_a_spec_that_cannot_be_read_says_why_and_starts_nothing() -> None:
    cluster = ClusterModel(problems=("spec.sources: is missing",))
    cluster.settle()
    assert not cluster.pods
    assert condition(cluster, "Failed")["message"].startswith("spec.sources: is missing")


def test_a_spec_that_becomes_unreadable_leaves_the_job_running() -> None:
    cluster = running()
    cluster.problems = ("spec.sources: is missing",)
    cluster.edits(batchInterval="9s")
    cluster.settle()
    assert [p.deleting_until for p in cluster.live_runtimes()] == [None]
    assert condition(cluster, "Progressing")["reason"] == "ChangeRefused"


def test_a_suspended_job_whose_spec_becomes_unreadable_stays_suspended() -> None:
    cluster = running(policy=Policy(suspend=True))
    cluster.problems = ("spec.sources: is wrong",)
    cluster.edits(batchInterval="9s")
    cluster.settle()
    assert not cluster.pods and cluster.status["phase"] == "Suspended"
    assert condition(cluster, "Progressing")["reason"] == "ChangeRefused"


def test_the_checkpoints_go_though_the_spec_cannot_be_read_any_more() -> None:
    cluster = running(policy=Policy(delete_checkpoints=True))
    ran = cluster.status["revision"]
    cluster.problems, cluster.deleting = ("spec.sources: is wrong",), True
    cluster.settle()
    cluster.drains()
    cluster.settle()
    assert cluster.pod_of(ROLE_CLEANUP).revision == ran
    cluster.removed(cluster.pod_of(ROLE_CLEANUP))
    cluster.configs.clear()
    cluster.settle()
    assert cluster.gone and reasons(cluster)[-1] == "CheckpointsKept", "nobody knows any more where they are"


def test_a_pod_that_does_not_begin_is_looked_at_again_though_nothing_happens() -> None:
    cluster = ClusterModel()
    assert cluster.step() and cluster.step().again_in == pytest.approx(5)
    cluster.waits(5)
    assert cluster.step().again_in == pytest.approx(10)
    cluster.starts()
    assert cluster.step().again_in is None


def test_a_pod_that_the_api_server_refuses_is_told_and_counts_as_no_attempt() -> None:
    cluster = ClusterModel(refuses={ROLE_RUNTIME})
    decided = cluster.step()
    assert not cluster.pods and cluster.status["attempt"] == 0 and not decided.told_later
    ready = condition(cluster, "Ready")
    assert ready["reason"] == "PodRefused" and "exceeded quota" in ready["message"]
    cluster.refuses.clear()
    cluster.settle()
    assert cluster.runtime().attempt == 1


def test_the_end_before_a_refused_start_is_told_once() -> None:
    cluster = running()
    cluster.refuses = {ROLE_RUNTIME}
    cluster.ends(cluster.runtime(), 75, "Unavailable", "the store is away")
    cluster.step()
    cluster.step()
    assert reasons(cluster).count("Unavailable") == 1


def test_a_refused_check_takes_nothing_from_a_good_job_and_says_why_the_change_waits() -> None:
    cluster = running()
    old = cluster.status["revision"]
    cluster.edits(batchInterval="4s")
    cluster.refuses = {ROLE_CHECK}
    decided = cluster.step()
    assert condition(cluster, "Ready")["status"] == "True"
    progressing = condition(cluster, "Progressing")
    assert (progressing["status"], progressing["reason"]) == ("True", "Checking")
    assert "its pod was refused: exceeded quota" in progressing["message"]
    assert decided.again_in is not None and 0.75 <= decided.again_in <= 1, "it is tried again, with growing waits"
    cluster.waits(decided.again_in)
    again = cluster.step().again_in
    assert again is not None and 1.5 <= again <= 2
    cluster.ends(cluster.runtime(), 137, why="EvictionByEvictionAPI")
    cluster.waits(again)
    cluster.step()
    assert cluster.runtime().attempt == 2 and cluster.runtime().revision == old
    cluster.starts()
    cluster.refuses.clear()
    cluster.waits(60)
    cluster.settle()
    assert cluster.pod_of(ROLE_CHECK).live


def test_a_refused_start_does_not_keep_the_change_that_would_help_from_being_checked() -> None:
    cluster = running()
    cluster.refuses = {ROLE_RUNTIME}
    cluster.ends(cluster.runtime(), 137, why="EvictionByEvictionAPI")
    cluster.step()
    cluster.edits(image="runtime:2")
    cluster.step()
    assert condition(cluster, "Ready")["reason"] == "PodRefused"
    assert cluster.pod_of(ROLE_CHECK).live


def test_what_keeps_a_job_running_is_made_before_what_only_looks_at_a_change() -> None:
    cluster = running()
    cluster.edits(batchInterval="4s")
    cluster.ends(cluster.runtime(), 137, why="EvictionByEvictionAPI")
    made = [a.role for a in cluster.step().actions if isinstance(a, CreatePod)]
    assert made == [ROLE_RUNTIME, ROLE_CHECK]


def test_a_refused_cleanup_is_told_and_tried_again() -> None:
    cluster = running(policy=Policy(delete_checkpoints=True))
    cluster.deleting, cluster.refuses = True, {ROLE_CLEANUP}
    cluster.settle()
    cluster.drains()
    decided = cluster.step()
    assert cluster.news[-1].reason == "CleanupFailed" and "its pod was refused" in cluster.news[-1].message
    assert not cluster.gone and decided.again_in
    cluster.refuses.clear()
    cluster.waits(decided.again_in)
    cluster.settle()
    assert cluster.pod_of(ROLE_CLEANUP).live


@pytest.mark.parametrize("role", [ROLE_CHECK, ROLE_CLEANUP])
def test_a_refused_helper_is_tried_with_waits_that_grow_whatever_the_job_is_restarted_with(role: str) -> None:
    cluster = running(policy=Policy(RestartPolicy(initial=0), delete_checkpoints=True))
    cluster.refuses = {role}
    if role == ROLE_CHECK:
        cluster.edits(batchInterval="4s")
    else:
        cluster.deleting = True
        cluster.step()
        cluster.drains()
    waits = []
    for _ in range(3):
        waits.append(cluster.step().again_in or 0)
        cluster.waits(waits[-1])
    assert waits[0] >= 0.75 and waits[1] >= 1.5 and waits[2] >= 3


def test_the_status_says_where_the_checkpoints_are() -> None:
    assert running().status["checkpointLocation"] == "s3://checkpoints/views"


def test_the_manifest_that_a_pod_waits_for_is_made_again_until_the_pod_runs() -> None:
    cluster = ClusterModel()
    cluster.settle()
    [revision] = cluster.configs.values()
    cluster.configs.clear()
    cluster.change(cluster.runtime(), waiting=Waiting(MANIFEST_MISSING, "it is made again"))
    cluster.step()
    assert cluster.configs == {revision.name: revision}
    assert condition(cluster, "Ready")["reason"] == MANIFEST_MISSING
    cluster.change(cluster.runtime(), waiting=None)
    cluster.starts()
    cluster.settle()
    assert cluster.step().actions == ()


def test_a_manifest_that_may_not_be_made_again_is_told() -> None:
    cluster = ClusterModel()
    cluster.settle()
    cluster.change(cluster.runtime(), waiting=Waiting(MANIFEST_MISSING, "it is made again"))
    observed = replace(cluster.observe(), refused={ROLE_RUNTIME: "exceeded quota"})
    [ready] = [c for c in plan(observed).status["conditions"] if c["type"] == "Ready"]
    assert ready["reason"] == "PodRefused" and "exceeded quota" in ready["message"]


def test_what_is_refused_while_a_job_is_deleted_is_told() -> None:
    cluster = running(policy=Policy(delete_checkpoints=True))
    cluster.deleting = True
    cluster.step()
    cluster.drains()
    cluster.refuses = {ROLE_CLEANUP}
    cluster.step()
    ready = condition(cluster, "Ready")
    assert ready["reason"] == "Deleting" and "exceeded quota" in ready["message"]


def test_a_sidecar_that_dies_is_told_and_the_job_stays_ready_while_its_batches_go_through() -> None:
    cluster = running()
    cluster.change(cluster.runtime(), beside=Waiting("SidecarEnded", 'container "proxy" of the pod has ended'))
    cluster.settle()
    assert cluster.status["phase"] == "Running" and condition(cluster, "Ready")["status"] == "True"
    degraded = condition(cluster, "Degraded")
    assert (degraded["status"], degraded["reason"]) == ("True", "SidecarEnded")
    cluster.change(cluster.runtime(), ready=False)
    cluster.settle()
    assert condition(cluster, "Ready")["reason"] == "SidecarEnded", "what a job that is not ready may be waiting for"


def test_batches_that_are_too_slow_are_an_event_once_and_a_condition_as_long_as_they_are() -> None:
    cluster = running()
    cluster.progress = Progress(slow="too slow")
    news = [news for _ in range(3) for news in cluster.step().news]
    assert [(n.reason, n.message, n.warning) for n in news] == [("BatchesTooSlow", "too slow", True)]
    degraded = condition(cluster, "Degraded")
    assert (degraded["status"], degraded["reason"], degraded["message"]) == ("True", "BatchesTooSlow", "too slow")
    assert condition(cluster, "Ready")["status"] == "True"
    cluster.progress = Progress()
    assert cluster.step().news == ()
    assert condition(cluster, "Degraded")["status"] == "False"
    cluster.progress = Progress(slow="too slow")
    assert len(cluster.step().news) == 1


@pytest.mark.parametrize("code", [0, 1, 78])
def test_what_goes_on_in_the_pod_after_the_job_has_ended_is_ended_and_the_pod_stays_for_its_log(code: int) -> None:
    cluster = running(policy=Policy(available_now=True))
    pod = cluster.runtime()
    cluster.change(pod, outlived=True)
    cluster.ends(pod, code)
    assert EndSidecars(pod.name, pod.uid) in cluster.step().actions
    cluster.settle()
    assert not cluster.pods[pod.name].outlived and cluster.pods[pod.name].deleting_until is None


def test_a_job_that_cannot_start_because_its_manifest_is_lost_and_its_spec_is_wrong_says_so() -> None:
    cluster = running()
    cluster.problems = ("spec.sources: is wrong",)
    cluster.edits()
    cluster.settle()
    cluster.removed(cluster.runtime())
    cluster.configs.clear()
    cluster.settle()
    assert not cluster.pods
    ready = condition(cluster, "Ready")
    assert ready["reason"] == "ManifestLost" and "was deleted" in ready["message"]


def test_checkpoints_are_kept_where_nobody_knows_any_more_how_to_reach_them() -> None:
    cluster = running(policy=Policy(delete_checkpoints=True))
    cluster.edits(checkpoint={"location": "s3://elsewhere/views"})
    cluster.deleting = True
    cluster.configs.clear()
    cluster.settle()
    cluster.drains()
    cluster.settle()
    assert cluster.gone and reasons(cluster)[-1] == "CheckpointsKept"
    assert "s3://checkpoints/views" in cluster.news[-1].message, "what the new spec names is not what the job wrote"


def test_a_job_that_has_ended_before_anybody_asked_it_shows_its_last_batch() -> None:
    cluster = running(policy=Policy(available_now=True))
    batch, checkpoint = {"id": 3}, {"batch": 3}
    cluster.ends(cluster.runtime(), 0, "Done", batch=batch, checkpoint=checkpoint)
    cluster.settle()
    assert cluster.status["phase"] == "Completed"
    assert (cluster.status["lastBatch"], cluster.status["lastCheckpoint"]) == (batch, checkpoint)


def test_after_many_quick_changes_no_manifest_stays_that_nothing_runs() -> None:
    cluster = running()
    for seconds in (3, 4, 5, 6):
        cluster.edits(batchInterval=f"{seconds}s")
        cluster.step(dies_after=1)
        cluster.drains()
    cluster.edits(batchInterval="2s")
    cluster.settle()
    cluster.drains()
    cluster.settle()
    assert list(cluster.configs) == [cluster.status["revision"]]


@pytest.mark.parametrize("field", ["check", "draining", "outcome"])
def test_half_a_memory_is_none(field: str) -> None:
    cluster = running()
    cluster.status = {**cluster.status, field: {}}
    cluster.settle()
    assert cluster.status["phase"] == "Running" and field not in cluster.status


def test_credentials_that_are_refused_where_they_once_worked_get_one_new_start() -> None:
    cluster = running(policy=Policy(restart=RestartPolicy(max_failures=9)))
    refused = (78, "Refused", "S3 does not take the credentials")
    cluster.ends(cluster.runtime(), *refused, batch={"id": 7})
    cluster.settle()
    assert condition(cluster, "Ready")["reason"] == "BackOff"
    cluster.waits(60)
    cluster.settle()
    cluster.starts()
    assert cluster.runtime().attempt == 2, "a new pod reads the Secret anew"
    cluster.ends(cluster.runtime(), *refused, batch={"id": 8})
    cluster.settle()
    cluster.waits(60)
    cluster.settle()
    cluster.starts()
    assert cluster.runtime().attempt == 3, "the new start had worked"
    cluster.ends(cluster.runtime(), *refused)
    cluster.settle()
    assert cluster.status["phase"] == "Failed" and cluster.runtime().attempt == 3
    assert "does not take the credentials" in condition(cluster, "Failed")["message"]


def test_credentials_that_never_worked_are_wrong() -> None:
    cluster = running()
    cluster.ends(cluster.runtime(), 78, "Refused", "S3 does not take the credentials")
    cluster.settle()
    assert cluster.status["phase"] == "Failed" and cluster.runtime().attempt == 1


def test_a_check_whose_credentials_are_refused_is_tried_once_more_before_the_change_is_refused() -> None:
    cluster = running()
    cluster.edits(batchInterval="4s")
    cluster.settle()
    refused = (78, "Refused", "S3 does not take the credentials")
    cluster.ends(cluster.pod_of(ROLE_CHECK), *refused)
    cluster.settle()
    assert condition(cluster, "Progressing")["reason"] == "Checking"
    cluster.waits(60)
    cluster.settle()
    cluster.ends(cluster.pod_of(ROLE_CHECK), *refused)
    cluster.settle()
    assert condition(cluster, "Progressing")["reason"] == "ChangeRefused"
    assert cluster.runtime().attempt == 1 and condition(cluster, "Ready")["status"] == "True"
