"""What a plan's steps become, in words: what each keeps, what bounds it, and how it can be written."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from streamjob_api.durations import format_duration
from streamjob_runtime.plan.model import Aggregation, DistinctRows, FinalRows, Step, StreamJoin
from streamjob_runtime.plan.problems import PlanProblem
from streamjob_runtime.plan.scope import Known
from streamjob_runtime.plan.sinks import modes_of

Steps = Mapping[str, Step]


def outline(spec: Any, known: Mapping[str, Known], steps: Steps) -> list[str]:
    """A line for each step of the manifest."""
    delays = {
        part.name: f"{format_duration(part.watermark.delay)} behind the newest {part.watermark.column}"
        for part in (*spec.sources, *spec.pipeline)
        if part is not None and part.watermark is not None
    }
    lines = []
    for step in spec.pipeline:
        if step is None:
            continue
        if step.name not in known or step.name not in steps:
            lines.append(f"{step.name}: known once somebody looks into the files of the tables: streamjob check")
            continue
        reads = _read(step.name, known, steps)
        own = list(dict.fromkeys(_marks(step.name, steps, delays)))
        # A job has one watermark: who reads one of these waits for all of them.
        marks = [
            f"{delays[name]} of {name}" if len(delays) > 1 else delays[name]
            for name in {**dict.fromkeys(own), **delays}
        ]
        what = _what(known[step.name], steps, reads, _complete(spec, known, steps), marks)
        lines.append(f"{step.name}: {what}; can be written in {_either(modes_of(known[step.name]))} mode")
    return lines


def warnings(spec: Any, known: Mapping[str, Known], steps: Steps, reserved: set[str]) -> list[PlanProblem]:
    """What is no mistake, but may not be what was meant."""
    endless = [*_endless_joins(spec, steps), *_endless_rows(spec, steps)]
    return [*_kept_windows(spec, known, steps), *endless, *_reserved(spec, reserved)]


def _what(known: Known, steps: Steps, reads: str, complete: Mapping[str, int], marks: list[str]) -> str:
    step = steps[known.name]
    if known.shape == "static":
        return f"rows of {reads}, which change when that is read again"
    if known.shape == "stream":
        rolling = f", which count for {_span(known.rolling.length_ms)}" if known.rolling else ""
        once = _once(step) if isinstance(step, DistinctRows) else ""
        return f"a stream of the new rows of {reads}{rolling}{''.join(_joins(known.name, steps))}{once}"
    operator = step if isinstance(step, Aggregation) else steps.get(known.operator or "")
    if not isinstance(operator, Aggregation) and known.windowed is not None:
        return f"what {reads} give of each window, final with it"
    if not isinstance(operator, Aggregation):
        return f"a view of {reads} as a whole, computed anew when a batch changes these"
    each = operator.each
    rows = f"a row for each {' and '.join([', '.join(each[:-1]), each[-1]] if len(each) > 1 else each)}" if each else ""
    shown = "a table" if known.shape == "table" else "a view of a table"
    if operator.tops:
        first = " and ".join(map("the first {} rows".format, operator.tops.values()))
        of_each = f" for each {', '.join(each)}" if each else ""
        return f"{shown} with {first} of {reads}{of_each}; {_bound(operator, complete, marks)}"
    if operator.name != known.name:
        return f"{shown} that shows {reads} row by row; {_bound(operator, complete, marks)}"
    return f"{shown} with {rows or 'one row'} of {reads}; {_bound(operator, complete, marks)}"


def _own_joins(name: str, steps: Steps) -> Iterator[StreamJoin]:
    """The joins of streams that a step of the manifest makes itself."""
    for other, step in steps.items():
        if isinstance(step, StreamJoin) and other.startswith(f"{name}."):
            yield step


def _joins(name: str, steps: Steps) -> Iterator[str]:
    for join in _own_joins(name, steps):
        for side, of in zip((join.left, join.right), join.of, strict=True):
            until = "until the watermark says that no match can come" if side.ends else "for good"
            yield f"; rows of {of} wait for a match {until}"


def _once(step: DistinctRows) -> str:
    until = "until the watermark has passed its time" if step.end else "for good"
    return f"; each comes once, and is remembered {until}"


def _endless_rows(spec: Any, steps: Steps) -> Iterator[PlanProblem]:
    for i, part in enumerate(spec.pipeline):
        step = steps.get(part.name) if part is not None else None
        if isinstance(step, DistinctRows) and step.end is None:
            yield PlanProblem(
                f"spec.pipeline[{i}].sql",
                f"{part.name} remembers all its rows for good, as no event time with a watermark is among its columns",
                "Show the event time as well, where rows that are equal have the same.",
            )


def _endless_joins(spec: Any, steps: Steps) -> Iterator[PlanProblem]:
    for i, step in enumerate(spec.pipeline):
        for join in _own_joins(step.name, steps) if step is not None else ():
            endless = [of for side, of in zip((join.left, join.right), join.of, strict=True) if not side.ends]
            if endless:
                yield PlanProblem(
                    f"spec.pipeline[{i}].sql",
                    f"{step.name} keeps all rows of {' and of '.join(endless)} for good, as nothing in its join says "
                    "when no match can come any more",
                    "Bound the times that match, with a watermark on them: AND b.t BETWEEN a.t AND a.t + INTERVAL "
                    "'10 minutes'.",
                )


def _bound(step: Aggregation, complete: Mapping[str, int], marks: list[str]) -> str:
    """What keeps the state from growing for ever."""
    if step.rolling is not None:
        return f"rows count for {_span(step.rolling.length_ms)}, and a group without any leaves"
    if step.event_window is not None:
        if not step.event_window.ends:
            return "its windows stay for good, as they are over no column with a watermark"
        if step.name in complete:
            return f"its windows stay for good, as spec.sinks[{complete[step.name]}] writes the whole table"
        if step.event_window.of_batches:
            return "a window is final, and leaves, with the first batch at or behind its end"
        several = "the lowest of the job's: " if len(marks) > 1 else ""
        lowest = f"the watermark ({several}{', '.join(marks)})" if marks else "the watermark"
        return f"a window is final, and leaves, when {lowest} has reached its end"
    if step.ttl_ms is not None:
        return f"a group leaves when no row has touched it for {_span(step.ttl_ms)}"
    return "each group stays for good: the number of keys must be bounded" if step.keys else "it holds that row only"


def _complete(spec: Any, known: Mapping[str, Known], steps: Steps) -> dict[str, int]:
    """The aggregations whose whole table some sink writes, or a view of it -> that sink's number."""
    found: dict[str, int] = {}
    for i, sink in enumerate(spec.sinks):
        of_view = sink is not None and sink.mode == "update" and getattr(known.get(sink.from_), "shape", "") == "view"
        if sink is not None and (sink.mode == "complete" or of_view):
            for name in _below(sink.from_, steps):
                if isinstance(steps.get(name), Aggregation):
                    found.setdefault(name, i)
    return found


