"""What the API server answers, and what becomes of it: a real one, garbage collector included; nodes are simulated."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from benchmarks.scale.control_plane import ControlPlane
from benchmarks.scale.resources import NAMESPACE

from support.cluster import Cluster
from support.control_plane import operated

SPEC: dict[str, Any] = {
    "trigger": "availableNow",
    "sources": [{"name": "lines", "files": {"path": "s3://in/"}, "format": "text"}],
    "sinks": [{"from": "lines", "console": {}}],
    "checkpoint": {"location": "s3://checkpoints/views"},
}


@pytest.fixture(scope="module")
def cluster(api_server: ControlPlane) -> Iterator[Cluster]:
    with operated(api_server) as cluster:
        yield cluster


def apply_job(cluster: Cluster, name: str, **fields: Any) -> None:
    spec = {**SPEC, **fields}
    job = {"apiVersion": "streamjob.dev/v1alpha1", "kind": "StreamJob", "metadata": {"name": name}, "spec": spec}
    cluster.apply(json.dumps(job), NAMESPACE)


def condition(cluster: Cluster, job: str, kind: str) -> dict[str, str]:
    found = cluster.get("stj", job, NAMESPACE).get("status", {}).get("conditions", ())
    return dict(next((c for c in found if c["type"] == kind), {}))


def wait_until_refused(cluster: Cluster, job: str, *words: str) -> None:
    def told() -> bool:
        ready = condition(cluster, job, "Ready")
        return ready.get("reason") == "PodRefused" and all(word in ready["message"] for word in words)

    cluster.wait(told, what=f"the words {words} in the condition of {job}")


def wait_until_running(cluster: Cluster, job: str, attempt: int = 1) -> None:
    cluster.wait(lambda: cluster.find("pod", f"{job}-{attempt}-0", NAMESPACE), what=f"a pod of {job}")
    cluster.wait(lambda: condition(cluster, job, "Ready").get("status") == "True", what=f"{job} is ready")


def complete(cluster: Cluster, pod: str) -> None:
    """As the kubelet says it of a pod whose process has ended well."""
    ended = {"exitCode": 0, "reason": "Completed", "finishedAt": "2026-11-21T12:00:00Z"}
    container = {"name": "runtime", "image": "i", "imageID": "", "ready": False, "restartCount": 0}
    status = {"phase": "Succeeded", "containerStatuses": [{**container, "state": {"terminated": ended}}]}
    patch = json.dumps({"status": status})
    cluster.kubectl("patch", "pod", pod, "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", patch)


def test_a_job_that_is_deleted_and_applied_again_runs_again_beside_the_pod_of_the_first(cluster: Cluster) -> None:
    apply_job(cluster, "again")
    wait_until_running(cluster, "again")
    complete(cluster, "again-1-0")
    cluster.wait(lambda: condition(cluster, "again", "Complete").get("status") == "True", what="it is done")
    cluster.kubectl("delete", "stj", "again", "-n", NAMESPACE, "--cascade=orphan")
    apply_job(cluster, "again")
    wait_until_running(cluster, "again", attempt=2)
    assert condition(cluster, "again", "Complete")["status"] == "False"
    assert cluster.find("pod", "again-1-0", NAMESPACE), "it was not the operator's to remove"


def test_a_config_map_that_a_deleted_job_has_left_is_waited_out_before_a_pod_is_made(cluster: Cluster) -> None:
    apply_job(cluster, "left")
    wait_until_running(cluster, "left")
    name = f"left-{cluster.get('stj', 'left', NAMESPACE)['status']['revision']}"
    # It goes with its job, but it takes its time.
    hold = {"metadata": {"finalizers": ["test.streamjob.dev/hold"]}}
    cluster.kubectl("patch", "configmap", name, "-n", NAMESPACE, "--type=merge", "-p", json.dumps(hold))
    cluster.kubectl("delete", "stj", "left", "-n", NAMESPACE)
    apply_job(cluster, "left")
    wait_until_refused(cluster, "left", f"ConfigMap {name}", "does not belong to this job")
    release = {"metadata": {"finalizers": None}}
    cluster.kubectl("patch", "configmap", name, "-n", NAMESPACE, "--type=merge", "-p", json.dumps(release))
    wait_until_running(cluster, "left")
    uid = cluster.get("stj", "left", NAMESPACE)["metadata"]["uid"]
    assert [o["uid"] for o in cluster.get("configmap", name, NAMESPACE)["metadata"]["ownerReferences"]] == [uid]


def test_somebody_elses_pod_of_that_name_is_told_of(cluster: Cluster) -> None:
    container = {"name": "c", "image": "i"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "taken-1-0"}, "spec": {"containers": [container]}}
    cluster.apply(json.dumps(pod), NAMESPACE)
    apply_job(cluster, "taken")
    wait_until_refused(cluster, "taken", "pod taken-1-0", "remove it, or rename the job")
    cluster.kubectl("delete", "pod", "taken-1-0", "-n", NAMESPACE)
    wait_until_running(cluster, "taken")


def test_a_webhook_that_does_not_answer_is_told_of(cluster: Cluster) -> None:
    webhook = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "policy"},
        "webhooks": [
            {
                "name": "policy.example.com",
                "clientConfig": {"url": "https://127.0.0.1:1/"},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}],
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
        ],
    }
    cluster.apply(json.dumps(webhook))
    try:
        apply_job(cluster, "judged")
        wait_until_refused(cluster, "judged", "policy.example.com", "failed calling webhook")
    finally:
        cluster.kubectl("delete", "validatingwebhookconfiguration", "policy")
    wait_until_running(cluster, "judged")


def test_a_check_that_is_refused_takes_nothing_from_a_job_and_says_why_its_change_waits(cluster: Cluster) -> None:
    apply_job(cluster, "good")
    wait_until_running(cluster, "good")
    apply_job(cluster, "good", podTemplate={"volumeMounts": [{"name": "dta", "mountPath": "/data"}]})

    def told() -> bool:
        progressing = condition(cluster, "good", "Progressing")
        return progressing.get("reason") == "Checking" and "its pod was refused" in progressing["message"]

    cluster.wait(told, what="the refusal in the condition")
    assert "dta" in condition(cluster, "good", "Progressing")["message"]
    assert condition(cluster, "good", "Ready")["status"] == "True"
    cluster.kubectl("delete", "pod", "good-1-0", "-n", NAMESPACE)
    wait_until_running(cluster, "good", attempt=2)


def test_a_status_that_somebody_edits_is_written_over_and_not_obeyed(cluster: Cluster) -> None:
    apply_job(cluster, "edited")
    wait_until_running(cluster, "edited")
    outcome = {"kind": "Failed", "generation": 1, "reason": "Edited", "message": "by hand"}
    patch = json.dumps({"status": {"attempt": 99, "outcome": outcome}})
    cluster.kubectl("patch", "stj", "edited", "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", patch)

    def as_it_was() -> bool:
        status = cluster.get("stj", "edited", NAMESPACE)["status"]
        return status["attempt"] == 1 and "outcome" not in status

    cluster.wait(as_it_was, what="the status as the operator wrote it")
    assert not cluster.find("pod", "edited-100-0", NAMESPACE)


def test_what_goes_on_beside_a_job_that_has_ended_is_ended_and_its_pod_stays(cluster: Cluster) -> None:
    apply_job(cluster, "beside")
    wait_until_running(cluster, "beside")
    ended = {"exitCode": 0, "reason": "Completed", "finishedAt": "2026-11-21T12:00:00Z"}
    container = {"image": "i", "imageID": "", "restartCount": 0}
    statuses = [
        {**container, "name": "runtime", "ready": False, "state": {"terminated": ended}},
        {**container, "name": "proxy", "ready": True, "state": {"running": {"startedAt": "2026-11-21T12:00:00Z"}}},
    ]
    patch = json.dumps({"status": {"containerStatuses": statuses}})
    cluster.kubectl("patch", "pod", "beside-1-0", "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", patch)
    cluster.wait(lambda: condition(cluster, "beside", "Complete").get("status") == "True", what="it is done")
    cluster.wait(
        lambda: cluster.get("pod", "beside-1-0", NAMESPACE)["spec"].get("activeDeadlineSeconds") == 1,
        what="the pod's deadline",
    )


@pytest.mark.parametrize("letter", ["a", "\u6771"], ids=["ascii", "three bytes"])
def test_the_longest_manifest_comes_to_a_pod(cluster: Cluster, letter: str) -> None:
    each = 16_300 // len(letter.encode())
    steps = [{"name": f"s{i}", "sql": f"SELECT value FROM lines /* {letter * each} */"} for i in range(64)]
    name = f"long-{len(letter.encode())}"
    job: dict[str, Any] = {"apiVersion": "streamjob.dev/v1alpha1", "kind": "StreamJob", "metadata": {"name": name}}
    job["spec"] = {**SPEC, "pipeline": steps}
    # Not by `kubectl apply`, which keeps it all in an annotation once more.
    cluster.kubectl("create", "-n", NAMESPACE, "-f", "-", stdin=json.dumps(job))
    wait_until_running(cluster, name)
    revision = cluster.get("stj", name, NAMESPACE)["status"]["revision"]
    config = cluster.get("configmap", f"{name}-{revision}", NAMESPACE)
    assert "data" not in config and len(config["binaryData"]["streamjob.yaml"]) < 100_000
