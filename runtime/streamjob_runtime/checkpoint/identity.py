"""Whose log this is: a job never reads or writes another one's."""

from collections.abc import Sequence

from streamjob_runtime.checkpoint.records import Boundary, Fence, Record
from streamjob_runtime.errors import Damaged, JobError


def full_name(namespace: str | None, name: str) -> str:
    """What the log calls a job: `<namespace>/<name>`, or `<name>` where the manifest has no namespace."""
    return f"{namespace}/{name}" if namespace else name


def same_job(one: str, other: str) -> bool:
    """Whether two full names may be of one job: a laptop's copy of a cluster's manifest may have no namespace."""
    (one_space, _, one_name), (other_space, _, other_name) = one.rpartition("/"), other.rpartition("/")
    return one_name == other_name and (one_space == other_space or not one_space or not other_space)


def identify(records: Sequence[Record], job_name: str, url: str) -> tuple[str, str] | None:
    """The job's id and its name as the log has them; None where there is no record.

    A namespace that was once known stays part of the name. Raises `JobError` if any record is another job's, `Damaged`
    if none says whose it is.
    """
    if not records:
        return None
    ids = [r.body for r in records if isinstance(r.body, Fence | Boundary)]
    if not ids:
        raise Damaged(f"The log at {url} says nowhere whose it is: it has neither FENCE nor BOUNDARY.")
    for body in ids:
        if not same_job(body.job_name, job_name):
            raise JobError(
                f"The checkpoint location {url} belongs to the job {body.job_name!r}, and this is {job_name!r}. "
                "Give this job a checkpoint.location of its own."
            )
    return ids[0].job_id, max((job_name, *(body.job_name for body in ids)), key=lambda name: "/" in name)
