"""The resource: `streamjob.dev/v1alpha1`, kind StreamJob.

The descriptions and bounds here are the one source of the reference and of what `streamjob validate` says. Rules that
need more than one field stand in `rules`.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationInfo, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from streamjob_api import rules
from streamjob_api.durations import Duration
from streamjob_api.rules_across import DEFAULT_BATCH_INTERVAL, MIN_BATCHES_PER_CHECKPOINT, across
from streamjob_api.texts import (
    ColumnName,
    DnsLabel,
    DnsName,
    Endpoint,
    Host,
    Identifier,
    LabelText,
    Location,
    Sql,
    SqlType,
)
from streamjob_api.trees import SINK_KINDS, SOURCE_KINDS, Rules

API_VERSION = "streamjob.dev/v1alpha1"
KIND = "StreamJob"

# As validation's context: only the fields are checked, because the caller checks the rules itself, all at once.
FIELDS_ONLY = object()

Int = Annotated[int, Strict()]
Bool = Annotated[bool, Strict()]
Schema = Annotated[dict[ColumnName, SqlType], Field(min_length=1, max_length=1000)]


class _Model(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        serialize_by_alias=True,
        extra="forbid",
        frozen=True,
    )


class _Ruled(_Model):
    """A model with rules over more than one of its fields."""

    _rules: ClassVar[Rules]

    @model_validator(mode="after")
    def _keep_rules(self, info: ValidationInfo) -> Self:
        if info.context is not FIELDS_ONLY:
            broken = [str(b) for b in type(self)._rules(self.model_dump(exclude_none=True))]
            if broken:
                raise PydanticCustomError("rule", "{text}", {"text": "; ".join(broken)})
        return self


def _only(model: BaseModel, kinds: Iterable[str]) -> str:
    """The one of these fields that is set; the rules have seen to it that there is one."""
    return next(kind for kind in kinds if getattr(model, kind) is not None)


class Metadata(_Model):
    """How Kubernetes knows the job."""

    name: DnsLabel = Field(description="The job's name.")
    namespace: DnsLabel | None = Field(None, description="Its namespace; without a cluster it has no effect.")
    labels: dict[str, LabelText] | None = Field(None, max_length=64, description="Kubernetes labels.")
    annotations: dict[str, str] | None = Field(None, max_length=64, description="Kubernetes annotations.")


class NameRef(_Model):
    """A reference to an object of the same namespace, by name."""

    name: DnsName = Field(description="The object's name.")


class TcpSource(_Model):
    """Lines that a TCP server sends. The job is the client and connects again when the connection is lost."""

    host: Host = Field(description="The server's host name or IP address.")
    port: Int = Field(ge=1, le=65535, description="The server's port.")


class FilesSource(_Model):
    """Files that appear in a folder or below an S3 prefix, each read once, by modification time and name."""

    path: Location = Field(
        description="The folder, or `s3://bucket/prefix`. The last part may be a pattern, such as `logs/*.json`."
    )
    max_files_per_batch: Int = Field(1000, ge=1, le=100_000, description="How many files a batch reads at most.")
    header: Bool | None = Field(
        None, description="Whether the first line of each CSV file names its columns. Left out: true."
    )


class RateSource(_Model):
    """Rows made up for tests and demonstrations: columns `value` BIGINT (0, 1, 2 …) and `timestamp` TIMESTAMP."""

    rows_per_second: Int = Field(1, ge=1, le=100_000_000, description="How many rows become due in a second.")


class QueueSource(_Model):
    """Rows that the process itself puts in, for tests and for programs that hold a job."""


class Watermark(_Model):
    """How long the job waits for late rows: a window is final when a row is later than its end by the delay."""

    column: ColumnName = Field(description="The event time: a column of type TIMESTAMP.")
    delay: Duration = Field(
        ge=timedelta(0), le=timedelta(days=365), description="How late a row may be, seen from the newest one."
    )


class Source(_Ruled):
    """Where rows come from: a stream. Exactly one of `tcp`, `files`, `rate` and `queue` says of what kind it is."""

    _rules: ClassVar[Rules] = staticmethod(rules.source)

    name: Identifier = Field(description="The stream's name in SQL.")
    tcp: TcpSource | None = Field(None, description="Lines from a TCP server.")
    files: FilesSource | None = Field(None, description="New files in a folder or below an S3 prefix.")
    rate: RateSource | None = Field(None, description="Made-up rows at a steady rate.")
    queue: QueueSource | None = Field(None, description="Rows from the process itself.")
    format: Literal["text", "json", "csv", "parquet", "raw"] | None = Field(
        None,
        description="How bytes become rows. `text`: a row a line, in one column `value` VARCHAR; "
        "`raw`: the same as BLOB; `json`: an object a line.",
    )
    schema_: Schema | None = Field(
        None,
        alias="schema",
        description="The columns in order, each with its SQL type. A field that is missing in a record is NULL.",
    )
    watermark: Watermark | None = Field(None, description="The event time, and how late rows may be.")
    max_records_per_batch: Int | None = Field(
        None, ge=1, le=1_000_000_000, description="How many records a batch reads at most. Left out: all that is there."
    )

    @property
    def kind(self) -> str:
        """`tcp`, `files`, `rate` or `queue`."""
        return _only(self, SOURCE_KINDS)

    @property
    def config(self) -> Any:
        """The sub-model of that kind, such as `TcpSource`."""
        return getattr(self, self.kind)

    @property
    def csv_header(self) -> bool:
        """Whether the first line of what is read as CSV names the columns. A TCP connection has no such line."""
        return self.files is not None and self.files.header is not False


class TableFiles(_Model):
    """The files that hold a static table."""

    path: Location = Field(
        description="A file, a folder, or the same in S3. The last part may be a pattern, such as `ads/*.parquet`."
    )
    header: Bool | None = Field(
        None, description="Whether the first line of each CSV file names its columns. Left out: true."
    )


class StaticTable(_Ruled):
    """A dataset that streams can be joined with. It is read at the start, and again by `refresh`."""

    _rules: ClassVar[Rules] = staticmethod(rules.table)

    name: Identifier = Field(description="The table's name in SQL.")
    files: TableFiles = Field(description="Where its rows are.")
    format: Literal["json", "csv", "parquet"] = Field(description="How the files' bytes become rows.")
    schema_: Schema | None = Field(
        None, alias="schema", description="The columns, each with its SQL type. Parquet files name their own."
    )
    refresh: Duration | None = Field(
        None,
        ge=timedelta(seconds=1),
        le=timedelta(days=365),
        description="How often the files are read again. Left out: only at the start.",
    )

    @property
    def csv_header(self) -> bool:
        """Whether the first line of each CSV file names the columns."""
        return self.files.header is not False


class Step(_Model):
    """A SELECT over sources, tables and earlier steps."""

    name: Identifier = Field(description="The result's name, for later steps and for sinks.")
    sql: Sql = Field(description="One SELECT in DuckDB's dialect.")


class ConsoleSink(_Model):
    """Prints the rows of each batch."""

    rows: Int = Field(20, ge=1, le=10_000, description="How many rows of a batch are printed at most.")


class FilesSink(_Model):
    """Writes files that any reader's plain glob sees once each."""

    path: Location = Field(description="The folder, or `s3://bucket/prefix`.")
    partition_by: tuple[ColumnName, ...] = Field(
        (), max_length=16, description="Columns that become folders, `column=value/`."
    )


