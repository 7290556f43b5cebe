"""What the operator reports of a job. It alone writes it; nothing in the runtime reads it."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from streamjob_api.names import ConditionType, Phase

Count = Annotated[int, Field(ge=0)]
Message = Annotated[str, Field(max_length=32768)]


class Report(BaseModel):
    """A part of the status. What another version of the operator wrote besides is passed over."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        serialize_by_alias=True,
        extra="ignore",
        frozen=True,
    )


class Failures(Report):
    """Failures since the job last ran well for `restart.resetAfter`."""

    application: Count | None = Field(None, description="Of the job itself: these count for `restart.maxFailures`.")
    infrastructure: Count | None = Field(None, description="Of what it runs on: lost nodes, evictions.")


class LastFailure(Report):
    """The last failure of a pod."""

    time: AwareDatetime | None = Field(None, description="When the pod ended.")
    attempt: Count | None = Field(None, description="The attempt that failed.")
    reason: str | None = Field(None, description="Why, in one word, such as `OOMKilled` or `JobError`.")
    exit_code: int | None = Field(None, description="The runtime's exit code.")
    message: Message | None = Field(None, description="The runtime's last words.")


class Check(Report):
    """The trial of a new spec, before the running pod is replaced."""

    revision: str | None = Field(None, description="The revision on trial.")
    phase: Literal["Running", "Passed", "Failed"] | None = Field(None, description="How the trial stands.")
    attempts: Count | None = Field(None, description="How often it was tried.")
    reason: str | None = Field(None, description="Why it failed, in one word.")
    message: Message | None = Field(None, description="Why it failed, in the words of `streamjob check`.")
    next_try: AwareDatetime | None = Field(None, description="When it is tried again, while it waits.")


class Draining(Report):
    """An attempt that the operator has asked to end."""

    attempt: Count | None = Field(None, description="Which one.")
    reason: str | None = Field(None, description="`SpecChanged`, `RestartRequested`, `Suspended` or `Deleted`.")


class Outcome(Report):
    """Why nothing is started any more."""

    kind: Literal["Failed", "Completed"] | None = Field(None, description="Whether the job was given up or is done.")
    generation: Count | None = Field(None, description="The generation of the spec then; a newer one starts it again.")
    reason: str | None = Field(None, description="Why, in one word.")
    message: Message | None = Field(None, description="Why, in a sentence.")


class LastBatch(Report):
    """The newest committed batch that the operator has seen."""

    id: Count | None = Field(None, description="Its number.")
    time: AwareDatetime | None = Field(None, description="Its batch time.")
    input_rows: Count | None = Field(None, description="How many rows it read.")
    bad_records: Count | None = Field(None, description="How many of them were bad and put aside (`onBadRecord`).")
    duration_ms: Annotated[float, Field(ge=0)] | None = Field(None, description="How long it took, in milliseconds.")
    lag: Count | None = Field(None, description="How many records wait in the sources, where these can say it.")


class LastCheckpoint(Report):
    """The newest checkpoint that the operator has seen."""

    batch: Count | None = Field(None, description="The batch after which it was taken.")
    time: AwareDatetime | None = Field(None, description="When it was taken.")
    size_bytes: Count | None = Field(None, description="How large its state snapshot is.")


class Rates(Report):
    """How fast rows go through the job, lately."""

    input_rows_per_second: Annotated[float, Field(ge=0)] | None = Field(None, description="Rows read in a second.")
    output_rows_per_second: Annotated[float, Field(ge=0)] | None = Field(None, description="Rows written in a second.")


class Condition(Report):
    """One of Kubernetes' conditions."""

    type: ConditionType = Field(description="What it speaks of.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    observed_generation: Count | None = Field(
        None,
        description="The generation of the spec that it speaks of. `Ready` speaks of the one that runs: while a change "
        "is checked, or when it was refused, that is an older one.",
    )
    last_transition_time: AwareDatetime = Field(description="When `status` changed last.")
    reason: Annotated[str, Field(min_length=1, max_length=1024)] = Field(description="Why, in one word.")
    message: Message = Field(description="Why, in a sentence.")


class Status(Report):
    """What the operator has seen of the job. Every field may be missing."""

    observed_generation: Annotated[int, Field(ge=-1)] | None = Field(
        None, description="The newest generation that the operator has acted on; -1: none yet."
    )
    phase: Phase | None = Field(None, description="Where the job stands, in one word, for people.")
    attempt: Count | None = Field(None, description="The number of the present start; pods carry it in their names.")
    ended_attempt: Count | None = Field(None, description="The newest attempt whose end is accounted for.")
    restarts: Count | None = Field(None, description="How often the job was started again after a failure.")
    revision: str | None = Field(None, description="The revision of the spec that runs.")
    failures: Failures | None = Field(None, description="Failures that are not forgotten yet.")
    next_start: AwareDatetime | None = Field(None, description="When the job is started again, while it waits.")
    started_at: AwareDatetime | None = Field(None, description="When the present attempt began.")
    last_failure: LastFailure | None = Field(None, description="The last failure.")
    check: Check | None = Field(None, description="The trial of a new spec.")
    checkpoint_location: str | None = Field(
        None, description="Where the job keeps its checkpoints. A job that names no location stays with this one."
    )
    draining: Draining | None = Field(None, description="The attempt that was asked to end.")
    outcome: Outcome | None = Field(None, description="Why nothing is started any more.")
    restart_request: str | None = Field(
        None, description="The last value of the annotation `streamjob.dev/restart` that was honoured."
    )
    last_batch: LastBatch | None = Field(None, description="The newest committed batch.")
    last_checkpoint: LastCheckpoint | None = Field(None, description="The newest checkpoint.")
    rates: Rates | None = Field(None, description="How fast rows go through the job.")
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = Field(
        (), description="Kubernetes' conditions, one a type: for `kubectl wait` and other programs."
    )
    digest: str | None = Field(
        None, description="Of the other fields: an operator knows by it that no one but an operator wrote them."
    )
