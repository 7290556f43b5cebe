"""`streamjob validate`: every mistake at once, where it stands."""

from collections.abc import Iterable
from pathlib import Path

from streamjob_api.manifest import LoadedManifest, Problem, load_manifest
from streamjob_runtime.query.planner import plan
from streamjob_runtime.query.problems import PlanError


def validate_files(files: Iterable[Path]) -> int:
    """Print the problems of each file; 1 if there is any."""
    bad = False
    for file in files:
        problems = problems_of(file)
        for problem in problems:
            print(problem)  # noqa: T201 - the command's output
        if problems:
            bad = True
        else:
            print(f"{file}: valid")  # noqa: T201
    return 1 if bad else 0


def problems_of(file: Path) -> list[Problem]:
    """All that is wrong with the StreamJob in the file, in the order of its lines."""
    loaded = load_manifest(file)
    if loaded.job is None:
        return list(loaded.problems)
    return plan_problems(loaded)


def plan_problems(loaded: LoadedManifest) -> list[Problem]:
    """What the planner finds wrong with a manifest whose form is right."""
    assert loaded.job is not None
    try:
        plan(loaded.job.spec)
    except PlanError as error:
        found = []
        for p in error.problems:
            line, column = loaded.locate(p.path, p.line)
            found.append(Problem(str(loaded.file), line, column, p.path, p.message, p.remedy))
        return sorted(found, key=lambda p: (p.line, p.column))
    return []
