"""What the operator reads out of a pod, as the API server and the kubelet write it."""

import json
from typing import Any

import pytest

from streamjob_api import names
from streamjob_operator.failures import Kind, judge
from streamjob_operator.mounts import MANIFEST_MISSING, waiting_for
from streamjob_operator.pods import is_starting, read_pod

AT = "2026-11-21T12:00:00Z"
AT_S = 1795262400.0


def tree(phase: str = "Running", state: Any = None, conditions: dict[str, str] | None = None, **status: Any) -> Any:
    """A runtime's pod; `conditions`: type -> status."""
    return {
        "metadata": {
            "name": "views-3-0",
            "uid": "u",
            "creationTimestamp": AT,
            "labels": {names.LABEL_ROLE: "runtime", names.LABEL_ATTEMPT: "3", names.LABEL_REVISION: "abc"},
        },
        "spec": {"containers": [{"name": "runtime", "image": "registry/runtime:1"}]},
        "status": {
            "phase": phase,
            "podIP": "10.0.0.7",
            "conditions": [
                {"type": k, "status": v, "lastTransitionTime": AT, "message": "0/3 nodes are available"}
                for k, v in (conditions or {}).items()
            ],
            "containerStatuses": [{"name": "runtime", "state": state}] if state else [],
            **status,
        },
    }


RUNNING = {"running": {"startedAt": AT}}


def ended(code: int, reason: str = "Error", message: str = "") -> Any:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message, "finishedAt": AT}}


def test_a_running_pod() -> None:
    pod = read_pod(tree(state=RUNNING, conditions={"Ready": "True", "ContainersReady": "True"}))
    assert (pod.role, pod.attempt, pod.revision, pod.ip) == ("runtime", 3, "abc", "10.0.0.7")
    assert pod.live and pod.ready and pod.started == pod.ready_since == pod.created == AT_S
    assert pod.node_lost_since is None and pod.waiting is None


def test_the_runtimes_last_words_are_its_own() -> None:
    said = '{"reason": "JobError", "exitCode": 78, "message": "there is no column ad"}\n'
    pod = read_pod(tree("Failed", ended(78, message=said)))
    assert pod.ended is not None and not pod.live and not pod.ready
    assert (pod.ended.exit_code, pod.ended.reason, pod.ended.message) == (78, "JobError", "there is no column ad")
    assert pod.infrastructure is None


def test_a_place_in_the_rendered_manifest_is_left_out_of_what_the_user_reads() -> None:
    places = [f"/etc/streamjob/job/streamjob.yaml:{n}:3: spec.pipeline[{n}].sql: there is no column ad" for n in (1, 2)]
    said = json.dumps({"reason": "InvalidManifest", "message": "\n".join(places)})
    pod = read_pod(tree("Failed", ended(78, message=said)))
    assert pod.ended is not None
    assert pod.ended.message.splitlines() == [p.partition(": ")[2] for p in places]


@pytest.mark.parametrize("said", ["", "Killed", "[1]", '{"reason": 1}'])
def test_other_last_words_are_shown_as_they_are(said: str) -> None:
    pod = read_pod(tree("Failed", ended(137, message=said)))
    assert pod.ended is not None and (pod.ended.reason, pod.ended.message) == ("Error", said)


def test_out_of_memory_counts_though_the_runtime_may_have_written_before() -> None:
    pod = read_pod(tree("Failed", ended(137, "OOMKilled", '{"reason": "Done", "message": ""}')))
    assert pod.ended is not None and pod.ended.reason == "OOMKilled"


@pytest.mark.parametrize(
    "status",
    [
        {"reason": "Evicted", "message": "The node was low on resource: memory."},
        {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "Evicted"}]},
    ],
    ids=["before its container ran", "while it ran"],
)
def test_what_the_cluster_did_is_told_from_what_the_job_did(status: dict[str, Any]) -> None:
    evicted = tree("Failed", None if "reason" in status else ended(137))
    evicted["status"].update(status)
    pod = read_pod(evicted)
    assert pod.ended is not None
    assert pod.infrastructure == "Evicted"


