"""What a job's spec says of its pods. On a laptop these fields are accepted and have no effect."""

from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from streamjob_api.base import Bool, Int, NameRef, Part, Ruled
from streamjob_api.durations import Duration
from streamjob_api.quantities import Quantity
from streamjob_api.rules import pods
from streamjob_api.texts import DnsName, EnvName, LabelKey, LabelValue
from streamjob_api.trees import Rules

# The fields of a spec that have an effect only on Kubernetes.
FIELDS = ("variablesFrom", "suspend", "image", "resources", "restart", "nodeLoss", "deletion", "podTemplate")

# One of Kubernetes' own objects, as it is written in a pod: the API server looks at it when the pod is made.
Foreign = dict[str, Any]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=64)]
Annotations = Annotated[dict[LabelKey, str], Field(max_length=64)]


class Amounts(Part):
    """How much of each resource."""

    cpu: Quantity | None = Field(None, description="Processors: `250m` is a quarter of one, `2` are two.")
    memory: Quantity | None = Field(None, description="Memory in bytes, such as `512Mi`.")
    ephemeral_storage: Quantity | None = Field(
        None, alias="ephemeral-storage", description="Local disk in bytes, such as `10Gi`: what the state spills to."
    )


class Resources(Ruled):
    """What a job's pod gets of its node."""

    _rules: ClassVar[Rules] = staticmethod(pods.resources)

    requests: Amounts | None = Field(None, description="What is kept free for the pod.")
    limits: Amounts | None = Field(None, description="What the pod may use at most.")


class ConfigMapRef(NameRef):
    """A ConfigMap of the same namespace, by name."""

    optional: Bool = Field(False, description="Whether it may be missing.")


class VariablesFrom(Part):
    """Where values of variables are."""

    config_map_ref: ConfigMapRef = Field(description="The ConfigMap whose keys are the names of variables.")


class Backoff(Ruled):
    """How long the operator waits before it starts a failed job again: twice as long each time, with jitter."""

    _rules: ClassVar[Rules] = staticmethod(pods.backoff)

    initial: Duration = Field(
        timedelta(seconds=1), ge=timedelta(0), le=timedelta(hours=1), description="The wait after the first failure."
    )
    max: Duration = Field(
        timedelta(seconds=60), ge=timedelta(0), le=timedelta(hours=24), description="The longest wait."
    )


class Restart(Part):
    """When a job that fails is started again, and when it is given up."""

    max_failures: Int = Field(
        5,
        ge=0,
        le=1000,
        description="After how many failures of its own, one after the other, a job is Failed. Lost nodes and "
        "evictions do not count.",
    )
    reset_after: Duration = Field(
        timedelta(minutes=10),
        ge=timedelta(seconds=1),
        le=timedelta(days=365),
        description="How long a job must run well until its failures are forgotten.",
    )
    backoff: Backoff = Field(Backoff(), description="How long to wait before each new start.")


class NodeLoss(Part):
    """What happens when the node of a job's pod answers no more."""

    after: Duration = Field(
        timedelta(seconds=60),
        ge=timedelta(seconds=1),
        le=timedelta(days=1),
        description="How long the pod may be out of reach until another takes its place. The old one, should it wake "
        "up, can write no more.",
    )


class Deletion(Part):
    """What stays when the StreamJob is deleted."""

    checkpoints: Literal["Retain", "Delete"] = Field(
        "Retain",
        description="`Retain`: the job's log and snapshots stay, and a job of the same name goes on from them; "
        "`Delete`: they are removed.",
    )


class EnvVar(Ruled):
    """A variable of the runtime's environment."""

    _rules: ClassVar[Rules] = staticmethod(pods.env_var)

    name: EnvName = Field(description="The variable's name.")
    value: Annotated[str, Field(max_length=32768)] | None = Field(None, description="Its value.")
    value_from: Foreign | None = Field(
        None, description="Where its value is, as in a pod: `secretKeyRef`, `configMapKeyRef`, `fieldRef` …"
    )


class Volume(Ruled):
    """A volume of the pods. What else Kubernetes has reaches into the node, or holds a credential of the cluster."""

    _rules: ClassVar[Rules] = staticmethod(pods.volume)

    name: DnsName = Field(description="Its name, for `volumeMounts`.")
    secret: Foreign | None = Field(None, description="A Secret's values as files, as in a pod: `{secretName: ca}`.")
    config_map: Foreign | None = Field(None, description="A ConfigMap's values as files, as in a pod: `{name: site}`.")
    empty_dir: Foreign | None = Field(None, description="An empty folder that goes with the pod, as in a pod.")
    persistent_volume_claim: Foreign | None = Field(
        None, description="A volume that outlives the pod, as in a pod: `{claimName: data}`."
    )
    csi: Foreign | None = Field(None, description="What a CSI driver gives the pod, as in a pod.")


class PodTemplate(Ruled):
    """What the job's pods have besides what the operator gives them. Lists and objects are as in a Kubernetes pod."""

    _rules: ClassVar[Rules] = staticmethod(pods.pod_template)

    labels: Labels | None = Field(None, description="Labels of the pods; those of the operator stay.")
    annotations: Annotations | None = Field(None, description="Annotations of the pods.")
    node_selector: Labels | None = Field(None, description="The labels that a node must have.")
    tolerations: tuple[Foreign, ...] = Field((), max_length=32, description="The taints of nodes that do not matter.")
    affinity: Foreign | None = Field(None, description="Which nodes, and which neighbours, are wanted.")
    env: tuple[EnvVar, ...] = Field((), max_length=100, description="Variables of the runtime's environment.")
    volumes: tuple[Volume, ...] = Field((), max_length=32, description="More volumes.")
    volume_mounts: tuple[Foreign, ...] = Field((), max_length=32, description="Where the runtime finds them.")
    service_account_name: DnsName | None = Field(
        None, description="The service account. Left out: `default`. Its credential is not mounted."
    )
    priority_class_name: DnsName | None = Field(None, description="The priority class.")
    image_pull_secrets: tuple[NameRef, ...] = Field(
        (), max_length=8, description="The Secrets with the credentials of a private registry, as in a pod."
    )


DEFAULT_RESOURCES = Resources(
    requests=Amounts(cpu="250m", memory="512Mi"),
    limits=Amounts(memory="1Gi"),
)
