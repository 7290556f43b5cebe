"""What the operator creates: pods and ConfigMaps, as trees for the API server."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from streamjob_api import names
from streamjob_api.durations import parse_duration
from streamjob_api.kubernetes import DEFAULT_RESOURCES
from streamjob_operator.model import CreatePod, Job, Revision, Tree
from streamjob_operator.revision import to_data

# A drain finishes a batch, takes a checkpoint and waits at most 23 s for systems outside.
_LEAST_GRACE_S, _MOST_GRACE_S, _DRAIN_S = 60, 600, 30
_CHECK_DEADLINE_S = 300
_CLEANUP_DEADLINE_S = 600
# Of state that outgrows memory; without a limit one job could fill the disk of all that run on its node.
_SCRATCH_LIMIT = "10Gi"


@dataclass(frozen=True, slots=True)
class Images:
    """Which image a job without one of its own gets."""

    runtime: str
    pull_policy: str


def config_map(job: Job, revision: Revision) -> dict[str, Any]:
    """The ConfigMap with the rendered manifest. It never changes: another manifest has another name."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": config_name(job, revision.name),
            "labels": {**_labels(job), names.LABEL_REVISION: revision.name},
            "ownerReferences": [_owner(job)],
        },
        "immutable": True,
        **to_data(revision),
    }


def config_name(job: Job, revision: str) -> str:
    """The ConfigMap's name."""
    return f"{job.key.name}-{revision}"


def pod_name(job: Job, action: CreatePod) -> str:
    """The pod's name. It says all that makes the pod, so that two operators cannot make it twice."""
    if action.role == names.ROLE_RUNTIME:
        return runtime_name(job, action.attempt)
    if action.role == names.ROLE_CHECK:
        return f"{job.key.name}-check-{action.revision.name}"
    return f"{job.key.name}-cleanup"


def runtime_name(job: Job, attempt: int) -> str:
    """The name of an attempt's pod."""
    return f"{job.key.name}-{attempt}-0"


def pod(job: Job, action: CreatePod, images: Images) -> dict[str, Any]:
    """The pod that runs, checks or cleans up a revision of the job."""
    spec = action.revision.spec
    template: Tree = spec.get("podTemplate") or {}
    secrets = sorted(set(_secret_names(spec)))
    site_files = _site_files(spec)
    labels = {
        **(template.get("labels") or {}),
        **_labels(job),
        names.LABEL_ROLE: action.role,
        names.LABEL_ATTEMPT: str(action.attempt),
        names.LABEL_REVISION: action.revision.name,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(job, action),
            "labels": labels,
            "annotations": dict(template.get("annotations") or {}),
            "ownerReferences": [_owner(job)],
        },
        "spec": {
            **_picked(template, "nodeSelector", "affinity", "serviceAccountName", "priorityClassName"),
            **_picked(template, "imagePullSecrets"),  # of the job's own image
            # The first toleration that fits a taint is the one that counts.
            "tolerations": [*_lost_nodes(action.node_loss_after), *(template.get("tolerations") or ())],
            **_deadline(action.role),
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": grace_seconds(spec),
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": names.USER,
                "runAsGroup": names.USER,
                "fsGroup": names.USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [_container(action, images, template, secrets, site_files)],
            "volumes": _volumes(job, action.revision, template, secrets, site_files),
        },
    }


def scratch_limit(spec: Tree) -> str:
    """How much of the node's disk the pod's `/tmp` may take."""
    limits: Tree = (spec.get("resources") or {}).get("limits") or {}
    return str(limits.get("ephemeral-storage") or _SCRATCH_LIMIT)


def grace_seconds(spec: Tree) -> int:
    """How long a pod may take to end: longer than a batch."""
    interval = parse_duration(spec.get("batchInterval", "2s")).total_seconds()
    return int(min(max(_LEAST_GRACE_S, 2 * interval + _DRAIN_S), _MOST_GRACE_S))


def network_policy(peers: Sequence[Tree]) -> dict[str, Any]:
    """The policy for all runtimes of a namespace: only these peers, as in its `from`, reach them, and these HTTP alone.

    Probes come from the node, which no policy keeps out. What a runtime itself connects to is the job's affair.
    """
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": f"{names.RUNTIME_NAME}s",
            "labels": {names.LABEL_NAME: names.RUNTIME_NAME, names.LABEL_MANAGED_BY: names.OPERATOR_NAME},
        },
        "spec": {
            "podSelector": {"matchLabels": {names.LABEL_NAME: names.RUNTIME_NAME}},
            "policyTypes": ["Ingress"],
            "ingress": [{"ports": [{"port": names.PORT, "protocol": "TCP"}], "from": list(peers)}],
        },
    }


