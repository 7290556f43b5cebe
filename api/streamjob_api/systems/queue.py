"""The process itself, for tests and for programs that hold a job."""

from streamjob_api.base import Part
from streamjob_api.systems.kinds import SinkKind, SourceKind


class QueueSource(Part):
    """Rows that the process itself puts in, for tests and for programs that hold a job."""


class QueueSink(Part):
    """Keeps the rows in the process, for tests and for programs that hold a job."""


SOURCE = SourceKind(model=QueueSource)
SINK = SinkKind(model=QueueSink, in_process=True, tells_deletions=True)
