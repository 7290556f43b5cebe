"""Whatever happens to a job's pods: what its sinks hold at the end is what they hold when nothing happens."""

import contextlib
import itertools
import json
import os
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from streamjob_api import names
from streamjob_api.quantities import parse_quantity
from support import tcp_lines
from support.cluster import Cluster, CommandFailed, path
from support.images import RUNTIME
from support.jobs import Job, Jobs
from support.storage import BUCKET

HOGS = 5
HOG = "import time; kept = b'x' * (100 << 20); time.sleep(600)"


def test_a_process_that_is_killed(jobs: Jobs) -> None:
    job = jobs.running("killed")
    with job.fed():
        jobs.cluster.kill_in_pod(job.pod, jobs.namespace)
        job.wait_for_attempt(2)
        job.wait_until_read()
    job.finish()
    failure = job.status["lastFailure"]
    assert (failure["attempt"], failure["exitCode"]) == (1, 137)
    assert "killed by signal 9" in failure["message"]
    job.wait_for_condition("Degraded", "Restarted")


def test_a_pod_that_is_deleted(jobs: Jobs) -> None:
    job = jobs.running("deleted")
    with job.fed():
        jobs.cluster.kubectl("delete", "pod", job.pod, "-n", jobs.namespace, "--wait=false")
        job.wait_for_attempt(2)
        job.wait_until_read()
        jobs.cluster.kubectl("delete", "pod", job.pod, "-n", jobs.namespace, "--grace-period=0", "--force")
        job.wait_for_attempt(3)
        job.wait_until_read()
    job.finish()
    assert job.status["lastFailure"]["reason"] == "PodDeleted"
    assert job.status["failures"] == {"application": 0, "infrastructure": 2}


def test_a_pod_that_is_evicted_once_its_disruption_budget_lets_it(jobs: Jobs) -> None:
    cluster, namespace = jobs.cluster, jobs.namespace
    job = jobs.running("evicted")
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "evicted"},
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {names.LABEL_JOB: job.name}}},
    }
    cluster.apply(json.dumps(budget), namespace)
    with pytest.raises(CommandFailed, match="disruption budget"):
        evict(cluster, job)
    with job.fed():
        cluster.kubectl("delete", "pdb", "evicted", "-n", namespace)
        evict(cluster, job)
        job.wait_for_attempt(2)
        job.wait_until_read()
    job.finish()
    # The pod may be gone before the operator has seen it end.
    assert job.status["lastFailure"]["reason"] in ("EvictionByEvictionAPI", "PodDeleted")
    assert job.status["failures"] == {"application": 0, "infrastructure": 1}


def test_a_pod_that_must_make_room_for_a_more_urgent_one(jobs: Jobs) -> None:
    cluster, namespace = jobs.cluster, jobs.namespace
    job = jobs.running("preempted")
    node = cluster.node_of(job.pod, namespace)
    urgent = f"{namespace}-urgent"
    priority = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": urgent},
        "value": 1_000_000,
    }
    cluster.apply(json.dumps(priority))
    try:
        with job.fed():
            cluster.apply(json.dumps(pause(node, urgent, free_cpu(cluster, node) + Decimal("0.025"))), namespace)
            job.wait_for_attempt(2)
            job.wait_until_read()
        job.finish()
    finally:
        cluster.kubectl("delete", "priorityclass", urgent)
        cluster.kubectl("delete", "pod", "urgent", "-n", namespace, "--ignore-not-found", "--wait=false")
    # The pod may be gone before the operator has seen it end.
    assert job.status["lastFailure"]["reason"] in ("PreemptionByScheduler", "PodDeleted")
    assert job.status["failures"] == {"application": 0, "infrastructure": 1}


def evict(cluster: Cluster, job: Job) -> None:
    """As `kubectl drain` does with each pod of a node."""
    pod, namespace = job.pod, job.namespace
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction"
    cluster.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))


def free_cpu(cluster: Cluster, node: str) -> Decimal:
    """What of a node's processors no pod has asked for."""
    pods = json.loads(cluster.kubectl("get", "pods", "-A", "--field-selector", f"spec.nodeName={node}", "-o", "json"))
    asked = [
        parse_quantity(container.get("resources", {}).get("requests", {}).get("cpu", "0"))
        for pod in pods["items"]
        if pod["status"]["phase"] in ("Pending", "Running")
        for container in pod["spec"]["containers"]
    ]
    return parse_quantity(cluster.get("node", node)["status"]["allocatable"]["cpu"]) - sum(asked, Decimal(0))