@pytest.mark.parametrize(
    ("message", "own"),
    [
        ('Usage of EmptyDir volume "streamjob-scratch" exceeds the limit "10Gi". ', True),
        ("Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ", True),
        ('Container runtime exceeded its local ephemeral storage limit "1Gi". ', True),
        ("The node was low on resource: ephemeral-storage. Threshold quantity: 1, available: 0. ", False),
    ],
)
def test_a_pod_that_is_evicted_for_what_it_has_written_has_failed_by_itself(message: str, own: bool) -> None:
    evicted = tree("Failed", ended(137), reason="Evicted", message=message)
    evicted["status"]["conditions"] = [{"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}]
    pod = read_pod(evicted)
    assert pod.ended is not None
    judged = judge(pod, pod.ended, "1Gi")
    assert judged.kind is (Kind.APPLICATION if own else Kind.INFRASTRUCTURE)
    assert judged.message.startswith(message.strip().rstrip("."))
    assert ("spec.resources.limits.ephemeral-storage" in judged.message) is own


def test_a_check_that_took_too_long_is_not_the_clusters_doing() -> None:
    assert read_pod(tree("Failed", ended(137), reason="DeadlineExceeded")).infrastructure is None


def test_a_lost_node_makes_the_pod_unready_while_nobody_speaks_for_its_container() -> None:
    lost = read_pod(tree(state=RUNNING, conditions={"Ready": "False", "ContainersReady": "True"}))
    assert lost.node_lost_since == AT_S
    waits = read_pod(tree(state=RUNNING, conditions={"Ready": "False", "ContainersReady": "False"}))
    assert waits.node_lost_since is None


def runtime_and(other: dict[str, Any], ready: bool = True) -> list[dict[str, Any]]:
    """The statuses of two containers; a webhook may have put the other one first."""
    return [{"name": "proxy", **other}, {"name": "runtime", "ready": ready, "state": RUNNING}]


def test_a_readiness_gate_that_is_not_open_is_no_lost_node_and_the_jobs_batches_go_through() -> None:
    unready = {"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady", "lastTransitionTime": AT}
    gated = tree(
        conditions={"ContainersReady": "True"},
        containerStatuses=[{"name": "runtime", "ready": True, "state": RUNNING}],
    )
    gated["status"]["conditions"].append({**unready, "message": 'the status of pod readiness gate "example.com/lb"'})
    pod = read_pod(gated)
    assert pod.node_lost_since is None and pod.ready and pod.ready_since == AT_S
    assert pod.beside is not None and pod.beside.reason == "ReadinessGatesNotReady"
    assert "example.com/lb" in pod.beside.message


def test_a_lost_node_is_one_also_where_the_containers_are_said_to_be_ready_for_ever() -> None:
    lost = tree(conditions={"Ready": "False", "ContainersReady": "True"})
    lost["status"]["containerStatuses"] = [{"name": "runtime", "ready": True, "state": RUNNING}]
    assert read_pod(lost).node_lost_since == AT_S and not read_pod(lost).ready


@pytest.mark.parametrize(
    ("other", "reason", "words"),
    [
        ({"ready": False, "state": ended(7, message="no route")}, "SidecarEnded", "has ended with 7 (Error): no route"),
        (
            {"ready": False, "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}},
            "SidecarWaiting",
            "does not run: no such image",
        ),
        ({"ready": False, "state": RUNNING}, "SidecarNotReady", "is not ready"),
    ],
)
def test_a_sidecar_that_is_not_well_is_named_and_the_job_is_judged_by_its_own_container(
    other: dict[str, Any], reason: str, words: str
) -> None:
    unready = {"Ready": "False", "ContainersReady": "False"}
    pod = read_pod(tree(conditions=unready, containerStatuses=runtime_and(other)))
    assert pod.ready and pod.live and not pod.outlived
    assert pod.beside is not None and pod.beside.reason == reason
    assert 'container "proxy" of the pod' in pod.beside.message and words in pod.beside.message
    starting = read_pod(tree(conditions=unready, containerStatuses=runtime_and(other, ready=False)))
    assert not starting.ready and starting.beside == pod.beside


def test_a_sidecar_of_kubernetes_own_kind_is_named_and_one_that_is_done_hinders_nothing() -> None:
    status: dict[str, Any] = {"containerStatuses": runtime_and({"ready": False, "state": ended(0, "Completed")})}
    assert read_pod(tree(**status)).beside is None
    init = {"name": "mesh", "ready": False, "state": RUNNING}
    native = read_pod(tree(**status, initContainerStatuses=[init]))
    assert native.beside is not None and native.beside.message == 'container "mesh" of the pod is not ready'


def test_a_sidecar_that_goes_on_after_the_job_has_ended_is_seen() -> None:
    both = [{"name": "proxy", "state": RUNNING}, {"name": "runtime", "ready": False, "state": ended(0, "Completed")}]
    pod = read_pod(tree(containerStatuses=both))
    assert pod.ended is not None and pod.ended.exit_code == 0 and pod.outlived
    both[0]["state"] = ended(137)
    assert not read_pod(tree("Failed", containerStatuses=both)).outlived


def test_what_runs_before_the_container_and_fails_is_named() -> None:
    failed = read_pod(tree("Failed", initContainerStatuses=[{"name": "setup", "state": ended(3, message="no disk")}]))
    assert failed.ended is not None
    assert failed.ended.message == 'init container "setup" has ended with 3 (Error): no disk'
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "denied"}}
    init = [{"name": "setup", "image": "setup:1", "state": waiting}]
    waits = read_pod(tree("Pending", {"waiting": {"reason": "PodInitializing"}}, initContainerStatuses=init))
    assert waits.waiting is not None and waits.waiting.reason == "ImagePullFailed"
    assert waits.waiting.message == 'the image setup:1 of init container "setup" cannot be pulled: denied'


@pytest.mark.parametrize("reason", ["DeletionByTaintManager", "EvictionByEvictionAPI"])
def test_a_pod_that_kubernetes_takes_from_a_lost_node_is_told_from_one_that_is_moved(reason: str) -> None:
    going = tree(state=RUNNING, conditions={"Ready": "False", "ContainersReady": "False"})
    going["status"]["conditions"].append({"type": "DisruptionTarget", "status": "True", "reason": reason})
    assert read_pod(going).node_given_up is (reason == "DeletionByTaintManager")


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"])
def test_an_image_that_cannot_be_pulled_is_named(reason: str) -> None:
    first = tree("Pending", {"waiting": {"reason": reason, "message": "no such host"}})
    first["spec"]["containers"].insert(0, {"name": "proxy", "image": "proxy:1"})
    pod = read_pod(first)
    assert pod.waiting is not None and pod.waiting.reason == "ImagePullFailed"
    assert pod.waiting.message == "the image registry/runtime:1 cannot be pulled: no such host"


def test_a_pod_that_no_node_takes_says_why() -> None:
    pod = read_pod(tree("Pending", conditions={"PodScheduled": "False"}))
    assert pod.waiting is not None and pod.waiting.reason == "Unschedulable"
    assert "0/3 nodes are available" in pod.waiting.message


def test_a_pod_that_waits_for_its_volumes_says_nothing_itself() -> None:
    waits = tree("Pending", {"waiting": {"reason": "ContainerCreating"}}, {"PodScheduled": "True"})
    assert is_starting(waits) and read_pod(waits).waiting is None
    assert not is_starting(tree("Pending", conditions={"PodScheduled": "False"}))
    assert not is_starting(tree(state=RUNNING, conditions={"PodScheduled": "True"}))


def event(message: str, at: str = AT, kind: str = "Warning", reason: str = "FailedMount") -> dict[str, str]:
    return {"type": kind, "reason": reason, "message": message, "lastTimestamp": at}


def test_a_missing_secret_is_named_with_the_way_out() -> None:
    text = 'MountVolume.SetUp failed for volume "secret-0" : secret "minio" not found'
    found = waiting_for([event("Pulled", kind="Normal"), event(text)], "shop", "views-abc")
    assert found is not None and found.reason == "SecretMissing"
    assert found.message.startswith('Secret "minio" is missing: create it in namespace "shop"')


def test_missing_site_files_are_named_with_the_way_out() -> None:
    text = 'MountVolume.SetUp failed for volume "hadoop" : configmap "site" not found'
    found = waiting_for([event(text)], "shop", "views-abc")
    assert found is not None and found.reason == "ConfigMapMissing"
    assert found.message.startswith('ConfigMap "site" is missing: create it in namespace "shop"')


def test_the_newest_warning_counts_and_others_are_passed_on() -> None:
    old, new = event("old", "2026-11-21T12:00:00Z"), event("disk full", "2026-11-21T12:00:09Z", reason="FailedAttach")
    found = waiting_for([new, old], "shop", "views-abc")
    assert found is not None and (found.reason, found.message) == ("FailedAttach", "disk full")
    assert waiting_for([event("fine", kind="Normal")], "shop", "views-abc") is None


def test_a_manifest_that_was_deleted_is_not_for_the_user_to_make() -> None:
    text = 'MountVolume.SetUp failed for volume "streamjob-job" : configmap "views-abc" not found'
    found = waiting_for([event(text)], "shop", "views-abc")
    assert found is not None and found.reason == MANIFEST_MISSING and "it is made again" in found.message


BATCH = {"batchId": 7, "timestamp": AT, "numInputRows": 12, "batchDuration": 3.25, "sources": [{"lag": 0}]}


def test_the_last_words_say_how_far_a_job_came_that_nobody_had_asked() -> None:
    checkpoint = {"batchId": 7, "timestamp": AT, "sizeBytes": 99, "ageMs": 1}
    said = {"reason": "Done", "exitCode": 0, "message": "", "batch": BATCH, "checkpoint": checkpoint}
    pod = read_pod(tree("Succeeded", ended(0, "Completed", json.dumps(said))))
    assert pod.ended is not None and pod.ended.reason == "Done"
    at = "2026-11-21T12:00:00.000Z"
    assert pod.ended.last_batch == {"id": 7, "time": at, "inputRows": 12, "durationMs": 3.2, "lag": 0}
    assert pod.ended.last_checkpoint == {"batch": 7, "time": at, "sizeBytes": 99}


@pytest.mark.parametrize("wrong", [[1], "text", {"batchId": "7"}, {**BATCH, "numInputRows": -1}])
def test_what_they_say_of_it_is_looked_at(wrong: Any) -> None:
    pod = read_pod(tree("Failed", ended(78, message=json.dumps({"reason": "JobError", "message": "", "batch": wrong}))))
    assert pod.ended is not None and pod.ended.reason == "JobError" and pod.ended.last_batch is None