def _container(
    action: CreatePod, images: Images, template: Tree, secrets: list[str], site_files: str | None
) -> dict[str, Any]:
    spec = action.revision.spec
    container = {
        "name": names.CONTAINER,
        "image": spec.get("image") or images.runtime,
        "imagePullPolicy": images.pull_policy,
        "args": _arguments(action.role, with_secrets=bool(secrets)),
        "workingDir": names.SCRATCH_MOUNT,
        "env": [
            {"name": "HOME", "value": names.SCRATCH_MOUNT},
            *([{"name": names.HADOOP_CONF_DIR, "value": names.HADOOP_MOUNT}] if site_files else ()),
            *(template.get("env") or ()),
            {"name": names.AS_IS, "value": "1"},
        ],
        "resources": spec.get("resources") or DEFAULT_RESOURCES.model_dump(exclude_none=True),
        "terminationMessagePath": names.TERMINATION_LOG,
        "terminationMessagePolicy": "File",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "streamjob-job", "mountPath": names.JOB_MOUNT, "readOnly": True},
            {"name": "streamjob-scratch", "mountPath": names.SCRATCH_MOUNT},
            *(
                {"name": f"streamjob-secret-{i}", "mountPath": f"{names.SECRETS_MOUNT}/{name}", "readOnly": True}
                for i, name in enumerate(secrets)
            ),
            *([{"name": "streamjob-hadoop", "mountPath": names.HADOOP_MOUNT, "readOnly": True}] if site_files else ()),
            *(template.get("volumeMounts") or ()),
        ],
    }
    if action.role == names.ROLE_RUNTIME:
        container |= {"ports": [{"name": names.PORT_NAME, "containerPort": names.PORT}], **_probes()}
    return container


def _arguments(role: str, with_secrets: bool) -> list[str]:
    file = f"{names.JOB_MOUNT}/{names.JOB_FILE}"
    command = {
        names.ROLE_RUNTIME: ["run", file, "--http-host", "0.0.0.0", "--http-port", str(names.PORT)],  # noqa: S104
        names.ROLE_CHECK: ["check", file],
        names.ROLE_CLEANUP: ["checkpoints", "delete", file, "--yes"],
    }[role]
    secrets = ["--secrets", names.SECRETS_MOUNT] if with_secrets else []
    return [*command, *secrets, "--termination-log", names.TERMINATION_LOG]


def _probes() -> dict[str, Any]:
    def http(path: str, **times: int) -> dict[str, Any]:
        return {"httpGet": {"path": path, "port": names.PORT_NAME}, **times}

    return {
        # The runtime itself judges with patience whether its loop moves; here it only has to answer.
        "livenessProbe": http("/healthz", initialDelaySeconds=10, periodSeconds=10, timeoutSeconds=5),
        "readinessProbe": http("/readyz", periodSeconds=2, timeoutSeconds=2, failureThreshold=2),
    }


def _volumes(
    job: Job, revision: Revision, template: Tree, secrets: list[str], site_files: str | None
) -> list[dict[str, Any]]:
    return [
        {"name": "streamjob-job", "configMap": {"name": config_name(job, revision.name)}},
        {"name": "streamjob-scratch", "emptyDir": {"sizeLimit": scratch_limit(revision.spec)}},
        *({"name": f"streamjob-secret-{i}", "secret": {"secretName": name}} for i, name in enumerate(secrets)),
        *([{"name": "streamjob-hadoop", "configMap": {"name": site_files}}] if site_files else ()),
        *(template.get("volumes") or ()),
    ]


def _deadline(role: str) -> dict[str, int]:
    """A runtime may run for ever; a check and a cleanup that hang are ended."""
    seconds = {names.ROLE_CHECK: _CHECK_DEADLINE_S, names.ROLE_CLEANUP: _CLEANUP_DEADLINE_S}.get(role)
    return {} if seconds is None else {"activeDeadlineSeconds": seconds}


def _lost_nodes(after: float) -> list[dict[str, Any]]:
    """How long the pod stays on a node that does not answer, whatever else it tolerates."""
    return [
        {
            "key": f"node.kubernetes.io/{taint}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": ceil(after),
        }
        for taint in ("not-ready", "unreachable")
    ]


def _labels(job: Job) -> dict[str, str]:
    return {
        names.LABEL_NAME: names.RUNTIME_NAME,
        names.LABEL_INSTANCE: job.key.name,
        names.LABEL_MANAGED_BY: names.OPERATOR_NAME,
        names.LABEL_JOB: job.key.name,
    }


def _owner(job: Job) -> dict[str, Any]:
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": job.key.name,
        "uid": job.uid,
        "controller": True,
        # What blocks a deletion in the foreground is deleted by it: the clean-up, and the manifest that it reads, too.
        "blockOwnerDeletion": not job.deleting,
    }


def _secret_names(value: Any) -> Iterator[str]:
    """The names of all Secrets that the spec refers to: what stands in a field that ends in `SecretRef`."""
    if isinstance(value, Mapping):
        for field, inner in value.items():
            if field.endswith("SecretRef") and isinstance(inner, Mapping):
                yield inner["name"]
            else:
                yield from _secret_names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _secret_names(inner)


def _site_files(spec: Tree) -> str | None:
    """The ConfigMap with the site files of Hadoop; None: the job names none."""
    reference: Tree = (spec.get("hdfs") or {}).get("configMapRef") or {}
    return reference.get("name")


def _picked(tree: Tree, *fields: str) -> dict[str, Any]:
    return {field: tree[field] for field in fields if tree.get(field)}
