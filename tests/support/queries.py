"""Pipelines and their batches, for tests of the planner and of the query engine."""

import functools
import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from streamjob_api.models import StreamJobSpec
from streamjob_runtime.embedded.engine import EmbeddedQuery
from streamjob_runtime.embedded.open import open_query
from streamjob_runtime.formats.wire import wire_schema
from streamjob_runtime.plan.planner import plan
from streamjob_runtime.plan.problems import PlanError, PlanProblem
from streamjob_runtime.query import BatchInput, BatchOutput

Row = dict[str, Any]
Steps = Mapping[str, str | Mapping[str, Any]]  # name -> SQL, or all fields but the name
Sink = tuple[str, str] | tuple[str, str, Mapping[str, Any]]  # step, mode, and its kind's field: left out, a queue
START = 1_700_000_000_000  # milliseconds; the batch time of the first batch

EVENTS = {"name": "events", "queue": {}, "schema": {"k": "VARCHAR", "n": "BIGINT", "t": "TIMESTAMP", "l": "BIGINT[]"}}
SOURCES: list[Mapping[str, Any]] = [
    {**EVENTS, "watermark": {"column": "t", "delay": "10s"}},
    {"name": "other", "queue": {}, "schema": {"k": "VARCHAR", "m": "DOUBLE"}},
    {"name": "lines", "tcp": {"host": "localhost", "port": 9999}, "format": "text"},
]
TABLES: list[Mapping[str, Any]] = [
    {
        "name": "names",
        "files": {"path": "names.csv"},
        "format": "csv",
        "schema": {"k": "VARCHAR", "name": "VARCHAR", "since": "DATE"},
    }
]


def spec(
    steps: Steps,
    sinks: Sequence[Sink] | None = None,
    sources: Sequence[Mapping[str, Any]] = SOURCES,
    tables: Sequence[Mapping[str, Any]] = TABLES,
) -> StreamJobSpec:
    """A job of these steps; `sinks` left out: the last step in append mode."""
    wanted: Sequence[Sink] = sinks if sinks is not None else [(list(steps)[-1], "append")]
    return StreamJobSpec.model_validate(
        {
            "sources": list(sources),
            "tables": list(tables),
            "pipeline": [
                {"name": name, **({"sql": step} if isinstance(step, str) else step)} for name, step in steps.items()
            ],
            "sinks": [
                {"from": step, "mode": mode, **(where[0] if where else {"queue": {}})} for step, mode, *where in wanted
            ],
        }
    )


def problems(*args: Any, **kwargs: Any) -> list[PlanProblem]:
    """What is wrong with the job that `spec` makes of the arguments."""
    try:
        plan(spec(*args, **kwargs))
    except PlanError as error:
        return error.problems
    return []


def keyed(*columns: str) -> Mapping[str, Any]:
    """A sink that puts rows in place by these columns."""
    return {"postgres": {"table": "t", "key": list(columns), "dsnSecretRef": {"name": "pg", "key": "dsn"}}}


def rows(query: EmbeddedQuery, source: str, given: Sequence[Row]) -> pa.Table:
    """Rows as the source gives them; a column that is left out is NULL."""
    schema = query.source_schemas[source]
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in given], schema)


class Runner:
    """A query and its loop: batch after batch, with watermarks by the loop's rule."""

    def __init__(
        self,
        steps: Steps,
        sinks: Sequence[Sink],
        delay_ms: int = 10_000,
        tables: Sequence[Mapping[str, Any]] = TABLES,
        sources: Sequence[Mapping[str, Any]] = SOURCES,
    ) -> None:
        self._job = functools.partial(spec, steps, sources=sources, tables=tables)
        self._spec = self._job(sinks)
        self._delay_ms = delay_ms
        self.query = open_query(self._spec, threads=1)
        self.tables: dict[str, pa.Table] = {}
        self.batch_id = 0
        self.watermark: int | None = None
        self.late_before: int | None = None
        self.last: BatchOutput | None = None

    def table(self, name: str, given: Sequence[Row]) -> None:
        """Fill a static table."""
        schema = wire_schema("csv", self.query.table_schemas[name])
        self.tables[name] = pa.Table.from_pylist([{c: row.get(c) for c in schema.names} for row in given], schema)
        self.query.set_table(name, self.tables[name])

    def batch(self, *, at_s: float | None = None, **given: Sequence[Row]) -> list[list[Row]]:
        """Run a batch; its time is `at_s` seconds after START. The sinks' rows."""
        time_ms = START + int(1000 * (self.batch_id if at_s is None else at_s))
        filled = {name: rows(self.query, name, r) for name, r in given.items()}
        out = self.query.run(BatchInput(self.batch_id, time_ms, self.watermark, self.late_before, filled))
        self.batch_id += 1
        self.late_before = self.watermark
        for highest in out.max_event_time_ms.values():
            self.watermark = max(highest - self._delay_ms, self.watermark or -(1 << 60))
        self.last = out
        return [sink.to_pylist() for sink in out.sinks]

    @property
    def deleted(self) -> list[list[Row] | None]:
        """The rows that the last batch took from the result, one list a sink; None: it is never told."""
        assert self.last is not None
        return [None if rows is None else rows.to_pylist() for rows in self.last.deleted]

    def restart(self, sinks: Sequence[Sink] | None = None) -> None:
        """Go on in a new query from a snapshot; with other sinks, if they are given."""
        if sinks is not None:
            self._spec = self._job(sinks)
        state = {name: _stored(table) for name, table in self.query.snapshot().items()}
        self.query.close()
        self.query = open_query(self._spec, threads=1)
        for name, table in self.tables.items():
            self.query.set_table(name, table)
        self.query.restore(state)

    def close(self) -> None:
        """Free the query."""
        self.query.close()


def _stored(table: pa.Table) -> pa.Table:
    """As it comes back from a checkpoint."""
    file = io.BytesIO()
    pq.write_table(table, file)
    return pq.read_table(io.BytesIO(file.getvalue()))
