"""The part of a job's status that decisions rest on: what the operator must remember, and nowhere else can see."""

from dataclasses import dataclass
from typing import Any, Self

from streamjob_operator.model import Tree
from streamjob_operator.times import from_text, to_text_ms


@dataclass(frozen=True, slots=True)
class Check:
    """How far the check of a changed spec has come."""

    revision: str
    phase: str  # Running | Passed | Failed
    attempts: int
    reason: str = ""
    message: str = ""
    next_try: float | None = None

    def to_tree(self) -> dict[str, Any]:
        """As the status has it."""
        return _without_none(
            revision=self.revision,
            phase=self.phase,
            attempts=self.attempts,
            reason=self.reason or None,
            message=self.message or None,
            nextTry=_text(self.next_try),
        )


@dataclass(frozen=True, slots=True)
class Draining:
    """An attempt that the operator itself asked to end, and why."""

    attempt: int
    reason: str  # SpecChanged | RestartRequested | Suspended | Deleted


@dataclass(frozen=True, slots=True)
class Outcome:
    """Why nothing is started any more: the job has failed for good, or has done its work."""

    kind: str  # Failed | Completed
    generation: int  # of the spec then
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class State:
    """What the status remembers."""

    attempt: int = 0  # the newest one that was started; 0: none yet
    ended_attempt: int = 0  # the newest one whose end is accounted for
    restarts: int = 0  # starts that nobody asked for
    revision: str = ""  # what runs, or ran last
    application_failures: int = 0
    infrastructure_failures: int = 0
    next_start: float | None = None
    last_failure: Tree | None = None
    check: Check | None = None
    draining: Draining | None = None
    outcome: Outcome | None = None
    checkpoint_location: str = ""  # where the job that runs, or ran last, keeps its checkpoints
    restart_request: str = ""  # the last value of the annotation that was obeyed

    @property
    def alive(self) -> bool:
        """Whether an attempt was started whose end is not accounted for."""
        return self.attempt > self.ended_attempt

    @classmethod
    def read(cls, status: Tree) -> Self:
        """From a job's status; an empty one gives the state of a new job."""
        failures = status.get("failures") or {}
        # Every field of the status may be missing: half a memory is none.
        check = _whole(status.get("check"), "revision", "phase", "attempts")
        draining = _whole(status.get("draining"), "attempt", "reason")
        outcome = _whole(status.get("outcome"), "kind", "generation", "reason")
        return cls(
            attempt=status.get("attempt", 0),
            ended_attempt=status.get("endedAttempt", 0),
            restarts=status.get("restarts", 0),
            revision=status.get("revision", ""),
            application_failures=failures.get("application", 0),
            infrastructure_failures=failures.get("infrastructure", 0),
            next_start=_seconds(status.get("nextStart")),
            last_failure=status.get("lastFailure"),
            check=check
            and Check(
                check["revision"],
                check["phase"],
                check["attempts"],
                check.get("reason", ""),
                check.get("message", ""),
                _seconds(check.get("nextTry")),
            ),
            draining=draining and Draining(draining["attempt"], draining["reason"]),
            outcome=outcome
            and Outcome(outcome["kind"], outcome["generation"], outcome["reason"], outcome.get("message", "")),
            checkpoint_location=status.get("checkpointLocation", ""),
            restart_request=status.get("restartRequest", ""),
        )

    def to_tree(self) -> dict[str, Any]:
        """The same, as the status has it."""
        return _without_none(
            attempt=self.attempt,
            endedAttempt=self.ended_attempt,
            restarts=self.restarts,
            revision=self.revision or None,
            failures={"application": self.application_failures, "infrastructure": self.infrastructure_failures},
            nextStart=_text(self.next_start),
            lastFailure=self.last_failure,
            check=self.check and self.check.to_tree(),
            draining=self.draining and {"attempt": self.draining.attempt, "reason": self.draining.reason},
            outcome=self.outcome
            and {
                "kind": self.outcome.kind,
                "generation": self.outcome.generation,
                "reason": self.outcome.reason,
                "message": self.outcome.message,
            },
            checkpointLocation=self.checkpoint_location or None,
            restartRequest=self.restart_request or None,
        )


def _whole(tree: Any, *fields: str) -> Any:
    return tree if tree and all(field in tree for field in fields) else None


def _without_none(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _text(seconds: float | None) -> str | None:
    return None if seconds is None else to_text_ms(seconds)


def _seconds(text: Any) -> float | None:
    return from_text(text) if isinstance(text, str) else None
