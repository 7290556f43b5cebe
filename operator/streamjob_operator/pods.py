"""From a pod as the API server has it to what decisions need of it."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from streamjob_api import names
from streamjob_operator.answers import last_batch, last_checkpoint
from streamjob_operator.model import End, Pod, Tree, Waiting
from streamjob_operator.times import from_text

_IMAGE_REASONS = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_NOT_YET = frozenset({"ContainerCreating", "PodInitializing"})
_GATES_NOT_READY = "ReadinessGatesNotReady"
_NO_EXIT_CODE = 255
# Where a mistake stands in the rendered manifest, which the user has never seen; the field's path follows on it.
_PLACE = re.compile(rf"^{re.escape(names.JOB_MOUNT)}/{re.escape(names.JOB_FILE)}:\d+:\d+: ", re.MULTILINE)


def read_pod(tree: Tree) -> Pod:
    """The pod; of one without our labels, attempt 0 and role "" ."""
    metadata, status = tree["metadata"], tree.get("status") or {}
    labels = metadata.get("labels") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    container = _container(status)
    running = (container.get("state") or {}).get("running")
    ended = _end(status, container, metadata)
    lost_since = _node_lost(conditions, running)
    # The pod is ready when all its containers and gates are; the job is when its own container is.
    is_ready = bool(container.get("ready", conditions.get("Ready", {}).get("status") == "True"))
    return Pod(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        role=labels.get(names.LABEL_ROLE, ""),
        attempt=attempt_of(tree),
        revision=labels.get(names.LABEL_REVISION, ""),
        created=_time(metadata.get("creationTimestamp")) or 0.0,
        ready=is_ready and ended is None and lost_since is None,
        ready_since=_ready_since(conditions) if is_ready else None,
        started=_time(running.get("startedAt")) if running else None,
        ended=ended,
        infrastructure=_infrastructure(status, conditions) if ended else None,
        deleting_until=_time(metadata.get("deletionTimestamp")),
        node_lost_since=lost_since,
        node_given_up=_is_disrupted(conditions, "DeletionByTaintManager"),
        waiting=_waiting(tree, conditions, container) if ended is None else None,
        beside=_beside(status, conditions) if running else None,
        outlived=ended is not None and any((c.get("state") or {}).get("running") for c in _others(status)),
        ip=status.get("podIP", ""),
    )


def attempt_of(tree: Tree) -> int:
    """The number in the pod's name; 0 for the roles that have none."""
    return int((tree["metadata"].get("labels") or {}).get(names.LABEL_ATTEMPT, 0))


def is_starting(tree: Tree) -> bool:
    """Whether the pod has a node, but its container does not run and the kubelet's status does not say why."""
    status = tree.get("status") or {}
    state = _container(status).get("state") or {}
    scheduled = any(c["type"] == "PodScheduled" and c["status"] == "True" for c in status.get("conditions") or ())
    reason = (state.get("waiting") or {}).get("reason", "ContainerCreating")
    return status.get("phase") == "Pending" and scheduled and "running" not in state and reason in _NOT_YET


def _container(status: Tree) -> Mapping[str, Any]:
    found = (c for c in status.get("containerStatuses") or () if c["name"] == names.CONTAINER)
    return next(found, {})


def _end(status: Tree, container: Tree, metadata: Tree) -> End | None:
    ended = (container.get("state") or {}).get("terminated")
    if ended:
        reason, message = _last_words(ended)
        if status.get("reason") == "Evicted":
            reason, message = "Evicted", status.get("message") or message  # the kubelet's: it knows why
        batch, checkpoint = _came_to(ended.get("message") or "")
        return End(ended["exitCode"], reason, message, _time(ended.get("finishedAt")) or 0.0, batch, checkpoint)
    if status.get("phase") in ("Failed", "Succeeded"):
        # It was over before its container ran: evicted, turned away by the kubelet, or by what had to run before it.
        time = _time(metadata.get("creationTimestamp")) or 0.0
        message = status.get("message") or _failed_before(status)
        return End(_NO_EXIT_CODE, status.get("reason") or "PodFailed", message, time)
    return None


def _failed_before(status: Tree) -> str:
    """Which container that runs before ours has failed, in words; empty: none."""
    for container in status.get("initContainerStatuses") or ():
        ended = (container.get("state") or {}).get("terminated") or {}
        if ended.get("exitCode"):
            return f'init container "{container["name"]}" {_how_it_ended(ended)}'
    return ""


def _how_it_ended(ended: Tree) -> str:
    said = ended.get("message") or ""
    return f"has ended with {ended['exitCode']} ({ended.get('reason') or 'Error'}){said and ': ' + said.strip()}"


def _last_words(ended: Tree) -> tuple[str, str]:
    """Reason and message: the runtime's own, from its termination log, or else the kubelet's."""
    reason, text = ended.get("reason") or "Error", ended.get("message") or ""
    said = _runtime_said(text)
    if reason == "OOMKilled":
        return reason, said[1] if said else text
    return said if said else (reason, text)


