"""Where a job's log is: the job's identity."""

from contextlib import suppress
from pathlib import Path

from streamjob_api.models import StreamJob
from streamjob_runtime.checkpoint.log import read_log
from streamjob_runtime.errors import JobError, StreamJobError
from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.connections import Connections
from streamjob_runtime.stores.local import LocalStore
from streamjob_runtime.stores.open import open_store

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


def open_checkpoints(location: str, connections: Connections) -> Store:
    """The store of the job's log and snapshots. A folder made for it is nobody else's to read: it holds rows."""
    if "://" not in location:
        with suppress(OSError):  # the first write says what is wrong with it
            Path(location).parent.mkdir(parents=True, exist_ok=True)
            Path(location).mkdir(mode=0o700)
    return open_store(location, connections)


def _is_old_log(folder: Path) -> bool:
    if not (folder / "log").is_dir():
        return False
    try:
        records = read_log(LocalStore(folder))
    except StreamJobError:
        return False
    return bool(records) and records[-1].version.startswith(_BELOW_CURRENT_FOLDER)
