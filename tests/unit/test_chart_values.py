"""Values: each reaches its place, or is refused by the schema."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from support.chart import CHART, Manifest, only, operator_of, refusal, render


def test_images_may_be_of_another_place_by_tag_or_digest() -> None:
    digest = "sha256:" + "0" * 64
    objects = render(
        {
            "image": {"repository": "registry:5000/op", "tag": digest, "pullPolicy": "Always"},
            "runtimeImage": {"repository": "registry:5000/rt", "tag": "9", "pullPolicy": "Never"},
        }
    )
    container = operator_of(objects)
    assert (container["image"], container["imagePullPolicy"]) == (f"registry:5000/op@{digest}", "Always")
    assert {"--runtime-image=registry:5000/rt:9", "--image-pull-policy=Never"} <= set(container["args"])
    assert only(objects, "Pod")["spec"]["containers"][0]["image"] == container["image"]


def test_what_a_cluster_asks_of_pods_reaches_the_pod() -> None:
    given: Manifest = {
        "imagePullSecrets": [{"name": "registry"}],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "infra", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}},
        "priorityClassName": "system-cluster-critical",
    }
    objects = render(
        given
        | {
            "podAnnotations": {"team": "streams"},
            "podLabels": {"team": "streams", "app.kubernetes.io/component": "mine"},
            "resources": {"limits": {"memory": "1Gi"}},
        }
    )
    template_ = only(objects, "Deployment")["spec"]["template"]
    assert {key: template_["spec"][key] for key in given} == given
    assert template_["metadata"]["annotations"] == {"team": "streams"}
    assert template_["metadata"]["labels"] == only(objects, "Deployment")["spec"]["selector"]["matchLabels"] | {
        "team": "streams"
    }
    assert operator_of(objects)["resources"]["limits"] == {"memory": "1Gi"}
    # The test's pod must get its image and a node in the same way.
    test = only(objects, "Pod")["spec"]
    assert {key: test[key] for key in ("imagePullSecrets", "nodeSelector", "tolerations")} == {
        key: given[key] for key in ("imagePullSecrets", "nodeSelector", "tolerations")
    }


def test_every_value_has_a_schema_and_every_part_of_the_schema_a_meaning() -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text(encoding="utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert set(values) == set(schema["properties"]) - {"global"}
    for name, part in _parts(schema, schema):
        if "properties" in part:
            assert part.get("additionalProperties") is False, name
            for key, field in part["properties"].items():
                assert field.get("description", "").endswith("."), f"{name}.{key}"
    for name, part in schema["properties"].items():
        inner = part.get("properties", {})
        if name != "affinity":
            assert set(inner) <= set(values[name]) if inner else True, name


@pytest.mark.parametrize(
    "values",
    [
        {"replica": 2},
        {"image": {"repo": "x"}},
        {"runtimeImage.digest": "x"},
        {"crds.enabled": True},
        {"resources.request": {}},
        {"affinity": {"pods": {}}},
        {"tolerations": [{"keys": "x"}]},
        {"imagePullSecrets": [{"secret": "x"}]},
        {"podDisruptionBudget.minAvailable": 1},
        {"networkPolicy.enable": True},
        {"networkPolicy.metricsFrom": [{"namespace": "x"}]},
        {"monitoring.serviceMonitor.enabled": True},
        {"serviceAccount": {}},
        {"securityContext": {}},
    ],
    ids=str,
)
def test_a_value_that_there_is_not_is_refused(values: Manifest) -> None:
    said = refusal(values)
    assert "values don't meet the specifications of the schema" in said


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"replicas": 0}, "replicas"),
        ({"replicas": "two"}, "replicas"),
        ({"watchNamespaces": "a"}, "watchNamespaces"),
        ({"watchNamespaces": ["A_b"]}, "watchNamespaces/0"),
        ({"watchNamespaces": ["a", "a"]}, "watchNamespaces"),
        ({"logFormat": "xml"}, "logFormat"),
        ({"image.pullPolicy": "Sometimes"}, "image/pullPolicy"),
        ({"image.tag": "a b"}, "image/tag"),
        ({"image.tag": 1.2}, "image/tag"),
        ({"defaultCheckpointLocation": "relative/folder"}, "defaultCheckpointLocation"),
        ({"defaultCheckpointLocation": "http://store"}, "defaultCheckpointLocation"),
        ({"crds.keep": "yes"}, "crds/keep"),
        ({"podLabels": {"a": 1}}, "podLabels/a"),
        ({"networkPolicy.apiServerPorts": []}, "networkPolicy/apiServerPorts"),
        ({"networkPolicy.apiServerPorts": [70000]}, "networkPolicy/apiServerPorts/0"),
        ({"monitoring.interval": "soon"}, "monitoring/interval"),
    ],
    ids=str,
)
def test_a_wrong_value_is_refused_by_name(values: Manifest, named: str) -> None:
    assert f"'/{named}'" in refusal(values)


def test_another_chart_may_carry_this_one(tmp_path: Path) -> None:
    umbrella = tmp_path / "umbrella"
    (umbrella / "charts").mkdir(parents=True)
    (umbrella / "charts" / "streamjob-operator").symlink_to(CHART)
    (umbrella / "Chart.yaml").write_text("{apiVersion: v2, name: umbrella, version: 1.0.0}\n", encoding="utf-8")
    objects = render({"global": {"team": "x"}, "streamjob-operator": {"replicas": 2}}, chart=umbrella)
    assert only(objects, "Deployment")["spec"]["replicas"] == 2


def _parts(part: Manifest, schema: Manifest, name: str = "") -> Iterator[tuple[str, Manifest]]:
    """Every object of a JSON schema, those that are referred to included."""
    if "$ref" in part:
        part = part | schema["definitions"][part["$ref"].rpartition("/")[2]]
    yield name, part
    for key, field in part.get("properties", {}).items():
        yield from _parts(field, schema, f"{name}.{key}")
    if isinstance(part.get("items"), dict):
        yield from _parts(part["items"], schema, f"{name}[]")
