"""The rules of PostgreSQL sinks that need more than one field."""

from collections.abc import Iterator
from typing import Any

from streamjob_api import trees
from streamjob_api.trees import Broken, Tree
from streamjob_api.words import shown


def sink(tree: Tree) -> Iterator[Broken]:
    """The rules of one sink; none, if it is not of PostgreSQL."""
    postgres = trees.mapping(tree.get("postgres"))
    if not postgres:
        return
    given = postgres.get("key") is not None
    if tree.get("mode") == "update" and not given:
        yield Broken(
            ("postgres", "key"),
            "mode update needs the columns that tell which row is to be replaced",
            "write key: [id], with the columns that the rows are grouped by",
        )
    if given and tree.get("mode") != "update":
        yield Broken(("postgres", "key"), "is for mode update", "leave it out, or take mode update")
    columns = [column for column in trees.items(postgres.get("key")) if isinstance(column, str)]
    for i, column in enumerate(columns):
        if column.lower() in (c.lower() for c in columns[:i]):
            yield Broken(("postgres", "key", i), f'"{shown(column)}" stands twice', "name each column once")


def across(spec: Tree) -> Iterator[Broken]:
    """A table is one sink's alone: its marker says which batch the table has."""
    seen: dict[Any, int] = {}
    for i, item in enumerate(trees.items(spec.get("sinks"))):
        postgres = trees.mapping(trees.mapping(item).get("postgres"))
        ref = trees.mapping(postgres.get("dsnSecretRef"))
        place = (ref.get("name"), ref.get("key"), postgres.get("schema"), postgres.get("table"))
        if all(isinstance(part, str) for part in (*place[:2], place[3])) and isinstance(place[2], str | None):
            first = seen.setdefault(place, i)
            if first != i:
                yield Broken(
                    ("sinks", i, "postgres", "table"),
                    f"spec.sinks[{first}] writes this table already",
                    "give each sink a table of its own, or bring the rows together by UNION ALL in a step",
                )
