"""From a manifest's file to its job, or to all that is wrong with it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from streamjob_api.manifest import LoadedManifest, load_manifest
from streamjob_api.models import StreamJob
from streamjob_api.names import AS_IS
from streamjob_runtime.cli.bounded import LIMITS, Limits
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


def load_planned(file: Path, replace: Sequence[Path] = (), limits: Limits = LIMITS) -> tuple[StreamJob, LoadedManifest]:
    """The same, once its SQL was planned in a process of its own: what it computes from constants has bounds.

    To be called before there is a thread. Raises `InvalidManifest` with every mistake, and for SQL that takes more.
    """
    from streamjob_runtime.cli.problems import look_within

    job, loaded = load_job(file, replace)
    problems = look_within(loaded, limits).problems
    if problems:
        raise InvalidManifest(problems)
    return job, loaded
