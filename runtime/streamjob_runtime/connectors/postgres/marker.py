"""The marker: which batch a table has, in a row that is written in the transaction of the batch itself."""

from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import Cursor, sql

from streamjob_runtime.connectors.shared.marker import Marker

TABLE = "streamjob_markers"
_COLUMNS = (
    "job_id text NOT NULL, sink text NOT NULL, batch_id bigint NOT NULL, epoch bigint NOT NULL, "
    "written timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (job_id, sink)"
)


def ddl(schema: str) -> sql.Composed:
    """The statement that makes the markers' table."""
    return sql.SQL("CREATE TABLE IF NOT EXISTS {} ({})").format(sql.Identifier(schema, TABLE), sql.SQL(_COLUMNS))


@dataclass(frozen=True, slots=True)
class MarkerRow:
    """The marker of one sink in the transaction that is open."""

    schema: str
    job_id: str
    sink: str

    def lock(self, cursor: "Cursor[Any]") -> Marker | None:
        """What the marker says; nobody else can write it until the transaction ends."""
        row = self._select(cursor)
        if row is None:
            # Whoever makes the row at the same time is waited for here.
            statement = "INSERT INTO {} (job_id, sink, batch_id, epoch) VALUES (%s, %s, -1, 0) ON CONFLICT DO NOTHING"
            cursor.execute(self._on_table(statement), (self.job_id, self.sink))
            row = self._select(cursor)
        return Marker(*row) if row and row[0] >= 0 else None

    def write(self, cursor: "Cursor[Any]", marker: Marker) -> None:
        """Set it, once it is locked."""
        statement = "UPDATE {} SET batch_id = %s, epoch = %s, written = now() WHERE job_id = %s AND sink = %s"
        cursor.execute(self._on_table(statement), (marker.batch_id, marker.epoch, self.job_id, self.sink))

    def _select(self, cursor: "Cursor[Any]") -> tuple[int, int] | None:
        query = "SELECT batch_id, epoch FROM {} WHERE job_id = %s AND sink = %s FOR UPDATE"
        return cursor.execute(self._on_table(query), (self.job_id, self.sink)).fetchone()

    def _on_table(self, statement: LiteralString) -> sql.Composed:
        return sql.SQL(statement).format(sql.Identifier(self.schema, TABLE))
