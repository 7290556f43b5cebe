"""The status that people and machines read: phase, conditions and progress, from what is decided. Pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streamjob_api.names import ROLE_CLEANUP, ROLE_RUNTIME, ConditionType, Phase
from streamjob_operator.model import Observed, Pod, Tree
from streamjob_operator.mounts import MANIFEST_MISSING
from streamjob_operator.state import State
from streamjob_operator.times import to_text, to_text_ms

_LONGEST_MESSAGE = 2000  # characters; the whole text is in the pod's log


@dataclass(frozen=True, slots=True)
class Say:
    """One condition, without its times."""

    status: str  # True | False | Unknown
    reason: str
    message: str


def status_of(o: Observed, s: State, newest: Pod | None) -> dict[str, Any]:
    """The whole next status. `newest`: the pod of the newest attempt, where there is one."""
    before = o.job.status
    pod, end = (newest, None) if s.alive else (None, newest.ended if newest else None)
    status: dict[str, Any] = {"observedGeneration": o.job.generation, "phase": phase_of(o, s, pod), **s.to_tree()}
    if pod is not None and pod.started is not None:
        status["startedAt"] = to_text(pod.started)
    progress = o.progress
    for field, value in (
        ("lastBatch", (end and end.last_batch) or (progress and progress.last_batch)),
        ("lastCheckpoint", (end and end.last_checkpoint) or (progress and progress.last_checkpoint)),
        ("rates", (progress and progress.rates) if pod is not None else None),
    ):
        # What is not known now, but was once, is still the last batch and the last checkpoint.
        kept = value or (before.get(field) if field != "rates" or pod is not None else None)
        if kept:
            status[field] = kept
    said = conditions(o, s, pod, status["phase"])
    of: dict[str, int] = {ConditionType.READY: _ready_of(o, s, said.get(ConditionType.READY))}
    status["conditions"] = with_times(said, before.get("conditions") or (), o.job.generation, o.now, of)
    return status


def phase_of(o: Observed, s: State, pod: Pod | None) -> Phase:
    """One word for people; nothing decides by it."""
    if o.job.deleting:
        return Phase.DELETING
    if s.outcome:
        return Phase.FAILED if s.outcome.kind == "Failed" else Phase.COMPLETED
    if o.policy.suspend:
        return Phase.SUSPENDING if s.alive else Phase.SUSPENDED
    if s.draining:
        return Phase.UPDATING if s.draining.reason == "SpecChanged" else Phase.RESTARTING
    if not s.alive:
        return Phase.RESTARTING if s.attempt else Phase.PENDING
    if pod is None or pod.deleting_until is not None:
        return Phase.STARTING if pod is None else Phase.RESTARTING
    if pod.ready:
        return Phase.RUNNING
    if pod.started is not None:
        # One that was ready waits for a system outside; it still runs.
        return Phase.RUNNING if o.progress and o.progress.trouble else Phase.STARTING
    return Phase.PENDING if pod.waiting else Phase.STARTING


def conditions(o: Observed, s: State, pod: Pod | None, phase: Phase) -> dict[str, Say]:
    """What is so now, by the condition's type.

    A job that is meant to do nothing, as it is done or suspended, is neither ready nor on its way to it: it has no
    `Ready`. kstatus would take one that is False for a job that has yet to get there, for ever.
    """
    progressing = _progressing(o, s, pod, phase)
    at_rest = phase in (Phase.SUSPENDED, Phase.COMPLETED)
    return {
        **({} if at_rest else {ConditionType.READY: _ready(o, s, pod, phase)}),
        ConditionType.PROGRESSING: progressing,
        ConditionType.RECONCILING: _reconciling(progressing),
        ConditionType.STALLED: _stalled(s, progressing),
        ConditionType.CHECKPOINT_HEALTHY: _checkpoint(o, pod),
        ConditionType.SUSPENDED: _suspended(s, phase),
        ConditionType.DEGRADED: _degraded(o, s, pod),
        ConditionType.FAILED: _failed(s),
        ConditionType.COMPLETE: _complete(s),
    }


def is_slow(status: Tree) -> bool:
    """Whether a status says that the job's batches take too long."""
    found = (c["reason"] for c in status.get("conditions") or () if c["type"] == ConditionType.DEGRADED)
    return next(found, None) == SLOW


