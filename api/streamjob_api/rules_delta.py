"""The rules of Delta sinks that need more than one field."""

from collections.abc import Iterator

from streamjob_api import trees
from streamjob_api.trees import Broken, Tree
from streamjob_api.words import shown


def sink(tree: Tree) -> Iterator[Broken]:
    """The rules of one sink; none, if it is not of Delta."""
    delta = trees.mapping(tree.get("delta"))
    if not delta:
        return
    given = delta.get("key") is not None
    if tree.get("mode") == "update" and not given:
        yield Broken(
            ("delta", "key"),
            "mode update needs the columns that tell which row is to be replaced",
            "write key: [id], with the columns that the rows are grouped by",
        )
    if given and tree.get("mode") != "update":
        yield Broken(("delta", "key"), "is for mode update", "leave it out, or take mode update")
    for name in ("key", "partitionBy"):
        columns = [column for column in trees.items(delta.get(name)) if isinstance(column, str)]
        for i, column in enumerate(columns):
            if column.lower() in (c.lower() for c in columns[:i]):
                yield Broken(("delta", name, i), f'"{shown(column)}" stands twice', "name each column once")


def across(spec: Tree) -> Iterator[Broken]:
    """A table is one sink's alone."""
    seen: dict[str, int] = {}
    for i, item in enumerate(trees.items(spec.get("sinks"))):
        path = trees.mapping(trees.mapping(item).get("delta")).get("path")
        if isinstance(path, str):
            first = seen.setdefault(path.rstrip("/"), i)
            if first != i:
                yield Broken(
                    ("sinks", i, "delta", "path"),
                    f"spec.sinks[{first}] writes this table already",
                    "give each sink a table of its own, or bring the rows together by UNION ALL in a step",
                )
