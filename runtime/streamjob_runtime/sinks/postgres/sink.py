"""The PostgreSQL sink: a batch is one transaction, and so is what says that the table has it."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, LiteralString, TypeVar

import psycopg
import pyarrow as pa
from psycopg import Connection

from streamjob_runtime.errors import JobError
from streamjob_runtime.sinks.base import Delivery, SinkBatch
from streamjob_runtime.sinks.context import Caller, Once, SinkContext, SinkSpec
from streamjob_runtime.sinks.postgres import marker, table
from streamjob_runtime.sinks.postgres.dsn import Dsn, parse_dsn
from streamjob_runtime.sinks.postgres.errors import from_statement
from streamjob_runtime.sinks.postgres.marker import Marker, MarkerRow, Verdict
from streamjob_runtime.sinks.postgres.session import connect, introduce, settle_in
from streamjob_runtime.sinks.postgres.writing import Writing

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
    the row with its key, the last one where a batch has several; `complete` replaces all rows.

    The transaction also sets a marker, a row of `streamjob_markers` in the table's schema: job id, table, batch id and
    epoch. Whoever writes locks the marker first. A batch that the marker names is there already and is left alone; a
    marker of a higher epoch refuses the write of a process that has been replaced.
    """

    delivery = Delivery.EXACTLY_ONCE

    def __init__(
        self,
        name: str,
        dsn: Dsn,
        place: tuple[str | None, str],  # the schema, if it is named, and the table
        rows: pa.Schema,
        mode: str,
        key: tuple[str, ...] = (),
        create: bool = False,
        caller: Caller | None = None,
    ) -> None:
        self._name = name
        self._dsn = dsn
        self._schema, self._table = place
        self._rows = rows
        self._mode = mode
        self._key = key
        self._create = create
        self._caller = caller or Once()
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
        text = context.connections.secrets.get(ref.name, ref.key)
        dsn = parse_dsn(text, f'sink "{name}": the DSN in Secret {ref.name!r}, key {ref.key!r},')
        caller = context.patience(f'sink "{name}" ({dsn.place})')
        place = (config.schema_, config.table)
        return cls(name, dsn, place, schema, sink.mode, tuple(config.key or ()), config.create, caller)

    def check(self) -> str:
        """See `Sink`. What the start would make is named, and not made."""
        return self._caller.call(lambda: self._statements(self._look))

    def open(self) -> None:
        """See `Sink`: makes what is missing, as far as the manifest says so, and looks whether the table fits."""
        self._writing = self._caller.call(lambda: self._statements(self._prepare))

    def write(self, batch: SinkBatch) -> None:
        """See `Sink`. Nothing happens for a batch without rows, but that `complete` empties the table."""
        if batch.rows.num_rows or self._mode == "complete":
            self._caller.call(lambda: self._statements(lambda connection: self._write(connection, batch)))

    def close(self) -> None:
        """See `Sink`."""
        self._disconnect()

    def _look(self, connection: "Connection[Any]") -> str:
        schema = self._schema_of(connection)
        where = f"{schema}.{self._table} at {self._dsn.place}"
        found = table.read_table(connection, schema, self._table)
        makes = [] if self._has_markers(connection, schema) else [f"{schema}.{marker.TABLE}"]
        if found is None:
            self._check_makeable(schema)
            makes.insert(0, where)
        else:
            self._check_fits(found, schema)
        if makes:
            self._check_may_create(connection, schema, makes)
        if self._mode == "update":
            self._check_temporary(connection)
        return f"the table {where} fits" if found else f"a start will make the table {where}"

    def _prepare(self, connection: "Connection[Any]") -> Writing:
        self._look(connection)
        schema = self._schema_of(connection)
        # Another start of the job may make them at the same moment.
        with suppress(psycopg.errors.UniqueViolation, psycopg.errors.DuplicateTable):
            if not self._has_markers(connection, schema):
                connection.execute(marker.ddl(schema))
        found = table.read_table(connection, schema, self._table)
        if found is None:
            version = connection.info.server_version
            with suppress(psycopg.errors.UniqueViolation, psycopg.errors.DuplicateTable):
                connection.execute(table.create_statement(schema, self._table, self._rows, self._key, version))
            found = table.read_table(connection, schema, self._table)
            assert found is not None
            self._check_fits(found, schema)
        return Writing(self._name, (schema, self._table), found, self._rows.names, self._mode, self._key)

    def _write(self, connection: "Connection[Any]", batch: SinkBatch) -> None:
        assert self._writing is not None
        if not self._introduced:
            introduce(connection, batch.job_id, batch.epoch)
            self._introduced = True
        row = MarkerRow(self._writing.schema, batch.job_id, self._table)
        with connection.transaction(), connection.cursor() as cursor:
            settle_in(cursor)
            if self._is_wanted(row.lock(cursor), batch):
                self._tried = batch.batch_id
                self._writing.write(cursor, batch.rows)
            row.write(cursor, Marker(batch.batch_id, batch.epoch))
        self._last = batch.batch_id

    def _is_wanted(self, found: Marker | None, batch: SinkBatch) -> bool:
        tried = self._tried == batch.batch_id
        verdict = marker.judge(found, batch.batch_id, batch.epoch, tried, self._last)
        if verdict in (Verdict.WRITE, Verdict.THERE):
            return verdict is Verdict.WRITE
        batch.check_still_writer()
        said = f"batch {found.batch_id}, written by start {found.epoch}" if found else "none"
        raise JobError(f'sink "{self._name}": {_WORDS[verdict].format(table=self._table)} (its marker names {said})')

    def _schema_of(self, connection: "Connection[Any]") -> str:
        if self._schema is not None:
            return self._schema
        (schema,) = _one(connection, "SELECT current_schema()")
        if schema is None:
            raise self._wrong(
                ["the user's search_path names no schema that is there: say which one it lies in, schema"]
            )
        return str(schema)

    def _has_markers(self, connection: "Connection[Any]", schema: str) -> bool:
        found = table.read_table(connection, schema, marker.TABLE)
        if found is None:
            return False
        missing = [right for right in ("SELECT", "INSERT", "UPDATE") if right not in found.rights]
        if missing:
            raise self._wrong([f"the user {found.user} may not {', '.join(missing)} {schema}.{marker.TABLE}: GRANT it"])
        return True

    def _check_makeable(self, schema: str) -> None:
        if not self._create:
            raise self._wrong([f"the schema {schema} has no such table: create it, or say create: true"])
        if problems := table.key_problems(self._rows, self._key) + table.unmakeable(self._table, self._rows):
            raise self._wrong(problems)

    def _check_fits(self, found: table.Table, schema: str) -> None:
        problems = table.key_problems(self._rows, self._key) or table.misfits(found, self._rows, self._mode, self._key)
        if problems:
            raise self._wrong(problems)

    def _check_may_create(self, connection: "Connection[Any]", schema: str, makes: Sequence[str]) -> None:
        found = connection.execute(
            "SELECT has_schema_privilege(oid, 'CREATE'), current_user FROM pg_namespace WHERE nspname = %s", (schema,)
        ).fetchone()
        if found is None:
            raise self._wrong([f"there is no schema {schema}: create it, or name another one"])
        if not found[0]:
            statement = marker.ddl(schema).as_string(connection)
            raise self._wrong(
                [
                    f"the user {found[1]} may create nothing in the schema {schema}, and {' and '.join(makes)} must be "
                    f"made: GRANT CREATE ON SCHEMA {schema}, or let somebody else make it; the marker's is: {statement}"
                ]
            )

    def _check_temporary(self, connection: "Connection[Any]") -> None:
        allowed, database = _one(
            connection, "SELECT has_database_privilege(current_database(), 'TEMPORARY'), current_database()"
        )
        if not allowed:
            raise self._wrong(
                [f"mode update needs a temporary table: GRANT TEMPORARY ON DATABASE {database} to the user"]
            )

    def _wrong(self, problems: Sequence[str]) -> JobError:
        return JobError(
            f'sink "{self._name}": the table {self._table} at {self._dsn.place} cannot be written: {"; ".join(problems)}'
        )

    def _statements(self, run: Callable[["Connection[Any]"], T]) -> T:
        """What `run` gives with the session; after an error the next call has a new one."""
        if self._connection is None:
            self._connection = connect(self._dsn)
        try:
            return run(self._connection)
        except psycopg.Error as err:
            self._disconnect()
            raise from_statement(err, self._dsn, self._table) from None  # its own text may name the password

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._introduced = False


def _one(connection: "Connection[Any]", query: LiteralString) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None
    return tuple(row)
