"""The rules between the parts of a spec."""

from collections.abc import Hashable, Iterator
from datetime import timedelta
from typing import Any

from streamjob_api import trees
from streamjob_api.bad_records import dead_letters_of
from streamjob_api.cel import CelRule, CelRules, has_variable
from streamjob_api.durations import format_duration
from streamjob_api.systems.kinds import Alone
from streamjob_api.systems.registry import SINKS, SOURCES
from streamjob_api.trees import Broken, Tree
from streamjob_api.words import dotted, shown, suggest

DEFAULT_BATCH_INTERVAL = timedelta(seconds=2)
MIN_BATCHES_PER_CHECKPOINT = 5
MAX_BATCHES_PER_CHECKPOINT = 10

_ALONE = {name: kind.alone for name, kind in SINKS.items() if kind.alone}
_NEVER_ENDING = [name for name, kind in SOURCES.items() if not kind.ends]


def across(spec: Tree) -> Iterator[Broken]:
    """The rules between the parts of a spec."""
    yield from _unique_names(spec)
    yield from _sink_origins(spec)
    for name, alone in _ALONE.items():
        yield from _one_sink(spec, name, alone)
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
    for letters, i in _dead_letters(spec).items():
        if letters in seen:
            path = ("sources", i, "onBadRecord")
            message = f'the name of its stream of dead letters, "{shown(letters)}", is that of {seen[letters]}'
            yield Broken(path, message, "give that one another name")


def _dead_letters(spec: Tree) -> dict[str, int]:
    """The streams of dead letters, each with the index of its source."""
    sources = [trees.mapping(item) for item in trees.items(spec.get("sources"))]
    there = {i: trees.text(s.get("name")) for i, s in enumerate(sources) if s.get("onBadRecord") == "deadLetter"}
    return {dead_letters_of(name): i for i, name in there.items() if name}


_UNIQUE_NAMES = (
    CelRule(
        "!has(self.tables) || self.tables.all(table, !self.sources.exists(source, source.name == table.name))",
        "a table has the name of a source; give each source, table and step its own",
        field="tables",
    ),
    CelRule(
        "!has(self.pipeline) || self.pipeline.all(step, !self.sources.exists(source, source.name == step.name))",
        "a step has the name of a source; give each source, table and step its own",
        field="pipeline",
    ),
    CelRule(
        "!has(self.pipeline) || !has(self.tables) || "
        "self.pipeline.all(step, !self.tables.exists(table, table.name == step.name))",
        "a step has the name of a table; give each source, table and step its own",
        field="pipeline",
    ),
    # Of tables and steps; what has the name of another source's dead letters is found by the operator.
    CelRule(
        "!has(self.pipeline) || self.pipeline.all(step, !step.name.endsWith('_dead_letters') || !self.sources.exists("
        "source, has(source.onBadRecord) && source.onBadRecord == 'deadLetter' && "
        "step.name == source.name + '_dead_letters'))",
        "a step has the name of a source's dead letters; give it another name",
        field="pipeline",
    ),
)


def _sink_origins(spec: Tree) -> Iterator[Broken]:
    names = {f: [n for n in _names(spec.get(f)) if n] for f in ("sources", "tables", "pipeline")}
    known = names["pipeline"] + names["sources"] + list(_dead_letters(spec))
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
                _no_letters(origin, names["sources"]) or suggest(origin, known, "there are"),
            )


def _no_letters(origin: str, sources: list[str]) -> str:
    """What to do where dead letters are wanted that are not kept."""
    source = next((name for name in sources if dead_letters_of(name) == origin), None)
    return f'write onBadRecord: deadLetter at the source "{shown(source)}"' if source else ""


_SINK_ORIGINS = CelRule(
    "self.sinks.all(sink, self.sources.exists(source, source.name == sink.from || (has(source.onBadRecord) && "
    "source.onBadRecord == 'deadLetter' && sink.from == source.name + '_dead_letters')) || "
    "(has(self.pipeline) && self.pipeline.exists(step, step.name == sink.from)))",
    "a sink's from names no pipeline step or source",
    field="sinks",
)


def _one_sink(spec: Tree, name: str, alone: Alone) -> Iterator[Broken]:
    seen: dict[Hashable, int] = {}
    for i, item in enumerate(trees.items(spec.get("sinks"))):
        place = alone.place(trees.mapping(trees.mapping(item).get(name)))
        if place is not None:
            first = seen.setdefault(place, i)
            if first != i:
                yield Broken(("sinks", i, name, alone.field), f"spec.sinks[{first}] {alone.message}", alone.hint)


def _ends(spec: Tree) -> Iterator[Broken]:
    if spec.get("trigger") != "availableNow":
        return
    for i, item in enumerate(trees.items(spec.get("sources"))):
        kind = trees.kind(trees.mapping(item), SOURCES)
        if kind in _NEVER_ENDING:
            yield Broken(
                ("sources", i, kind),
                f"a {kind} source never ends, so the trigger availableNow cannot be kept",
                "take the trigger processingTime, or a files source",
            )


_ENDS = CelRule(
    "self.trigger != 'availableNow' || "
    f"self.sources.all(source, {' && '.join(f'!has(source.{name})' for name in _NEVER_ENDING)})",
    f"a {' or '.join(_NEVER_ENDING)} source never ends, so the trigger availableNow cannot be kept; "
    "take the trigger processingTime, or a files source",
    field="trigger",
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


_CHECKPOINT_INTERVAL = CelRule(
    "!has(self.checkpoint) || !has(self.checkpoint.interval) || "
    f"{has_variable('self.checkpoint.interval')} || {has_variable('self.batchInterval')} || "
    "duration(self.checkpoint.interval).getMilliseconds() in [5, 6, 7, 8, 9, 10].map(times, "
    "times * duration(self.batchInterval).getMilliseconds())",
    "must be a whole multiple of batchInterval, 5 to 10 times as long; or leave it out",
    says="self.checkpoint.interval + ' must be a whole multiple of the batchInterval of ' + self.batchInterval + "
    "', 5 to 10 times; or leave it out'",
    field="checkpoint.interval",
)


def _names(value: Any) -> list[str]:
    return [trees.text(trees.mapping(item).get("name")) for item in trees.items(value)]


ACROSS_CEL: CelRules = {
    "": (
        *_UNIQUE_NAMES,
        _SINK_ORIGINS,
        *(alone.cel for alone in _ALONE.values()),
        _ENDS,
        _CHECKPOINT_INTERVAL,
    )
}
