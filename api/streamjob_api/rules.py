"""The rules of one source, table or sink that need more than one of its fields.

They look at plain trees, so that a wrong field elsewhere hides none of them.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from streamjob_api import rules_across, rules_delta, rules_hdfs, rules_kafka, rules_pods, rules_postgres, trees
from streamjob_api.trees import MAX_COLUMNS, SINK_KINDS, SOURCE_KINDS, TABLE_KINDS, Broken, Tree
from streamjob_api.words import Path, shown, suggest

BATCH_TIME = "batch_time"

_NO_KINDS = ("name", "format", "schema", "columns", "watermark", "maxRecordsPerBatch", "from", "mode", "refresh")
_LINES = ("text", "json", "csv", "raw")
_SOURCE_FORMATS = {"kafka": (*_LINES, "avro"), "tcp": _LINES, "files": ("text", "json", "csv", "parquet", "raw")}
_FIXED_COLUMNS = {
    "rate": {"value": "BIGINT", "timestamp": "TIMESTAMP"},
    "text": {"value": "VARCHAR"},
    "raw": {"value": "BLOB"},
}


def job(tree: Any) -> Iterator[Broken]:
    """Every rule that a whole manifest breaks."""
    spec = trees.mapping(trees.mapping(tree).get("spec"))
    for field, rules in (("sources", source), ("tables", table), ("sinks", sink)):
        for i, item in enumerate(trees.items(spec.get(field))):
            if isinstance(item, Mapping):
                yield from (broken.below("spec", field, i) for broken in rules(item))
    yield from (broken.below("spec", "hdfs") for broken in rules_hdfs.connection(trees.mapping(spec.get("hdfs"))))
    yield from (broken.below("spec") for broken in rules_across.across(spec))
    yield from (broken.below("spec") for broken in rules_pods.pods(spec))


def source(tree: Tree) -> Iterator[Broken]:
    """The rules of one source."""
    yield from _exactly_one(tree, SOURCE_KINDS, "source")
    kind = trees.kind(tree, SOURCE_KINDS)
    if kind is not None:
        yield from _source_format(tree, kind)
    yield from _source_schema(tree, kind)
    yield from _names(tree)
    yield from _columns(tree, kind)
    yield from _watermark(tree, kind)
    yield from _header(tree)
    yield from rules_kafka.source(tree)


def table(tree: Tree) -> Iterator[Broken]:
    """The rules of one static table."""
    yield from _exactly_one(tree, TABLE_KINDS, "table")
    kind = trees.kind(tree, TABLE_KINDS)
    if kind == "delta":
        for field in ("format", "schema", "columns"):
            if tree.get(field) is not None:
                yield Broken((field,), f"a delta table has its own {field}", "leave it out")
        return
    if kind == "files" and tree.get("format") is None:
        yield Broken(("format",), "files need a format", "take one of json, csv, parquet")
    if tree.get("format") in ("json", "csv") and tree.get("schema") is None:
        yield Broken(("schema",), f"{tree['format']} needs a schema", "list the columns: {id: BIGINT, name: VARCHAR}")
    yield from _names(tree)
    yield from _columns(tree, "files")
    yield from _header(tree)


def sink(tree: Tree) -> Iterator[Broken]:
    """The rules of one sink."""
    yield from _exactly_one(tree, SINK_KINDS, "sink")
    kind = trees.kind(tree, SINK_KINDS)
    files = trees.mapping(tree.get("files"))
    if kind == "files":
        if tree.get("format") is None:
            yield Broken(("format",), "a files sink needs a format", "take one of json, csv, parquet")
        elif tree.get("format") in ("text", "raw", "avro"):
            message = f"{tree['format']} is for a kafka sink"
            yield Broken(("format",), message, "take one of json, csv, parquet")
        if tree.get("mode") == "update":
            yield Broken(
                ("mode",),
                "a files sink cannot update rows in files that are written",
                "take append (new and final rows) or complete (one file, replaced by each batch)",
            )
    elif kind == "kafka":
        yield from rules_kafka.sink(tree)
    elif kind is not None and tree.get("format") is not None:
        yield Broken(("format",), f"a {kind} sink has no format", "leave it out")
    yield from rules_postgres.sink(tree)
    yield from rules_delta.sink(tree)
    columns = [c for c in trees.items(files.get("partitionBy")) if isinstance(c, str)]
    for i, column in enumerate(columns):
        if column.lower() in (c.lower() for c in columns[:i]):
            yield Broken(("files", "partitionBy", i), f'"{shown(column)}" stands twice', "name each column once")
    if columns and tree.get("mode") == "complete":
        yield Broken(
            ("files", "partitionBy"), "complete mode writes one file", "leave partitionBy out, or take mode append"
        )


def _source_format(tree: Tree, kind: str) -> Iterator[Broken]:
    given, allowed = tree.get("format"), _SOURCE_FORMATS.get(kind)
    if allowed is None:
        if given is not None:
            yield Broken(("format",), f"a {kind} source has no format", "leave it out")
    elif given is None:
        yield Broken(("format",), f"a {kind} source needs a format", f"take one of {', '.join(allowed)}")
    elif given in ("parquet", "avro") and given not in allowed:
        yield Broken(("format",), f"{given} cannot be read from {kind}", f"take one of {', '.join(allowed)}")


def _source_schema(tree: Tree, kind: str | None) -> Iterator[Broken]:
    given = tree.get("schema") is not None
    what = kind if kind in ("rate", "queue") else tree.get("format")
    if what in ("json", "csv", "avro", "parquet", "queue") and not given:
        who = "a queue source" if what == "queue" else what
        yield Broken(("schema",), f"{who} needs a schema", "list the columns: {id: BIGINT, name: VARCHAR}")
    if what in ("text", "raw", "rate") and given:
        who = "a rate source" if what == "rate" else what
        columns = " and ".join(f"{name} {kind}" for name, kind in _FIXED_COLUMNS[what].items())
        yield Broken(("schema",), f"{who} has a schema of its own: {columns}", "leave it out")


def _names(tree: Tree) -> Iterator[Broken]:
    seen: dict[str, str] = {}
    for column in trees.mapping(tree.get("schema")):
        if not isinstance(column, str):
            continue
        if column.lower() == BATCH_TIME:
            yield Broken(
                ("schema", column), f"{BATCH_TIME} is a column that every source has", "give this one another name"
            )
        if column.lower() in seen:
            yield Broken(
                ("schema", column),
                f'"{shown(column)}" and "{shown(seen[column.lower()])}" are one name in SQL, which ignores case',
                "rename one of them",
            )
        seen[column.lower()] = column


def _columns(tree: Tree, kind: str | None) -> Iterator[Broken]:
    """A line of CSV without a header has its order from `columns`: an object, as the schema is one, has none."""
    schema, given = trees.mapping(tree.get("schema")), tree.get("columns")
    header = kind == "files" and trees.mapping(tree.get("files")).get("header") is not False
    if tree.get("format") == "csv" and kind in _SOURCE_FORMATS and not header:
        if given is None and schema:
            order = ", ".join(shown(str(name)) for name in schema)
            yield Broken(
                ("columns",), "csv without a header line needs the order of its fields", f"write columns: [{order}]"
            )
    elif given is not None and kind is not None:
        out = "leave it out, or write files.header: false" if tree.get("format") == "csv" else "leave it out"
        yield Broken(("columns",), "is for csv without a header line", out)
        return
    seen: set[str] = set()
    for i, name in enumerate(trees.items(given, MAX_COLUMNS)):
        if not isinstance(name, str):
            continue
        if name in seen:
            yield Broken(("columns", i), f'"{shown(name)}" stands twice', "name each column once")
        elif schema and name not in schema:
            known = suggest(name, (n for n in schema if isinstance(n, str)), "its columns are")
            yield Broken(("columns", i), f'there is no column "{shown(name)}" in the schema', known)
        seen.add(name)
    left = [str(name) for name in schema if name not in seen]
    if seen and left:
        message = f'"{shown(left[0])}" of the schema is missing'
        yield Broken(("columns",), message, "name every column once, in the order of a line's fields")


def _watermark(tree: Tree, kind: str | None) -> Iterator[Broken]:
    column = trees.mapping(tree.get("watermark")).get("column")
    columns = _source_columns(tree, kind)
    if not isinstance(column, str) or columns is None:
        return
    found = next((name for name in columns if name.lower() == column.lower()), None)
    path: Path = ("watermark", "column")
    if found is None:
        yield Broken(path, f'there is no column "{shown(column)}"', suggest(column, columns, "the columns are"))
    elif isinstance(columns[found], str) and not columns[found].upper().startswith(("TIMESTAMP", "DATETIME")):
        yield Broken(path, f'"{shown(column)}" is of type {shown(columns[found])}', "take a column of type TIMESTAMP")


def _source_columns(tree: Tree, kind: str | None) -> Tree | None:
    fixed = _FIXED_COLUMNS.get("rate" if kind == "rate" else trees.text(tree.get("format")))
    schema = {k: v for k, v in trees.mapping(tree.get("schema")).items() if isinstance(k, str)}
    return {**(fixed or schema), **rules_kafka.metadata(tree)} if fixed or schema else None


def _header(tree: Tree) -> Iterator[Broken]:
    if isinstance(trees.mapping(tree.get("files")).get("header"), bool) and tree.get("format") in (
        "text",
        "json",
        "avro",
        "parquet",
        "raw",
    ):
        yield Broken(("files", "header"), f"{tree['format']} files have no header", "leave it out: it is for csv")


def _exactly_one(tree: Tree, kinds: Sequence[str], what: str) -> Iterator[Broken]:
    present = [kind for kind in kinds if tree.get(kind) is not None]
    empty = [kind for kind in kinds if kind in tree and tree[kind] is None]
    if len(present) > 1:
        yield Broken(
            (present[1],), f"a {what} is of one kind, and this has {' and '.join(present)}", "keep one of them"
        )
    elif not present and empty:
        yield Broken((empty[0],), "has no value", f"write {empty[0]}: {{}} or its fields")
    elif not present and not any(difflib.get_close_matches(str(key), kinds) for key in tree if key not in _NO_KINDS):
        # A misspelt kind is reported as an unknown field already.
        yield Broken((), f"a {what} needs a kind", f"give one of {', '.join(kinds)}")
