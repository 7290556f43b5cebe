"""Every mistake of a manifest, those of its form and those of its SQL, each where it stands."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from streamjob_api.manifest import LoadedManifest, Problem
from streamjob_runtime.cli.bounded import LIMITS, Limits, Stopped, bounded
from streamjob_runtime.cli.invalid import InvalidManifest
from streamjob_runtime.plan.problems import PlanError, PlanProblem


@dataclass(frozen=True, slots=True)
class Report:
    """What is said of a manifest, in the order of its lines."""

    problems: list[Problem]
    warnings: list[Problem]
    outline: list[str]  # what each step becomes; of a manifest without mistakes


def look(loaded: LoadedManifest, at_step: Callable[[int], None] = lambda _: None) -> Report:
    """All that can be said of the manifest. `at_step` is told the number of each step before it is planned."""
    # The planner is slow to import, and has no place in the process that watches over this.
    from streamjob_runtime.plan.planner import look_at, look_at_draft

    if loaded.job is not None:
        found = look_at(loaded.job.spec, at_step)
        return Report(located(loaded, found.problems), located(loaded, found.warnings), found.outline)
    problems = look_at_draft(loaded.draft, at_step).problems if loaded.draft is not None else []
    said = {problem.path for problem in loaded.problems}
    both = [*loaded.problems, *located(loaded, [p for p in problems if p.path not in said])]
    return Report(sorted(both, key=_place), [], [])


def look_within(loaded: LoadedManifest, limits: Limits) -> Report:
    """The same, where what the SQL computes while it is planned has bounds."""
    try:
        report: Report = bounded(lambda at_step: look(loaded, at_step), limits)
    except Stopped as stopped:
        path = "spec.pipeline" if stopped.at is None else f"spec.pipeline[{stopped.at}].sql"
        message = f"To plan this takes {stopped.why}"
        remedy = "Leave out what it computes from constants, or make it smaller."
        mistake = located(loaded, [PlanProblem(path, message, remedy)])
        return Report(sorted([*loaded.problems, *mistake], key=_place), [], [])
    return report


def all_problems(loaded: LoadedManifest) -> list[Problem]:
    """What is wrong with the manifest, in the order of its lines."""
    return look_within(loaded, LIMITS).problems


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
        found.append(Problem(loaded.file_of(problem.path), line, column, problem.path, problem.text))
    return sorted(found, key=_place)


def _place(problem: Problem) -> tuple[str, int, int]:
    return problem.file, problem.line, problem.column
