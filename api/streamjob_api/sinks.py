"""Where a job's results go."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from streamjob_api.base import Ruled, only
from streamjob_api.rules.sinks import sink
from streamjob_api.systems.console import ConsoleSink
from streamjob_api.systems.delta import DeltaSink
from streamjob_api.systems.files import FilesSink
from streamjob_api.systems.kafka.sink import KafkaSink
from streamjob_api.systems.kinds import Format
from streamjob_api.systems.postgres import PostgresSink
from streamjob_api.systems.queue import QueueSink
from streamjob_api.systems.registry import SINKS
from streamjob_api.texts import Identifier
from streamjob_api.trees import Rules


class Sink(Ruled):
    """Where a result goes. One of `kafka`, `postgres`, `delta`, `console`, `files` and `queue` says of what kind."""

    _rules: ClassVar[Rules] = staticmethod(sink)

    from_: Identifier = Field(alias="from", description="The pipeline step, or the source, whose rows are written.")
    mode: Literal["append", "update", "complete"] = Field(
        "append",
        description="`append`: rows that are new and final; `update`: rows that changed; `complete`: the whole result.",
    )
    kafka: KafkaSink | None = Field(None, description="A Kafka topic.")
    postgres: PostgresSink | None = Field(None, description="A table of PostgreSQL.")
    delta: DeltaSink | None = Field(None, description="A Delta table.")
    console: ConsoleSink | None = Field(None, description="The terminal.")
    files: FilesSink | None = Field(None, description="Files in a folder or below an S3 prefix.")
    queue: QueueSink | None = Field(None, description="A queue in the process.")
    format: Format | None = Field(
        None,
        description="How rows become bytes. Files: `json`, `csv` or `parquet`. Kafka: `json`, an object of the "
        "columns; `avro`, a record of them, whose schema a schema registry gets; `text`, the text of one column; "
        "`raw`, its bytes.",
    )

    @property
    def kind(self) -> str:
        """The one that is given, such as `kafka`."""
        return only(self, SINKS)

    @property
    def config(self) -> Any:
        """The sub-model of that kind, such as `FilesSink`."""
        return getattr(self, self.kind)
