"""Which mode a relation can be written in."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from streamjob_api.systems.registry import SINKS
from streamjob_runtime.plan.kinds import KEPT, first_but
from streamjob_runtime.plan.model import Column, SinkPlan
from streamjob_runtime.plan.problems import PlanProblem
from streamjob_runtime.plan.scope import Known
from streamjob_runtime.plan.written import as_text, columns_in, unwritable_column, wide_integers

_KEYLESS = (
    "a row may leave it, and without a key nobody can be told",
    "Name the columns that tell rows apart, kafka.key, for a tombstone by it, or take kafka.envelope: true.",
)


def plan_sink(path: str, known: Known, columns: Sequence[Column], sink: Any, name: str) -> SinkPlan | PlanProblem:
    """What the sink is given, or why its mode does not fit its relation. `name`: the sink's own."""
    key = tuple(getattr(sink.config, "key", None) or ())
    refused = _refused(known, sink.mode, sink.kind, key, _by_envelope(sink))
    if refused is not None:
        message, remedy = refused
        return PlanProblem(f"{path}.mode", f"{known.name} cannot be written in {sink.mode} mode: {message}", remedy)
    for field, i, column in _named(sink):
        if column.lower() not in (c.lower() for c in known.columns):
            near = get_close_matches(column, known.columns, n=1)
            remedy = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known.columns)}."
            return PlanProblem(f"{path}.{field}[{i}]", f"{known.name} has no column {column}", remedy)
    if sink.kind == "kafka" and sink.format in ("text", "raw"):
        problem = _single_value(path, known, columns, sink)
        if problem is not None:
            return problem
    unwritable = unwritable_column(path, known.name, columns, sink)
    if unwritable is not None:
        return unwritable
    deleted_by = _deleted_by(known, sink, key) if sink.mode == "update" else None
    shown = name if sink.mode == "update" and known.shape == "view" else ""
    if shown and (problem := _unkept(path, known, columns, sink)) is not None:
        return problem
    return SinkPlan(
        known.name,
        sink.mode,
        _operators(known, sink.mode),
        as_text(columns, sink),
        wide_integers(columns, sink),
        deleted_by,
        sink.mode == "update" and known.changes.several,
        shown,
    )


def _unkept(path: str, known: Known, columns: Sequence[Column], sink: Any) -> PlanProblem | None:
    """What is wrong with the first column whose values no checkpoint holds: what was shown of a view is kept there."""
    for column in columns:
        found = None if column.name in as_text(columns, sink) else first_but(column.type, KEPT)
        if found is not None:
            message = f"{known.name} has the column {column.name} of type {column.type}, which no checkpoint can hold"
            remedy = "What update mode has shown of a view is kept. Cast it: CAST({0} AS VARCHAR), or use complete."
            return PlanProblem(f"{path}.from", message, remedy.format(column.name))
    return None


def _operators(known: Known, mode: str) -> tuple[str, ...]:
    if mode == "complete" or known.shape == "stream":
        return ()
    if mode == "append" and known.windowed is not None:
        return known.windowed.operators
    return (known.operator,) if known.operator is not None else ()


def _named(sink: Any) -> Iterator[tuple[str, int, str]]:
    """The columns that the sink's fields name: the field, the place in it, the column."""
    for field in SINKS[sink.kind].columns:
        for i, column in enumerate(columns_in(sink, field)):
            yield f"{sink.kind}.{field}", i, column


def _single_value(path: str, known: Known, columns: Sequence[Column], sink: Any) -> PlanProblem | None:
    """What is wrong with a value that is to be the text or the bytes of one column."""
    names = [name.lower() for name in sink.kafka.value] or [c.name.lower() for c in columns]
    if len(names) != 1:
        return PlanProblem(
            f"{path}.kafka.value",
            f"{sink.format} is the value of one column, and {known.name} has {', '.join(known.columns)}",
            "Name one, or take format json.",
        )
    column = next(c for c in columns if c.name.lower() == names[0])
    if sink.format == "raw" and column.type not in ("BLOB", "VARCHAR"):
        remedy = "Take format text or json, or cast it to BLOB."
        return PlanProblem(f"{path}.kafka.value", f"{column.name} is of type {column.type}, which are no bytes", remedy)
    return None


