"""From a manifest's file to its job, or to all that is wrong with it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from streamjob_api.manifest import LoadedManifest, load_manifest
from streamjob_api.models import StreamJob
from streamjob_api.names import AS_IS
from streamjob_runtime.cli.invalid import InvalidManifest


def variables() -> Mapping[str, str] | None:
    """What fills the variables of a manifest: the environment. None in a pod, whose manifest has been filled before."""
    return None if os.environ.get(AS_IS) else os.environ


def load_job(file: Path, replace: Sequence[Path] = ()) -> tuple[StreamJob, LoadedManifest]:
    """The job in the file, with the parts in the files of `replace`. Raises `InvalidManifest` with every mistake."""
    loaded = load_manifest(file, variables(), replace)
    if loaded.job is None:
        # The planner is slow to import, and a manifest in order has no need of it here.
        from streamjob_runtime.cli.problems import all_problems

        raise InvalidManifest(all_problems(loaded))
    return loaded.job, loaded
