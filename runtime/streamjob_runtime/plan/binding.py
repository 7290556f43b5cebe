"""DuckDB's words about a query that it cannot bind, in the planner's."""

import re

import duckdb

from streamjob_runtime.plan.problems import Refusal
from streamjob_runtime.plan.tree import Node, function_name, walk

_NO_COLUMN = re.compile(r'Referenced column "(?P<name>[^"]+)" (?:not found|was not found)')
_NO_COLUMN_OF = re.compile(r'(?:Table|alias) "(?P<table>[^"]+)" does not have a column named "(?P<name>[^"]+)"')
_NO_TABLE = re.compile(r'Referenced table "(?P<name>[^"]+)" not found')
_NO_FUNCTION = re.compile(r"Function with name \"?(?P<name>[^\s\"!]+)\"? does not exist")
_NO_OVERLOAD = re.compile(r"No function matches the given name and argument types '(?P<call>[^']*)'")
_HINT = re.compile(r'(?:Candidate bindings?:|Did you mean) (?P<names>"[^\n]*")')


def explain(error: duckdb.Error, within: Node) -> Refusal:
    """The refusal that a binder's error means; `within` is where to look for the place."""
    if isinstance(error, duckdb.OutOfMemoryException):
        return Refusal(
            "computes from constants what does not fit into memory", "Leave it out, or make it smaller.", within
        )
    message = str(error).split("\n\nLINE")[0]
    found = _HINT.search(message)
    remedy = f"Did you mean {found['names'].replace(chr(34), '')}?" if found else ""
    if match := _NO_COLUMN.search(message) or _NO_COLUMN_OF.search(message):
        name = match["name"]
        return Refusal(f"names the column {name}, which is not there", remedy, _reference(within, name))
    if match := _NO_TABLE.search(message):
        name = match["name"]
        return Refusal(f"names {name}, which is not in its FROM", remedy, _reference(within, name))
    if match := _NO_FUNCTION.search(message):
        return Refusal(f"calls {match['name']}(), which is no function", remedy, _call(within, match["name"]))
    if match := _NO_OVERLOAD.search(message):
        name = match["call"].split("(")[0]
        return Refusal(
            f"calls {match['call']}, and there is no such function for these types",
            "Cast an argument: CAST(… AS type).",
            _call(within, name),
        )
    first = message.split("\n")[0]
    return Refusal(f"cannot be bound: {first.split(': ', 1)[-1].rstrip('.!')}", remedy, within)


def _reference(within: Node, name: str) -> Node:
    for node in walk(within):
        if node["type"] == "COLUMN_REF" and name.lower() in (str(c).lower() for c in node["column_names"]):
            return node
    return within


def _call(within: Node, name: str) -> Node:
    for node in walk(within):
        if function_name(node) == name.lower():
            return node
    return within