class QueueSink(_Model):
    """Keeps the rows in the process, for tests and for programs that hold a job."""


class Sink(_Ruled):
    """Where a result goes. Exactly one of `console`, `files` and `queue` says of what kind it is."""

    _rules: ClassVar[Rules] = staticmethod(rules.sink)

    from_: Identifier = Field(alias="from", description="The pipeline step, or the source, whose rows are written.")
    mode: Literal["append", "update", "complete"] = Field(
        "append",
        description="`append`: rows that are new and final; `update`: rows that changed; `complete`: the whole result.",
    )
    console: ConsoleSink | None = Field(None, description="The terminal.")
    files: FilesSink | None = Field(None, description="Files in a folder or below an S3 prefix.")
    queue: QueueSink | None = Field(None, description="A queue in the process.")
    format: Literal["json", "csv", "parquet"] | None = Field(None, description="How rows become the bytes of a file.")

    @property
    def kind(self) -> str:
        """`console`, `files` or `queue`."""
        return _only(self, SINK_KINDS)

    @property
    def config(self) -> Any:
        """The sub-model of that kind, such as `FilesSink`."""
        return getattr(self, self.kind)


class Checkpoint(_Model):
    """How often the state is kept, and where."""

    interval: Duration | None = Field(
        None,
        description="How often a state snapshot is taken: a whole multiple of `batchInterval`, 5 to 10 times as long. "
        "Left out: 5 times.",
    )
    location: Location | None = Field(
        None,
        description="Where the job's log and snapshots are: the job's identity. "
        "Left out: `.streamjob/<name>` in the current folder.",
    )
    retained: Int = Field(3, ge=1, le=100, description="How many checkpoints are kept.")


