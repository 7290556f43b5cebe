"""The terminal."""

from pydantic import Field

from streamjob_api.base import Int, Part
from streamjob_api.systems.kinds import SinkKind


class ConsoleSink(Part):
    """Prints the rows of each batch."""

    rows: Int = Field(20, ge=1, le=10_000, description="How many rows of a batch are printed at most.")


SINK = SinkKind(model=ConsoleSink, in_process=True, tells_deletions=True, less_types=frozenset({"INTERVAL"}))