def pause(node: str, priority: str, cpu: Decimal) -> dict[str, Any]:
    """A pod that does nothing, and wants so much of that node."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "urgent"},
        "spec": {
            "priorityClassName": priority,
            "nodeSelector": {"kubernetes.io/hostname": node},
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": names.USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "pause",
                    "image": RUNTIME,
                    "imagePullPolicy": "Never",
                    "command": ["sleep", "600"],
                    "resources": {"requests": {"cpu": str(cpu)}},
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }


def test_a_process_that_runs_out_of_memory_and_then_fails_too_often(jobs: Jobs) -> None:
    job = jobs.running("greedy", restart={"maxFailures": 1})
    with job.fed(), hogs(jobs.cluster, job):
        job.wait_for_attempt(2)
        job.wait_until_read()
    failure = job.status["lastFailure"]
    assert failure["reason"] == "OutOfMemory"
    assert "ran out of memory (limit 512Mi)" in failure["message"]
    assert "spec.resources.limits.memory" in failure["message"]

    jobs.cluster.kill_in_pod(job.pod, jobs.namespace)
    said = job.wait_for_condition("Failed", "TooManyFailures")
    assert "failed 2 times in a row" in said and "killed by signal 9" in said
    assert job.status["phase"] == "Failed"
    job.feed(2)
    job.restart("again")
    job.wait_for_attempt(3)
    assert job.condition("Failed")["status"] == "False"
    job.finish()


def test_lines_that_cannot_be_read_twice_count_once(jobs: Jobs) -> None:
    job = jobs.job(
        "tcp",
        sources=[
            {
                "name": "lines",
                "tcp": {"host": tcp_lines.NAME, "port": tcp_lines.PORT},
                "format": "json",
                "schema": {"n": "BIGINT", "last": "BOOLEAN"},
            }
        ],
    )
    place = f"s3://{BUCKET}/{job.prefix}"
    job.spec |= {
        "pipeline": [
            {"name": "totals", "sql": "SELECT last, count(*) AS n, sum(n)::BIGINT AS total FROM lines GROUP BY last"}
        ],
        "sinks": [
            {"from": "lines", "mode": "append", "files": {"path": f"{place}/rows/"}, "format": "json"},
            {"from": "totals", "mode": "complete", "files": {"path": f"{place}/totals/"}, "format": "json"},
        ],
    }
    tcp_lines.serve(jobs.cluster, jobs.namespace)
    job.apply()
    job.wait_until_ready()
    jobs.cluster.wait(lambda: len(job.rows("rows")) > 500, what="500 lines in the sink")

    jobs.cluster.kill_in_pod(job.pod, jobs.namespace)
    before = len(job.rows("rows"))
    job.wait_for_attempt(2)
    jobs.cluster.wait(lambda: len(job.rows("rows")) > before + 200, what="more lines in the sink")
    tcp_lines.end(jobs.cluster, jobs.namespace)
    jobs.cluster.wait(lambda: any(row["last"] for row in job.rows("rows")), what="the last line in the sink")

    rows = job.rows("rows")
    numbers = [row["n"] for row in rows]
    gaps = [(a, b) for a, b in itertools.pairwise(numbers) if b != a + 1]
    # What was under way when the process was killed was nobody's yet. All else is there once, in order.
    assert numbers[0] == 0 and len(gaps) <= 1 and all(a < b for a, b in gaps), gaps
    wanted = [
        {"last": last, "n": len(chosen), "total": sum(chosen)}
        for last in (False, True)
        if (chosen := [row["n"] for row in rows if row["last"] is last])
    ]
    jobs.cluster.wait(lambda: sorted(job.rows("totals"), key=lambda row: row["last"]) == wanted, what=f"{wanted}")


@contextlib.contextmanager
def hogs(cluster: Cluster, job: Job) -> Iterator[None]:
    """Processes in the job's container take its memory, until the kernel ends the largest one, which is the job's."""
    command = ["kubectl", "exec", job.pod, "-n", job.namespace, "--", "python3", "-c", HOG]
    environ = os.environ | {"PATH": path(), "KUBECONFIG": str(cluster.kubeconfig)}
    processes = [
        subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(HOGS)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