def _below(name: str, steps: Steps) -> Iterator[str]:
    yield name
    step = steps.get(name)
    if step is not None and not isinstance(step, FinalRows):
        for read in step.inputs:
            yield from _below(read, steps)


def _marks(name: str, steps: Steps, delays: Mapping[str, str]) -> Iterator[str]:
    """The nearest sources and steps below with a watermark."""
    if name in delays:
        yield name
    elif name in steps:
        for read in steps[name].inputs:
            yield from _marks(read, steps, delays)


def _read(name: str, known: Mapping[str, Known], steps: Steps) -> str:
    """What a step reads by name; its own parts (WITH, subqueries) are not shown but what they read."""
    found: list[str] = []

    def add(of: str) -> None:
        for read in steps[of].inputs:
            if "." in read and read in steps:
                add(read)
            elif read not in found:
                found.append(read)

    add(name)
    static = [read for read in found if read in known and known[read].shape == "static"]
    first = [read for read in found if read not in static]
    beside = f" with {', '.join(static)}" if first and static else ""
    return ", ".join(first or static or ["constants"]) + beside


def _kept_windows(spec: Any, known: Mapping[str, Known], steps: Steps) -> Iterator[PlanProblem]:
    for name, i in _complete(spec, known, steps).items():
        step = steps[name]
        if isinstance(step, Aggregation) and step.event_window is not None and step.event_window.ends:
            shown = name if "." not in name else name.partition(".")[0]
            yield PlanProblem(
                f"spec.sinks[{i}].mode",
                f"{shown} keeps all its windows for good, as this sink writes the whole table: here late rows are "
                "counted and not dropped, and no window leaves the state",
                "For final windows take append, for those that changed update.",
            )


def _reserved(spec: Any, reserved: set[str]) -> Iterator[PlanProblem]:
    """Declared columns whose names are reserved words, and that no step writes in quotes."""
    texts = "\n".join(step.sql for step in spec.pipeline if step is not None)
    if not texts:
        return
    for field, items in (("sources", spec.sources), ("tables", spec.tables)):
        for i, item in enumerate(items):
            for column in (item.schema_ or {}) if item is not None else {}:
                if column.lower() in reserved and f'"{column.lower()}"' not in texts.lower():
                    yield PlanProblem(
                        f"spec.{field}[{i}].schema.{column}",
                        f"{column} is a reserved word of SQL",
                        f'In a step write the column in double quotes: "{column}".',
                    )


def _either(modes: list[str]) -> str:
    return " or ".join([", ".join(modes[:-1]), modes[-1]] if len(modes) > 1 else modes)


def _span(millis: int) -> str:
    return format_duration(timedelta(milliseconds=millis))