def _runtime_said(text: str) -> tuple[str, str] | None:
    try:
        said = json.loads(text)
        return str(said["reason"]), _PLACE.sub("", str(said["message"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _came_to(text: str) -> tuple[Tree | None, Tree | None]:
    """The batch and the checkpoint that the runtime's last words name."""
    try:
        said = json.loads(text)
        batch, checkpoint = said.get("batch"), said.get("checkpoint")
        return batch and last_batch(batch), checkpoint and last_checkpoint(checkpoint)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return None, None


def _infrastructure(status: Tree, conditions: Mapping[str, Tree]) -> str | None:
    """Why the cluster ended the pod, if it did: evicted, preempted, its node shut down."""
    if _is_disrupted(conditions):
        return str(conditions["DisruptionTarget"].get("reason") or "Disrupted")
    reason = status.get("reason")
    # The one reason that a pod's own spec gives.
    return str(reason) if reason and reason != "DeadlineExceeded" else None


def _is_disrupted(conditions: Mapping[str, Tree], reason: str | None = None) -> bool:
    disrupted = conditions.get("DisruptionTarget", {})
    return disrupted.get("status") == "True" and reason in (None, disrupted.get("reason"))


def _node_lost(conditions: Mapping[str, Tree], running: Any) -> float | None:
    """Since when the pod's node has not answered.

    The node controller then makes the pod unready by itself, and nobody is there to say the same of its containers. A
    kubelet that says it gives its reason: a container, or a readiness gate, is not ready; the controller gives none.
    This needs no right to read nodes. Of a pod that was not ready just then it says nothing: that one is evicted, as
    its tolerations say.
    """
    ready, containers = conditions.get("Ready", {}), conditions.get("ContainersReady", {})
    unready = running and ready.get("status") == "False" and not ready.get("reason")
    if unready and containers.get("status") == "True":
        return _time(ready.get("lastTransitionTime"))
    return None


def _ready_since(conditions: Mapping[str, Tree]) -> float | None:
    """Since when the pod, or with gates that are not open at least its containers, have been ready."""
    for kind in ("Ready", "ContainersReady"):
        condition = conditions.get(kind, {})
        if condition.get("status") == "True":
            return _time(condition.get("lastTransitionTime"))
    return None


def _others(status: Tree) -> Iterator[Tree]:
    """The containers that somebody else has put into the pod. What runs to its end before ours is none of them."""
    yield from (c for c in status.get("containerStatuses") or () if c["name"] != names.CONTAINER)


def _beside(status: Tree, conditions: Mapping[str, Tree]) -> Waiting | None:
    """What else in the pod is not as it should be, while our container runs: a sidecar, a readiness gate."""
    for container in _others(status):
        state, name = container.get("state") or {}, container["name"]
        ended, waiting = state.get("terminated"), state.get("waiting") or {}
        if ended and ended["exitCode"]:
            way_out = "the pod is never restarted in place: the annotation streamjob.dev/restart makes a new one"
            return Waiting("SidecarEnded", f'container "{name}" of the pod {_how_it_ended(ended)}; {way_out}')
        if waiting.get("reason") not in (None, *_NOT_YET):
            message = waiting.get("message") or waiting["reason"]
            return Waiting("SidecarWaiting", f'container "{name}" of the pod does not run: {message}')
    # A sidecar of Kubernetes' own kind is an init container that goes on.
    for container in (*_others(status), *(status.get("initContainerStatuses") or ())):
        if "running" in (container.get("state") or {}) and container.get("ready") is False:
            return Waiting("SidecarNotReady", f'container "{container["name"]}" of the pod is not ready')
    ready = conditions.get("Ready", {})
    if ready.get("status") == "False" and ready.get("reason") == _GATES_NOT_READY:
        return Waiting(_GATES_NOT_READY, f"a readiness gate of the pod is not open: {ready.get('message', '')}")
    return None


def _waiting(tree: Tree, conditions: Mapping[str, Tree], container: Tree) -> Waiting | None:
    scheduled, status = conditions.get("PodScheduled", {}), tree.get("status") or {}
    if scheduled.get("status") == "False":
        return Waiting("Unschedulable", f"no node takes the pod: {scheduled.get('message', '')}")
    if "running" in (container.get("state") or {}):
        return None
    # What keeps an init container from running keeps ours.
    for each in (*(status.get("initContainerStatuses") or ()), container):
        waiting = (each.get("state") or {}).get("waiting") or {}
        reason, message = waiting.get("reason"), waiting.get("message") or ""
        which = "container" if each is container else f'init container "{each["name"]}"'
        if reason in _IMAGE_REASONS:
            image = f"the image {_image_of(tree, each)}" + ("" if each is container else f" of {which}")
            return Waiting("ImagePullFailed", f"{image} cannot be pulled: {message or reason}")
        if reason and reason not in _NOT_YET:
            return Waiting(reason, message or f"the {which} waits: {reason}")
    return None


def _image_of(tree: Tree, container: Tree) -> str:
    """The image as the pod names it: that of ours need not be the first one."""
    named = {c.get("name"): c.get("image") for c in tree["spec"]["containers"]}
    return str(named.get(container.get("name")) or container.get("image"))


def _time(text: Any) -> float | None:
    return from_text(text) if isinstance(text, str) else None
