# ruff: noqa: S608 - SQL is put together here from names that are quoted and texts that the planner rendered.
"""Rows of a stream that come once: the state is those that were there, until the watermark has passed their time.

The rules are Spark Structured Streaming's: a row that the watermark of the batch before has reached is late, and
dropped, as nobody knows any more whether it was there; one without a time stays in the state for good.
"""

import pyarrow as pa

from streamjob_runtime.embedded.compose import Composer, at_time, rows_table
from streamjob_runtime.embedded.database import Database
from streamjob_runtime.embedded.kept import RESTORED, Moment
from streamjob_runtime.embedded.stored import from_stored, to_stored
from streamjob_runtime.plan.model import DistinctRows
from streamjob_runtime.plan.tree import quoted
from streamjob_runtime.query import OperatorProgress

_FEW_ROWS = 1000


class Seen:
    """What it gives of a batch is kept by the name `rows_table(step.name)`."""

    def __init__(self, db: Database, step: DistinctRows, composer: Composer, ready: frozenset[str]) -> None:
        self.step = step
        self._db = db
        self._state = quoted(f"state:{step.name}")
        self._new_name = f"new:{step.name}"
        self._new = quoted(self._new_name)
        self._out = rows_table(step.name)
        self._columns = ", ".join(f"c{i}" for i in range(len(step.columns)))
        self._rows = self._deleted = 0
        self._updated = self._removed = self._dropped = 0
        named = ", ".join(f"{quoted(c)} AS c{i}" for i, c in enumerate(step.columns))
        rows = composer.statement(f"SELECT {named} FROM {quoted(step.of)}", (step.of,), ready)
        numbered = f"SELECT *, row_number() OVER () AS i FROM ({rows})"
        end = step.end or "CAST(NULL AS TIMESTAMP)"
        self._end = end
        self._select = f"SELECT {self._columns}, {end} AS e, min(i) AS i FROM ({numbered}) GROUP BY {self._columns}"
        self._shown = ", ".join(f"c{i} AS {quoted(c)}" for i, c in enumerate(step.columns))
        db.do(f"CREATE TABLE {self._state} AS SELECT {self._columns}, e FROM ({at_time(self._select, 0)}) LIMIT 0")
        db.keep(self._out, f"SELECT {self._shown} FROM {self._state} LIMIT 0")

    def begin(self) -> None:
        """Forget what the last batch did."""
        self._updated = self._removed = self._dropped = 0

    def run(self, moment: Moment, has_rows: bool) -> bool:
        """Take the batch in; whether it gives rows."""
        self._db.keep_none(self._out)
        if has_rows:
            self._take(moment)
        if has_rows or moment.watermark_ms != moment.late_before_ms:
            self._let_go(moment.watermark_ms)
        return self._db.kept(self._out) > 0

    def _take(self, moment: Moment) -> None:
        self._db.keep(self._new_name, at_time(self._select, moment.batch_time_ms))
        if self.step.end is not None and moment.late_before_ms is not None:
            late = f"e <= make_timestamp({moment.late_before_ms * 1000})"
            self._dropped = self._db.do(f"DELETE FROM {self._new} WHERE {late}")
        same = " AND ".join(f"s.{c} IS NOT DISTINCT FROM n.{c}" for c in self._columns.split(", "))
        if self._rows:
            self._db.do(f"DELETE FROM {self._new} AS n WHERE EXISTS (SELECT 1 FROM {self._state} AS s WHERE {same})")
        self._db.keep(self._out, f"SELECT {self._shown} FROM {self._new} ORDER BY i")
        self._updated = self._db.do(f"INSERT INTO {self._state} SELECT {self._columns}, e FROM {self._new}")
        self._rows += self._updated

    def _let_go(self, watermark_ms: int | None) -> None:
        if self.step.end is None or watermark_ms is None:
            return
        self._removed = self._db.do(f"DELETE FROM {self._state} WHERE e <= make_timestamp({watermark_ms * 1000})")
        self._rows -= self._removed
        self._deleted += self._removed
        if self._deleted > max(self._rows, _FEW_ROWS):
            # An in-memory DuckDB keeps deleted rows until the table is written anew.
            self._db.do(f"CREATE OR REPLACE TABLE {self._state} AS SELECT * FROM {self._state}")
            self._deleted = 0

    def progress(self) -> OperatorProgress:
        """What the batch did."""
        return OperatorProgress(self.step.name, self._rows, self._updated, self._removed, self._dropped)

    def snapshot(self) -> pa.Table:
        """The whole state."""
        return to_stored(self._db.rows(self._snapshot_sql))

    def restore(self, rows: pa.Table) -> None:
        """Take up a state in place of an empty one."""
        self._db.register(RESTORED, from_stored(rows, self._db.schema(self._snapshot_sql)))
        back = ", ".join(f"{sql} AS c{i}" for i, sql in enumerate(self.step.restored))
        self._db.do(f"DELETE FROM {self._state}")
        kept = f"SELECT {self._columns}, {self._end} AS e FROM (SELECT {back} FROM {quoted(RESTORED)})"
        self._rows = self._db.do(f"INSERT INTO {self._state} {kept}")
        self._db.register(RESTORED, rows.schema.empty_table())

    @property
    def _snapshot_sql(self) -> str:
        stored = ", ".join(f"{sql} AS c{i}" for i, sql in enumerate(self.step.stored))
        return f"SELECT {stored} FROM {self._state}"
