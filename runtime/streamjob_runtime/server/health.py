"""What a probe is told: whether the loop moves, and whether the job does its work. Pure functions."""

from dataclasses import dataclass

from streamjob_runtime.engine.progress import Status
from streamjob_runtime.patience import Trouble

# A retry of a store that does not answer takes 65 s between two steps of the loop (30 s back-off, 35 s timeouts), and
# a first batch over a backlog computes for long. A kill of either would only make it begin again.
PATIENCE_SECONDS = 120.0
PATIENCE_INTERVALS = 10


@dataclass(frozen=True, slots=True)
class Health:
    """An answer to a probe."""

    ok: bool
    reason: str  # one word or two, for machines
    message: str  # a sentence, for people


def liveness(status: Status, watched_since: float, monotonic: float) -> Health:
    """Whether the loop moves. A job that waits for a system outside is alive: its retries move it.

    `watched_since`: `Clock.monotonic()` when the asking began; a loop without a step yet is measured from there.
    """
    if status.phase == "Failed":
        return Health(False, "Failed", "the job has failed and ends")
    still = monotonic - max(status.moved, watched_since)
    patience = max(PATIENCE_SECONDS, PATIENCE_INTERVALS * status.interval_ms / 1000)
    if still > patience:
        return Health(False, "Stalled", f"the loop has not moved for {still:.0f} s; {patience:.0f} s are allowed")
    return Health(True, "Alive", "the loop moves")


def readiness(status: Status, now_ms: int) -> Health:
    """Whether batches go through now."""
    if status.troubles:
        return Health(False, "Waiting", "; ".join(_words(trouble, now_ms) for trouble in status.troubles))
    if status.phase == "Running":
        return Health(True, "Running", "batches go through")
    return Health(False, status.phase, _PHASES.get(status.phase, f"the job is {status.phase}"))


def _words(trouble: Trouble, now_ms: int) -> str:
    seconds = max(0, now_ms - trouble.since_ms) / 1000
    tries = f"{trouble.attempts} attempt{'' if trouble.attempts == 1 else 's'}"
    return f"{trouble.what} has failed for {seconds:.0f} s ({tries}), and is tried again: {trouble.error}"


_PHASES = {
    "Starting": "the job starts: its log and its systems are being opened",
    "Recovering": "the job computes the batches since its last checkpoint again",
    "Stopping": "the job finishes its batch and writes a checkpoint",
    "Stopped": "the job has stopped",
    "Failed": "the job has failed and ends",
}
