# ruff: noqa: S608 - SQL is put together here from names that are quoted and texts that the planner rendered.
"""Joins of streams: the rows of each side wait in a table of their own until no match can come any more.

The rules are Spark Structured Streaming's. A match comes in the batch in which the later of its rows does. Where the
watermark ends the wait of the other side's rows, a row that the watermark of the batch before has reached is late, and
dropped. A row that is shown without a match comes when its wait ends, once.
"""

import pyarrow as pa

from streamjob_runtime.embedded.compose import Composer, at_time, rows_table
from streamjob_runtime.embedded.database import Database
from streamjob_runtime.embedded.kept import RESTORED, Moment
from streamjob_runtime.embedded.stored import from_stored, to_stored
from streamjob_runtime.plan.model import JoinSide, StreamJoin
from streamjob_runtime.plan.tree import quoted
from streamjob_runtime.query import OperatorProgress

_FEW_ROWS = 1000
_SIDES = ("l", "r")
# Beside a side's columns: its rows' numbers in the order in which they came, and when the wait ends.
_ID, _END, _MATCHED = "i", "e", "m"
_AT_ONCE = -(1 << 62)  # before every time that there is, in microseconds


class _Buffer:
    """The rows of one side that wait. Those of the batch are read from `new`, those of before from `table`."""

    def __init__(self, db: Database, join: StreamJoin, where: str, side: JoinSide, sql: str) -> None:
        self.side = side
        self.table = quoted(f"state:{join.name}:{where}")
        self.new_name = f"new:{join.name}:{where}"
        self.new = quoted(self.new_name)
        self.rows = 0
        self.next_id = 0
        self.columns = ", ".join(side.columns)
        self._db = db
        self._deleted = 0
        self.fresh = 0  # rows of the batch
        self._first_end: int | None = None  # microseconds; nothing ends before it
        ends = [f"coalesce({end}, TIMESTAMP '-infinity')" for end in side.ends]
        self._end = f"least({', '.join(ends)})" if ends else "TIMESTAMP 'infinity'"
        there = " AND ".join(f"{key} IS NOT NULL" for key in side.keys)
        waits = "" if side.shown_alone or not side.ends else f"{self._end} > TIMESTAMP '-infinity'"
        where_sql = " AND ".join(part for part in (there, waits) if part)
        self._select = f"SELECT * FROM ({sql}){f' WHERE {where_sql}' if where_sql else ''}"
        db.do(f"CREATE TABLE {self.table} AS {self._numbered(at_time(self._select, 0), 0)} LIMIT 0")
        db.keep(self.new_name, f"SELECT * FROM {self.table} LIMIT 0")

    def _numbered(self, rows: str, first: int) -> str:
        return (
            f"SELECT CAST({first} + row_number() OVER () - 1 AS BIGINT) AS {_ID}, {self._end} AS {_END}, "
            f"false AS {_MATCHED}, {self.columns} FROM ({rows})"
        )

    def take(self, batch_time_ms: int, late_before_ms: int | None) -> tuple[int, int]:
        """Read the batch's rows; how many there are, and how many more were late."""
        self._db.keep(self.new_name, self._numbered(at_time(self._select, batch_time_ms), self.next_id))
        rows = self._db.kept(self.new_name)
        late = 0
        if late_before_ms is not None and self.side.late and rows:
            mark = f"make_timestamp({late_before_ms * 1000})"
            late = self._db.do(f"DELETE FROM {self.new} WHERE {' OR '.join(f'{t} <= {mark}' for t in self.side.late)}")
        self.next_id += rows
        self.fresh = rows - late
        return self.fresh, late

    def no_rows(self) -> None:
        """The batch has none."""
        self._db.keep_none(self.new_name)
        self.fresh = 0

    def keep(self, but: str = "") -> None:
        """Let the batch's rows wait; `but`: a condition on those that need not."""
        if not self.fresh:
            return
        where = f" WHERE NOT ({but})" if but else ""
        self.rows += self._db.do(f"INSERT INTO {self.table} SELECT * FROM {self.new}{where}")
        if self._first_end is None or self._first_end > _AT_ONCE:
            self._first_end = _lower(self._first_end, self._lowest(self.new))

    def let_go(self, where: str) -> int:
        """Remove rows that wait; how many."""
        gone = self._db.do(f"DELETE FROM {self.table} WHERE {where}")
        self.rows -= gone
        self._deleted += gone
        if self._deleted > max(self.rows, _FEW_ROWS):
            # An in-memory DuckDB keeps deleted rows until the table is written anew.
            self._db.do(f"CREATE OR REPLACE TABLE {self.table} AS SELECT * FROM {self.table}")
            self._deleted = 0
        return gone

    def ended(self, watermark_ms: int | None) -> str | None:
        """The condition on rows whose wait has ended; None: there are surely none."""
        if watermark_ms is None or self._first_end is None or self._first_end > watermark_ms * 1000:
            return None
        return f"{_END} <= make_timestamp({watermark_ms * 1000})"

    def look(self) -> None:
        """Find out anew when the next wait ends."""
        self._first_end = self._lowest(self.table)

    def _lowest(self, table: str) -> int | None:
        if not self.side.ends:
            return None
        never, at_once = "TIMESTAMP 'infinity'", "TIMESTAMP '-infinity'"
        # Infinite times have no microseconds.
        return self._db.value(
            f"SELECT CASE min({_END}) WHEN {never} THEN NULL WHEN {at_once} THEN {_AT_ONCE} "
            f"ELSE epoch_us(min({_END})) END FROM {table}"
        )

    def snapshot_sql(self, where: str) -> str:
        """The rows that wait, as those of a snapshot."""
        stored = ", ".join(f"{sql} AS {name}" for sql, name in zip(self.side.stored, self.side.columns, strict=True))
        return f"SELECT '{where}' AS side, {_ID}, {_MATCHED}, {stored} FROM {self.table}"

    def restore(self, where: str) -> None:
        """Take up those of the side among the rows that are restored."""
        self._db.do(f"DELETE FROM {self.table}")
        back = ", ".join(f"{sql} AS {name}" for sql, name in zip(self.side.restored, self.side.columns, strict=True))
        rows = f"SELECT {_ID}, {_MATCHED}, {back} FROM {quoted(RESTORED)} WHERE side = '{where}' ORDER BY {_ID}"
        self.rows = self._db.do(
            f"INSERT INTO {self.table} SELECT {_ID}, {self._end} AS {_END}, {_MATCHED}, {self.columns} FROM ({rows})"
        )
        self.next_id = self._db.value(f"SELECT coalesce(max({_ID}) + 1, 0) FROM {self.table}") or 0
        self.look()


