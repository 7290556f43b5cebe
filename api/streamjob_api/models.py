"""The resource: `streamjob.dev/v1alpha1`, kind StreamJob.

The descriptions and bounds of the models are the one source of the CRD, of the reference and of what
`streamjob validate` says. Rules that need more than one field stand in `rules`.
"""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from streamjob_api.base import Bool, Int, NameRef, Part, Ruled
from streamjob_api.durations import Duration
from streamjob_api.hdfs import HdfsConnection
from streamjob_api.kubernetes import (
    DEFAULT_RESOURCES,
    Annotations,
    Deletion,
    Labels,
    NodeLoss,
    PodTemplate,
    Resources,
    Restart,
    VariablesFrom,
)
from streamjob_api.rules.across import DEFAULT_BATCH_INTERVAL, MIN_BATCHES_PER_CHECKPOINT, across
from streamjob_api.sinks import Sink
from streamjob_api.sources import Source, StaticTable, Watermark
from streamjob_api.texts import DnsLabel, Endpoint, Identifier, ImageName, Location, Sql
from streamjob_api.trees import Rules
from streamjob_api.words import numbered


class Metadata(Part):
    """How Kubernetes knows the job."""

    name: DnsLabel = Field(description="The job's name.")
    namespace: DnsLabel | None = Field(None, description="Its namespace; without a cluster it has no effect.")
    labels: Labels | None = Field(None, description="Kubernetes labels.")
    annotations: Annotations | None = Field(None, description="Kubernetes annotations.")


class Step(Part):
    """A SELECT over sources, tables and earlier steps."""

    name: Identifier = Field(description="The result's name, for later steps and for sinks.")
    sql: Sql = Field(description="One SELECT in DuckDB's dialect.")
    watermark: Watermark | None = Field(
        None,
        description="The event time, where it is first known in this step: one of its columns, whose result must be a "
        "stream.",
    )
    ttl: Duration | None = Field(
        None,
        ge=timedelta(seconds=1),
        le=timedelta(days=36_500),
        description="How long a group without a window is kept when no row touches it, by the batches' time. "
        "Left out: for good.",
    )


class Checkpoint(Part):
    """How often the state is kept, and where."""

    interval: Duration | None = Field(
        None,
        description="How often a state snapshot is taken: a whole multiple of `batchInterval`, 5 to 10 times as long. "
        "Left out: 5 times.",
    )
    location: Location | None = Field(
        None,
        description="Where the job's log and snapshots are: the job's identity. "
        "Left out: on a laptop `.streamjob/<name>` beside the manifest, on a cluster `<namespace>/<name>` below the "
        "operator's default.",
    )
    retained: Int = Field(3, ge=1, le=100, description="How many checkpoints are kept.")


class Backpressure(Part):
    """Whether the job reads no more at a time than it has shown to get done within a batch interval."""

    enabled: Bool = Field(
        False,
        description="Whether each batch takes from each source what the job has got done lately in the time of an "
        "interval, and at least 100 records a second.",
    )


class S3Connection(Part):
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


class StreamJobSpec(Ruled):
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
    backpressure: Backpressure | None = Field(
        None, description="Whether batches that take too long are made smaller. Left out: they are not."
    )
    sources: tuple[Source, ...] = Field(min_length=1, max_length=32, description="The streams.")
    tables: tuple[StaticTable, ...] = Field((), max_length=32, description="The static tables.")
    pipeline: tuple[Step, ...] = Field((), max_length=64, description="The steps, in order.")
    sinks: tuple[Sink, ...] = Field(min_length=1, max_length=32, description="Where the results go.")
    checkpoint: Checkpoint = Field(Checkpoint(), description="How often the state is kept, and where.")
    s3: S3Connection | None = Field(None, description="The connection for every `s3://` location.")
    hdfs: HdfsConnection | None = Field(None, description="The connection for every `hdfs://` location.")
    variables_from: tuple[VariablesFrom, ...] = Field(
        (),
        max_length=8,
        description="Where the operator finds the values of variables, `${NAME}`, in the texts of the spec; of two "
        "values the later one counts. Left out: texts are taken as they are ([Variables](#variables)).",
    )
    suspend: Bool = Field(
        False, description="Whether the job rests: it finishes its batch, takes a checkpoint, and its pod goes."
    )
    excerpts_in_status: Bool = Field(
        False,
        description="Whether what stands in a record may be shown in the status and in Events, when the job ends over "
        "it. Otherwise these say where the record is and what is wrong, and the pod's log shows its beginning.",
    )
    image: ImageName | None = Field(
        None, description="The image of the job's pods. Left out: the operator's runtime image."
    )
    resources: Resources = Field(
        DEFAULT_RESOURCES,
        description="What the pod gets of its node. Left out: requests of 250m cpu and 512Mi memory, a limit of 1Gi "
        "memory.",
    )
    restart: Restart = Field(Restart(), description="When a job that fails is started again.")
    node_loss: NodeLoss = Field(NodeLoss(), description="What happens when a node answers no more.")
    deletion: Deletion = Field(Deletion(), description="What stays when the StreamJob is deleted.")
    pod_template: PodTemplate = Field(PodTemplate(), description="What the job's pods have besides.")

    @property
    def checkpoint_interval(self) -> timedelta:
        """How often a state snapshot is taken."""
        return self.checkpoint.interval or MIN_BATCHES_PER_CHECKPOINT * self.batch_interval

    @property
    def batches_per_checkpoint(self) -> int:
        """The same, in batches: 5 to 10."""
        return self.checkpoint_interval // self.batch_interval

    @property
    def watermarks(self) -> dict[str, Watermark]:
        """Source or step -> its watermark, of those that have one."""
        parts: tuple[Source | Step, ...] = (*self.sources, *self.pipeline)
        return {part.name: part.watermark for part in parts if part.watermark is not None}

    @property
    def sink_names(self) -> tuple[str, ...]:
        """A unique name for each sink: `views.files`, and `views.files.2` for the second of its kind on that step."""
        return numbered(f"{sink.from_}.{sink.kind}" for sink in self.sinks)


class StreamJob(Part):
    """A stream-processing job."""

    api_version: Literal["streamjob.dev/v1alpha1"] = Field(description="The version of this resource.")
    kind: Literal["StreamJob"] = Field(description="Always `StreamJob`.")
    metadata: Metadata = Field(description="Name and labels.")
    spec: StreamJobSpec = Field(description="What the job does.")
