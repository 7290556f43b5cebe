"""What the loop asks of the query engine: plain data in, plain data out, no SQL engine in sight."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from streamjob_runtime.excerpts import Words
from streamjob_runtime.formats.sifted import Misfits


@dataclass(frozen=True, slots=True)
class BatchInput:
    """All that a batch's result depends on, besides the state and the static tables."""

    batch_id: int
    batch_time_ms: int  # what now() and the column batch_time say, milliseconds since the epoch, UTC
    watermark_ms: int | None  # windows that end at or before it are final after this batch; None: no watermark yet
    late_before_ms: int | None  # the previous batch's watermark: windows that end at or before it have left already
    rows: Mapping[str, pa.Table]  # source -> its new rows, in `Query.source_schemas`; a source with none may be absent
    # Source or step -> what is later does not move its watermark.
    ahead_ms: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OperatorProgress:
    """What one stateful operator did in a batch (Spark's StateOperatorProgress)."""

    name: str
    rows_total: int
    rows_updated: int
    rows_removed: int
    rows_dropped_by_watermark: int


@dataclass(frozen=True, slots=True)
class BatchOutput:
    """What a batch gave."""

    sinks: tuple[pa.Table, ...]  # one a sink, in the manifest's order
    # The same, of update mode: the rows that are no longer in the result, as they were; None: it is never told of any.
    deleted: tuple[pa.Table | None, ...]
    # Of the sources and steps with a watermark:
    marked_rows: Mapping[str, int]  # their rows; absent: none
    max_event_time_ms: Mapping[str, int]  # the highest event time among these; absent: none
    rows_ahead: Mapping[str, int]  # how many are later than `BatchInput.ahead_ms`; absent: none
    operators: tuple[OperatorProgress, ...]


class Query(Protocol):
    """A job's pipeline with its state. Used by one thread."""

    @property
    def source_schemas(self) -> Mapping[str, pa.Schema]:
        """The columns that each source must give, as its format can decode them; the query casts them itself."""
        ...

    @property
    def table_schemas(self) -> Mapping[str, pa.Schema]:
        """Static table -> its columns, in their declared types."""
        ...

    @property
    def sink_schemas(self) -> tuple[pa.Schema, ...]:
        """The columns that each sink is given, in the manifest's order of sinks."""
        ...

    @property
    def deletions(self) -> tuple[bool, ...]:
        """Whether a batch may give a sink rows that are no longer in the result, in the same order."""
        ...

    @property
    def fingerprints(self) -> Mapping[str, str]:
        """Stateful operator -> what its state's meaning depends on. A state fits only where these are equal."""
        ...

    @property
    def engine(self) -> str:
        """What makes the states, with its version."""
        ...

    @property
    def tied(self) -> Mapping[str, tuple[str, ...]]:
        """Stateful operator -> its aggregates whose states not every version of the engine reads as what they are."""
        ...

    @property
    def readable(self) -> frozenset[str]:
        """The engines whose states of these aggregates this one reads."""
        ...

    def source_misfits(self, name: str) -> Misfits:
        """Which rows of a source, in its `source_schemas`, have a value that is none of its declared type.

        Any thread may ask, until `close`.
        """
        ...

    def table_misfits(self, name: str, rows: pa.Table) -> Mapping[int, Words]:
        """The same of the rows of a static table."""
        ...

    def set_table(self, name: str, rows: pa.Table) -> None:
        """Replace the content of a static table, from the next batch on."""
        ...

    def wants_batch(self, batch_time_ms: int, watermark_ms: int | None) -> bool:
        """Whether a batch without new rows would change anything: a row leaves a window, a window becomes final."""
        ...

    def run(self, batch: BatchInput) -> BatchOutput:
        """Take the batch into the state and give the sinks' rows.

        Raises `JobError` for what the data makes impossible (a cast that fails). The query is not used after an error.
        """
        ...

    def snapshot(self) -> Mapping[str, pa.Table]:
        """Stateful operator -> its whole state, a copy: later batches do not change it.

        Raises `JobError` if there is no memory for one.
        """
        ...

    def restore(self, state: Mapping[str, pa.Table]) -> None:
        """Take up a state that `snapshot` gave, in place of an empty one."""
        ...

    def close(self) -> None:
        """Free memory and scratch files."""
        ...