def modes_of(known: Known) -> list[str]:
    """The modes in which a relation can be written, into a sink that keeps every row it was given."""
    return [mode for mode in ("append", "update", "complete") if _refused(known, mode, "") is None]


def _deleted_by(known: Known, sink: Any, key: Sequence[str]) -> tuple[str, ...] | None:
    """The columns by which the sink is told of rows that are no longer in the result; None: it need not, or cannot."""
    changes = known.changes
    if known.shape == "view":
        return tuple(c for c in known.columns if c.lower() in {name.lower() for name in key})
    if known.shape != "table" or not SINKS[sink.kind].tells_deletions or changes.clock:
        return None
    if "key" in SINKS[sink.kind].columns and not key and not _by_envelope(sink):
        return None
    by = {name.lower() for name in key}
    if not key:
        by = {c.lower() for c in known.columns} if changes.identity is None else {*changes.fixed}
    elif changes.clocked & by:
        return None  # a row of each batch is what is meant
    leaves = bool(changes.leave) or bool(by - changes.fixed if key else ())
    return tuple(c for c in known.columns if c.lower() in by) if leaves else None


def _by_envelope(sink: Any) -> bool:
    """Whether each of its records says what became of the row, so that a deletion needs no key."""
    return bool(getattr(sink.config, "envelope", False))


def _refused(
    known: Known, mode: str, kind: str, key: Sequence[str] = (), envelope: bool = False
) -> tuple[str, str] | None:
    if known.shape == "stream":
        if mode == "complete":
            return "it is a stream, which never ends", "Use append, or group the rows first."
        return None
    if mode == "complete":
        return None
    if known.shape == "static":
        return "it follows from static tables only", "Use complete."
    if known.shape == "view":
        return _view_refused(known, mode, kind, bool(key) or envelope)
    if mode == "append" and not known.final:
        return (
            "its groups change with every batch and never become final",
            "Use update or complete, or group by tumble() or hop() over a column with a watermark"
            + (f", and not by {known.no_window}." if known.no_window else "."),
        )
    if mode == "update" and known.no_update:
        return known.no_update, "Use append, which writes each session once, when it is over; or complete."
    if mode == "update" and kind and known.changes.leave:
        return _update_refused(known, kind, key, bool(key) or envelope)
    return None


def _view_refused(known: Known, mode: str, kind: str, told: bool) -> tuple[str, str] | None:
    if mode == "append" and known.windowed is not None:
        return None
    if mode == "append" and known.across:
        return known.across, "Or use complete."
    if mode == "update" and (not kind or SINKS[kind].tells_deletions):
        return _KEYLESS if kind == "kafka" and not told else None
    return (
        "it is a view of a table as a whole (ORDER BY, LIMIT, OVER, a join or an aggregate of tables)",
        "Use update or complete." if mode == "append" else "Use complete, or a sink that takes deletions.",
    )


def _update_refused(known: Known, kind: str, key: Sequence[str], told: bool) -> tuple[str, str] | None:
    """Why rows that leave cannot be told of."""
    if kind == "kafka" and not known.changes.clock and not told:
        return f"{known.changes.leave}, and without a key nobody can be told", _KEYLESS[1]
    clocked = known.changes.clocked & {name.lower() for name in key}
    if not SINKS[kind].by_key or not (known.changes.clock or clocked):
        return None
    of = f", and its key has {', '.join(sorted(clocked))}" if clocked else ""
    return (
        f"{known.changes.leave}{of}, which the clock decides, and its row would stay in {SINKS[kind].by_key} for ever",
        "Use complete; or show the condition as a column, and filter by it where the rows are read.",
    )
