"""`streamjob validate`: every mistake at once, where it stands."""

from collections.abc import Iterable
from pathlib import Path

from streamjob_api.manifest import load_manifest
from streamjob_runtime.cli.problems import all_problems


def validate_files(files: Iterable[Path]) -> int:
    """Print the problems of each file; 1 if there is any."""
    bad = False
    for file in files:
        problems = all_problems(load_manifest(file))
        for problem in problems:
            print(problem)  # noqa: T201 - the command's output
        if problems:
            bad = True
        else:
            print(f"{file}: valid")  # noqa: T201
    return 1 if bad else 0
