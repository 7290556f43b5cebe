# ruff: noqa: S608 - SQL is put together here from names that are quoted and texts that the planner rendered.
"""DuckDB as the planner's judge: it parses, it binds, and it says what a function is."""

import json
from dataclasses import dataclass
from itertools import islice

import duckdb
import pyarrow as pa

from streamjob_runtime.plan.allowed import FUNCTIONS, is_type
from streamjob_runtime.plan.connect import connect
from streamjob_runtime.plan.model import IN_TIME, MARK, Column
from streamjob_runtime.plan.problems import Refusal
from streamjob_runtime.plan.syntax import unreadable
from streamjob_runtime.plan.tree import Node, call, function_name, is_deeper, quoted, select, walk

# Lists and objects within each other, of a syntax tree: some 200 operators in a chain.
MAX_DEPTH = 650

# With the connection's time zone UTC, what the batch's time is cast to, in turn, for what each of these says.
TIME_FUNCTIONS: dict[str, tuple[str, ...]] = {
    "now": (),
    "current_timestamp": (),
    "get_current_timestamp": (),
    "transaction_timestamp": (),
    "current_date": ("DATE",),
    "today": ("DATE",),
    "current_time": ("TIMETZ",),
    "get_current_time": ("TIMETZ",),
    "localtime": ("TIMESTAMP", "TIME"),
    "current_localtime": ("TIMESTAMP", "TIME"),
    "localtimestamp": ("TIMESTAMP",),
    "current_localtimestamp": ("TIMESTAMP",),
}
# Without an effect, though DuckDB does not fold them.
_HARMLESS = {"error"}
# No rows are read here: this is for what the SQL itself computes.
_MEMORY = "512MB"
_UNITS = {"microseconds", "milliseconds", "seconds", "minutes", "hours", "days", "weeks", "months", "quarters", "years"}


@dataclass(frozen=True, slots=True)
class Macro:
    """A function that DuckDB defines by an expression."""

    parameters: tuple[str, ...]
    definition: str


_MOST_OF_INTERVAL = 40


def _of_interval(part: Node) -> bool:
    """Whether a node may stand in an interval that is written down: constants, their casts and what counts units."""
    if part.get("class") == "FUNCTION":
        name = function_name(part)
        return name in ("+", "-", "*", "trunc") or (name.startswith("to_") and name[3:] in _UNITS)
    return part.get("class") in ("CONSTANT", "CAST", "TYPE") or part["type"] == "ORDER_MODIFIER"


