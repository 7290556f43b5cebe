"""Variables on a cluster: what a real API server lets pass, and what becomes of a job whose values change."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from benchmarks.scale.control_plane import ControlPlane
from benchmarks.scale.resources import NAMESPACE

from streamjob_api import names
from support.cluster import Cluster, CommandFailed
from support.control_plane import operated

SPEC: dict[str, Any] = {
    "variablesFrom": [{"configMapRef": {"name": "env"}}],
    "sources": [{"name": "lines", "kafka": {"bootstrapServers": "${KAFKA}", "topic": "${TOPIC}"}, "format": "text"}],
    "sinks": [{"from": "lines", "console": {}}],
    "checkpoint": {"location": "s3://${BUCKET:-checkpoints}/varied"},
}
KAFKA = {"bootstrapServers": "${KAFKA:-localhost:9092}", "topic": "${TOPIC:-the:default}"}
# A variable in each field that may have one though its text has a form.
EVERYWHERE: dict[str, Any] = {
    "variablesFrom": [{"configMapRef": {"name": "env", "optional": True}}],
    "batchInterval": "${A_VERY_LONG_NAME_FOR_AN_INTERVAL_OF_BATCHES:-2s}",
    "sources": [
        {
            "name": "a",
            "kafka": {**KAFKA, "schemaRegistry": {"url": "${REGISTRY}"}},
            "format": "avro",
            "schema": {"i": "BIGINT"},
        },
        {"name": "b", "tcp": {"host": "${HOST}", "port": 1}, "format": "text"},
        {"name": "c", "files": {"path": "${DIR:-file:///in}", "follow": True}, "format": "text"},
        {
            "name": "d",
            "kafka": {**KAFKA, "startFrom": "timestamp", "startTimestamp": "${SINCE}"},
            "format": "json",
            "schema": {"at": "TIMESTAMP"},
            "watermark": {"column": "at", "delay": "${DELAY}", "maxAhead": "${AHEAD}"},
        },
    ],
    "tables": [{"name": "t", "delta": {"path": "s3://${BUCKET}/t"}, "refresh": "${REFRESH}"}],
    "pipeline": [{"name": "s", "sql": "SELECT value AS v, count(*) FROM b GROUP BY value", "ttl": "${TTL}"}],
    "sinks": [
        {"from": "a", "kafka": KAFKA, "format": "json"},
        {"from": "b", "postgres": {"table": "${TABLE:-a.b}", "dsnSecretRef": {"name": "pg", "key": "dsn"}}},
        {"from": "b", "files": {"path": "s3://${BUCKET}/a"}, "format": "json"},
        {"from": "b", "files": {"path": "s3://${BUCKET}/b"}, "format": "json"},
    ],
    "checkpoint": {"interval": "${CHECKPOINT}", "location": "hdfs://${NAMENODE}/x"},
    "s3": {"endpoint": "${MINIO}", "region": "${REGION}"},
    "hdfs": {"kerberos": {"principal": "${PRINCIPAL}", "keytabSecretRef": {"name": "k", "key": "t"}}},
    "image": "${IMAGE}",
    "resources": {"requests": {"memory": "${REQUEST}"}, "limits": {"memory": "${LIMIT}", "cpu": 2}},
    "restart": {"backoff": {"initial": "${WAIT}", "max": "1s"}, "resetAfter": "${RESET}"},
}


@pytest.fixture(scope="module")
def cluster(api_server: ControlPlane) -> Iterator[Cluster]:
    with operated(api_server) as cluster:
        yield cluster


def job(name: str, spec: dict[str, Any]) -> str:
    api = {"apiVersion": "streamjob.dev/v1alpha1", "kind": "StreamJob"}
    return json.dumps({**api, "metadata": {"name": name}, "spec": spec})


def set_values(cluster: Cluster, name: str, **values: str) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": values}
    cluster.apply(json.dumps(config), NAMESPACE)


def condition(cluster: Cluster, name: str, kind: str) -> dict[str, str]:
    found = cluster.get("stj", name, NAMESPACE).get("status", {}).get("conditions", ())
    return dict(next((c for c in found if c["type"] == kind), {}))


def wait_until(cluster: Cluster, name: str, kind: str, reason: str, *words: str) -> None:
    def told() -> bool:
        said = condition(cluster, name, kind)
        return said.get("reason") == reason and all(word in said["message"] for word in words)

    cluster.wait(told, what=f"{kind} of {name} says {reason} {words}")


def manifest_of(cluster: Cluster, name: str, pod: str) -> dict[str, Any]:
    """What a pod was given to run."""
    volumes = cluster.get("pod", pod, NAMESPACE)["spec"]["volumes"]
    config = next(volume["configMap"]["name"] for volume in volumes if "configMap" in volume)
    manifest = yaml.safe_load(cluster.get("configmap", config, NAMESPACE)["data"][names.JOB_FILE])
    assert config.startswith(f"{name}-")
    return dict(manifest["spec"])


def test_variables_pass_in_all_fields_that_differ_between_environments(cluster: Cluster) -> None:
    said = cluster.kubectl("apply", "--dry-run=server", "-n", NAMESPACE, "-f", "-", stdin=job("all", EVERYWHERE))
    assert "created (server dry run)" in said


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ({"trigger": "${TRIGGER}"}, "spec.trigger"),
        ({"suspend": "${SUSPEND}"}, "spec.suspend"),
        ({"checkpoint": {"retained": "${RETAINED}"}}, "spec.checkpoint.retained"),
        ({"sinks": [{"from": "${STEP}", "console": {}}]}, "spec.sinks[0].from"),
        ({"batchInterval": "soon"}, "spec.batchInterval"),
        ({"image": " "}, "spec.image"),
        ({"variablesFrom": [{"configMapRef": {"name": "${ENV}"}}]}, "spec.variablesFrom[0].configMapRef.name"),
        ({"variablesFrom": [{"secretRef": {"name": "env"}}]}, "spec.variablesFrom[0]"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_in_other_fields_they_are_refused_and_so_is_any_other_wrong_text(
    cluster: Cluster, change: dict[str, Any], at: str
) -> None:
    with pytest.raises(CommandFailed) as refused:
        cluster.kubectl("apply", "--dry-run=server", "-n", NAMESPACE, "-f", "-", stdin=job("no", EVERYWHERE | change))
    assert at in str(refused.value)


def test_a_job_waits_for_its_values_runs_with_them_and_follows_their_changes(cluster: Cluster) -> None:
    cluster.apply(job("varied", SPEC), NAMESPACE)
    wait_until(cluster, "varied", "Ready", "VariablesMissing", f"no ConfigMap env in the namespace {NAMESPACE}")
    assert condition(cluster, "varied", "Stalled")["status"] == "True"
    set_values(cluster, "env", KAFKA="kafka:9092")
    wait_until(cluster, "varied", "Ready", "VariablesMissing", "spec.sources[0].kafka.topic", "TOPIC", "ConfigMap env")
    set_values(cluster, "env", KAFKA="kafka:9092", TOPIC="one")
    wait_until(cluster, "varied", "Ready", "Running")
    spec = manifest_of(cluster, "varied", "varied-1-0")
    assert spec["sources"][0]["kafka"] == {"bootstrapServers": "kafka:9092", "topic": "one"}
    assert spec["checkpoint"]["location"] == "s3://checkpoints/varied"
    status = cluster.get("stj", "varied", NAMESPACE)["status"]
    assert status["checkpointLocation"] == "s3://checkpoints/varied"
    assert cluster.get("stj", "varied", NAMESPACE)["spec"]["sources"][0]["kafka"]["topic"] == "${TOPIC}"
    # A change of a value is a change of the job: checked, then brought to it. Checks of simulated pods pass at once.
    set_values(cluster, "env", KAFKA="kafka:9092", TOPIC="two")
    cluster.wait(lambda: cluster.find("pod", "varied-2-0", NAMESPACE), what="a pod with the new value")
    assert manifest_of(cluster, "varied", "varied-2-0")["sources"][0]["kafka"]["topic"] == "two"
    events = cluster.kubectl("get", "events", "-n", NAMESPACE, "--field-selector=reason=Updating", "-o", "json")
    said = [e["message"] for e in json.loads(events)["items"] if e["involvedObject"]["name"] == "varied"]
    assert len(said) == 1 and "passed its check (spec.sources[0].kafka.topic)" in said[0]
    wait_until(cluster, "varied", "Ready", "Running")
    # Without its values it runs on.
    cluster.kubectl("delete", "configmap", "env", "-n", NAMESPACE)
    wait_until(cluster, "varied", "Stalled", "VariablesMissing", "there is no ConfigMap env")
    assert condition(cluster, "varied", "Ready")["status"] == "True"
    cluster.kubectl("delete", "pod", "varied-2-0", "-n", NAMESPACE)
    cluster.wait(lambda: cluster.find("pod", "varied-3-0", NAMESPACE), what="another pod of the same manifest")
    assert manifest_of(cluster, "varied", "varied-3-0")["sources"][0]["kafka"]["topic"] == "two"


def test_what_several_apply_is_merged_by_name(cluster: Cluster) -> None:
    """Server-side apply: one writes the job, another a topic of one source."""
    literal = {k: v for k, v in SPEC.items() if k != "variablesFrom"}
    kafka = {"bootstrapServers": "kafka:9092", "topic": "one"}
    literal["sources"] = [{"name": name, "kafka": kafka, "format": "text"} for name in ("lines", "more")]
    spec = {**literal, "checkpoint": {"location": "s3://checkpoints/merged"}}
    cluster.kubectl(
        "apply", "--server-side", "-n", NAMESPACE, "--field-manager=all", "-f", "-", stdin=job("merged", spec)
    )
    overlay = {"sources": [{"name": "more", "kafka": {"topic": "two"}}]}
    how = ("--server-side", "--force-conflicts", "--field-manager=one")
    cluster.kubectl("apply", *how, "-n", NAMESPACE, "-f", "-", stdin=job("merged", overlay))
    sources = cluster.get("stj", "merged", NAMESPACE)["spec"]["sources"]
    assert [(s["name"], s["kafka"]["topic"]) for s in sources] == [("lines", "one"), ("more", "two")]
    assert all(s["kafka"]["bootstrapServers"] == "kafka:9092" for s in sources)
