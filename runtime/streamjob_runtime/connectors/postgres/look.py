"""A look at the database before the start: whether the result's rows can go where the manifest says."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import pyarrow as pa
from psycopg import Connection, sql

from streamjob_runtime.connectors.postgres import marker
from streamjob_runtime.connectors.postgres.table import (
    Table,
    create_statement,
    fleeting,
    key_problems,
    misfits,
    read_table,
    unmakeable,
)
from streamjob_runtime.errors import JobError


@dataclass(frozen=True, slots=True)
class Wish:
    """What the manifest says."""

    sink: str  # its name, for messages
    schema: str | None  # None: the first one of the search_path
    table: str
    mode: str  # append | update | complete
    key: tuple[str, ...] = ()
    create: bool = False
    deletions: bool = False  # whether rows are to be deleted by their key


@dataclass(frozen=True, slots=True)
class Found:
    """What is there, and fits."""

    schema: str
    table: Table | None  # None: it is to be made
    has_markers: bool

    def to_make(self, wish: Wish, rows: pa.Schema, version: int) -> Iterator[sql.Composed]:
        """The statements that make what is missing; `version`: the server's."""
        if not self.has_markers:
            yield marker.ddl(self.schema)
        if self.table is None:
            yield create_statement(self.schema, wish.table, rows, wish.key, version)


def look(connection: "Connection[Any]", place: str, wish: Wish, rows: pa.Schema) -> Found:
    """What is there. Raises `JobError` with all that keeps rows of this schema from going there."""
    try:
        return _look(connection, wish, rows)
    except _WrongError as wrong:
        raise JobError(
            f'sink "{wish.sink}": the table {wish.table} at {place} cannot be written: {"; ".join(wrong.problems)}'
        ) from None


class _WrongError(Exception):
    def __init__(self, *problems: str) -> None:
        self.problems = problems


def _look(connection: "Connection[Any]", wish: Wish, rows: pa.Schema) -> Found:
    schema = wish.schema or _first_schema(connection)
    table = read_table(connection, schema, wish.table)
    found = Found(schema, table, _has_markers(connection, schema))
    if table is None and not wish.create:
        raise _WrongError(f"the schema {schema} has no such table: create it, or say create: true")
    _raise_for(key_problems(rows, wish.key))
    _raise_for(misfits(table, rows, wish.mode, wish.key, wish.deletions) if table else unmakeable(wish.table, rows))
    if table is None or not found.has_markers:
        makes = [wish.table] * (table is None) + [marker.TABLE] * (not found.has_markers)
        _check_may_create(connection, schema, makes)
    if wish.mode == "update":
        _check_temporary(connection)
    return found


def _raise_for(problems: Sequence[str]) -> None:
    if problems:
        raise _WrongError(*problems)


def _first_schema(connection: "Connection[Any]") -> str:
    (schema,) = _one(connection, "SELECT current_schema()")
    if schema is None:
        raise _WrongError("the user's search_path names no schema that is there: name the one of the table, schema")
    return str(schema)


def _has_markers(connection: "Connection[Any]", schema: str) -> bool:
    found = read_table(connection, schema, marker.TABLE)
    if found is None:
        return False
    _raise_for(fleeting(found))
    missing = [right for right in ("SELECT", "INSERT", "UPDATE") if right not in found.rights]
    if missing:
        raise _WrongError(f"the user {found.user} may not {', '.join(missing)} {schema}.{marker.TABLE}: GRANT it")
    return True


def _check_may_create(connection: "Connection[Any]", schema: str, makes: Sequence[str]) -> None:
    found = connection.execute(
        "SELECT has_schema_privilege(oid, 'CREATE'), current_user FROM pg_namespace WHERE nspname = %s", (schema,)
    ).fetchone()
    if found is None:
        raise _WrongError(f"there is no schema {schema}: create it, or name another one")
    allowed, user = found
    if not allowed:
        raise _WrongError(
            f"the user {user} may create nothing in the schema {schema}, and {' and '.join(makes)} must be made there: "
            f"GRANT CREATE ON SCHEMA {schema} TO {user}, or let its owner do it: "
            f"{marker.ddl(schema).as_string(connection)}; GRANT SELECT, INSERT, UPDATE ON {marker.TABLE} TO {user}"
        )


def _check_temporary(connection: "Connection[Any]") -> None:
    allowed, database, user = _one(
        connection, "SELECT has_database_privilege(current_database(), 'TEMPORARY'), current_database(), current_user"
    )
    if not allowed:
        raise _WrongError(f"mode update needs a temporary table: GRANT TEMPORARY ON DATABASE {database} TO {user}")


def _one(connection: "Connection[Any]", query: LiteralString) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None
    return tuple(row)
