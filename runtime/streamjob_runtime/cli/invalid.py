"""What is said of a manifest with mistakes."""

from collections.abc import Sequence

from streamjob_api.manifest import Problem
from streamjob_runtime.errors import JobError


class InvalidManifest(JobError):
    """The manifest has mistakes. The text has a line for each, with its place in the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
