"""How a changed spec comes to a running job: first a check, then a drain. A change that fails changes nothing."""

from dataclasses import replace

from streamjob_api.names import ROLE_CHECK
from streamjob_operator import failures
from streamjob_operator.backoff import helper_delay_after
from streamjob_operator.decision import Decision
from streamjob_operator.failures import Kind
from streamjob_operator.model import DeletePod, Pod, Revision
from streamjob_operator.revision import changed_fields
from streamjob_operator.state import Check


def follow_spec(d: Decision) -> None:
    """Bring a changed spec one step nearer to the job."""
    s, wanted = d.s, d.o.wanted
    if wanted is None:
        if not s.revision and not d.o.unset:
            d.conclude("Failed", "InvalidSpec", "; ".join(d.o.problems), d.o.job.generation)
        return
    if wanted.name == s.revision:
        d.s = replace(s, check=None)
        return
    if not s.revision or d.o.current is None:
        d.accept()
        if s.alive:
            d.drain("SpecChanged")
        return
    if s.check is None or s.check.revision != wanted.name:
        d.s = replace(s, check=Check(wanted.name, "Running", 1))
    _go_on_checking(d, wanted)


def _go_on_checking(d: Decision, wanted: Revision) -> None:
    check = d.s.check
    assert check is not None
    pod = d.helper(ROLE_CHECK, wanted.name)
    if check.phase == "Running" and pod is not None and pod.ended is not None and pod.deleting_until is None:
        check = _judge(d, check, pod)
        d.s = replace(d.s, check=check)
    if check.phase == "Passed":
        changed = changed_fields(d.o.current.spec, wanted.spec) if d.o.current else "spec"
        d.tell("Updating", f"The changed spec passed its check ({changed}); the job is restarted with it")
        d.accept()
        d.drain("SpecChanged")
    elif check.phase == "Running" and pod is None:
        if check.next_try is not None and d.o.now < check.next_try:
            d.wakes.append(check.next_try)
        elif ROLE_CHECK in d.o.refused:
            d.s = replace(d.s, check=_later(d, check, "PodRefused", f"its pod was refused: {d.o.refused[ROLE_CHECK]}"))
        else:
            d.create(ROLE_CHECK, wanted)


def _judge(d: Decision, check: Check, pod: Pod) -> Check:
    end = pod.ended
    assert end is not None
    failure = failures.judge(pod, end, d.o.policy.memory_limit)
    if failure.kind is Kind.COMPLETED:
        return replace(check, phase="Passed", reason="", message="", next_try=None)
    # A Secret that is about to be replaced, or a system that has yet to hear of it, says nothing of the change.
    rotated = failure.reason == failures.CREDENTIALS_REFUSED and check.attempts == 1
    if failure.kind is Kind.FATAL and not rotated:
        d.tell("ChangeRefused", f"The job runs on as it was: {failure.message}", warning=True)
        return replace(check, phase="Failed", reason=failure.reason, message=failure.message, next_try=None)
    d.actions.append(DeletePod(pod.name, pod.uid))
    return _later(d, check, failure.reason, failure.message)


def _later(d: Decision, check: Check, reason: str, message: str) -> Check:
    """The check, which could not tell and is tried again."""
    due = d.o.now + helper_delay_after(d.o.policy.restart, check.attempts, d.o.jitter)
    d.wakes.append(due)
    return replace(check, attempts=check.attempts + 1, reason=reason, message=message, next_try=due)
