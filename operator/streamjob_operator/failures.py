"""What a pod's end means: done, the job's own fault for good, worth another try, or the cluster's doing."""

import re
from dataclasses import dataclass
from enum import Enum

from streamjob_operator.model import End, Pod

# What the kubelet says when it evicts a pod for what this one has written, and not for want of its node.
_OWN_DISK = re.compile(r"exceeds the (total )?limit|exceeded its local ephemeral storage limit", re.IGNORECASE)

DONE = 0
WRONG_USAGE = 2
UNAVAILABLE = 75
INVALID_JOB = 78
CREDENTIALS_REFUSED = "Refused"  # the reason that the runtime gives, with `INVALID_JOB`


class Kind(Enum):
    """What to do about it."""

    COMPLETED = "completed"  # nothing: the job has done its work
    FATAL = "fatal"  # nothing: a retry is useless
    APPLICATION = "application"  # start again, at most so often
    INFRASTRUCTURE = "infrastructure"  # start again


@dataclass(frozen=True, slots=True)
class Failure:
    """A pod's end, judged."""

    kind: Kind
    reason: str
    exit_code: int | None
    message: str
    time: float


def judge(pod: Pod, end: End, memory_limit: str) -> Failure:
    """What the end of a runtime's pod means. `memory_limit`: for the words after running out of memory."""
    if pod.infrastructure and _OWN_DISK.search(end.message):
        message = (
            f"{end.message.strip().rstrip('.')}: raise spec.resources.limits.ephemeral-storage, which is the limit of "
            "the pod's scratch folder too, or give the pod more memory, so that less of the state spills to disk"
        )
        return Failure(Kind.APPLICATION, "OutOfDisk", end.exit_code, message, end.time)
    if pod.infrastructure:
        return Failure(Kind.INFRASTRUCTURE, pod.infrastructure, end.exit_code, end.message, end.time)
    if end.exit_code == DONE:
        # "Stopped": somebody other than the operator sent SIGTERM. The job is not done.
        if end.reason == "Stopped":
            return Failure(Kind.INFRASTRUCTURE, "Stopped", DONE, "the process was asked to stop from outside", end.time)
        return Failure(Kind.COMPLETED, "Completed", DONE, "all that was there at the start is processed", end.time)
    if end.reason == "OOMKilled":
        message = (
            f"the container ran out of memory (limit {memory_limit}); raise spec.resources.limits.memory, or keep less "
            "state: a shorter window, fewer keys"
        )
        return Failure(Kind.APPLICATION, "OutOfMemory", end.exit_code, message, end.time)
    if end.exit_code == INVALID_JOB:
        return Failure(Kind.FATAL, end.reason, end.exit_code, end.message, end.time)
    if end.exit_code == WRONG_USAGE:
        message = f"the image does not know the command: it is no StreamJob runtime, or another version. {end.message}"
        return Failure(Kind.FATAL, "WrongImage", end.exit_code, message.strip(), end.time)
    kind = Kind.INFRASTRUCTURE if end.exit_code == UNAVAILABLE else Kind.APPLICATION
    return Failure(kind, end.reason, end.exit_code, end.message or _by_code(end.exit_code), end.time)


def deleted(pod: Pod, now: float) -> Failure:
    """The end of a pod that somebody else deletes: the cluster says why, where it was the cluster."""
    if pod.infrastructure is None:
        return vanished(now)
    return Failure(Kind.INFRASTRUCTURE, pod.infrastructure, None, "the cluster has taken the pod away", now)


def vanished(now: float) -> Failure:
    """The end of a pod that is not there any more, and that the operator did not delete."""
    return Failure(Kind.INFRASTRUCTURE, "PodDeleted", None, "the pod was deleted", now)


def node_lost(pod: Pod, now: float) -> Failure:
    """The end of a pod whose node does not answer."""
    return Failure(Kind.INFRASTRUCTURE, "NodeLost", None, f"the node of pod {pod.name} does not answer", now)


def refused(why: str, now: float) -> Failure:
    """The end of a pod that the API server did not take."""
    return Failure(Kind.INFRASTRUCTURE, "PodRefused", None, f"its pod was refused: {why}", now)


def _by_code(code: int) -> str:
    if code > 128:
        return f"the process was killed by signal {code - 128}, and left no message"
    return f"the process ended with {code}, and left no message"
