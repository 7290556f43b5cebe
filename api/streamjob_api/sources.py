"""Where a job's rows come from: streams, and the static tables that they can be joined with."""

from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from streamjob_api.bad_records import (
    BadRecordLimit,
    MaxBadRecords,
    OnBadRecord,
    OnBadRow,
    dead_letters_of,
    limit_of,
)
from streamjob_api.base import Int, Part, Ruled, only
from streamjob_api.durations import Duration
from streamjob_api.rules.sources import source
from streamjob_api.rules.tables import table
from streamjob_api.systems.delta import DeltaTable
from streamjob_api.systems.files import FilesSource, TableFiles
from streamjob_api.systems.kafka.source import KafkaSource
from streamjob_api.systems.kinds import Format
from streamjob_api.systems.queue import QueueSource
from streamjob_api.systems.rate import RateSource
from streamjob_api.systems.registry import SOURCES, TABLES
from streamjob_api.systems.tcp import TcpSource
from streamjob_api.texts import ColumnName, Identifier, Sql, SqlType
from streamjob_api.trees import MAX_COLUMNS, Rules

Schema = Annotated[dict[ColumnName, SqlType], Field(min_length=1, max_length=MAX_COLUMNS)]
Columns = Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=MAX_COLUMNS)]

Required = Annotated[tuple[ColumnName, ...], Field(max_length=MAX_COLUMNS)]
Escape = Literal['"', "\\"]


class Watermark(Part):
    """How long the job waits for late rows: a window is final when a row is later than its end by the delay."""

    column: ColumnName = Field(description="The event time: a column of type TIMESTAMP or TIMESTAMP WITH TIME ZONE.")
    delay: Duration = Field(
        ge=timedelta(0), le=timedelta(days=365), description="How late a row may be, seen from the newest one."
    )
    max_ahead: Duration = Field(
        timedelta(hours=24),
        ge=timedelta(0),
        le=timedelta(days=36_500),
        description="How far ahead of the clock a row may be and still move the watermark. One that is further ahead "
        "counts as all others, and does not.",
    )


class SourceWatermark(Watermark):
    """The same of a source, whose event time may have to be computed."""

    expression: Sql | None = Field(
        None,
        description="The event time in SQL over the source's columns, such as `epoch_ms(sent)`; `column` is then the "
        "name of the new column that holds it.",
    )


class Source(Ruled):
    """Where rows come from: a stream. One of `kafka`, `tcp`, `files`, `rate` and `queue` says of what kind it is."""

    _rules: ClassVar[Rules] = staticmethod(source)

    name: Identifier = Field(description="The stream's name in SQL.")
    kafka: KafkaSource | None = Field(None, description="The records of Kafka topics.")
    tcp: TcpSource | None = Field(None, description="Lines from a TCP server.")
    files: FilesSource | None = Field(None, description="New files in a folder or below an S3 prefix.")
    rate: RateSource | None = Field(None, description="Made-up rows at a steady rate.")
    queue: QueueSource | None = Field(None, description="Rows from the process itself.")
    format: Format | None = Field(
        None,
        description="How bytes become rows. `text`: a row a line, in one column `value` VARCHAR; "
        "`raw`: the same as BLOB; `json`: an object a line. Of Kafka, a record's value stands for a line. `avro`: "
        "records of Kafka whose schemas a schema registry has.",
    )
    schema_: Schema | None = Field(
        None,
        alias="schema",
        description="The columns, each with its SQL type. A field that is missing in a record is NULL.",
    )
    columns: Columns | None = Field(
        None,
        description="The order of the fields in a line of `csv` without a header line: every column of the schema "
        "once. Without it the columns are in alphabetical order.",
    )
    escape: Escape | None = Field(
        None,
        description="What stands before a quote within a quoted field of `csv`: another quote, as most write it, or "
        "`\\\\`, as Spark does by default. Left out: a quote.",
    )
    required: Required = Field(
        (),
        description="Columns that have a value in every record: one without it is a bad record, of which `onBadRecord` "
        "says what becomes. Left out: a field that is missing is NULL, and the log warns of a column that no record "
        "has.",
    )
    on_bad_record: OnBadRecord | None = Field(
        None,
        description="What becomes of a record that cannot be decoded, lacks a `required` column, or has a value that "
        "is none of its column's type. `fail`: it ends the job; `drop`: it is counted and left out; `deadLetter`: it "
        "is counted and becomes a row of the stream `<name>_dead_letters`, which steps and sinks read like any other. "
        "Left out: `fail`.",
    )
    max_bad_records: MaxBadRecords | None = Field(
        None,
        description="How many of a batch's records of this source may be bad: a number, or a share such as `5%`. More "
        "end the job. Left out: all may be.",
    )
    watermark: SourceWatermark | None = Field(None, description="The event time, and how late rows may be.")
    max_records_per_batch: Int | None = Field(
        None,
        ge=1,
        le=1_000_000_000,
        description="How many records a batch reads at most. Left out: all that is there, of Kafka at most 1000000.",
    )

    @property
    def kind(self) -> str:
        """The one that is given, such as `kafka`."""
        return only(self, SOURCES)

    @property
    def config(self) -> Any:
        """The sub-model of that kind, such as `TcpSource`."""
        return getattr(self, self.kind)

    @property
    def offsets(self) -> str:
        """What its offsets count: two sources that say the same go on where the other one was."""
        return "files, followed" if self.files is not None and self.files.follow else self.kind

    @property
    def csv_header(self) -> bool:
        """Whether the first line of what is read as CSV names the columns. Only files have such a line."""
        return SOURCES[self.kind].header and self.config.header is not False

    @property
    def csv_escape(self) -> str:
        """What stands before a quote within a quoted field of CSV."""
        return self.escape or '"'

    @property
    def ordered_schema(self) -> dict[str, str] | None:
        """The columns in their order, each with its SQL type."""
        return _in_order(self.schema_, self.columns)

    @property
    def dead_letters(self) -> str | None:
        """The name of the stream of its dead letters; None: it has none."""
        return dead_letters_of(self.name) if self.on_bad_record == "deadLetter" else None

    @property
    def bad_record_limit(self) -> BadRecordLimit | None:
        """How many records of a batch may be bad; None: all."""
        return limit_of(self.max_bad_records)

    @property
    def metadata(self) -> dict[str, str]:
        """The columns that do not come from a record's value, each with its SQL type."""
        types = SOURCES[self.kind].metadata
        return {name: types[name] for name in self.config.metadata} if types else {}


