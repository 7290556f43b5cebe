# ruff: noqa: S608 - SQL is put together here from names that are quoted and texts that the planner rendered.
"""The engine's DuckDB: statements in, Arrow tables out, its errors in our words.

Arrow has not all of DuckDB's types: a HUGEINT comes back as a DECIMAL, an ENUM, a UUID and JSON as texts. So rows that
a later step reads never leave DuckDB: they are kept in a temporary table, or held as what a statement has returned.
Arrow stands at both ends alone, where sources give rows and sinks get them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from streamjob_runtime.errors import JobError
from streamjob_runtime.excerpts import Excerpt
from streamjob_runtime.plan.model import MARK
from streamjob_runtime.plan.tree import quoted

# Rows keep their memory until the next batch of them, so only small ones are left there.
_KEPT_BYTES = 1 << 20
_KEPT_ROWS = 1000
INCOMING = "incoming:"  # no relation's name has a colon


class Returned:
    """Rows that a statement has returned: a copy in Arrow, and what DuckDB itself still holds, in its own types."""

    def __init__(self, relation: duckdb.DuckDBPyRelation, held: bool) -> None:
        self._rows: pa.Table = relation.to_arrow_table()  # the quickest way to count them too
        self._relation = relation if held else None
        self._marked = MARK in self._rows.column_names
        self.count = self._rows.num_rows

    @property
    def rows(self) -> pa.Table:
        """Those that count: where there is a column MARK, it says of each whether it does."""
        if not self._marked:
            return self._rows
        return self._rows.drop_columns([MARK]).filter(self._rows.column(MARK))

    @property
    def relation(self) -> duckdb.DuckDBPyRelation:
        """The same rows in DuckDB."""
        assert self._relation is not None, "they were not to be held"
        if not self._marked:
            return self._relation
        return self._relation.filter(quoted(MARK)).project(f"* EXCLUDE ({quoted(MARK)})")


class Database:
    """One connection, for one thread."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con
        self._registered: dict[str, pa.Table] = {}
        self._kept: dict[str, int] = {}  # temporary table -> its rows
        self._held: set[str] = set()  # names of large rows that statements have returned

    def register(self, name: str, rows: pa.Table) -> None:
        """Make rows readable by name, without a copy."""
        if self._registered.get(name) is not rows:
            self._con.register(name, rows)
            self._registered[name] = rows

    def keep(self, name: str, sql: str) -> None:
        """Keep the rows of a query by name, in DuckDB's types, in place of those that had it."""
        self._kept[name] = self.do(f"CREATE OR REPLACE TEMP TABLE {quoted(name)} AS {sql}")

    def keep_more(self, name: str, columns: str, sql: str) -> None:
        """Add rows to those that are kept by that name; `columns`: which ones the query gives."""
        self._kept[name] += self.do(f"INSERT INTO {quoted(name)} ({columns}) {sql}")

    def kept(self, name: str) -> int:
        """How many rows are kept by that name."""
        return self._kept[name]

    def keep_none(self, name: str) -> None:
        """Let the rows that are kept by that name go."""
        if self._kept[name]:
            self.keep(name, f"SELECT * FROM {quoted(name)} LIMIT 0")

    def view(self, name: str, sql: str) -> None:
        """Make the rows of a query readable by name, each time as they are then."""
        self._con.register(name, self._con.sql(sql))

    def hold(self, name: str, returned: Returned) -> None:
        """Make the rows that a statement has returned readable by name."""
        self._con.register(name, returned.relation)
        if returned.count > _KEPT_ROWS:
            self._held.add(name)

    def release_large(self) -> None:
        """Put an empty table in the place of each large one."""
        for name, count in self._kept.items():
            if count > _KEPT_ROWS:
                self.keep_none(name)
        for name in self._held:
            self._con.unregister(name)
        self._held.clear()
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

    def returned(self, sql: str, held: bool) -> Returned:
        """What a statement that changes a table returns. `held`: for a later step to read."""
        relation = self._con.sql(sql)
        assert relation is not None
        return Returned(relation, held)

    def selected(self, name: str, sql: str, held: bool) -> Returned:
        """The rows of a query as they are now; where they are held, by that name."""
        if held:
            self.keep(name, sql)
            sql = f"SELECT * FROM {quoted(name)}"
        return self.returned(sql, held)

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
        kind, _, rest = _first_line(error).partition(": ")  # such as "Conversion Error", and a text with the value
        raise JobError(f"{what} failed: {kind}", Excerpt(f": {rest}" if rest else "", "")) from None


def _first_line(error: duckdb.Error) -> str:
    return str(error).split("\n")[0]
