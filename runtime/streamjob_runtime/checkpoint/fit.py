"""Whether a job can go on from a log: it is the job's own, and its state means what the job takes it to mean."""

from collections.abc import Mapping, Sequence

from streamjob_runtime.checkpoint.identity import identify
from streamjob_runtime.checkpoint.records import Checkpoint, Fence, Intent, Record
from streamjob_runtime.checkpoint.recovery import checkpoints
from streamjob_runtime.errors import JobError


def check_fits(records: Sequence[Record], job_name: str, fingerprints: Mapping[str, str], url: str) -> None:
    """Raise `JobError` if the log is another job's, or its state would be read with another meaning than it has."""
    identify(records, job_name, url)
    fences = [r.body for r in records if isinstance(r.body, Fence)]
    newest = next(iter(checkpoints(records)), None)
    has_batches = any(isinstance(r.body, Intent | Checkpoint) for r in records)
    there = fences[-1].fingerprints if fences else newest.fingerprints if newest else {}
    if not has_batches or there == fingerprints:
        return
    changed = sorted(k for k in {*there, *fingerprints} if there.get(k) != fingerprints.get(k))
    raise JobError(
        f"The state at {url} does not fit this job: {', '.join(changed)} changed since it was "
        "written. Undo the change, or give the job a new checkpoint location, where it starts from the beginning."
    )
