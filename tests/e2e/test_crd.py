"""What a real API server makes of the CRD: what it accepts, what it refuses and how, and what kubectl shows."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from streamjob_api.manifest import parse_manifest
from streamjob_api.models import StreamJob
from streamjob_api.reference_text import EXAMPLE
from support.cluster import Cluster, CommandFailed
from support.manifests import GOOD, WRONG, Wrong
from support.operator_release import OperatorRelease

ROOT = Path(__file__).parents[2]
CRD = ROOT / "crds" / "streamjob.dev_streamjobs.yaml"
NAME = "streamjobs.streamjob.dev"
EVERYTHING, SMALLEST, *_ = GOOD
EXAMPLES = [
    document
    for file in sorted((ROOT / "examples").rglob("*.yaml"))
    for document in yaml.safe_load_all(file.read_text(encoding="utf-8"))
    if isinstance(document, dict) and document.get("kind") == "StreamJob"
]


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> Iterator[Cluster]:
    """A cluster that has the CRD of this tree; if it had none, it has none afterwards."""
    there = cluster.kubectl("get", "crd", NAME, "--ignore-not-found")
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
    cluster.kubectl("wait", "--for=condition=Established", f"crd/{NAME}", "--timeout=30s")
    yield cluster
    if not there:
        cluster.kubectl("delete", "crd", NAME, "--timeout=60s")


@pytest.fixture(scope="module")
def unserved(operator: OperatorRelease) -> Iterator[None]:
    """No operator acts: the tests write a job's status themselves."""
    with operator.away():
        yield


def try_out(api: Cluster, tree: dict[str, Any], namespace: str = "default") -> str:
    """What `kubectl apply` would say."""
    return api.kubectl("apply", "--dry-run=server", "-n", namespace, "-f", "-", stdin=json.dumps(tree))


@pytest.mark.parametrize("tree", [*GOOD, *EXAMPLES, yaml.safe_load(EXAMPLE)], ids=lambda tree: tree["metadata"]["name"])
def test_good_manifests_are_accepted(api: Cluster, tree: dict[str, Any]) -> None:
    assert "created (server dry run)" in try_out(api, tree)


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_wrong_manifests_are_refused_in_words(api: Cluster, wrong: Wrong) -> None:
    with pytest.raises(CommandFailed) as refused:
        try_out(api, wrong.tree)
    assert wrong.at in str(refused.value)
    assert wrong.says in str(refused.value)


def test_what_the_api_server_keeps_is_the_same_job(api: Cluster, namespace: str) -> None:
    """It sorts the fields of objects and writes defaults; `kubectl get -o yaml` still is a manifest of that job."""
    for tree in GOOD:
        api.apply(json.dumps(tree), namespace)
        kept = api.kubectl("get", "stj", tree["metadata"]["name"], "-n", namespace, "-o", "yaml")
        loaded = parse_manifest(kept, "kept.yaml")
        assert [str(problem) for problem in loaded.problems] == []
        assert loaded.job is not None
        job = StreamJob.model_validate(tree)
        assert loaded.job.spec == job.spec
        orders = [list(source.ordered_schema or ()) for source in job.spec.sources]
        assert [list(source.ordered_schema or ()) for source in loaded.job.spec.sources] == orders


def test_values_that_are_left_out_are_written_and_objects_are_not(api: Cluster, namespace: str) -> None:
    api.apply(json.dumps(SMALLEST), namespace)
    assert api.get("stj", "smallest", namespace)["spec"] == {
        "engine": "embedded",
        "batchInterval": "2s",
        "trigger": "processingTime",
        "sources": [{"name": "ticks", "rate": {"rowsPerSecond": 1}}],
        "sinks": [{"from": "ticks", "mode": "append", "console": {"rows": 20}}],
        "suspend": False,
        "excerptsInStatus": False,
    }