class Joined:
    """One join of two streams. What it gives of a batch is kept by the name `rows_table(step.name)`."""

    def __init__(self, db: Database, step: StreamJoin, composer: Composer, ready: frozenset[str]) -> None:
        self.step = step
        self._db = db
        self._left, self._right = (
            _Buffer(db, step, where, side, composer.statement(side.sql, step.inputs, ready))
            for where, side in zip(_SIDES, (step.left, step.right), strict=True)
        )
        self._half = step.kind in ("SEMI", "ANTI")
        # Beside the columns that the join has for its readers, the numbers of the rows that met.
        self._out = rows_table(step.name)
        self._db.keep(self._out, f"{self._pairs(self._left.table, self._right.table, False)} LIMIT 0")
        self._found = f"found:{step.name}"
        self._updated = self._removed = self._dropped = 0

    def begin(self) -> None:
        """Forget what the last batch did."""
        self._updated = self._removed = self._dropped = 0

    def run(self, moment: Moment, has_rows: bool) -> bool:
        """Take the batch in; whether it gives rows."""
        if not has_rows and not self.wants_batch(moment.watermark_ms):
            self._db.keep_none(self._out)
            self._evict(moment.watermark_ms)
            return False
        self._take(moment, has_rows)
        self._match()
        self._evict(moment.watermark_ms)
        return self._db.kept(self._out) > 0

    def wants_batch(self, watermark_ms: int | None) -> bool:
        """Whether a batch without rows would give rows: those whose wait for a match is over."""
        return any(b.side.shown_alone and b.ended(watermark_ms) is not None for b in (self._left, self._right))

    def _take(self, moment: Moment, has_rows: bool) -> None:
        for buffer in (self._left, self._right):
            if has_rows:
                rows, late = buffer.take(moment.batch_time_ms, moment.late_before_ms)
                self._updated += rows
                self._dropped += late
            else:
                buffer.no_rows()

    def _match(self) -> None:
        """Find the matches of the batch's rows, give them, and let the rows wait for more."""
        left, right = self._left, self._right
        right.keep()
        ways = [(left.new, right.table)] if left.fresh and right.rows else []
        ways += [(left.table, right.new)] if right.fresh and left.rows else []
        name = self._found if self._half else self._out
        if ways:
            found = " UNION ALL ".join(self._pairs(one, other, self._half) for one, other in ways)
            self._db.keep(name, f"SELECT * FROM ({found}) ORDER BY li, ri")
        elif not self._half:
            self._db.keep_none(self._out)
        there = bool(ways) and self._db.kept(name) > 0
        if self._half:
            self._match_half(quoted(name), there)
            return
        left.keep()
        for buffer, of in ((left, "li"), (right, "ri")):
            if buffer.side.shown_alone and there:
                matched = f"{_ID} IN (SELECT {of} FROM {quoted(name)}) AND NOT {_MATCHED}"
                self._db.do(f"UPDATE {buffer.table} SET {_MATCHED} = true WHERE {matched}")

    def _pairs(self, left: str, right: str, bare: bool) -> str:
        """The matches of rows of two tables; `bare`: their numbers only."""
        columns = [] if bare else [self._left.columns] if self._half else [self._left.columns, self._right.columns]
        shown = ", ".join([f"l.{_ID} AS li", f"r.{_ID} AS ri", *columns])
        return f"SELECT {shown} FROM {left} AS l JOIN {right} AS r ON {self.step.condition}"

    def _match_half(self, pairs: str, there: bool) -> None:
        """A left row that has a match needs no other: it is there once (SEMI), or never (ANTI)."""
        left = self._left
        matched = f"{_ID} IN (SELECT li FROM {pairs})"
        if self.step.kind == "SEMI" and there:
            both = f"SELECT * FROM {left.table} UNION ALL SELECT * FROM {left.new}"
            shown = f"{_ID} AS li, NULL::BIGINT AS ri, {left.columns}"
            self._db.keep(self._out, f"SELECT {shown} FROM ({both}) WHERE {matched} ORDER BY li")
        else:
            self._db.keep_none(self._out)
        if there:
            self._removed += left.let_go(matched)
        left.keep(matched if there else "")

    def _evict(self, watermark_ms: int | None) -> None:
        """Let the rows go whose wait has ended; those that are shown without a match come out."""
        for buffer in (self._left, self._right):
            ended = buffer.ended(watermark_ms)
            if ended is None:
                continue
            if buffer.side.shown_alone:
                alone = f"FROM {buffer.table} WHERE {ended} AND NOT {_MATCHED} ORDER BY {_ID}"
                self._db.keep_more(self._out, buffer.columns, f"SELECT {buffer.columns} {alone}")
            self._removed += buffer.let_go(ended)
            buffer.look()

    def progress(self) -> OperatorProgress:
        """What the batch did."""
        rows = self._left.rows + self._right.rows
        return OperatorProgress(self.step.name, rows, self._updated, self._removed, self._dropped)

    def snapshot(self) -> pa.Table:
        """The rows that wait, those of both sides one below the other."""
        return to_stored(self._db.rows(self._snapshot_sql))

    def restore(self, rows: pa.Table) -> None:
        """Take up a state in place of an empty one."""
        self._db.register(RESTORED, from_stored(rows, self._db.schema(self._snapshot_sql)))
        self._left.restore(_SIDES[0])
        self._right.restore(_SIDES[1])
        self._db.register(RESTORED, rows.schema.empty_table())

    @property
    def _snapshot_sql(self) -> str:
        both = " UNION ALL BY NAME ".join(
            b.snapshot_sql(where) for b, where in zip((self._left, self._right), _SIDES, strict=True)
        )
        return f"SELECT * FROM ({both})"


def _lower(one: int | None, other: int | None) -> int | None:
    return one if other is None else other if one is None else min(one, other)
