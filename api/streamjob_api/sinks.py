"""Where a job's results go."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from streamjob_api import rules
from streamjob_api.base import Int, Part, Ruled, only
from streamjob_api.delta import DeltaSink
from streamjob_api.kafka import KafkaSink
from streamjob_api.postgres import PostgresSink
from streamjob_api.texts import ColumnName, Identifier, Location
from streamjob_api.trees import SINK_KINDS, Rules


class ConsoleSink(Part):
    """Prints the rows of each batch."""

    rows: Int = Field(20, ge=1, le=10_000, description="How many rows of a batch are printed at most.")


class FilesSink(Part):
    """Writes files that any reader's plain glob sees once each."""

    path: Location = Field(description="The folder, or `s3://bucket/prefix`.")
    partition_by: tuple[ColumnName, ...] = Field(
        (), max_length=16, description="Columns that become folders, `column=value/`."
    )


class QueueSink(Part):
    """Keeps the rows in the process, for tests and for programs that hold a job."""


class Sink(Ruled):
    """Where a result goes. One of `kafka`, `postgres`, `delta`, `console`, `files` and `queue` says of what kind."""

    _rules: ClassVar[Rules] = staticmethod(rules.sink)

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
    format: Literal["text", "json", "csv", "avro", "parquet", "raw"] | None = Field(
        None,
        description="How rows become bytes. Files: `json`, `csv` or `parquet`. Kafka: `json`, an object of the "
        "columns; `avro`, a record of them, whose schema a schema registry gets; `text`, the text of one column; "
        "`raw`, its bytes.",
    )

    @property
    def kind(self) -> str:
        """`kafka`, `postgres`, `delta`, `console`, `files` or `queue`."""
        return only(self, SINK_KINDS)

    @property
    def config(self) -> Any:
        """The sub-model of that kind, such as `FilesSink`."""
        return getattr(self, self.kind)
