"""Every mistake of a manifest, those of its form and those of its SQL, each where it stands."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from streamjob_api.manifest import LoadedManifest, Problem
from streamjob_runtime.cli.invalid import InvalidManifest
from streamjob_runtime.plan.planner import plan, problems_of_draft
from streamjob_runtime.plan.problems import PlanError, PlanProblem


def all_problems(loaded: LoadedManifest) -> list[Problem]:
    """What is wrong with the manifest, in the order of its lines."""
    if loaded.job is not None:
        try:
            plan(loaded.job.spec)
        except PlanError as error:
            return located(loaded, error.problems)
        return []
    found = problems_of_draft(loaded.draft) if loaded.draft is not None else []
    said = {problem.path for problem in loaded.problems}
    both = [*loaded.problems, *located(loaded, [p for p in found if p.path not in said])]
    return sorted(both, key=_place)


@contextmanager
def placed(loaded: LoadedManifest) -> Iterator[None]:
    """Turn the planner's error over the manifest into an `InvalidManifest` with the places in the file."""
    try:
        yield
    except PlanError as error:
        raise InvalidManifest(located(loaded, error.problems)) from error


def located(loaded: LoadedManifest, problems: Sequence[PlanProblem]) -> list[Problem]:
    """The planner's problems, with their places in the file."""
    found = []
    for problem in problems:
        line, column = loaded.locate(problem.path, problem.sql, problem.offset)
        found.append(Problem(loaded.file, line, column, problem.path, problem.text))
    return sorted(found, key=_place)


def _place(problem: Problem) -> tuple[int, int]:
    return problem.line, problem.column
