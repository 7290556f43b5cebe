"""A model of what a cluster does to pods, for tests of decisions: it takes a plan's actions and lets time pass.

It knows nothing of HTTP; the real API server is met in tests/e2e.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from streamjob_api.names import FINALIZER, ROLE_RUNTIME
from streamjob_operator.decision import revision_of
from streamjob_operator.failures import DONE, UNAVAILABLE
from streamjob_operator.manifests import pod_name
from streamjob_operator.model import (
    AddFinalizer,
    CreatePod,
    DeleteConfig,
    DeletePod,
    End,
    EndSidecars,
    Job,
    Key,
    News,
    Observed,
    Plan,
    Pod,
    Progress,
    RemoveFinalizer,
    RestoreConfig,
    Revision,
)
from streamjob_operator.plan import plan
from streamjob_operator.policy import Policy
from streamjob_operator.revision import render
from streamjob_operator.state import State

KEY = Key("shop", "views")
SPEC: dict[str, Any] = {
    "batchInterval": "2s",
    "sources": [{"name": "lines", "tcp": {"host": "lines", "port": 9999}, "format": "text"}],
    "sinks": [{"from": "lines", "console": {}}],
    "checkpoint": {"location": "s3://checkpoints/views"},
}
GRACE_S = 60.0


@dataclass
class ClusterModel:
    """One job and its pods. `step` is one look of the operator; everything else is what happens to it."""

    spec: dict[str, Any] = field(default_factory=lambda: dict(SPEC))
    policy: Policy = field(default_factory=Policy)
    now: float = 1_000_000.0
    generation: int = 1
    status: Mapping[str, Any] = field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    deleting: bool = False
    restart_request: str = ""
    problems: tuple[str, ...] = ()
    unset: bool = False  # the problems are of variables
    namespace_ends: bool = False
    gone: bool = False
    pods: dict[str, Pod] = field(default_factory=dict)
    silent: dict[str, float] = field(default_factory=dict)  # uids of pods whose nodes do not answer, since when
    tolerates: dict[str, float] = field(default_factory=dict)  # uid -> how long the pod stays on a lost node
    zombies: list[Pod] = field(default_factory=list)  # processes whose pods are out of the API, on nodes that are lost
    configs: dict[str, Revision] = field(default_factory=dict)
    refuses: set[str] = field(default_factory=set)  # roles whose pods the API server does not take just now
    progress: Progress | None = None
    news: list[News] = field(default_factory=list)
    most_live: int = 0
    has_failed: set[str] = field(default_factory=set)  # revisions that a runtime has failed with, by its own fault
    rng: random.Random = field(default_factory=lambda: random.Random(7))
    _made: int = 0

    # --- what the operator does

    def observe(self) -> Observed:
        """As the operator would see it now."""
        wanted = None if self.problems else render(KEY, self.spec, None)
        revision = revision_of(State.read(self.status), self.pods.values())
        unchanged = wanted is not None and wanted.name == revision
        current = None if unchanged else self.configs.get(revision)
        return Observed(
            now=self.now,
            jitter=self.rng.random(),
            job=Job(
                key=KEY,
                uid="job-uid",
                resource_version="1",
                generation=self.generation,
                spec=self.spec,
                status=self.status,
                finalizers=self.finalizers,
                deleting=self.deleting,
                restart_request=self.restart_request,
            ),
            policy=self.policy,
            wanted=wanted,
            problems=self.problems,
            unset=self.unset,
            current=current,
            configs=frozenset(self.configs),
            lost="" if unchanged or current or not revision else "the ConfigMap was deleted",
            pods=tuple(self.pods.values()),
            progress=self.progress,
            namespace_ends=self.namespace_ends,
        )

    def step(self, dies_after: int | None = None) -> Plan:
        """One look of the operator, which is killed after so many actions (None: not at all)."""
        observed = self.observe()
        decided = plan(observed)
        refused: dict[str, str] = {}
        for count, action in enumerate(decided.actions):
            if dies_after is not None and count >= dies_after:
                return decided
            if isinstance(action, CreatePod) and action.role in self.refuses:
                self.configs[action.revision.name] = action.revision
                refused[action.role] = "exceeded quota"
            else:
                self._act(action)
        if refused:
            decided = plan(replace(observed, refused=refused))
        if dies_after is None and not decided.told_later:
            self.status = self.status if self.gone else decided.status
            self.news += decided.news
        return decided

    def settle(self, looks: int = 20) -> None:
        """Look until there is nothing to do now."""
        for _ in range(looks):
            before = (self.status, dict(self.pods), self.finalizers)
            decided = self.step()
            if self.gone or (not decided.actions and (self.status, self.pods, self.finalizers) == before):
                return
        raise AssertionError(f"it does not settle: {decided}")

    def _act(self, action: object) -> None:
        match action:
            case AddFinalizer():
                self.finalizers = (*self.finalizers, FINALIZER)
            case RemoveFinalizer():
                self.finalizers = tuple(f for f in self.finalizers if f != FINALIZER)
                self.gone = self.deleting and not self.finalizers
            case CreatePod():
                self._create(action)
            case DeletePod():
                self._delete(action)
            case EndSidecars():
                self.change(self.pods[action.name], outlived=False)
            case RestoreConfig():
                self.configs[action.revision.name] = action.revision
            case DeleteConfig():
                self.configs.pop(action.revision, None)

    def _create(self, action: CreatePod) -> None:
        self.configs[action.revision.name] = action.revision
        name = pod_name(self.observe().job, action)
        assert name not in self.pods, f"pod {name} is there, and is seen to be"
        self._made += 1
        self.pods[name] = Pod(name, f"uid-{self._made}", action.role, action.attempt, action.revision.name, self.now)
        self.tolerates[self.pods[name].uid] = action.node_loss_after
        live = [p for p in self.pods.values() if p.role == ROLE_RUNTIME and p.live]
        self.most_live = max(self.most_live, len(live))

    def _delete(self, action: DeletePod) -> None:
        pod = self.pods.get(action.name)
        if pod is None or pod.uid != action.uid:
            return
        if action.force or (not pod.live and pod.uid not in self.silent):
            del self.pods[action.name]
            if pod.live:
                self.zombies.append(pod)
        elif pod.deleting_until is None:
            self.pods[action.name] = replace(pod, deleting_until=self.now + GRACE_S)

    # --- what happens

    def runtime(self) -> Pod:
        """The newest runtime pod."""
        return max((p for p in self.pods.values() if p.role == ROLE_RUNTIME), key=lambda p: p.attempt)

    def live_runtimes(self) -> list[Pod]:
        """The runtime pods whose processes may run."""
        return [p for p in self.pods.values() if p.role == ROLE_RUNTIME and p.live]

    def pod_of(self, role: str) -> Pod:
        """The one pod of that role."""
        [pod] = [p for p in self.pods.values() if p.role == role]
        return pod

    def change(self, pod: Pod, **fields: Any) -> None:
        """The kubelet says something of the pod."""
        self.pods[pod.name] = replace(self.pods[pod.name], **fields)

    def starts(self) -> None:
        """Every pod that waits begins to run, and is ready."""
        for pod in list(self.pods.values()):
            if pod.live and pod.started is None and pod.deleting_until is None and pod.uid not in self.silent:
                self.change(pod, started=self.now, ready=True, ready_since=self.now, ip="10.0.0.1")

    def ends(
        self,
        pod: Pod,
        code: int,
        reason: str = "Error",
        message: str = "",
        why: str | None = None,
        batch: dict[str, Any] | None = None,
        checkpoint: dict[str, Any] | None = None,
    ) -> None:
        """The pod's process ends; `why`: the cluster made it."""
        end = End(code, reason, message, self.now, batch, checkpoint)
        self.change(pod, ended=end, ready=False, infrastructure=why)
        if pod.role == ROLE_RUNTIME and not why and code not in (DONE, UNAVAILABLE):
            self.has_failed.add(pod.revision)

    def drains(self) -> None:
        """Every pod that was asked to end has ended and is gone, where there is a kubelet to see to it."""
        self.pods = {n: p for n, p in self.pods.items() if p.deleting_until is None or p.uid in self.silent}

    def loses_node(self, pod: Pod) -> None:
        """The pod's node does not answer any more."""
        self.silent.setdefault(pod.uid, self.now)
        if pod.ready:
            self.change(pod, ready=False, node_lost_since=self.now)

    def regains_node(self, pod: Pod) -> None:
        """It answers again."""
        self.silent.pop(pod.uid, None)
        self.change(pod, ready=pod.started is not None, node_lost_since=None)

    def removed(self, pod: Pod) -> None:
        """Somebody has deleted the pod, and it is gone."""
        del self.pods[pod.name]

    def edits(self, **fields: Any) -> None:
        """The user changes the spec."""
        self.spec = {**self.spec, **fields}
        self.generation += 1

    def waits(self, seconds: float) -> None:
        """Time passes. Who has been on a lost node for as long as it tolerates is evicted, which nobody there hears."""
        self.now += seconds
        for pod in list(self.pods.values()):
            evicted = self.silent.get(pod.uid, self.now) + self.tolerates[pod.uid]
            if pod.uid in self.silent and pod.live and pod.deleting_until is None and self.now >= evicted:
                self.change(pod, deleting_until=evicted + GRACE_S, node_given_up=True)
