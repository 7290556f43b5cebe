"""What is applied: nodes, rights, and the resources that are measured."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from scripts.images import IMAGES

ROOT = Path(__file__).parents[2]
NAMESPACE = "scale"
IMAGE = IMAGES["runtime"]  # nobody pulls it
PODS_A_NODE = 110

JOBS = f"/apis/streamjob.dev/v1alpha1/namespaces/{NAMESPACE}/streamjobs"
BATCH_JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


def setup(pods: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and body of each object that must be there first, for so many pods."""
    crd = yaml.safe_load((ROOT / "crds" / "streamjob.dev_streamjobs.yaml").read_text())
    yield "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd
    yield "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}}
    role = {"metadata": {"name": "streamjob-operator"}, "rules": list(_rules())}
    yield "/apis/rbac.authorization.k8s.io/v1/clusterroles", role
    binding = {
        "metadata": {"name": "streamjob-operator"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "streamjob-operator"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "streamjob-operator"}],
    }
    yield "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding
    for number in range(2 + pods // PODS_A_NODE):
        yield "/api/v1/nodes", {"metadata": {"name": f"node-{number}"}}


def _rules() -> Iterator[dict[str, Any]]:
    """What the chart grants."""
    for group, resource, verbs in (
        ("streamjob.dev", "streamjobs", "get list watch patch"),
        ("streamjob.dev", "streamjobs/status", "get patch update"),
        ("streamjob.dev", "streamjobs/finalizers", "update"),
        ("", "pods", "get list watch create delete patch"),
        ("", "configmaps", "get list create patch delete"),
        ("", "events", "create patch get list"),
        ("networking.k8s.io", "networkpolicies", "create patch"),
    ):
        yield {"apiGroups": [group], "resources": [resource], "verbs": verbs.split()}


def stream_job(name: str) -> dict[str, Any]:
    """A word count whose checkpoints are in S3."""
    return {
        "apiVersion": "streamjob.dev/v1alpha1",
        "kind": "StreamJob",
        "metadata": {"name": name},
        "spec": {
            "batchInterval": "1s",
            "sources": [{"name": "lines", "tcp": {"host": "text", "port": 9999}, "format": "text"}],
            "pipeline": [
                {"name": "words", "sql": "SELECT unnest(string_split(value, ' ')) AS word FROM lines"},
                {"name": "counts", "sql": "SELECT word, count(*) AS n FROM words GROUP BY word"},
            ],
            "sinks": [{"from": "counts", "mode": "complete", "console": {}}],
            "checkpoint": {"location": f"s3://checkpoints/{name}"},
            "s3": {"endpoint": "http://minio:9000", "credentialsSecretRef": {"name": "minio"}},
        },
    }


def batch_job(name: str) -> dict[str, Any]:
    """A Job of Kubernetes with a pod that uses what a runtime's pod uses."""
    container = {
        "name": "runtime",
        "image": IMAGE,
        "resources": {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
    }
    pod = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 100, "template": {"spec": pod}},
    }
