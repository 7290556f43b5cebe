"""The marker: which batch a table has, in a row that is written in the transaction of the batch itself."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, LiteralString

from psycopg import Cursor, sql

TABLE = "streamjob_markers"
_COLUMNS = (
    "job_id text NOT NULL, sink text NOT NULL, batch_id bigint NOT NULL, epoch bigint NOT NULL, "
    "written timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (job_id, sink)"
)


@dataclass(frozen=True, slots=True)
class Marker:
    """Which batch the table has."""

    batch_id: int
    epoch: int  # of the runtime that wrote it


class Verdict(Enum):
    """What is to be done with a batch."""

    WRITE = auto()
    THERE = auto()  # it was written before
    OVERTAKEN = auto()  # a later start of the job writes here
    AHEAD = auto()  # the table has later batches than the job: its log was put back to an older state
    SHARED = auto()  # this start has written the batch, but not by this sink
    LOST = auto()  # what this process has committed is gone: the database was put back to an older state


def judge(found: Marker | None, batch_id: int, epoch: int, tried: bool, last: int | None) -> Verdict:
    """What the marker means for a batch.

    `tried`: whether this process has tried to write this batch before; `last`: the newest batch that it has written.
    """
    if last is not None and last < batch_id and (found is None or found.batch_id < last):
        return Verdict.LOST
    if found is None:
        return Verdict.WRITE
    if found.epoch > epoch:
        return Verdict.OVERTAKEN
    if found.batch_id > batch_id:
        return Verdict.AHEAD
    if found.batch_id == batch_id:
        return Verdict.THERE if tried or found.epoch < epoch else Verdict.SHARED
    return Verdict.WRITE


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
