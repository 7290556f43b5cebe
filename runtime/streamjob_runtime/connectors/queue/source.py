"""Rows from the process itself."""

from typing import Any

import pyarrow as pa

from streamjob_runtime.connectors.shared.input_queue import InputQueue, Rows
from streamjob_runtime.connectors.source import OffsetRange, SourceStatus
from streamjob_runtime.connectors.source_context import SourceContext, SourceSpec
from streamjob_runtime.errors import JobError
from streamjob_runtime.excerpts import Excerpt

_PARTITION = "queue"


class QueueSource:
    """The rows of an `InputQueue`, in the order they were put in; offsets are their numbers.

    They are in the memory of the process, so a job survives a restart of its loop, not of the process.
    """

    def __init__(self, name: str, queue: InputQueue, schema: pa.Schema) -> None:
        self._name = name
        self._queue = queue
        self._schema = schema
        self._offset = 0
        self._until: int | None = None

    @classmethod
    def from_manifest(cls, source: SourceSpec, schema: pa.Schema, context: SourceContext) -> "QueueSource":
        """See `open_source`."""
        if source.name not in context.queues:
            raise JobError(
                f'Source "{source.name}" is a queue, which only a program that runs the job can fill. '
                "From the command line use tcp, files or rate."
            )
        return cls(source.name, context.queues[source.name], schema)

    def check(self) -> str:
        """See `Source`."""
        return "a queue of this process"

    def begin(self, earlier: Any) -> Any:
        """See `Source`. With the first row."""
        return None

    def open(self, state: Any) -> None:
        """See `Source`."""
        self._offset = 0 if state is None else int(state["offset"])

    def limit_to_available(self) -> None:
        """See `Source`."""
        self._until = self._queue.end

    @property
    def exhausted(self) -> bool:
        """See `Source`."""
        return self._until is not None and self._offset >= self._until

    def poll(self, limit: int | None, now_ms: int) -> OffsetRange | None:
        """See `Source`."""
        end = self._queue.end if self._until is None else self._until
        if limit is not None:
            end = min(end, self._offset + limit)
        return OffsetRange({_PARTITION: (self._offset, end)}) if end > self._offset else None

    def advance(self, offsets: OffsetRange) -> None:
        """See `Source`."""
        self._offset = offsets.partitions[_PARTITION][1]

    def read(self, offsets: OffsetRange) -> pa.Table:
        """See `Source`."""
        pieces = self._queue.rows(*offsets.partitions[_PARTITION])
        return pa.concat_tables([self._schema.empty_table(), *map(self._table, pieces)])

    def _table(self, rows: Rows) -> pa.Table:
        """Columns by name: one that is missing is NULL, one that is not declared is left out."""
        try:
            if not isinstance(rows, pa.Table):
                return pa.Table.from_pylist(rows, self._schema)
            columns: dict[str, Any] = {
                f.name: rows[f.name].cast(f.type) if f.name in rows.schema.names else pa.nulls(len(rows), f.type)
                for f in self._schema
            }
            return pa.table(columns, self._schema)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as e:
            raise JobError(
                f'Source "{self._name}": rows that were put into the queue do not fit the declared columns: ',
                Excerpt(str(e)),
                ". Put in rows of the declared types, or correct the schema.",
            ) from None

    def acknowledge(self, offsets: OffsetRange) -> None:
        """See `Source`. Nobody asks."""

    def snapshot(self) -> Any:
        """See `Source`."""
        return {"offset": self._offset}

    def release(self, state: Any) -> None:
        """See `Source`."""
        self._queue.release(int(state["offset"]))

    def survey(self, now_ms: int) -> None:
        """See `Source`. The queue is here."""

    def status(self) -> SourceStatus:
        """See `Source`."""
        message = "closed" if self._queue.closed else ""
        return SourceStatus({_PARTITION: self._queue.end}, message=message, position={_PARTITION: self._offset})

    def close(self) -> None:
        """See `Source`. The queue stays as it is."""