STATUS = {
    "observedGeneration": 1,
    "phase": "Running",
    "attempt": 3,
    "restarts": 2,
    "failures": {"application": 1, "infrastructure": 1},
    "startedAt": "2024-05-01T12:00:00Z",
    "lastFailure": {
        "time": "2024-05-01T11:59:00Z",
        "attempt": 2,
        "reason": "OOMKilled",
        "exitCode": 137,
        "message": "",
    },
    "lastBatch": {"id": 42, "time": "2024-05-01T12:01:00.250Z", "inputRows": 7, "durationMs": 12.5, "lag": 0},
    "lastCheckpoint": {"batch": 40, "time": "2024-05-01T12:00:56Z", "sizeBytes": 1000},
    "rates": {"inputRowsPerSecond": 3.5, "outputRowsPerSecond": 0.5},
    "conditions": [
        {
            "type": "Ready",
            "status": "True",
            "observedGeneration": 1,
            "lastTransitionTime": "2024-05-01T12:00:02Z",
            "reason": "Committing",
            "message": "Batches are committed.",
        }
    ],
}


@pytest.mark.usefixtures("unserved")
def test_kubectl_shows_how_a_job_does(api: Cluster, namespace: str) -> None:
    api.apply(json.dumps(SMALLEST), namespace)
    patch = json.dumps({"status": STATUS})
    api.kubectl("patch", "stj", "smallest", "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)
    assert api.get("streamjob", "smallest", namespace)["status"] == STATUS
    header, row = api.kubectl("get", "stj", "-n", namespace).splitlines()
    assert header.split() == ["NAME", "READY", "PHASE", "BATCH", "CHECKPOINT", "RESTARTS", "AGE"]
    name, ready, phase, batch, _, restarts, _ = row.split()
    assert (name, ready, phase, batch, restarts) == ("smallest", "True", "Running", "42", "2")
    wide, row = api.kubectl("get", "streaming", "-n", namespace, "-o", "wide").splitlines()
    assert wide.split()[-2:] == ["ATTEMPT", "REASON"]
    assert row.split()[-2:] == ["3", "Committing"]


@pytest.mark.usefixtures("unserved")
def test_a_status_that_is_none_is_refused(api: Cluster, namespace: str) -> None:
    api.apply(json.dumps(SMALLEST), namespace)
    patch = json.dumps({"status": {"phase": "Sleeping"}})
    with pytest.raises(CommandFailed, match=r'status.phase: Unsupported value: "Sleeping"'):
        api.kubectl("patch", "stj", "smallest", "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)


@pytest.mark.usefixtures("unserved")
def test_a_spec_is_changed_without_its_status_and_the_other_way_round(api: Cluster, namespace: str) -> None:
    api.apply(json.dumps(SMALLEST | {"status": STATUS}), namespace)
    assert api.get("stj", "smallest", namespace)["status"] == {"observedGeneration": -1}  # nobody has looked at it
    patch = json.dumps({"spec": {"suspend": True}, "status": STATUS})
    api.kubectl("patch", "stj", "smallest", "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)
    job = api.get("stj", "smallest", namespace)
    assert job["status"] == STATUS
    assert job["spec"]["suspend"] is False
    assert job["metadata"]["generation"] == 1


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("stj.spec.sources", "How bytes become rows."),
        ("stj.spec.sources.watermark.delay", "How late a row may be, seen from the newest one."),
        ("stj.spec.podTemplate.env.valueFrom", "Where its value is, as in a pod"),
        ("stj.status.lastCheckpoint", "How large its state snapshot is."),
    ],
)
def test_kubectl_explains_the_fields(api: Cluster, path: str, said: str) -> None:
    def explained() -> bool:
        # What the API server publishes of a new CRD comes a moment after it.
        try:
            return said in " ".join(api.kubectl("explain", path).split())
        except CommandFailed:
            return False

    api.wait(explained, what=f"kubectl explain {path}")


def test_the_crd_can_be_applied_on_the_clients_side_too(api: Cluster) -> None:
    """This keeps the whole file in an annotation, whose size is bounded."""
    assert NAME in api.kubectl("apply", "--dry-run=server", "-f", str(CRD))