class Catalog:
    """A DuckDB of its own that holds every relation of a pipeline, empty."""

    def __init__(self) -> None:
        self._con = connect(threads=1, memory_limit=_MEMORY)
        self._con.execute(f"CREATE MACRO \"{MARK}\"() AS TIMESTAMPTZ '1970-01-01 00:00:00+00'")
        self._con.execute(f"CREATE MACRO {IN_TIME} AS TIMESTAMPTZ '1970-01-01 00:00:00+00'")
        self.aggregates: set[str] = set()
        self.volatile: set[str] = set()
        self.functions: set[str] = set()  # all there are, in lower case
        self.macros: dict[str, list[Macro]] = {}
        self.reserved: set[str] = set()  # what is no column's name without quotes, in lower case
        self._columns: set[str] = set()  # of all relations, in lower case
        self._read_functions()

    def _read_functions(self) -> None:
        rows = self._con.execute(
            "SELECT lower(function_name), function_type, stability, parameters, macro_definition "
            "FROM duckdb_functions()"
        ).fetchall()
        for name, kind, stability, parameters, definition in rows:
            self.functions.add(name)
            if kind == "aggregate":
                self.aggregates.add(name)
            elif kind == "macro" and definition and name in FUNCTIONS:
                self.macros.setdefault(name, []).append(Macro(tuple(parameters or ()), definition))
            elif stability == "VOLATILE" and name not in _HARMLESS:
                self.volatile.add(name)

        words = self._con.execute(
            "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category IN ('reserved', 'type_function')"
        ).fetchall()
        self.reserved.update(word for (word,) in words)

    def close(self) -> None:
        """Let go of the memory."""
        self._con.close()

    def parse(self, sql: str) -> list[Node]:
        """The query of each statement. Raises `Refusal` where DuckDB cannot read the text as SELECT."""
        reply = self._con.execute("SELECT json_serialize_sql(?::VARCHAR, skip_default := true)", [sql]).fetchall()
        try:
            answer = json.loads(reply[0][0])
            deep = is_deeper(answer, MAX_DEPTH)
        except RecursionError:
            deep = True
        if deep:
            raise Refusal("is nested too deep", "Make its inner parts steps of their own.")
        if answer.get("error"):
            position = int(answer["position"]) if answer.get("position") else None
            message = str(answer["error_message"]).split("\n")[0]
            raise unreadable(sql, message, position, self.reserved, self._columns)
        return [s["node"] for s in answer["statements"]]

    def render(self, node: Node) -> str:
        """The SQL text of a query."""
        tree = {"error": False, "statements": [{"node": node, "named_param_map": []}]}
        reply = self._con.execute("SELECT json_deserialize_sql(?::JSON)", [json.dumps(tree)]).fetchall()
        return str(reply[0][0])

    def render_expression(self, node: Node) -> str:
        """The SQL text of an expression, with its alias if it has one."""
        return self.render(select([node], {"type": "EMPTY"})).removeprefix("SELECT ")

    def output_name(self, item: Node) -> str:
        """What DuckDB calls this column of a SELECT."""
        if item.get("alias"):
            return str(item["alias"])
        if item["class"] == "COLUMN_REF":
            return str(item["column_names"][-1])
        return self.render_expression({k: v for k, v in item.items() if k != "alias"})

    def columns(self, sql: str) -> tuple[Column, ...]:
        """The columns of a query; raises `duckdb.Error`."""
        rows = self._con.execute(f"DESCRIBE {sql}").fetchall()
        return tuple(Column(str(name), str(kind)) for name, kind, *_ in rows)

    def arrow(self, sql: str) -> pa.Schema:
        """The columns of a query as Arrow has them; raises `duckdb.Error`."""
        schema: pa.Schema = self._con.sql(f"SELECT * FROM ({sql}) LIMIT 0").to_arrow_table().schema
        return schema

    def define(self, name: str, columns: tuple[Column, ...]) -> None:
        """Make an empty table of that name."""
        self._columns.update(c.name.lower() for c in columns)
        self._con.execute(
            f"CREATE OR REPLACE TABLE {quoted(name)} ({', '.join(f'{quoted(c.name)} {c.type}' for c in columns)})"
        )

    def define_as(self, name: str, sql: str) -> None:
        """Make an empty table with the columns of a query; raises `duckdb.Error`."""
        self._con.execute(f"CREATE TABLE {quoted(name)} AS {sql} LIMIT 0")

    def type_of(self, text: str) -> str:
        """A type by its full name. Raises `duckdb.Error` or `Refusal` if it is none."""
        statements = self.parse(f"SELECT CAST(NULL AS {text})")
        item = statements[0]["select_list"][0]
        # The text comes from a manifest: it must be a type and nothing more.
        if len(statements) != 1 or len(statements[0]["select_list"]) != 1 or item["type"] != "OPERATOR_CAST":
            raise Refusal("is not a type")
        if statements[0]["from_table"]["type"] != "EMPTY" or any(
            n.get("class") == "SUBQUERY" or n.get("collation") for n in walk(item)
        ):
            raise Refusal("is not a type")
        found = self.columns(self.render(statements[0]))[0].type
        if not all(is_type(n) for n in walk(item) if n["type"] == "TYPE"):
            raise Refusal("is no type that a column may have", "Declare it VARCHAR, or JSON where it is JSON.")
        return found

    def columns_of_arrow(self, schema: pa.Schema) -> tuple[Column, ...]:
        """The columns that rows of this schema have in SQL."""
        self._con.register(MARK, schema.empty_table())
        try:
            return self.columns(f"SELECT * FROM {quoted(MARK)}")
        finally:
            self._con.unregister(MARK)

    def type_names(self) -> list[str]:
        """Every simple type's name."""
        rows = self._con.execute("SELECT DISTINCT upper(type_name) FROM duckdb_types() ORDER BY 1").fetchall()
        return [str(r[0]) for r in rows]

    def interval(self, node: Node) -> tuple[int, int] | None:
        """A constant interval as (months, microseconds of the rest); None: it is not one."""
        if not all(_of_interval(part) for part in islice(walk(node), _MOST_OF_INTERVAL)):
            return None
        if sum(1 for _ in islice(walk(node), _MOST_OF_INTERVAL + 1)) > _MOST_OF_INTERVAL:
            return None
        text = self.render_expression({k: v for k, v in node.items() if k != "alias"})
        try:
            row = self._con.execute(
                f"SELECT datepart('year', i) * 12 + datepart('month', i), "
                f"epoch_us(i - to_months(CAST(datepart('year', i) * 12 + datepart('month', i) AS INTEGER))) "
                f"FROM (SELECT CAST({text} AS INTERVAL) AS i)"
            ).fetchall()[0]
        except duckdb.Error:
            return None
        return None if row[0] is None else (int(row[0]), int(row[1]))

    def time_zones(self) -> set[str]:
        """The names of all time zones."""
        return {str(name) for (name,) in self._con.execute("SELECT name FROM pg_timezone_names()").fetchall()}

    @staticmethod
    def now() -> Node:
        """The batch's time."""
        return call(MARK)
