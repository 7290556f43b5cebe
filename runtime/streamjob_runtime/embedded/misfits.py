# ruff: noqa: S608 - SQL is put together here from names that are quoted and texts that the planner rendered.
"""Which rows have a value that is none of its declared type: found before a batch begins with them.

The check is a pass of its own over the columns that come in another type than the declared one, and looks at all of
these, whatever the steps read: so a record is judged alike in every job and at every replay.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.types as pt

from streamjob_runtime.embedded.database import translated
from streamjob_runtime.excerpts import Excerpt, Words, said
from streamjob_runtime.plan.connect import connect
from streamjob_runtime.plan.tree import quoted

_ROWS = "rows:"  # no relation's name has a colon
_ROW = "row:"
_EXCERPT = 60  # characters


@dataclass(frozen=True, slots=True)
class Cast:
    """A column on its way to its declared type."""

    name: str
    wire: pa.DataType  # in which it comes
    arrow: pa.DataType  # the declared type in Arrow
    type: str  # and in SQL
    sql: str  # the value in its declared type, over the column that came

    @property
    def may_fail(self) -> bool:
        """Whether there is a value that comes and is none of the type."""
        texts = pt.is_string(self.arrow) or pt.is_large_string(self.arrow) or pt.is_nested(self.arrow)
        return self.wire != self.arrow or (texts and self.type != "VARCHAR")

    @property
    def from_text(self) -> bool:
        """Whether a whole nested value comes as text, and may be the text of NULL."""
        return pt.is_nested(self.arrow) and not pt.is_nested(self.wire)


class CastCheck:
    """Finds rows that cannot be cast. Any thread may ask; its connection is its own, made when it is first used."""

    def __init__(self, casts: Sequence[Cast]) -> None:
        self._casts = [cast for cast in casts if cast.may_fail]
        self._lock = threading.Lock()
        self._con: duckdb.DuckDBPyConnection | None = None

    def misfits(self, rows: pa.Table) -> Mapping[int, Words]:
        """Row -> which of its values is none of its type: see `Misfits`."""
        casts = [cast for cast in self._casts if cast.name in rows.schema.names]
        if not casts or not rows.num_rows:
            return {}
        with self._lock, translated("Looking for bad records"):
            if self._con is None:
                self._con = connect(threads=1)
            con = self._con
            con.register(_ROWS, rows.select([cast.name for cast in casts]))
            try:
                doubtful = " OR ".join(map(_is_doubtful, casts))
                count = con.execute(f"SELECT count(*) FROM {quoted(_ROWS)} WHERE {doubtful}").fetchall()[0][0]
                return self._look(con, rows, casts) if count else {}
            finally:
                con.unregister(_ROWS)

    def _look(self, con: duckdb.DuckDBPyConnection, rows: pa.Table, casts: Sequence[Cast]) -> dict[int, Words]:
        numbered = rows.select([cast.name for cast in casts])
        con.register(_ROWS, numbered.append_column(_ROW, pa.array(range(rows.num_rows), pa.int64())))
        found: dict[int, Words] = {}
        for cast in casts:
            name = quoted(cast.name)
            sql = (
                f"SELECT {quoted(_ROW)}, left(CAST({name} AS VARCHAR), {_EXCERPT + 1}) FROM {quoted(_ROWS)} "
                f"WHERE {_is_doubtful(cast)} ORDER BY 1"
            )
            for row, value in con.execute(sql).fetchall():
                if row not in found and not (cast.from_text and self._is_null(con, cast, row)):
                    shown = value if len(value) <= _EXCERPT else value[:_EXCERPT] + "…"
                    found[row] = said(f'column "{cast.name}": ', Excerpt(repr(shown), "a value"), f" is no {cast.type}")
        return found

    def _is_null(self, con: duckdb.DuckDBPyConnection, cast: Cast, row: int) -> bool:
        """Whether the value is NULL in the declared type, and so no bad one."""
        try:
            con.sql(f"SELECT {cast.sql} FROM {quoted(_ROWS)} WHERE {quoted(_ROW)} = {row}").to_arrow_table()
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error:
            return False
        return True

    def close(self) -> None:
        """Free its memory."""
        with self._lock:
            if self._con is not None:
                self._con.close()
            self._con = None


def _is_doubtful(cast: Cast) -> str:
    return f"({quoted(cast.name)} IS NOT NULL AND TRY({cast.sql}) IS NULL)"
