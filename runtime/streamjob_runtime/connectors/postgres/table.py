"""What a table is, and whether it can take the result's rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.types as pt
from psycopg import Connection, sql

from streamjob_runtime.connectors.postgres.types import PgType, holds, parse_type, type_for

_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "S": "a sequence", "i": "an index"}
_LONGEST_NAME = 63  # bytes
_RIGHTS = {"append": ("INSERT",), "update": ("SELECT", "INSERT", "UPDATE"), "complete": ("INSERT", "DELETE")}
NULLS_ARE_EQUAL = 150000  # since this version of the server an index may say so


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    name: str
    type: PgType
    text: str  # the type as PostgreSQL writes it
    required: bool  # it may not be NULL, and nothing gives it a value
    generated: bool  # nobody may give it a value


@dataclass(frozen=True, slots=True)
class Unique:
    """A unique index that tells rows apart by columns alone."""

    columns: frozenset[str]
    nulls_are_equal: bool
    deferrable: bool


@dataclass(frozen=True, slots=True)
class Part:
    """What holds rows of a table: itself, or a partition."""

    name: str  # as a statement of the user's would write it
    kind: str  # as in pg_class
    persistence: str  # as in pg_class


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it stands in the database."""

    kind: str  # as in pg_class
    parts: tuple[Part, ...]
    columns: tuple[Column, ...]
    uniques: tuple[Unique, ...]
    rights: frozenset[str]  # INSERT, …
    user: str

    def column_for(self, name: str) -> Column | None:
        """The column of that name; if there is none, the only one that differs in upper and lower case alone."""
        exact = [c for c in self.columns if c.name == name]
        found = exact or [c for c in self.columns if c.name.lower() == name.lower()]
        return found[0] if len(found) == 1 else None

    def uniques_for(self, key: Sequence[str]) -> list[Unique]:
        """The unique indexes on just these columns."""
        wanted = {column.name for name in key if (column := self.column_for(name))}
        return [u for u in self.uniques if u.columns == wanted]


def read_table(connection: "Connection[Any]", schema: str, name: str) -> Table | None:
    """The table as it is now; None: there is none of that name."""
    row = connection.execute(
        "SELECT c.oid, c.relkind::text, current_user::text, "
        "ARRAY(SELECT r FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) r "
        "WHERE has_table_privilege(c.oid, r)) "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s",
        (schema, name),
    ).fetchone()
    if row is None:
        return None
    oid, kind, user, rights = row
    return Table(
        kind, _parts(connection, oid), _columns(connection, oid), _uniques(connection, oid), frozenset(rights), user
    )


def _parts(connection: "Connection[Any]", oid: int) -> tuple[Part, ...]:
    # A table with partitions has no rows of its own.
    rows = connection.execute(
        "SELECT oid::regclass::text, relkind::text, relpersistence::text FROM pg_class WHERE relkind <> 'p' "
        "AND (oid = %s OR oid IN (SELECT relid FROM pg_partition_tree(%s))) ORDER BY 1",
        (oid, oid),
    ).fetchall()
    return tuple(Part(*row) for row in rows)


def _columns(connection: "Connection[Any]", oid: int) -> tuple[Column, ...]:
    # A domain counts as the type that it is made of.
    rows = connection.execute(
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod), "
        "CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) "
        "ELSE format_type(a.atttypid, a.atttypmod) END, t.typtype = 'e', "
        "a.attnotnull AND NOT a.atthasdef AND a.attidentity = '', a.attgenerated <> '' OR a.attidentity = 'a' "
        "FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid "
        "WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        (oid,),
    ).fetchall()
    return tuple(
        Column(name, parse_type(base, is_enum), text, required, generated)
        for name, text, base, is_enum, required, generated in rows
    )


def _uniques(connection: "Connection[Any]", oid: int) -> tuple[Unique, ...]:
    # Servers before version 15 have no column indnullsnotdistinct.
    rows = connection.execute(
        "SELECT ARRAY(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY k(number, place) "
        "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number WHERE k.place <= i.indnkeyatts), "
        "coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false), NOT i.indimmediate FROM pg_index i "
        "WHERE i.indrelid = %s AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL",
        (oid,),
    ).fetchall()
    return tuple(Unique(frozenset(columns), *flags) for columns, *flags in rows)