def with_times(
    said: Mapping[str, Say], before: Sequence[Tree], generation: int, now: float, of: Mapping[str, int]
) -> list[dict[str, Any]]:
    """The conditions as the status has them. A transition is a change of `status`, nothing else.

    `of`: those that speak of another generation than the newest one.
    """
    old = {c["type"]: c for c in before}
    return [
        {
            "type": kind,
            "status": say.status,
            "reason": say.reason,
            "message": say.message[:_LONGEST_MESSAGE],
            "observedGeneration": of.get(kind, generation),
            "lastTransitionTime": old[kind]["lastTransitionTime"]
            if kind in old and old[kind]["status"] == say.status
            else to_text(now),
        }
        for kind, say in said.items()
    ]


def _ready_of(o: Observed, s: State, ready: Say | None) -> int:
    """The generation that `Ready` speaks of: a job that runs while its change is checked, or refused, is ready as it
    was, not as its spec says."""
    generation = o.job.generation
    as_said = o.wanted is not None and o.wanted.name == s.revision
    if as_said or ready is None or ready.status != "True":
        return generation
    before = (c.get("observedGeneration") for c in o.job.status.get("conditions") or () if c["type"] == "Ready")
    return min(next(before, None) or 0, generation - 1)


def _ready(o: Observed, s: State, pod: Pod | None, phase: Phase) -> Say:
    if s.outcome:
        return Say("False", s.outcome.kind, s.outcome.message)
    if phase in (Phase.DELETING, Phase.SUSPENDED, Phase.SUSPENDING):
        return Say("False", phase, _STOPPING[phase] + _cleanup_waits(o))
    if s.draining:
        return Say("False", s.draining.reason, "the job finishes its batch and takes a checkpoint, then starts again")
    if pod is not None and pod.node_lost_since is not None:
        return Say("False", "NodeLost", f"the node of pod {pod.name} does not answer")
    if pod is not None and pod.node_given_up:
        return Say("False", "NodeLost", f"pod {pod.name} is evicted: its node does not answer, or is tainted")
    if pod is None or pod.deleting_until is not None:
        if ROLE_RUNTIME in o.refused:
            return Say("False", "PodRefused", f"the pod was refused: {o.refused[ROLE_RUNTIME]}")
        if not s.alive and s.next_start is not None:
            failure = (s.last_failure or {}).get("message", "")
            return Say("False", "BackOff", f"starts again at {to_text_ms(s.next_start)}, after: {failure}")
        if not s.alive and o.lost and o.problems:
            return Say("False", "ManifestLost", f"{o.lost}, and the spec cannot be run: mend the spec")
        if not s.alive and o.unset:
            return Say("False", _UNSET, "; ".join(o.problems))
        return Say("False", "Starting", "the job is being started")
    return _of_pod(o, pod)


def _of_pod(o: Observed, pod: Pod) -> Say:
    if pod.ready:
        return Say("True", "Running", "batches go through")
    if pod.waiting and pod.waiting.reason == MANIFEST_MISSING and ROLE_RUNTIME in o.refused:
        return Say("False", "PodRefused", f"{pod.waiting.message}, which is refused: {o.refused[ROLE_RUNTIME]}")
    if pod.waiting:
        return Say("False", pod.waiting.reason, pod.waiting.message)
    if o.progress and o.progress.trouble:
        return Say("False", "Waiting", o.progress.trouble)
    if pod.beside:
        return Say("False", pod.beside.reason, pod.beside.message)
    return Say("False", "Starting", "the job is being started")


def _cleanup_waits(o: Observed) -> str:
    if o.refused:
        return f"; the API server refuses the next step: {'; '.join(o.refused.values())}"
    waiting = next((p.waiting for p in o.pods if p.role == ROLE_CLEANUP and p.waiting), None)
    return f"; the pod that removes the checkpoints waits: {waiting.message}" if waiting else ""


_STOPPING = {
    Phase.DELETING: "the job is being deleted: its batch is finished and a checkpoint taken first",
    Phase.SUSPENDING: "the job finishes its batch and takes a checkpoint",
    Phase.SUSPENDED: "spec.suspend is true; set it to false to go on from the checkpoint",
}


