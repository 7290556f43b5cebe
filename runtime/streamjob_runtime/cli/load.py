"""From a manifest's file to its job, or to all that is wrong with it."""

from pathlib import Path

from streamjob_api.manifest import LoadedManifest, load_manifest
from streamjob_api.models import StreamJob
from streamjob_runtime.cli.invalid import InvalidManifest


def load_job(file: Path) -> tuple[StreamJob, LoadedManifest]:
    """The job in the file. Raises `InvalidManifest` with every mistake."""
    loaded = load_manifest(file)
    if loaded.job is None:
        # The planner is slow to import, and a manifest in order has no need of it here.
        from streamjob_runtime.cli.problems import all_problems

        raise InvalidManifest(all_problems(loaded))
    return loaded.job, loaded


def location_of(job: StreamJob, file: Path, override: str | None) -> str:
    """Where the job's log is: as the command line says, or the manifest, or below the current folder."""
    if override is not None:
        return override
    location = job.spec.checkpoint.location
    if location is None:
        return f".streamjob/{job.metadata.name}"
    return location if "://" in location else str(file.parent / location)