class StaticTable(Ruled):
    """A dataset that streams can be joined with, of `files` or `delta`. It is read at the start, and by `refresh`."""

    _rules: ClassVar[Rules] = staticmethod(table)

    name: Identifier = Field(description="The table's name in SQL.")
    files: TableFiles | None = Field(None, description="The files that hold its rows.")
    delta: DeltaTable | None = Field(None, description="The Delta table that holds its rows.")
    format: Literal["json", "csv", "parquet"] | None = Field(None, description="How files' bytes become rows.")
    schema_: Schema | None = Field(
        None,
        alias="schema",
        description="The columns, each with its SQL type. Parquet files and Delta tables name their own.",
    )
    columns: Columns | None = Field(
        None,
        description="The order of the fields in a line of `csv` without a header line: every column of the schema "
        "once. Without it the columns are in alphabetical order.",
    )
    escape: Escape | None = Field(
        None,
        description="What stands before a quote within a quoted field of `csv`: another quote, as most write it, or "
        "`\\\\`, as Spark does by default. Left out: a quote.",
    )
    required: Required = Field(
        (),
        description="Columns that have a value in every record: one without it is a bad record, of which `onBadRecord` "
        "says what becomes. Left out: a field that is missing is NULL, and the log warns of a column that no record "
        "has.",
    )
    on_bad_record: OnBadRow | None = Field(
        None,
        description="What becomes of a record of its files that cannot be decoded, lacks a `required` column, or has a "
        "value that is none of its column's type. `fail`: the table cannot be read; `drop`: it is left out, and the "
        "log says how many were. Left out: `fail`.",
    )
    max_bad_records: MaxBadRecords | None = Field(
        None,
        description="How many of its records may be bad: a number, or a share such as `5%`. With more the table cannot "
        "be read. Left out: all may be.",
    )
    refresh: Duration | None = Field(
        None,
        ge=timedelta(seconds=1),
        le=timedelta(days=365),
        description="How often it is read again. Left out: only at the start.",
    )

    @property
    def kind(self) -> str:
        """The one that is given, such as `files`."""
        return only(self, TABLES)

    @property
    def config(self) -> Any:
        """The sub-model of that kind, such as `TableFiles`."""
        return getattr(self, self.kind)

    @property
    def csv_header(self) -> bool:
        """Whether the first line of each CSV file names the columns."""
        return TABLES[self.kind].header and self.config.header is not False

    @property
    def csv_escape(self) -> str:
        """What stands before a quote within a quoted field of CSV."""
        return self.escape or '"'

    @property
    def bad_record_limit(self) -> BadRecordLimit | None:
        """How many of its records may be bad; None: all."""
        return limit_of(self.max_bad_records)

    @property
    def ordered_schema(self) -> dict[str, str] | None:
        """The columns in their order, each with its SQL type."""
        return _in_order(self.schema_, self.columns)


def _in_order(schema: dict[str, str] | None, columns: tuple[str, ...] | None) -> dict[str, str] | None:
    """The schema in the order of `columns`, or else of the alphabet: the API server sorts the fields of an object."""
    return None if schema is None else {name: schema[name] for name in columns or sorted(schema)}
