"""Where a job's log is: the job's identity."""

from pathlib import Path

from streamjob_api.models import StreamJob
from streamjob_runtime.checkpoint.log import read_log
from streamjob_runtime.errors import JobError, StreamJobError
from streamjob_runtime.stores.local import LocalStore

_BELOW_CURRENT_FOLDER = "0.1."  # the versions whose default was below the current folder


def location_of(job: StreamJob, file: Path, override: str | None) -> str:
    """Where the job's log is: as the command line says, or the manifest, or in `.streamjob` beside the manifest.

    Paths of a manifest begin at its own folder, so that the job is the same one from wherever it is started. Raises
    `JobError` if the default has no log, and one that version 0.1 has written is below the current folder.
    """
    if override is not None:
        return override
    location = job.spec.checkpoint.location
    if location is not None:
        return location if "://" in location else str(file.parent / location)
    default = Path(".streamjob") / job.metadata.name
    now = file.parent / default
    if not now.exists() and _is_old_log(default):
        raise JobError(
            f"The log of the job {job.metadata.name} is in {default.absolute()}, where version 0.1 put it, and now "
            f"belongs beside its manifest. Move it: mkdir -p {now.parent} && mv {default} {now}. Or name it: "
            f"--checkpoint {default}."
        )
    return str(now)


def _is_old_log(folder: Path) -> bool:
    if not (folder / "log").is_dir():
        return False
    try:
        records = read_log(LocalStore(folder))
    except StreamJobError:
        return False
    return bool(records) and records[-1].version.startswith(_BELOW_CURRENT_FOLDER)
