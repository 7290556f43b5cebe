"""What is wrong with a pipeline, said all at once."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from streamjob_runtime.errors import JobError


@dataclass(frozen=True, slots=True)
class PlanProblem:
    """One mistake, and where it stands."""

    path: str  # of the field: "spec.pipeline[1].sql"
    message: str  # what is wrong, naming the step
    remedy: str = ""  # what would be right
    clause: str = ""  # the piece of SQL it is about
    line: int | None = None  # within the SQL text, from 1
    sql: str = ""  # the SQL text
    offset: int | None = None  # within it, in characters

    @property
    def text(self) -> str:
        """What is wrong and what would be right, in full sentences."""
        said = not self.clause or re.search(rf"(?<!\w){re.escape(self.clause)}(?!\w)", self.message)
        clause = "" if said else f" (`{self.clause}`)"
        remedy = f" {self.remedy}" if self.remedy else ""
        return f"{self.message}{clause}.{remedy}"

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path}, line {self.line}"
        return f"{place}: {self.text}"


class PlanError(JobError):
    """The pipeline cannot be run. `problems` has every reason that was found."""

    def __init__(self, problems: Sequence[PlanProblem]) -> None:
        super().__init__("\n".join(str(p) for p in problems))
        self.problems = list(problems)


class Refusal(Exception):
    """One step cannot be planned; the planner adds the place and goes on with the others."""

    def __init__(self, message: str, remedy: str = "", at: object = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.at = at  # the node of the syntax tree
