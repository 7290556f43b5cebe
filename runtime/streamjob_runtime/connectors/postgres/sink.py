"""The PostgreSQL sink: a batch is one transaction, and so is what says that the table has it."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
import pyarrow as pa
from psycopg import Connection

from streamjob_runtime.connectors.postgres.dsn import Dsn, parse_dsn
from streamjob_runtime.connectors.postgres.errors import from_statement
from streamjob_runtime.connectors.postgres.look import Found, Wish, look
from streamjob_runtime.connectors.postgres.marker import MarkerRow
from streamjob_runtime.connectors.postgres.session import connect, introduce, settle_in
from streamjob_runtime.connectors.postgres.writing import Writing
from streamjob_runtime.connectors.shared.marker import Marker, Verdict, judge
from streamjob_runtime.connectors.sink import Delivery, SinkBatch, Writer
from streamjob_runtime.connectors.sink_context import SinkContext, SinkSpec
from streamjob_runtime.errors import JobError, StreamJobError
from streamjob_runtime.patience import Caller, Impatient

T = TypeVar("T")

_WORDS = {
    Verdict.OVERTAKEN: "a later start of this job has written the table {table}, and the log knows nothing of it, so "
    "that the log must be an older copy: bring back the newest one, or give the job a new checkpoint.location and an "
    "empty table",
    Verdict.AHEAD: "the table {table} has later batches than the job, whose log must be an older copy: bring back the "
    "newest one, or give the job a new checkpoint.location and an empty table",
    Verdict.SHARED: "another sink of this job writes the table {table} too: give each sink a table of its own",
    Verdict.LOST: "the database has lost batches that it had committed to the table {table}, as after a restore from a "
    "backup or a failover to a server that lagged behind: bring the newest data back, or give the job a new "
    "checkpoint.location and an empty table",
}


class PostgresSink:
    """Writes each batch in one transaction. Exactly once.

    `append` adds the rows by COPY; `update` brings them to a temporary table by COPY and then puts each in place of
    the row with its key, the last one where a batch has several, once it has deleted those that are no longer in the
    result; `complete` replaces all rows.

    The transaction also sets a marker, a row of `streamjob_markers` in the table's schema: job id, table, batch id and
    epoch. Whoever writes locks the marker first. A batch that the marker names is there already and is left alone; a
    marker of a higher epoch refuses the write of a process that has been replaced.
    """

    delivery = Delivery.EXACTLY_ONCE

    def __init__(self, read_dsn: Callable[[], Dsn], wish: Wish, rows: pa.Schema, caller: Caller | None = None) -> None:
        self._read_dsn = read_dsn
        self._dsn = read_dsn()
        self._wish = wish
        self._rows = rows
        self._caller = caller or Impatient()
        self._connection: Connection[Any] | None = None
        self._writing: Writing | None = None  # since `open`
        self._introduced = False
        self._tried: int | None = None  # the newest batch that this process has tried to write
        self._last: int | None = None  # the newest batch that it has written

    @classmethod
    def from_manifest(cls, sink: SinkSpec, name: str, schema: pa.Schema | None, context: SinkContext) -> "PostgresSink":
        """The sink that a manifest describes; its DSN is looked up, and the server is not asked yet."""
        assert schema is not None, "a postgres sink must know its columns"
        config = sink.config
        ref = config.dsn_secret_ref

        def read_dsn() -> Dsn:
            text = context.connections.secrets.get(ref.name, ref.key)
            return parse_dsn(text, f'sink "{name}": the DSN in Secret {ref.name!r}, key {ref.key!r},')

        caller = context.patience(f'sink "{name}" ({read_dsn().place})')
        wish = Wish(
            name, config.schema_, config.table, sink.mode, tuple(config.key or ()), config.create, context.deletions
        )
        return cls(read_dsn, wish, schema, caller)

    def check(self) -> str:
        """See `Sink`. What the start would make is named, and not made."""
        found = self._caller.call(lambda: self._statements(self._look))
        where = f"{found.schema}.{self._wish.table} at {self._dsn.place}"
        return f"the table {where} fits" if found.table else f"a start will make the table {where}"

    def open(self, writer: Writer) -> None:
        """See `Sink`: makes what is missing, as far as the manifest says so, and looks whether the table fits."""
        self._writing = self._caller.call(lambda: self._statements(self._prepare), self._probe)

    def write(self, batch: SinkBatch) -> None:
        """See `Sink`. Nothing happens for a batch without changes, but that `complete` empties the table."""
        if batch.count or self._wish.mode == "complete":
            self._caller.call(lambda: self._statements(lambda connection: self._write(connection, batch)), self._probe)

    def close(self) -> None:
        """See `Sink`."""
        self._disconnect()

    def _probe(self) -> None:
        """Whether the server answers, while a statement takes long."""
        connect(self._dsn).close()

    def _look(self, connection: "Connection[Any]") -> Found:
        return look(connection, self._dsn.place, self._wish, self._rows)

    def _prepare(self, connection: "Connection[Any]") -> Writing:
        found = self._look(connection)
        # Another start of the job may make them at the same moment.
        for statement in found.to_make(self._wish, self._rows, connection.info.server_version):
            with suppress(psycopg.errors.UniqueViolation, psycopg.errors.DuplicateTable):
                connection.execute(statement)
        if found.table is None:
            found = self._look(connection)
        assert found.table is not None, "it was made a moment ago"
        place = (found.schema, self._wish.table)
        return Writing(self._wish.sink, place, found.table, self._rows.names, self._wish.mode, self._wish.key)

    def _write(self, connection: "Connection[Any]", batch: SinkBatch) -> None:
        assert self._writing is not None
        if not self._introduced:
            introduce(connection, batch.writer.job_id, batch.writer.epoch)
            self._look(connection)  # somebody may have changed the table since the last session, or restored another
            self._introduced = True
        row = MarkerRow(self._writing.schema, batch.writer.job_id, self._wish.table)
        with connection.transaction(), connection.cursor() as cursor:
            settle_in(cursor)
            wanted = self._is_wanted(row.lock(cursor), batch)
            self._tried = batch.batch_id  # also of one that is there: the marker is about to name this start
            if wanted:
                self._writing.write(cursor, batch.rows, batch.deleted)
            row.write(cursor, Marker(batch.batch_id, batch.writer.epoch))
        self._last = batch.batch_id

    def _is_wanted(self, found: Marker | None, batch: SinkBatch) -> bool:
        tried = self._tried == batch.batch_id
        verdict = judge(found, batch.batch_id, batch.writer.epoch, tried, self._last)
        if verdict in (Verdict.WRITE, Verdict.THERE):
            return verdict is Verdict.WRITE
        batch.writer.check_still_writer()
        said = f"batch {found.batch_id}, written by start {found.epoch}" if found else "none"
        raise JobError(
            f'sink "{self._wish.sink}": {_WORDS[verdict].format(table=self._wish.table)} (its marker names {said})'
        )

    def _statements(self, run: Callable[["Connection[Any]"], T]) -> T:
        """What `run` gives with the session; after an error the next call has a new one."""
        if self._connection is None:
            self._dsn = self._read_dsn()  # the password may have been changed since the last session
            try:
                self._connection = connect(self._dsn)
            except StreamJobError as error:
                raise type(error)(f'sink "{self._wish.sink}": ', error.words) from None
        try:
            return run(self._connection)
        except psycopg.Error as err:
            self._disconnect()
            raise from_statement(err, self._dsn, self._wish.table) from None  # its own text may name the password

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._introduced = False
