"""The rules between the parts of a spec. Like those of `rules`, they look at plain trees."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from streamjob_api import rules_delta, rules_postgres, trees
from streamjob_api.durations import format_duration
from streamjob_api.trees import SOURCE_KINDS, Broken, Tree
from streamjob_api.words import dotted, shown, suggest

DEFAULT_BATCH_INTERVAL = timedelta(seconds=2)
MIN_BATCHES_PER_CHECKPOINT = 5
MAX_BATCHES_PER_CHECKPOINT = 10

_NEVER_ENDING = ("tcp", "rate")


def across(spec: Tree) -> Iterator[Broken]:
    """The rules between the parts of a spec."""
    yield from _unique_names(spec)
    yield from _sink_origins(spec)
    yield from _sink_paths(spec)
    yield from rules_postgres.across(spec)
    yield from rules_delta.across(spec)
    yield from _ends(spec)
    yield from _checkpoint_interval(spec)


def _unique_names(spec: Tree) -> Iterator[Broken]:
    seen: dict[str, str] = {}
    for field in ("sources", "tables", "pipeline"):
        for i, item in enumerate(trees.items(spec.get(field))):
            name, path = trees.mapping(item).get("name"), (field, i, "name")
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
    if not isinstance(spec.get("pipeline", ()), list | tuple):
        return
    for i, item in enumerate(trees.items(spec.get("sinks"))):
        origin = trees.mapping(item).get("from")
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
    for i, item in enumerate(trees.items(spec.get("sinks"))):
        path = trees.mapping(trees.mapping(item).get("files")).get("path")
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
    for i, item in enumerate(trees.items(spec.get("sources"))):
        kind = trees.kind(trees.mapping(item), SOURCE_KINDS)
        if kind in _NEVER_ENDING:
            yield Broken(
                ("sources", i, kind),
                f"a {kind} source never ends, so the trigger availableNow cannot be kept",
                "take the trigger processingTime, or a files source",
            )


def _checkpoint_interval(spec: Tree) -> Iterator[Broken]:
    given = trees.mapping(spec.get("checkpoint")).get("interval")
    interval = trees.duration(given)
    batch = trees.duration(spec["batchInterval"]) if spec.get("batchInterval") is not None else DEFAULT_BATCH_INTERVAL
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


def _names(value: Any) -> list[str]:
    return [trees.text(trees.mapping(item).get("name")) for item in trees.items(value)]
