# ruff: noqa: S608 - SQL is put together here from names that are quoted and texts that the planner rendered.
"""The engine's DuckDB: statements in, Arrow tables out, its errors in our words."""

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from streamjob_runtime.errors import JobError
from streamjob_runtime.plan.tree import quoted

# Rows that are registered keep their memory until the next batch, so only small ones are left there.
_KEPT_BYTES = 1 << 20
INCOMING = "incoming:"  # no relation's name has a colon


class Database:
    """One connection, for one thread."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con
        self._registered: dict[str, pa.Table] = {}

    def register(self, name: str, rows: pa.Table) -> None:
        """Make rows readable by name, without a copy."""
        if self._registered.get(name) is not rows:
            self._con.register(name, rows)
            self._registered[name] = rows

    def release_large(self) -> None:
        """Put an empty table in the place of each large one that is registered."""
        for name, rows in self._registered.items():
            if rows.nbytes > _KEPT_BYTES:
                empty = rows.schema.empty_table()
                self._con.register(name, empty)
                self._registered[name] = empty

    def do(self, sql: str) -> int:
        """Run a statement; how many rows it changed."""
        reply = self._con.execute(sql).fetchall()
        return int(reply[0][0]) if reply and isinstance(reply[0][0], int) else 0

    def value(self, sql: str) -> int | None:
        """The one number that a query gives."""
        value = self._con.execute(sql).fetchall()[0][0]
        return None if value is None else int(value)

    def numbers(self, sql: str) -> tuple[int | None, ...]:
        """The numbers in the one row that a query gives."""
        (row,) = self._con.execute(sql).fetchall()
        return row

    def total(self, sql: str) -> int:
        """The sum of the one column that a statement returns."""
        return sum(int(row[0]) for row in self._con.execute(sql).fetchall())

    def rows(self, sql: str) -> pa.Table:
        """The rows of a query, or what a statement returns."""
        result = self._con.sql(sql)
        assert result is not None
        table: pa.Table = result.to_arrow_table()
        return table

    def schema(self, sql: str) -> pa.Schema:
        """The columns of a query."""
        return self.rows(f"SELECT * FROM ({sql}) LIMIT 0").schema

    def replace_table(self, name: str, rows: pa.Table, select: str) -> None:
        """Keep rows as a table; `select` reads them from the name `INCOMING`."""
        self._con.register(INCOMING, rows)
        try:
            self._con.execute(f"CREATE OR REPLACE TABLE {quoted(name)} AS {select}")
        finally:
            self._con.unregister(INCOMING)

    def close(self) -> None:
        """Free everything."""
        self._registered.clear()
        self._con.close()


@contextmanager
def translated(what: str) -> Iterator[None]:
    """DuckDB's errors as the job's: its rows or its SQL made them."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise JobError(f"{what} needs more memory than the job has: {_first_line(error)}") from None
    except duckdb.Error as error:
        raise JobError(f"{what} failed: {_first_line(error)}") from None


def _first_line(error: duckdb.Error) -> str:
    return str(error).split("\n")[0]
