"""Whether a job can go on from a log: it is the job's own, and its state means what the job takes it to mean."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from streamjob_runtime.checkpoint.identity import identify
from streamjob_runtime.checkpoint.records import Checkpoint, Fence, Intent, Record
from streamjob_runtime.checkpoint.recovery import checkpoints
from streamjob_runtime.errors import JobError


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a job takes a state to mean."""

    fingerprints: Mapping[str, str]  # stateful part of the job -> what its state's meaning depends on
    engine: str = ""  # that makes the operators' states, with its version
    tied: Mapping[str, Sequence[str]] = field(
        default_factory=dict
    )  # operator -> aggregates that not every engine reads
    readable: Set[str] = frozenset()  # the engines whose states of these this engine reads


def check_fits(records: Sequence[Record], job_name: str, meaning: Meaning, url: str) -> None:
    """Raise `JobError` if the log is another job's, or its state would be read with another meaning than it has."""
    identify(records, job_name, url)
    fences = [r.body for r in records if isinstance(r.body, Fence)]
    newest = next(iter(checkpoints(records)), None)
    has_batches = any(isinstance(r.body, Intent | Checkpoint) for r in records)
    there = fences[-1].fingerprints if fences else newest.fingerprints if newest else {}
    changed = sorted(k for k in {*there, *meaning.fingerprints} if there.get(k) != meaning.fingerprints.get(k))
    if has_batches and changed:
        raise JobError(
            f"The state at {url} does not fit this job: {', '.join(changed)} changed since it was written (by "
            f"StreamJob {records[-1].version}{f' with {newest.engine}' if newest else ''}). Undo the change, or give "
            "the job a new checkpoint location, where it starts from the beginning."
        )
    for record in records:
        if isinstance(record.body, Checkpoint):
            _check_engine(record.body, record.version, meaning, url)


def _check_engine(checkpoint: Checkpoint, version: str, meaning: Meaning, url: str) -> None:
    """Raise `JobError` if the checkpoint holds a state that only another engine reads as what it is."""
    if checkpoint.engine == meaning.engine or checkpoint.engine in meaning.readable:
        return
    tied = [f"{', '.join(names)} in {operator}" for operator, names in sorted(meaning.tied.items()) if names]
    if tied:
        raise JobError(
            f"The state at {url} was made by {checkpoint.engine}, and this is {meaning.engine}, which may take it for "
            f"something else: {'; '.join(tied)}. Run StreamJob {version}, which wrote it, or give the job a new "
            "checkpoint location, where it starts from the beginning."
        )
