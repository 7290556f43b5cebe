"""`streamjob validate`: every mistake at once, where it stands; or what each step becomes."""

from collections.abc import Iterable, Sequence
from dataclasses import replace as changed
from pathlib import Path

from streamjob_api.manifest import load_manifest
from streamjob_runtime.cli.bounded import LIMITS, Limits
from streamjob_runtime.cli.load import variables
from streamjob_runtime.cli.problems import look_within


def validate_files(files: Iterable[Path], limits: Limits = LIMITS, replace: Sequence[Path] = ()) -> int:
    """Print the problems of each file, or what its steps become and what may not be meant; 1 if there is a problem.

    `replace`: files with parts that take the places of its own.
    """
    bad = False
    for file in files:
        report = look_within(load_manifest(file, variables(), replace), limits)
        for problem in report.problems:
            print(problem)  # noqa: T201 - the command's output
        bad = bad or bool(report.problems)
        if not report.problems:
            for warning in report.warnings:
                print(changed(warning, message=f"warning: {warning.message}"))  # noqa: T201
            print(f"{file}: valid")  # noqa: T201
            for line in report.outline:
                print(f"  {line}")  # noqa: T201
    return 1 if bad else 0