class S3Connection(_Model):
    """How every `s3://` location of the job is reached."""

    endpoint: Endpoint | None = Field(
        None, description="The server, such as `http://minio:9000`. Left out: `AWS_ENDPOINT_URL`, or else Amazon's."
    )
    region: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        None, description="The region. Left out: `AWS_REGION`."
    )
    credentials_secret_ref: NameRef | None = Field(
        None,
        description="The Secret with the keys `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`. "
        "Left out: the environment.",
    )


class StreamJobSpec(_Ruled):
    """What the job does."""

    _rules: ClassVar[Rules] = staticmethod(across)

    engine: Literal["embedded"] = Field("embedded", description="What runs the job: one process with DuckDB.")
    batch_interval: Duration = Field(
        DEFAULT_BATCH_INTERVAL,
        ge=timedelta(milliseconds=10),
        le=timedelta(days=1),
        description="How often a batch is run.",
    )
    trigger: Literal["processingTime", "availableNow"] = Field(
        "processingTime",
        description="`processingTime`: a batch each interval, without end; `availableNow`: all that is there at the "
        "start, in bounded batches, then done.",
    )
    sources: tuple[Source, ...] = Field(min_length=1, max_length=32, description="The streams.")
    tables: tuple[StaticTable, ...] = Field((), max_length=32, description="The static tables.")
    pipeline: tuple[Step, ...] = Field((), max_length=64, description="The steps, in order.")
    sinks: tuple[Sink, ...] = Field(min_length=1, max_length=32, description="Where the results go.")
    checkpoint: Checkpoint = Field(Checkpoint(), description="How often the state is kept, and where.")
    s3: S3Connection | None = Field(None, description="The connection for every `s3://` location.")

    @property
    def checkpoint_interval(self) -> timedelta:
        """How often a state snapshot is taken."""
        return self.checkpoint.interval or MIN_BATCHES_PER_CHECKPOINT * self.batch_interval

    @property
    def batches_per_checkpoint(self) -> int:
        """The same, in batches: 5 to 10."""
        return self.checkpoint_interval // self.batch_interval

    @property
    def sink_names(self) -> tuple[str, ...]:
        """A unique name for each sink: `views.files`, and `views.files.2` for the second of its kind on that step."""
        seen: Counter[str] = Counter()
        names = []
        for sink in self.sinks:
            name = f"{sink.from_}.{sink.kind}"
            seen[name] += 1
            names.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
        return tuple(names)


class StreamJob(_Model):
    """A stream-processing job."""

    api_version: Literal["streamjob.dev/v1alpha1"] = Field(description="The version of this resource.")
    kind: Literal["StreamJob"] = Field(description="Always `StreamJob`.")
    metadata: Metadata = Field(description="Name and labels.")
    spec: StreamJobSpec = Field(description="What the job does.")
