# ruff: noqa: S608 - SQL is put together here from names that are quoted and texts that the planner rendered.
"""A source's rows in the database: registered as they come, cast to the declared types where they are read."""

import pyarrow as pa

from streamjob_runtime.embedded.compose import raw_table
from streamjob_runtime.embedded.database import Database
from streamjob_runtime.embedded.declared import declared as in_type
from streamjob_runtime.embedded.event_times import EventTimeColumn
from streamjob_runtime.embedded.misfits import Cast, CastCheck
from streamjob_runtime.errors import JobError
from streamjob_runtime.excerpts import Excerpt
from streamjob_runtime.formats.wire import wire_schema
from streamjob_runtime.plan.model import SourcePlan
from streamjob_runtime.plan.tree import quoted

_EXCERPT = 60  # characters
_SECONDS = 11  # digits


class SourceRows:
    """One source. `wire`: the columns it must give."""

    def __init__(self, db: Database, source: SourcePlan) -> None:
        self._db = db
        self._source = source
        nulls = ", ".join(f"CAST(NULL AS {c.type}) AS {quoted(c.name)}" for c in source.columns)
        declared = db.schema(f"SELECT {nulls}")
        self.wire = _wire(source, declared)
        self.casts = self.wire != declared  # whether reading a row costs more than finding it
        self._raw = quoted(raw_table(source.name))
        # What comes in its declared type already needs no cast, and DuckDB drops a cast to the same type.
        self._values = {
            c.name: in_type(quoted(c.name), self.wire.field(c.name).type, c.type, declared.field(c.name).type)
            for c in source.columns
        }
        self.check = CastCheck(
            [
                Cast(c.name, self.wire.field(c.name).type, declared.field(c.name).type, c.type, self._values[c.name])
                for c in source.columns
            ]
        )
        casts = ", ".join(f"{value} AS {quoted(name)}" for name, value in self._values.items())
        self.sql = f"SELECT {casts} FROM {self._raw}"
        self.event_time: EventTimeColumn | None = None  # where it is one of the declared columns
        if source.computed:
            self.sql = f"WITH {quoted(source.name)} AS ({self.sql}) {source.computed}"
        elif source.watermark_column is not None:
            kind = next(c.type for c in source.columns if c.name == source.watermark_column)
            values = f"SELECT {self._values[source.watermark_column]} AS t FROM {self._raw}"
            self.event_time = EventTimeColumn(values, kind)
        self._none = self.wire.empty_table()
        db.register(raw_table(source.name), self._none)

    def take(self, rows: pa.Table | None) -> None:
        """The rows of the next batch; None: it has none."""
        self._db.register(raw_table(self._source.name), self._none if rows is None else rows)

    def blame(self) -> None:
        """Raise `JobError` if a value of the rows is not of its declared type."""
        for column in self._source.columns:
            name = quoted(column.name)
            bad = self._db.rows(
                f"SELECT CAST({name} AS VARCHAR) AS v FROM {self._raw} "
                f"WHERE {name} IS NOT NULL AND TRY({self._values[column.name]}) IS NULL LIMIT 1"
            )
            if bad.num_rows:
                value = str(bad.column(0)[0].as_py())
                shown = value if len(value) <= _EXCERPT else value[:_EXCERPT] + "…"
                remedy = "Declare the column as VARCHAR and use TRY_CAST, or mend the data."
                if self._source.format is not None:
                    remedy = f"{remedy[:-1]}; or say by onBadRecord what becomes of such records."
                if value.isdigit() and column.type.startswith("TIMESTAMP"):
                    made, unit = _of_number(len(value))
                    remedy = f"Declare the column as BIGINT: {made}({column.name}) makes a time of {unit}."
                raise JobError(
                    f"The source {self._source.name} has ",
                    Excerpt(f"the value {shown!r}", "a value"),
                    f" in the column {column.name}, which is not a {column.type}. {remedy}",
                ) from None


def _of_number(digits: int) -> tuple[str, str]:
    """The function that makes a time of a number, and the unit: which of them this century's times have so many of."""
    if digits <= _SECONDS:
        return "to_timestamp", "seconds"
    if digits <= _SECONDS + 3:
        return "epoch_ms", "milliseconds"
    return ("make_timestamp", "microseconds") if digits <= _SECONDS + 6 else ("make_timestamp_ns", "nanoseconds")


def _wire(source: SourcePlan, declared: pa.Schema) -> pa.Schema:
    if source.format is None:
        return declared
    decoded = wire_schema(source.format, pa.schema([f for f in declared if f.name not in source.metadata]))
    return pa.schema([*decoded, *(f for f in declared if f.name in source.metadata)])
