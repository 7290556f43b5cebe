"""The rules that need more than one field.

They look at plain trees (what YAML gives, with the manifest's own field names), so that a wrong field elsewhere hides
none of them: what has the wrong type is passed over here, because the models report it.
"""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from streamjob_api.durations import format_duration, parse_duration
from streamjob_api.words import Path, dotted, sentence, shown, suggest

SOURCE_KINDS = ("tcp", "files", "rate", "queue")
SINK_KINDS = ("console", "files", "queue")
ENDING_KINDS = ("files", "queue")
DEFAULT_BATCH_INTERVAL = timedelta(seconds=2)
MIN_BATCHES_PER_CHECKPOINT = 5
MAX_BATCHES_PER_CHECKPOINT = 10
BATCH_TIME = "batch_time"

_SOURCE_FORMATS = {"tcp": ("text", "json", "csv", "raw"), "files": ("text", "json", "csv", "parquet", "raw")}
_FIXED_COLUMNS = {
    "rate": {"value": "BIGINT", "timestamp": "TIMESTAMP"},
    "text": {"value": "VARCHAR"},
    "raw": {"value": "BLOB"},
}

Tree = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that does not hold: where, what is wrong, what would be right."""

    path: Path
    message: str
    hint: str

    def below(self, *prefix: str | int) -> "Broken":
        """The same, seen from further up."""
        return Broken((*prefix, *self.path), self.message, self.hint)

    def __str__(self) -> str:
        where = f"{dotted(self.path)}: " if self.path else ""
        return where + sentence(self.message, self.hint)


Rules = Callable[[Tree], Iterable[Broken]]


def job(tree: Any) -> Iterator[Broken]:
    """Every rule that a whole manifest breaks."""
    spec = _mapping(_mapping(tree).get("spec"))
    for field, rules in (("sources", source), ("tables", table), ("sinks", sink)):
        for i, item in enumerate(_items(spec.get(field))):
            if isinstance(item, Mapping):
                yield from (broken.below("spec", field, i) for broken in rules(item))
    yield from (broken.below("spec") for broken in across(spec))


def source(tree: Tree) -> Iterator[Broken]:
    """The rules of one source."""
    yield from _exactly_one(tree, SOURCE_KINDS, "source")
    kind = _kind(tree, SOURCE_KINDS)
    if kind is not None:
        yield from _source_format(tree, kind)
    yield from _source_schema(tree, kind)
    yield from _columns(tree)
    yield from _watermark(tree, kind)
    yield from _header(tree)


def table(tree: Tree) -> Iterator[Broken]:
    """The rules of one static table."""
    if tree.get("format") in ("json", "csv") and tree.get("schema") is None:
        yield Broken(("schema",), f"{tree['format']} needs a schema", "list the columns: {id: BIGINT, name: VARCHAR}")
    yield from _columns(tree)
    yield from _header(tree)


def sink(tree: Tree) -> Iterator[Broken]:
    """The rules of one sink."""
    yield from _exactly_one(tree, SINK_KINDS, "sink")
    kind = _kind(tree, SINK_KINDS)
    files = _mapping(tree.get("files"))
    if kind == "files":
        if tree.get("format") is None:
            yield Broken(("format",), "a files sink needs a format", "take one of json, csv, parquet")
        if tree.get("mode") == "update":
            yield Broken(
                ("mode",),
                "a files sink cannot update rows in files that are written",
                "take append (new and final rows) or complete (one file, replaced by each batch)",
            )
    elif kind is not None and tree.get("format") is not None:
        yield Broken(("format",), f"a {kind} sink has no format", "leave it out")
    columns = [c for c in _items(files.get("partitionBy")) if isinstance(c, str)]
    for i, column in enumerate(columns):
        if column.lower() in (c.lower() for c in columns[:i]):
            yield Broken(("files", "partitionBy", i), f'"{shown(column)}" stands twice', "name each column once")
    if columns and tree.get("mode") == "complete":
        yield Broken(
            ("files", "partitionBy"), "complete mode writes one file", "leave partitionBy out, or take mode append"
        )


def across(spec: Tree) -> Iterator[Broken]:
    """The rules between the parts of a spec."""
    yield from _unique_names(spec)
    yield from _sink_origins(spec)
    yield from _sink_paths(spec)
    yield from _ends(spec)
    yield from _checkpoint_interval(spec)


def _source_format(tree: Tree, kind: str) -> Iterator[Broken]:
    given, allowed = tree.get("format"), _SOURCE_FORMATS.get(kind)
    if allowed is None:
        if given is not None:
            yield Broken(("format",), f"a {kind} source has no format", "leave it out")
    elif given is None:
        yield Broken(("format",), f"a {kind} source needs a format", f"take one of {', '.join(allowed)}")
    elif given == "parquet" and given not in allowed:
        yield Broken(("format",), f"{given} cannot be read from {kind}", f"take one of {', '.join(allowed)}")


def _source_schema(tree: Tree, kind: str | None) -> Iterator[Broken]:
    given = tree.get("schema") is not None
    what = kind if kind in ("rate", "queue") else tree.get("format")
    if what in ("json", "csv", "parquet", "queue") and not given:
        who = "a queue source" if what == "queue" else what
        yield Broken(("schema",), f"{who} needs a schema", "list the columns: {id: BIGINT, name: VARCHAR}")
    if what in ("text", "raw", "rate") and given:
        who = "a rate source" if what == "rate" else what
        columns = " and ".join(f"{name} {kind}" for name, kind in _FIXED_COLUMNS[what].items())
        yield Broken(("schema",), f"{who} has a schema of its own: {columns}", "leave it out")


def _columns(tree: Tree) -> Iterator[Broken]:
    seen: dict[str, str] = {}
    for column in _mapping(tree.get("schema")):
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


def _watermark(tree: Tree, kind: str | None) -> Iterator[Broken]:
    column = _mapping(tree.get("watermark")).get("column")
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
    fixed = _FIXED_COLUMNS.get("rate" if kind == "rate" else _text(tree.get("format")))
    schema = {k: v for k, v in _mapping(tree.get("schema")).items() if isinstance(k, str)}
    return fixed or schema or None


def _header(tree: Tree) -> Iterator[Broken]:
    if _mapping(tree.get("files")).get("header") is not None and tree.get("format") in (
        "text",
        "json",
        "parquet",
        "raw",
    ):
        yield Broken(("files", "header"), f"{tree['format']} files have no header", "leave it out: it is for csv")


def _unique_names(spec: Tree) -> Iterator[Broken]:
    seen: dict[str, str] = {}
    for field in ("sources", "tables", "pipeline"):
        for i, item in enumerate(_items(spec.get(field))):
            name, path = _mapping(item).get("name"), (field, i, "name")
            if not isinstance(name, str):
                continue
            if name in seen:
                yield Broken(
                    path,
                    f'"{shown(name)}" is the name of {seen[name]} already',
                    "give each source, table and step its own",
                )
            else:
                seen[name] = dotted(("spec", field, i))


def _sink_origins(spec: Tree) -> Iterator[Broken]:
    names = {f: [n for n in _names(spec.get(f)) if n] for f in ("sources", "tables", "pipeline")}
    known = names["pipeline"] + names["sources"]
    for i, item in enumerate(_items(spec.get("sinks"))):
        origin = _mapping(item).get("from")
        if not isinstance(origin, str) or origin in known:
            continue
        if origin in names["tables"]:
            yield Broken(
                ("sinks", i, "from"), f'"{shown(origin)}" is a static table', "name a pipeline step or a source instead"
            )
        elif known:
            yield Broken(
                ("sinks", i, "from"),
                f'there is no pipeline step or source "{shown(origin)}"',
                suggest(origin, known, "there are"),
            )


def _sink_paths(spec: Tree) -> Iterator[Broken]:
    seen: dict[str, int] = {}
    for i, item in enumerate(_items(spec.get("sinks"))):
        path = _mapping(_mapping(item).get("files")).get("path")
        if isinstance(path, str):
            first = seen.setdefault(path.rstrip("/"), i)
            if first != i:
                yield Broken(
                    ("sinks", i, "files", "path"),
                    f"spec.sinks[{first}] writes there already",
                    "give each sink a folder of its own",
                )


def _ends(spec: Tree) -> Iterator[Broken]:
    if spec.get("trigger") != "availableNow":
        return
    for i, item in enumerate(_items(spec.get("sources"))):
        kind = _kind(_mapping(item), SOURCE_KINDS)
        if kind is not None and kind not in ENDING_KINDS:
            yield Broken(
                ("sources", i, kind),
                f"a {kind} source never ends, so the trigger availableNow cannot be kept",
                "take the trigger processingTime, or a files source",
            )


def _checkpoint_interval(spec: Tree) -> Iterator[Broken]:
    given = _mapping(spec.get("checkpoint")).get("interval")
    interval = _duration(given)
    batch = _duration(spec["batchInterval"]) if spec.get("batchInterval") is not None else DEFAULT_BATCH_INTERVAL
    if interval is None or not batch:
        return
    count, rest = divmod(interval, batch)
    low, high = MIN_BATCHES_PER_CHECKPOINT, MAX_BATCHES_PER_CHECKPOINT
    if rest or not low <= count <= high:
        about = f"{interval / batch:.3g} times"
        yield Broken(
            ("checkpoint", "interval"),
            f"{format_duration(interval)} is {about} the batchInterval of {format_duration(batch)}; it must be a whole "
            f"multiple, {low} to {high} times",
            f"take {format_duration(_nearest(count, low, high) * batch)}, or leave it out",
        )


def _nearest(count: int, low: int, high: int) -> int:
    return min(max(count, low), high)


def _exactly_one(tree: Tree, kinds: Sequence[str], what: str) -> Iterator[Broken]:
    present = [kind for kind in kinds if tree.get(kind) is not None]
    empty = [kind for kind in kinds if kind in tree and tree[kind] is None]
    if len(present) > 1:
        yield Broken(
            (present[1],), f"a {what} is of one kind, and this has {' and '.join(present)}", "keep one of them"
        )
    elif not present and empty:
        yield Broken((empty[0],), "has no value", f"write {empty[0]}: {{}} or its fields")
    elif not present and not any(difflib.get_close_matches(str(key), kinds) for key in tree):
        # A misspelt kind is reported as an unknown field already.
        yield Broken((), f"a {what} needs a kind", f"give one of {', '.join(kinds)}")


def _kind(tree: Tree, kinds: Sequence[str]) -> str | None:
    present = [kind for kind in kinds if tree.get(kind) is not None]
    return present[0] if len(present) == 1 else None


def _names(value: Any) -> list[str]:
    return [_text(_mapping(item).get("name")) for item in _items(value)]


def _mapping(value: Any) -> Tree:
    return value if isinstance(value, Mapping) else {}


def _items(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _duration(value: Any) -> timedelta | None:
    try:
        return parse_duration(value) if isinstance(value, str) else None
    except ValueError:
        return None