def misfits(table: Table, rows: pa.Schema, mode: str, key: Sequence[str], deletions: bool = False) -> list[str]:
    """Why the table cannot take such rows, each in words that say what to do; empty: it can.

    `deletions`: whether rows will be deleted by the key.
    """
    if table.kind not in ("r", "p"):
        return [f"it is {_KINDS.get(table.kind, 'no table')}: name a table"]
    found = fleeting(table)
    rights = (*_RIGHTS[mode], *(["DELETE"] if deletions else []))
    if missing := [right for right in rights if right not in table.rights]:
        found.append(f"the user {table.user} may not {', '.join(missing)}: GRANT it")
    for field in rows:
        column = table.column_for(field.name)
        if column is None:
            wanted = type_for(field.type)
            there = ", ".join(c.name for c in table.columns)
            remedy = f"add it (ALTER TABLE … ADD COLUMN … {wanted or 'text'}), or leave it out of the result"
            found.append(f'it has no column "{field.name}", only {there}: {remedy}')
        elif column.generated:
            found.append(f'its column "{column.name}" is generated by the table: leave it out of the result')
        elif not holds(column.type, field.type):
            found.append(_wrong_type(column, field))
    given = {column.name for name in rows.names if (column := table.column_for(name))}
    found += [
        f'its column "{column.name}" may not be NULL, and the result has no such column: add it to the result, or give '
        "it a default"
        for column in table.columns
        if column.required and column.name not in given
    ]
    return found + _key_misfits(table, key)


def fleeting(table: Table) -> list[str]:
    """Why rows of the table would not last as long as the transaction that wrote them; empty: they do."""
    found = []
    for part in table.parts:
        if part.kind == "f":
            found.append(f"{part.name} is a foreign table, which no transaction here holds together: detach it")
        elif part.persistence == "u":
            found.append(
                f"{part.name} is UNLOGGED, so that a crash of the server empties it: ALTER TABLE {part.name} SET LOGGED"
            )
        elif part.persistence != "p":
            found.append(f"{part.name} is a temporary table, which ends with its session: name another")
    return found


def _wrong_type(column: Column, field: "pa.Field[Any]") -> str:
    wanted = type_for(field.type)
    if wanted is None:
        return f'its column "{column.name}" cannot take {field.type}: cast it in the pipeline'
    return (
        f'its column "{column.name}" is of type {column.text}, which does not hold every {wanted} of the result '
        f"unchanged: make it {wanted}, or cast the result in the pipeline"
    )


def _key_misfits(table: Table, key: Sequence[str]) -> list[str]:
    if not key or not all(table.column_for(name) for name in key):
        return []
    columns = ", ".join(key)
    uniques = table.uniques_for(key)
    if any(unique.deferrable for unique in uniques):
        return [f"a unique constraint on the key ({columns}) is DEFERRABLE, which an upsert cannot use: take that away"]
    if not uniques:
        return [f"it has no unique index on just the key ({columns}): CREATE UNIQUE INDEX ON … ({columns})"]
    return []


def key_problems(rows: pa.Schema, key: Sequence[str]) -> list[str]:
    """Why rows cannot be told apart by the key; empty: they can."""
    names = {name.lower(): name for name in rows.names}
    found = []
    for name in key:
        if name.lower() not in names:
            found.append(f'the key names the column "{name}", which the result does not have')
        elif pt.is_nested(rows.field(names[name.lower()]).type):
            found.append(f'the key\'s column "{name}" is a list or an object: take columns with single values')
    return found


def unmakeable(name: str, rows: pa.Schema) -> list[str]:
    """Why no table can be made for such rows; empty: one can."""
    found = [
        f'its column "{f.name}" is of type {f.type}, for which PostgreSQL has none: cast it in the pipeline'
        for f in rows
        if type_for(f.type) is None
    ]
    found += [
        f'the name "{each}" has more than {_LONGEST_NAME} bytes: take a shorter one'
        for each in (name, *rows.names)
        if len(each.encode()) > _LONGEST_NAME
    ]
    return found


def create_statement(schema: str, name: str, rows: pa.Schema, key: Sequence[str], version: int) -> sql.Composed:
    """The statement that makes a table for such rows; `version`: the server's, such as 150018."""
    parts: list[sql.Composable] = [
        sql.SQL("{} {}").format(sql.Identifier(f.name), sql.SQL(type_for(f.type) or "text")) for f in rows
    ]
    if key:
        # A group may well have NULL for its key.
        form = "UNIQUE NULLS NOT DISTINCT ({})" if version >= NULLS_ARE_EQUAL else "PRIMARY KEY ({})"
        names = {n.lower(): n for n in rows.names}
        parts.append(sql.SQL(form).format(sql.SQL(", ").join(sql.Identifier(names[k.lower()]) for k in key)))
    return sql.SQL("CREATE TABLE IF NOT EXISTS {} ({})").format(sql.Identifier(schema, name), sql.SQL(", ").join(parts))
