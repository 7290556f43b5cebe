"""How `streamjob run` ends: its exit code, and the reason for whoever started it."""

import json
from pathlib import Path

from streamjob_runtime.errors import Fenced, JobError, StreamJobError, Unavailable

DONE = 0
CRASH = 1  # a fault of ours
USAGE = 2
UNAVAILABLE = 75  # EX_TEMPFAIL: trouble outside that a retry may mend
INVALID_JOB = 78  # EX_CONFIG: the job itself is wrong, a retry is useless


def exit_code(error: BaseException) -> int:
    """The exit code that tells a supervisor whether to try again."""
    if isinstance(error, JobError):
        return INVALID_JOB
    if isinstance(error, Unavailable | Fenced):
        return UNAVAILABLE
    return CRASH


def write_termination(path: Path | None, code: int, reason: str, message: str) -> None:
    """One JSON line `{reason, exitCode, message}`, where Kubernetes shows it as the container's termination message."""
    if path is not None:
        # Kubernetes keeps 4096 bytes of it.
        line = json.dumps({"reason": reason, "exitCode": code, "message": message[:3000]}, ensure_ascii=False)
        path.write_text(line + "\n", encoding="utf-8")


def reason_of(error: BaseException) -> str:
    """The error's kind in CamelCase, as conditions of Kubernetes have it."""
    return type(error).__name__ if isinstance(error, StreamJobError) else "InternalError"
