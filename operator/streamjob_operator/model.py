"""What the operator sees of one job and its pods, and what it decides to do. Plain values: nothing here acts.

Times are seconds since the epoch, UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from streamjob_operator.policy import Policy

Tree = Mapping[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Which job."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class End:
    """How a pod's container ended."""

    exit_code: int
    reason: str  # CamelCase, as the runtime or the kubelet names it
    message: str
    time: float
    last_batch: Tree | None = None  # how far it came, in the fields of the status, where it says so
    last_checkpoint: Tree | None = None


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod of a job, as far as decisions need it."""

    name: str
    uid: str
    role: str  # runtime | check | cleanup
    attempt: int  # 0 for the roles that have none
    revision: str
    created: float
    ready: bool = False
    ready_since: float | None = None
    started: float | None = None  # when the container began to run
    ended: End | None = None  # the container has ended, or the pod is over without it
    infrastructure: str | None = None  # why the cluster ended it (Evicted, Preempted …); None: it did not
    deleting_until: float | None = None  # it is being deleted: by when it should have ended
    node_lost_since: float | None = None  # its node does not answer
    node_given_up: bool = False  # Kubernetes itself has evicted it, from a node that had not answered for long enough
    waiting: "Waiting | None" = None  # why its container does not run yet, where that is known
    beside: "Waiting | None" = None  # what else in the pod is not well while its container runs
    outlived: bool = False  # its container has ended, and others in the pod go on
    ip: str = ""

    @property
    def live(self) -> bool:
        """Whether its process may be running."""
        return self.ended is None

    def waits_for(self, waiting: "Waiting | None") -> "Pod":
        """The same pod, with what it waits for."""
        return replace(self, waiting=waiting)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a pod does not start, in the user's words."""

    reason: str  # CamelCase
    message: str


@dataclass(frozen=True, slots=True)
class Progress:
    """What a runtime last said of itself, in the fields of the status."""

    last_batch: Tree | None = None
    last_checkpoint: Tree | None = None
    rates: Tree | None = None
    checkpoint_overdue: str | None = None  # why the newest checkpoint is too old, in words
    trouble: str | None = None  # what the job waits for, in words
    slow: str | None = None  # that its batches take too long, in words


@dataclass(frozen=True, slots=True)
class Revision:
    """A rendered manifest that a pod can run, and its hash."""

    name: str  # hex digits of a hash of the spec in it
    manifest: Tree

    @property
    def spec(self) -> Tree:
        """The spec in it."""
        spec: Tree = self.manifest["spec"]
        return spec


@dataclass(frozen=True, slots=True)
class Job:
    """A StreamJob as the API server has it."""

    key: Key
    uid: str
    resource_version: str
    generation: int
    spec: Tree
    status: Tree
    finalizers: tuple[str, ...] = ()
    deleting: bool = False
    restart_request: str = ""  # the value of the annotation, "" where there is none


@dataclass(frozen=True, slots=True)
class Observed:
    """All that a decision rests on."""

    now: float
    jitter: float  # random, from 0 to 1
    job: Job
    policy: Policy
    wanted: Revision | None  # None: the spec cannot be run, `problems` say why
    problems: tuple[str, ...]
    current: Revision | None  # what runs, or ran last, where it is not `wanted`; None: not known any more
    pods: tuple[Pod, ...]
    progress: Progress | None = None
    refused: Mapping[str, str] = field(
        default_factory=dict
    )  # role -> why the API server has just refused its pod; "deletion": or to delete
    configs: frozenset[str] = frozenset()  # the revisions of its ConfigMaps, as last listed
    namespace_ends: bool = False  # the namespace is being deleted: nothing can be created in it
    lost: str = ""  # why `current` is not known any more, in words
    unset: bool = False  # `problems` are of variables that have no value yet
    variables_due: float | None = None  # when the values of variables are to be looked at again; None: there are none
    taken: int = 0  # the highest attempt that a pod has, also one of a job that had this name before


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """Keep the job from vanishing before its pod has drained."""


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    """Let the job go."""


@dataclass(frozen=True, slots=True)
class CreatePod:
    """Make a pod, and before it the ConfigMap that it mounts."""

    role: str
    attempt: int
    revision: Revision
    node_loss_after: float = 60.0  # seconds, as in the policy


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Ask a pod to end; `force`: take it out of the API without hearing from its node."""

    name: str
    uid: str
    force: bool = False


@dataclass(frozen=True, slots=True)
class EndSidecars:
    """Have what still runs in a pod end whose own container has ended; the pod stays, for its log."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class RestoreConfig:
    """Make the ConfigMap again that a pod waits for."""

    revision: Revision


@dataclass(frozen=True, slots=True)
class DeleteConfig:
    """Remove the ConfigMap of a revision that nothing runs any more."""

    revision: str


Action = AddFinalizer | RemoveFinalizer | CreatePod | DeletePod | EndSidecars | RestoreConfig | DeleteConfig


@dataclass(frozen=True, slots=True)
class News:
    """What becomes an Event of the job."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now: the actions in order, then one status write, then the events."""

    status: Tree
    actions: tuple[Action, ...] = ()
    news: tuple[News, ...] = field(default=())
    again_in: float | None = None  # seconds; None: only when something happens
    told_later: bool = False  # status and events may wait for the next look, which finds the same by itself
