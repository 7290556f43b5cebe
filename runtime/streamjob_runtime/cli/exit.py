"""How a command ends: its exit code, and the reason for whoever started it."""

import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamjob_runtime.cli.invalid import InvalidManifest
from streamjob_runtime.cli.log import Logger
from streamjob_runtime.engine.progress import Progress
from streamjob_runtime.errors import Fenced, JobError, StreamJobError, Unavailable
from streamjob_runtime.printable import json_text, printable
from streamjob_runtime.server.progress_json import progress_json

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


def write_termination(path: Path, code: int, reason: str, message: str, last: Mapping[str, Any]) -> None:
    """One JSON line `{reason, exitCode, message}`, where Kubernetes shows it as the container's termination message.

    `last`: how far the job came, which stands beside these; short. Raises `OSError`.
    """
    path.write_text(termination_line(reason, code, message, last), encoding="utf-8")


def termination_line(reason: str, code: int, message: str, last: Mapping[str, Any]) -> str:
    """That line; of a message that is too long its beginning."""
    cut = message
    # Kubernetes keeps 4096 bytes of it.
    while len((line := _line(reason, code, cut, last)).encode()) > _KEPT_BYTES:
        cut = cut[: len(cut) * 3 // 4]
    return line


def _line(reason: str, code: int, message: str, last: Mapping[str, Any]) -> str:
    return json_text({"reason": reason, "exitCode": code, "message": message, **last}) + "\n"


def last_of(progress: Progress, now_ms: int) -> dict[str, Any]:
    """The newest batch and checkpoint, as `/progress` says them: nobody may have asked a short job before its end."""
    said = progress_json(progress.status, progress.recent(), now_ms, shown=1)
    fields = ("batchId", "timestamp", "numInputRows", "batchDuration")
    last: dict[str, Any] = {}
    for batch in said["recentProgress"]:
        lags = [{"lag": source["lag"]} for source in batch["sources"]]
        last["batch"] = {**{field: batch[field] for field in fields}, "sources": lags}
    checkpoint = said["status"]["checkpoint"]
    if checkpoint:
        last["checkpoint"] = {field: checkpoint[field] for field in ("batchId", "timestamp", "sizeBytes")}
    return last


def reason_of(error: BaseException) -> str:
    """The error's kind in CamelCase, as conditions of Kubernetes have it."""
    return type(error).__name__ if isinstance(error, StreamJobError) else "InternalError"


def without_excerpts(error: BaseException) -> str:
    """The text without pieces of records. What was not raised on purpose may hold anything, and is not shown."""
    if not isinstance(error, StreamJobError):
        frames = traceback.extract_tb(error.__traceback__)
        at = f" in {frames[-1].name}, line {frames[-1].lineno} of {Path(frames[-1].filename).name}" if frames else ""
        return f"{type(error).__name__}{at}: a fault of the program. {_IN_LOG}"
    bare = error.words.bare
    return bare if bare == error.words.full else f"{bare} {_IN_LOG}"


_IN_LOG = "The pod's log says more."


@dataclass(frozen=True)
class Ending:
    """Says how the command ends: an error on standard error, and whatever it is in the termination log.

    Of records the termination log says where they are and what is wrong; what stands in them is for standard error.
    """

    log: Logger
    termination_log: Path | None
    last: Callable[[], Mapping[str, Any]] = dict  # how far the job came
    over: Callable[[], None] = lambda: None  # ends what is written to the termination log beforehand
    excerpts: bool = False  # whether pieces of records may stand in the termination log, and so in status and Events

    def done(self, message: str, reason: str = "Done") -> int:
        """All went well; the exit code."""
        self._write(DONE, reason, message)
        return DONE

    def failed(self, error: Exception) -> int:
        """The error, for people and for whoever started the command; its exit code."""
        code, reason, message = exit_code(error), reason_of(error), str(error) or type(error).__name__
        details = None if isinstance(error, StreamJobError) else "".join(traceback.format_exception(error))
        if self.log.style == "json":
            self.log.log_event("error", message, reason=reason, exitCode=code, traceback=details)
        else:
            # The lines of a manifest's mistakes begin with their places, as editors want to find them.
            prefix = "" if isinstance(error, InvalidManifest) else "streamjob: "
            text = printable(f"{details or ''}{prefix}{message}", keep="\n")
            print(text, file=sys.stderr, flush=True)  # noqa: T201 - the command's output
        self._write(code, reason, message if self.excerpts else without_excerpts(error))
        return code

    def _write(self, code: int, reason: str, message: str) -> None:
        self.over()
        if self.termination_log is not None:
            try:
                write_termination(self.termination_log, code, reason, message, self.last())
            except OSError as error:
                self.log.log_event("error", f"{self.termination_log} cannot be written: {error.strerror}")