def _progressing(o: Observed, s: State, pod: Pod | None, phase: Phase) -> Say:
    check = s.check
    if s.outcome:
        return Say("False", s.outcome.kind, s.outcome.message)
    if o.problems:
        return Say("False", _UNSET if o.unset else _REFUSED, "; ".join(o.problems))
    if check and check.phase == "Failed":
        return Say("False", _REFUSED, f"the job runs on as it was: {check.message}")
    if check:
        again = f"; tried again after: {check.message}" if check.message else ""
        waiting = next((p.waiting.message for p in o.pods if p.revision == check.revision and p.waiting), "")
        return Say("True", "Checking", f"the changed spec is being checked{again}{waiting and '; ' + waiting}")
    if phase in (Phase.RUNNING, Phase.SUSPENDED) and (pod is None or pod.ready):
        return Say("False", "UpToDate", "the job is as its spec says")
    return Say("True", phase, _PROGRESS.get(phase, "the job is on its way"))


def _reconciling(progressing: Say) -> Say:
    if progressing.status == "True":
        return progressing
    return Say("False", progressing.reason, "nothing is under way")


def _stalled(s: State, progressing: Say) -> Say:
    """What waits for a person: a job that was given up, a spec that does not run."""
    if s.outcome and s.outcome.kind == "Failed":
        return Say("True", s.outcome.reason, s.outcome.message)
    if progressing.reason in (_REFUSED, _UNSET):
        return Say("True", progressing.reason, progressing.message)
    return Say("False", "NotStalled", "nothing waits for a change of the spec")


SLOW = "BatchesTooSlow"
_REFUSED, _UNSET = "ChangeRefused", "VariablesMissing"
_PROGRESS = {
    Phase.PENDING: "the pod waits to be started",
    Phase.STARTING: "the job opens its systems and recovers from its checkpoint",
    Phase.RESTARTING: "the job is started again",
    Phase.UPDATING: "the changed spec is brought to the job",
    Phase.SUSPENDING: "the job finishes its batch and takes a checkpoint",
}


def _checkpoint(o: Observed, pod: Pod | None) -> Say:
    if o.progress and o.progress.checkpoint_overdue:
        return Say("False", "Overdue", o.progress.checkpoint_overdue)
    known = (o.progress and o.progress.last_checkpoint) or o.job.status.get("lastCheckpoint")
    if known:
        if o.progress is None:
            before = _before(o, ConditionType.CHECKPOINT_HEALTHY)
            if before:
                return before
        return Say("True", "Taken", "a checkpoint is taken each interval in which there was anything to keep")
    return Say("Unknown", "NoneYet", "no checkpoint has been seen yet")


def _before(o: Observed, kind: str) -> Say | None:
    for condition in o.job.status.get("conditions") or ():
        if condition["type"] == kind:
            return Say(condition["status"], condition["reason"], condition["message"])
    return None


def _suspended(s: State, phase: Phase) -> Say:
    if phase == Phase.SUSPENDED:
        return Say("True", "Suspended", "spec.suspend is true")
    return Say("False", "NotSuspended", "spec.suspend is false" if phase != Phase.SUSPENDING else "it drains")


def _degraded(o: Observed, s: State, pod: Pod | None) -> Say:
    if s.outcome:
        return Say("False", "AsExpected", "the job does not run")
    if o.progress and o.progress.trouble and pod is not None:
        return Say("True", "Waiting", "; ".join([o.progress.trouble, *([pod.beside.message] if pod.beside else ())]))
    if pod is not None and pod.beside:
        return Say("True", pod.beside.reason, pod.beside.message)
    if o.progress and o.progress.slow and pod is not None:
        return Say("True", SLOW, o.progress.slow)
    if s.application_failures or s.infrastructure_failures:
        last = s.last_failure or {}
        return Say(
            "True",
            "Restarted",
            f"failures that are not forgotten yet: {s.application_failures} of the job, "
            f"{s.infrastructure_failures} of the cluster; the last one, at {last.get('time')}: {last.get('message')}",
        )
    return Say("False", "AsExpected", "nothing hinders the job")


def _failed(s: State) -> Say:
    if s.outcome and s.outcome.kind == "Failed":
        way_out = "Change the spec, or set the annotation streamjob.dev/restart to a new value, to start it again."
        return Say("True", s.outcome.reason, f"{s.outcome.message}\n{way_out}")
    return Say("False", "NotFailed", "the job has not been given up")


def _complete(s: State) -> Say:
    if s.outcome and s.outcome.kind == "Completed":
        return Say("True", "Completed", s.outcome.message)
    return Say("False", "NotComplete", "the job is not done")
