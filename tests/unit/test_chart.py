"""What the chart installs, as `helm template` renders it: names, and pods that may do little."""

import tomllib
from dataclasses import replace

import pytest
import yaml

from streamjob_operator.main import Options, parse
from support.chart import (
    CHART,
    EVERYTHING,
    MODES,
    NAMESPACE,
    ROOT,
    Manifest,
    helm,
    of_kind,
    only,
    operator_of,
    render,
    selects,
)


def test_lint_has_nothing_to_say() -> None:
    done = helm("lint", "--strict", "--quiet", "--kube-version", "1.34.0", CHART)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_the_chart_and_the_images_have_the_version_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert (chart["version"], chart["appVersion"]) == (version, version)
    container = operator_of(render())
    assert container["image"] == f"ghcr.io/streamjob/operator:{version}"
    assert f"--runtime-image=ghcr.io/streamjob/runtime:{version}" in container["args"]


def test_by_default_nothing_is_installed_that_needs_something_else() -> None:
    kinds = sorted(found["kind"] for found in render())
    assert kinds == [
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "Deployment",
        "Pod",  # of helm test
        "Role",  # for the Lease
        "RoleBinding",
        "Service",
        "ServiceAccount",
    ]


@pytest.mark.parametrize("mode", MODES)
def test_the_operator_understands_what_the_chart_tells_it(mode: Manifest) -> None:
    values = {"runtimeImage": {"repository": "rt", "tag": "9", "pullPolicy": "Never"}, "logFormat": "text"}
    objects = render({"defaultCheckpointLocation": "s3://checkpoints/all"} | values | mode)
    own = {"app.kubernetes.io/name": "streamjob-operator", "app.kubernetes.io/component": "operator"}
    peers = [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
            "podSelector": {"matchLabels": {**own, "app.kubernetes.io/instance": "streamjob"}},
        },
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}},
        {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}},
    ]
    assert replace(parse(operator_of(objects)["args"]), identity="") == Options(
        runtime_image="rt:9",
        namespaces=tuple(mode.get("watchNamespaces", [])),
        image_pull_policy="Never",
        default_checkpoint_location="s3://checkpoints/all",
        leader_election=True,
        lease_namespace=NAMESPACE,
        lease_name="streamjob-operator",
        http_port=8080,
        log_format="text",
        hold_role_binding="streamjob-drain" if mode else None,
        runtimes_from=tuple(peers),
    )
    assert parse(operator_of(render())["args"]).default_checkpoint_location is None
    assert parse(operator_of(render({"networkPolicy.runtimes": False}))["args"]).runtimes_from is None


def test_names_and_namespaces_are_texts_even_if_they_look_like_numbers() -> None:
    objects = render({"watchNamespaces": ["3"], "networkPolicy.enabled": True}, release="1", namespace="2")
    cluster_wide = ("CustomResourceDefinition", "ClusterRole")
    metadata = [found["metadata"] for found in objects if found["kind"] not in cluster_wide]
    assert {found["namespace"] for found in metadata} == {"2", "3"}
    assert {found["labels"]["app.kubernetes.io/instance"] for found in metadata} == {"1"}


@pytest.mark.parametrize("release", ["streamjob", "streamjob-operator"])
def test_the_usual_release_names_give_the_plain_name(release: str) -> None:
    assert only(render(release=release), "Deployment")["metadata"]["name"] == "streamjob-operator"


def test_the_longest_release_name_gives_names_that_a_service_may_have() -> None:
    assert len(only(render(release="r" * 53), "Service")["metadata"]["name"]) <= 63


@pytest.mark.parametrize("kind", ["Deployment", "Pod"])
def test_every_pod_is_restricted(kind: str) -> None:
    found = only(render(EVERYTHING), kind)
    pod = found["spec"]["template"]["spec"] if kind == "Deployment" else found["spec"]
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod)
    assert all("emptyDir" in volume for volume in pod.get("volumes", []))
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
        assert all("hostPort" not in port for port in container.get("ports", []))


def test_the_token_is_mounted_where_a_pod_asks_for_it_alone() -> None:
    objects = render()
    assert only(objects, "ServiceAccount")["automountServiceAccountToken"] is False
    assert only(objects, "Deployment")["spec"]["template"]["spec"]["automountServiceAccountToken"] is True


def test_probes_and_service_ask_the_port_that_the_operator_serves() -> None:
    objects = render()
    container = operator_of(objects)
    assert container["ports"] == [{"name": "http", "containerPort": 8080}]
    assert "--http-port=8080" in container["args"]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    service = only(objects, "Service")["spec"]
    assert service["ports"] == [{"name": "http", "port": 8080, "targetPort": "http"}]
    test = only(objects, "Pod")["spec"]["containers"][0]
    assert {"name": "OPERATOR", "value": f"http://streamjob-operator.{NAMESPACE}:8080"} in test["env"]


def test_tmp_can_be_written_and_the_pod_knows_its_name() -> None:
    container = operator_of(render())
    assert container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
    assert {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}} in container["env"]


def test_an_upgrade_starts_the_new_operator_before_it_stops_the_old_one() -> None:
    assert only(render(), "Deployment")["spec"]["strategy"] == {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def test_two_replicas_are_spread_and_drained_one_by_one() -> None:
    objects = render({"replicas": 2})
    spec = only(objects, "Deployment")["spec"]
    (spread,) = spec["template"]["spec"]["topologySpreadConstraints"]
    assert spec["replicas"] == 2
    assert spread["topologyKey"] == "kubernetes.io/hostname"
    # A cluster with one node is left still takes both.
    assert spread["whenUnsatisfiable"] == "ScheduleAnyway"
    budget = only(objects, "PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == spread["labelSelector"] == spec["selector"]


@pytest.mark.parametrize("values", [{"replicas": 1}, {"replicas": 2, "podDisruptionBudget.enabled": False}])
def test_there_is_no_budget_where_it_would_say_nothing(values: Manifest) -> None:
    assert not of_kind(render(values), "PodDisruptionBudget")


def test_selectors_select_the_operator_and_not_the_test() -> None:
    objects = render(EVERYTHING)
    deployment = only(objects, "Deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    policy = next(p for p in of_kind(objects, "NetworkPolicy") if p["metadata"]["name"] == "streamjob-operator")
    selectors = [
        deployment["selector"]["matchLabels"],
        only(objects, "Service")["spec"]["selector"],
        policy["spec"]["podSelector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selects(selector, labels)
        assert not selects(selector, only(objects, "Pod")["metadata"]["labels"])


@pytest.mark.parametrize("wrong", ["", "{}", "[1]", "from"])
def test_what_is_no_list_of_peers_is_refused_by_the_operator(wrong: str) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--runtime-image=rt", f"--runtimes-from={wrong}"])
    assert ended.value.code == 2
