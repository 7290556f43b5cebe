"""`streamjob render`: a manifest with its variables filled, as a cluster takes it."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from streamjob_api.manifest import is_job, load_manifest
from streamjob_runtime.cli.load import variables
from streamjob_runtime.cli.problems import all_problems


def render(file: Path, replace: Sequence[Path] = ()) -> int:
    """Print every document of the file with its values filled; 1, and what is wrong, if the StreamJob has mistakes.

    `replace`: files with parts that take the places of its own.
    """
    loaded = load_manifest(file, variables(), replace)
    problems = all_problems(loaded)
    if problems:
        for problem in problems:
            print(problem, file=sys.stderr)  # noqa: T201 - the command's output
        return 1
    values = [_filled(value) if is_job(value) and variables() is not None else value for value in loaded.documents]
    print(yaml.safe_dump_all(values, sort_keys=False, allow_unicode=True, width=120), end="")  # noqa: T201
    return 0


def _filled(job: Any) -> Any:
    """The job, which has no variables any more: the operator must not look for some in what they have become."""
    return {**job, "spec": {name: value for name, value in job["spec"].items() if name != "variablesFrom"}}
