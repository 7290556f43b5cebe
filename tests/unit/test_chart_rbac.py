"""What the chart lets the operator do, cluster-wide and in namespaced mode."""

import re

import pytest

from support.chart import (
    EVERYTHING,
    MODES,
    NAMESPACE,
    ROOT,
    WATCHED,
    Manifest,
    of_kind,
    only,
    operator_of,
    render,
    rights,
    roles_of,
)

NEEDED = {
    ("streamjob.dev", "streamjobs"): {"list", "watch", "patch"},
    ("streamjob.dev", "streamjobs/status"): {"update"},
    ("streamjob.dev", "streamjobs/finalizers"): {"update"},
    ("", "pods"): {"get", "list", "watch", "create", "delete", "patch"},
    ("", "configmaps"): {"get", "list", "create", "delete"},
    ("", "events"): {"create", "list"},
    ("networking.k8s.io", "networkpolicies"): {"create", "patch"},
}
DRAIN = "streamjob-drain"
LEASES = ("coordination.k8s.io", "leases")


@pytest.mark.parametrize("mode", MODES)
def test_the_operator_may_do_what_it_needs_and_nothing_else(mode: Manifest) -> None:
    objects = render(EVERYTHING | mode)
    roles = [r for r in of_kind(objects, "Role") if r["metadata"]["namespace"] in "ab"]
    roles = roles if mode else of_kind(objects, "ClusterRole")
    assert len(roles) == len(mode.get("watchNamespaces", ["all"]))
    for role in roles:
        assert rights(role) == NEEDED
        assert not any("resourceNames" in rule or "nonResourceURLs" in rule for rule in role["rules"])


@pytest.mark.parametrize("mode", MODES)
def test_no_right_is_without_bounds_or_reaches_secrets_or_nodes(mode: Manifest) -> None:
    for role in roles_of(render(EVERYTHING | mode)):
        for (group, resource), verbs in rights(role).items():
            assert "*" not in {group, resource, *verbs}
            assert resource.split("/")[0] not in {"secrets", "nodes", "serviceaccounts", "roles", "clusterroles"}
            assert resource not in {"pods/exec", "pods/attach", "pods/proxy", "pods/ephemeralcontainers"}
            assert not verbs & {"deletecollection", "escalate", "bind", "impersonate"}


def test_leases_are_its_own_alone_and_in_its_own_namespace() -> None:
    objects = render({"watchNamespaces": WATCHED})
    (role,) = [role for role in roles_of(objects) if LEASES in rights(role)]
    assert role["metadata"]["namespace"] == NAMESPACE
    assert role["rules"] == [
        {"apiGroups": [LEASES[0]], "resources": [LEASES[1]], "verbs": ["create"]},
        {
            "apiGroups": [LEASES[0]],
            "resources": [LEASES[1]],
            "resourceNames": ["streamjob-operator"],
            "verbs": ["get", "update"],
        },
    ]
    args = operator_of(objects)["args"]
    assert {f"--lease-namespace={NAMESPACE}", "--lease-name=streamjob-operator", "--leader-election"} <= set(args)


def test_namespaced_mode_has_nothing_cluster_wide_but_the_crd() -> None:
    objects = render(EVERYTHING | {"watchNamespaces": WATCHED})
    cluster_wide = [found for found in objects if "namespace" not in found["metadata"]]
    assert sorted(found["kind"] for found in cluster_wide) == ["ClusterRole", "CustomResourceDefinition"]
    without = render(EVERYTHING | {"watchNamespaces": WATCHED, "crds.install": False})
    assert not [found for found in without if "namespace" not in found["metadata"]]
    places = sorted(role["metadata"]["namespace"] for role in of_kind(objects, "Role"))
    assert places == ["a", "b", NAMESPACE]
    assert [arg for arg in operator_of(objects)["args"] if arg.startswith("--namespace")] == [
        "--namespace=a",
        "--namespace=b",
    ]


def test_what_lets_jobs_go_outlasts_the_roles_of_a_namespace_and_the_release() -> None:
    objects = render(EVERYTHING | {"watchNamespaces": WATCHED})
    role = only(objects, "ClusterRole")
    assert role["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    allowed = rights(role)
    assert allowed.pop(("rbac.authorization.k8s.io", "rolebindings")) == {"patch"}
    assert all(verbs <= NEEDED[resource] for resource, verbs in allowed.items()), "no more than the operator has anyway"
    assert not any("create" in verbs for verbs in allowed.values())
    assert [rule["resourceNames"] for rule in role["rules"] if "resourceNames" in rule] == [[DRAIN]]
    bindings = [b for b in of_kind(objects, "RoleBinding") if b["roleRef"]["name"] == DRAIN]
    assert [binding["metadata"]["namespace"] for binding in bindings] == WATCHED
    for binding in bindings:
        assert binding["metadata"]["name"] == DRAIN and "finalizers" not in binding["metadata"]
        assert binding["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert f"--hold-role-binding={DRAIN}" in operator_of(objects)["args"]


def test_cluster_wide_mode_names_no_namespace() -> None:
    assert not [arg for arg in operator_of(render())["args"] if arg.startswith("--namespace")]


@pytest.mark.parametrize("mode", MODES)
def test_every_binding_gives_a_role_of_the_chart_to_the_operator_alone(mode: Manifest) -> None:
    objects = render(mode)
    account = only(objects, "ServiceAccount")["metadata"]
    roles = {(role["kind"], role["metadata"]["name"], role["metadata"].get("namespace")) for role in roles_of(objects)}
    bindings = of_kind(objects, "RoleBinding") + of_kind(objects, "ClusterRoleBinding")
    bound = set()
    for binding in bindings:
        of_cluster = binding["roleRef"]["kind"] == "ClusterRole"
        place = None if of_cluster else binding["metadata"].get("namespace")
        bound.add((binding["roleRef"]["kind"], binding["roleRef"]["name"], place))
        (subject,) = binding["subjects"]
        assert subject == {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    assert bound == roles


def test_the_docs_say_what_the_operator_may_do() -> None:
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z/]+)` \| ([a-z, ]+) \| .+ \|$", page, re.MULTILINE)
    assert {resource: set(verbs.split(", ")) for resource, verbs in rows} == {
        resource: verbs for (_, resource), verbs in NEEDED.items()
    }
