"""How `streamjob run` ends: its exit code, and the reason for whoever started it."""

import json
from pathlib import Path

from streamjob_runtime.errors import Fenced, JobError, StreamJobError, Unavailable

DONE = 0
CRASH = 1  # a fault of ours
# 2 is wrong usage: click ends so by itself
UNAVAILABLE = 75  # EX_TEMPFAIL: trouble outside that a retry may mend
INVALID_JOB = 78  # EX_CONFIG: the job itself is wrong, a retry is useless


_KEPT_BYTES = 4096


def exit_code(error: BaseException) -> int:
    """The exit code that tells a supervisor whether to try again."""
    if isinstance(error, JobError):
        return INVALID_JOB
    if isinstance(error, Unavailable | Fenced):
        return UNAVAILABLE
    return CRASH


def write_termination(path: Path, code: int, reason: str, message: str) -> None:
    """One JSON line `{reason, exitCode, message}`, where Kubernetes shows it as the container's termination message.

    Raises `OSError`.
    """
    cut = message
    # Kubernetes keeps 4096 bytes of it.
    while len((line := _line(reason, code, cut)).encode()) > _KEPT_BYTES:
        cut = cut[: len(cut) * 3 // 4]
    path.write_text(line, encoding="utf-8")


def _line(reason: str, code: int, message: str) -> str:
    return json.dumps({"reason": reason, "exitCode": code, "message": message}, ensure_ascii=False) + "\n"


def reason_of(error: BaseException) -> str:
    """The error's kind in CamelCase, as conditions of Kubernetes have it."""
    return type(error).__name__ if isinstance(error, StreamJobError) else "InternalError"
