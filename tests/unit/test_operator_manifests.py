"""What the operator creates: pods that the strictest Pod Security level lets in, and that mount what the job names."""

from dataclasses import replace
from typing import Any

import pytest
import yaml

from streamjob_api import names, resource
from streamjob_operator.manifests import Images, config_map, grace_seconds, pod, pod_name
from streamjob_operator.model import CreatePod, Job, Key
from streamjob_operator.revision import NoCheckpointLocation, changed_fields, default_location, render
from support.cluster_model import SPEC

IMAGES = Images("runtime:1", "IfNotPresent")
S3 = {"endpoint": "http://minio:9000", "credentialsSecretRef": {"name": "minio"}}

SPOT = {"key": "spot", "operator": "Exists", "effect": "NoSchedule"}


def job(**spec: Any) -> Job:
    return Job(Key("shop", "views"), "uid", "1", 1, {**SPEC, **spec}, {})


def made(role: str = "runtime", **spec: Any) -> dict[str, Any]:
    of = job(**spec)
    return pod(of, CreatePod(role, 3, render(of.key, of.spec, None)), IMAGES)


def container(tree: dict[str, Any]) -> dict[str, Any]:
    [only] = tree["spec"]["containers"]
    return dict(only)


@pytest.mark.parametrize("role", ["runtime", "check", "cleanup"])
def test_every_pod_is_restricted_and_holds_no_credential_of_the_cluster(role: str) -> None:
    tree = made(role)
    spec, security = tree["spec"], container(tree)["securityContext"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert security["readOnlyRootFilesystem"] is True and security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert spec["restartPolicy"] == "Never"
    [owner] = tree["metadata"]["ownerReferences"]
    assert owner["uid"] == "uid" and owner["controller"] is True


def test_what_is_made_for_a_job_on_its_way_out_does_not_hold_it() -> None:
    """Else a deletion in the foreground would end the clean-up before the job's own finalizer goes."""
    of = replace(job(), deleting=True)
    revision = render(of.key, of.spec, None)
    for tree in (pod(of, CreatePod("cleanup", 0, revision), IMAGES), config_map(of, revision)):
        assert [o["blockOwnerDeletion"] for o in tree["metadata"]["ownerReferences"]] == [False]
    assert [o["blockOwnerDeletion"] for o in made()["metadata"]["ownerReferences"]] == [True]


def test_the_names_say_what_a_pod_is_for_and_are_never_used_again() -> None:
    of = job()
    revision = render(of.key, of.spec, None)
    assert pod_name(of, CreatePod("runtime", 7, revision)) == "views-7-0"
    assert pod_name(of, CreatePod("check", 0, revision)) == f"views-check-{revision.name}"
    assert pod_name(of, CreatePod("cleanup", 0, revision)) == "views-cleanup"


def test_each_secret_that_the_spec_names_is_a_folder_and_no_other_one() -> None:
    tree = made(s3=S3)
    [secret] = [v for v in tree["spec"]["volumes"] if "secret" in v]
    assert secret["secret"] == {"secretName": "minio"}
    mounts = {m["name"]: m for m in container(tree)["volumeMounts"]}
    assert mounts[secret["name"]]["mountPath"] == "/etc/streamjob/secrets/minio"
    assert "--secrets" in container(tree)["args"]
    assert "--secrets" not in container(made())["args"]


@pytest.mark.parametrize("role", ["runtime", "check", "cleanup"])
def test_the_site_files_of_hdfs_are_where_every_pod_looks_for_them(role: str) -> None:
    tree = made(role, hdfs={"user": "etl", "configMapRef": {"name": "hadoop-site"}})
    [volume] = [v for v in tree["spec"]["volumes"] if v.get("configMap") == {"name": "hadoop-site"}]
    [mount] = [m for m in container(tree)["volumeMounts"] if m["name"] == volume["name"]]
    assert mount["readOnly"] is True
    assert {"name": "HADOOP_CONF_DIR", "value": mount["mountPath"]} in container(tree)["env"]
    for without in (made(role), made(role, hdfs={"user": "etl"})):
        assert "HADOOP_CONF_DIR" not in {e["name"] for e in container(without)["env"]}
        assert volume["name"] not in {v["name"] for v in without["spec"]["volumes"]}


def test_the_keytab_of_hdfs_is_mounted_as_every_secret() -> None:
    reference = {"name": "etl", "key": "etl.keytab"}
    tree = made(hdfs={"kerberos": {"principal": "etl@EXAMPLE.COM", "keytabSecretRef": reference}})
    assert "/etc/streamjob/secrets/etl" in {m["mountPath"] for m in container(tree)["volumeMounts"]}


def test_the_config_map_holds_a_manifest_that_validates_and_is_named_by_its_content() -> None:
    of = job(suspend=False, restart={"maxFailures": 3})
    tree = config_map(of, render(of.key, of.spec, None))
    manifest = yaml.safe_load(tree["data"]["streamjob.yaml"])
    checked, broken = resource.check(manifest)
    assert checked is not None and broken == []
    assert manifest["metadata"] == {"name": "views", "namespace": "shop"}
    assert tree["immutable"] is True
    mount = next(v for v in made()["spec"]["volumes"] if v["name"] == "streamjob-job")
    assert mount["configMap"]["name"] == tree["metadata"]["name"]


def test_a_template_adds_to_the_pod_and_takes_nothing_from_it() -> None:
    tree = made(
        image="mine:2",
        resources={"limits": {"memory": "4Gi"}},
        podTemplate={
            "labels": {"team": "ads", names.LABEL_JOB: "another"},
            "annotations": {"a": "b"},
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [SPOT],
            "env": [{"name": "TZ", "value": "UTC"}],
            "volumes": [{"name": "data", "emptyDir": {}}],
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            "serviceAccountName": "etl",
            "priorityClassName": "high",
            "imagePullSecrets": [{"name": "registry"}],
        },
    )
    assert tree["metadata"]["labels"]["team"] == "ads"
    assert tree["metadata"]["labels"][names.LABEL_JOB] == "views", "the operator finds its pods by this label"
    assert tree["metadata"]["annotations"] == {"a": "b"}
    spec = tree["spec"]
    assert (spec["nodeSelector"], spec["serviceAccountName"], spec["priorityClassName"]) == (
        {"disk": "ssd"},
        "etl",
        "high",
    )
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert spec["tolerations"][-1] == SPOT
    only = container(tree)
    assert only["image"] == "mine:2" and only["resources"] == {"limits": {"memory": "4Gi"}}
    assert {"name": "TZ", "value": "UTC"} in only["env"]
    assert {"name": "data", "mountPath": "/data"} in only["volumeMounts"]


@pytest.mark.parametrize("role", ["runtime", "check", "cleanup"])
def test_a_pod_stays_on_a_lost_node_as_long_as_the_job_says_whatever_else_it_tolerates(role: str) -> None:
    everything = {"operator": "Exists"}
    of = job(podTemplate={"tolerations": [everything]})
    tree = pod(of, CreatePod(role, 1, render(of.key, of.spec, None), node_loss_after=7.5), IMAGES)
    *ours, theirs = tree["spec"]["tolerations"]
    assert theirs == everything, "Kubernetes goes by the first one that fits"
    assert [(t["key"], t["operator"], t["effect"], t["tolerationSeconds"]) for t in ours] == [
        ("node.kubernetes.io/not-ready", "Exists", "NoExecute", 8),
        ("node.kubernetes.io/unreachable", "Exists", "NoExecute", 8),
    ]


def test_a_job_that_says_nothing_of_resources_gets_sane_ones() -> None:
    assert container(made())["resources"] == {
        "requests": {"cpu": "250m", "memory": "512Mi"},
        "limits": {"memory": "1Gi"},
    }
    assert container(made())["image"] == "runtime:1"


def test_what_spills_to_disk_has_a_limit_so_that_no_job_fills_the_disk_of_its_neighbours() -> None:
    def limit(**spec: Any) -> str:
        [scratch] = [v for v in made(**spec)["spec"]["volumes"] if v["name"] == "streamjob-scratch"]
        return str(scratch["emptyDir"]["sizeLimit"])

    assert limit() == "10Gi"
    assert limit(resources={"limits": {"memory": "1Gi"}}) == "10Gi"
    assert limit(resources={"limits": {"ephemeral-storage": "50Gi"}}) == "50Gi"


def test_only_the_runtime_is_probed_and_only_the_others_have_a_deadline() -> None:
    assert container(made())["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container(made())["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert "activeDeadlineSeconds" not in made()["spec"]
    for role in ("check", "cleanup"):
        assert "livenessProbe" not in container(made(role))
        assert made(role)["spec"]["activeDeadlineSeconds"] > 60


@pytest.mark.parametrize(("interval", "grace"), [("100ms", 60), ("30s", 90), ("1h", 600)])
def test_a_pod_may_take_longer_to_end_than_a_batch(interval: str, grace: int) -> None:
    assert grace_seconds({"batchInterval": interval}) == grace


def test_a_location_left_out_is_the_operators_with_the_jobs_place_in_it() -> None:
    spec = {k: v for k, v in SPEC.items() if k != "checkpoint"}
    revision = render(Key("shop", "views"), spec, default_location(Key("shop", "views"), "s3://all/checkpoints/"))
    assert revision.spec["checkpoint"]["location"] == "s3://all/checkpoints/shop/views"
    with pytest.raises(NoCheckpointLocation, match=r"spec\.checkpoint\.location is missing"):
        render(Key("shop", "views"), spec, None)


@pytest.mark.parametrize("field", ["suspend", "restart", "deletion", "nodeLoss"])
def test_what_only_the_operator_reads_makes_no_new_revision(field: str) -> None:
    key = Key("shop", "views")
    assert render(key, {**SPEC, field: {"a": 1}}, None).name == render(key, SPEC, None).name


def test_what_a_pod_reads_makes_a_new_revision_and_the_order_of_keys_does_not() -> None:
    key = Key("shop", "views")
    same = dict(reversed(SPEC.items()))
    assert render(key, same, None).name == render(key, SPEC, None).name
    changes = {
        "image": "x",
        "batchInterval": "3s",
        "podTemplate": {"labels": {"a": "b"}},
        "hdfs": {"configMapRef": {"name": "hadoop-site"}},
    }
    for field, value in changes.items():
        assert render(key, {**SPEC, field: value}, None).name != render(key, SPEC, None).name


def test_changed_fields_are_named_the_first_few_of_them() -> None:
    old = {"a": 1, "steps": [{"sql": "x"}], "b": {"c": 1}}
    assert changed_fields(old, {"a": 1, "steps": [{"sql": "y"}], "b": {"c": 2}}) == "spec.b.c, spec.steps[0].sql"
    assert changed_fields(old, {**old, "steps": []}) == "spec.steps"
    many = {str(i): i for i in range(9)}
    assert changed_fields({}, many) == "spec.0, spec.1, spec.2, spec.3 and 5 more"
