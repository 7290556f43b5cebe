"""How a job goes: it drains, its checkpoints are removed if that is wanted, and then it is let go."""

from dataclasses import replace

from streamjob_api.names import FINALIZER, ROLE_CLEANUP
from streamjob_operator import failures
from streamjob_operator.backoff import helper_delay_after
from streamjob_operator.decision import Decision
from streamjob_operator.failures import Failure, Kind
from streamjob_operator.model import DeletePod, RemoveFinalizer


def delete_job(d: Decision) -> None:
    """Bring a job that is being deleted one step nearer to its end."""
    if FINALIZER not in d.o.job.finalizers:
        return
    d.drain("Deleted")
    if d.s.alive:
        return
    if _keeps_nothing(d) and not _cleaned_up(d):
        return
    d.actions.append(RemoveFinalizer())


def _keeps_nothing(d: Decision) -> bool:
    return d.o.policy.delete_checkpoints and d.s.attempt > 0 and not d.o.namespace_ends


def _cleaned_up(d: Decision) -> bool:
    """Whether the checkpoints are gone; if not, see to it."""
    s = d.s
    # Where the job ran last is where its checkpoints are.
    revision = d.o.current or d.o.wanted
    if revision is None:
        d.tell("CheckpointsKept", "The spec cannot be read, so the checkpoints stay", warning=True)
        return True
    if s.checkpoint_location not in ("", revision.spec["checkpoint"]["location"]):
        where = f"they stay at {s.checkpoint_location}"
        d.tell(
            "CheckpointsKept", f"How to reach the checkpoints is not known any more ({d.o.lost}): {where}", warning=True
        )
        return True
    pod = d.helper(ROLE_CLEANUP)
    if pod is None:
        if s.next_start is not None and d.o.now < s.next_start:
            d.wakes.append(s.next_start)
        elif ROLE_CLEANUP in d.o.refused:
            _try_later(d, failures.refused(d.o.refused[ROLE_CLEANUP], d.o.now))
        else:
            d.create(ROLE_CLEANUP, revision)
    elif pod.ended is not None and pod.deleting_until is None:
        failure = failures.judge(pod, pod.ended, d.o.policy.memory_limit)
        if failure.kind is Kind.COMPLETED:
            return True
        d.actions.append(DeletePod(pod.name, pod.uid))
        _try_later(d, failure)
    return False


def _try_later(d: Decision, failure: Failure) -> None:
    tries = d.s.application_failures + 1
    due = d.o.now + helper_delay_after(d.o.policy.restart, tries, d.o.jitter)
    d.s = replace(d.s, application_failures=tries, next_start=due)
    d.remember(failure)
    d.wakes.append(due)
    d.tell(
        "CleanupFailed",
        f"The checkpoints could not be deleted: {failure.message}. It is tried again; "
        "spec.deletion.checkpoints: Retain lets the job go without",
        warning=True,
    )
