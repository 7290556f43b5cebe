"""How rows get into a table."""

import hashlib
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from psycopg import Cursor, errors, sql

from streamjob_runtime.connectors.postgres.deleting import delete_sql, null_patterns
from streamjob_runtime.connectors.postgres.rows import as_csv
from streamjob_runtime.connectors.postgres.table import Column, Table
from streamjob_runtime.connectors.postgres.values import is_json, would_change
from streamjob_runtime.errors import JobError


class Writing:
    """The statements that write batches of one result into one table, within a transaction of the caller's."""

    def __init__(
        self, sink: str, place: tuple[str, str], found: Table, names: Sequence[str], mode: str, key: Sequence[str]
    ) -> None:
        self.schema, name = place
        self._there = [_there(found, column) for column in names]
        self._sink = sink
        self._name = name
        self._target = sql.Identifier(self.schema, name)
        self._columns = [column.name for column in self._there]
        self._mode = mode
        self._key = [_there(found, column).name for column in key]
        self._nulls_in_key = any(unique.nulls_are_equal for unique in found.uniques_for(key))
        digest = hashlib.sha256(repr((place, self._there)).encode()).hexdigest()[:16]
        self._stage = sql.Identifier("pg_temp", f"streamjob_{digest}")
        self._place = "place"  # the column with a row's place in the batch
        while self._place in self._columns:
            self._place += "_"

    def write(self, cursor: "Cursor[Any]", rows: pa.Table, deleted: pa.Table | None = None) -> None:
        """Write a batch; in update mode `deleted` are rows that are to go.

        Raises `JobError` if its rows have no key, or would not stay as they are.
        """
        rows = rows.rename_columns(self._columns)
        if problem := would_change(self._there, rows):
            raise JobError(f'sink "{self._sink}": the table {self._name} does not take the rows: {problem}')
        if self._mode == "update":
            self._check_keys(rows)
            gone = rows.slice(0, 0) if deleted is None else deleted.rename_columns(self._columns)
            self._upsert(cursor, rows, gone)
            return
        if self._mode == "complete":
            # Unlike TRUNCATE, this lets readers see the old rows until the new ones are there.
            cursor.execute(sql.SQL("DELETE FROM {}").format(self._target))
        self._copy(cursor, self._target, rows)

    def _copy(self, cursor: "Cursor[Any]", to: sql.Identifier, rows: pa.Table) -> None:
        names = sql.SQL(", ").join(map(sql.Identifier, rows.column_names))
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, ENCODING 'UTF8')").format(to, names)
        as_json = frozenset(c.name for c in self._there if is_json(c, rows.schema.field(c.name).type))
        with cursor.copy(statement) as copy:
            for piece in as_csv(rows, as_json):
                copy.write(piece)

    def _upsert(self, cursor: "Cursor[Any]", rows: pa.Table, deleted: pa.Table) -> None:
        """Delete rows by their key, and put each other row in place of the one with its key; of several the last.

        Which keys are equal is up to the table: by the types and collations of its columns (citext, numeric, inet …),
        which the temporary table has too, and after that by its unique index.
        """
        # A session keeps the table, empty between transactions; it has the types, and not the constraints.
        made = sql.SQL(
            "CREATE TEMP TABLE IF NOT EXISTS {} ON COMMIT DELETE ROWS AS SELECT {}, 0::bigint AS {} FROM {} "
            "WITH NO DATA"
        )
        cursor.execute(made.format(self._stage, self._list(), sql.Identifier(self._place), self._target))
        both = pa.concat_tables([deleted, rows])
        places = pa.array(range(both.num_rows), pa.int64())
        self._copy(cursor, self._stage, both.append_column(self._place, places))
        for nulls in null_patterns(deleted.select(self._key)):
            cursor.execute(delete_sql(self._target, self._stage, self._place, self._key, nulls, deleted.num_rows))
        if rows.num_rows:
            self._put(cursor, deleted.num_rows, both.num_rows)

    def _put(self, cursor: "Cursor[Any]", start: int, end: int) -> None:
        """Put the rows [start, end) of the temporary table in place."""
        try:
            with cursor.connection.transaction():
                cursor.execute(self._put_sql(start, end))
        except errors.CardinalityViolation:
            if end - start < 2:
                raise
            # For the index more keys are equal than for their column, as one with a collation of its own can say. The
            # pieces are written in order, so that the last row counts here too.
            middle = (start + end) // 2
            self._put(cursor, start, middle)
            self._put(cursor, middle, end)

    def _put_sql(self, start: int, end: int) -> sql.Composed:
        # The key too: of two keys that are equal, but not the same, the row has the last one's.
        each = sql.SQL("{0} = EXCLUDED.{0}")
        key, place = sql.SQL(", ").join(map(sql.Identifier, self._key)), sql.Identifier(self._place)
        return sql.SQL(
            "INSERT INTO {target} ({columns}) SELECT {columns} FROM (SELECT DISTINCT ON ({key}) * FROM {stage} "
            "WHERE {place} >= {start} AND {place} < {end} ORDER BY {key}, {place} DESC) AS newest "
            "ON CONFLICT ({key}) DO UPDATE SET {sets}"
        ).format(
            target=self._target,
            columns=self._list(),
            key=key,
            stage=self._stage,
            place=place,
            start=sql.Literal(start),
            end=sql.Literal(end),
            sets=sql.SQL(", ").join(each.format(sql.Identifier(c)) for c in self._columns),
        )

    def _list(self) -> sql.Composed:
        return sql.SQL(", ").join(map(sql.Identifier, self._columns))

    def _check_keys(self, rows: pa.Table) -> None:
        if self._nulls_in_key:
            return
        for column in self._key:
            if count := rows.column(column).null_count:
                raise JobError(
                    f'sink "{self._sink}": the key\'s column "{column}" is NULL in {count} '
                    f"{'row' if count == 1 else 'rows'}, and for the table's unique index no NULL equals another, so "
                    "that such a row could never be replaced: filter them out, use coalesce() in the pipeline, or make "
                    "the index UNIQUE … NULLS NOT DISTINCT (PostgreSQL 15 and later)"
                )


def _there(found: Table, name: str) -> Column:
    column = found.column_for(name)
    assert column is not None, f"{name} was looked for before"
    return column
