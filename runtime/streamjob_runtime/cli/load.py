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
