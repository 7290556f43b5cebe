"""Which mode a relation can be written in."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from streamjob_api.systems.registry import SINKS
from streamjob_runtime.plan.model import Column, SinkPlan
from streamjob_runtime.plan.problems import PlanProblem
from streamjob_runtime.plan.scope import Known
from streamjob_runtime.plan.written import as_text, columns_in, unwritable_column, wide_integers


def plan_sink(path: str, known: Known, columns: Sequence[Column], sink: Any) -> SinkPlan | PlanProblem:
    """What the sink is given, or why its mode does not fit its relation."""
    refused = _refused(known, sink.mode, sink.kind)
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
    return SinkPlan(
        known.name, sink.mode, _operators(known, sink.mode), as_text(columns, sink), wide_integers(columns, sink)
    )


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


def _refused(known: Known, mode: str, kind: str) -> tuple[str, str] | None:
    if known.shape == "stream":
        if mode == "complete":
            return "it is a stream, which never ends", "Use append, or group the rows first."
        return None
    if mode == "complete":
        return None
    if known.shape == "static":
        return "it follows from static tables only", "Use complete."
    if known.shape == "view":
        if mode == "append" and known.windowed is not None:
            return None
        if mode == "append" and known.across:
            return known.across, "Or use complete."
        return (
            "it is a view of a table as a whole (ORDER BY, LIMIT, OVER, a join or an aggregate of tables)",
            "Use complete.",
        )
    if mode == "append" and not known.final:
        return (
            "its groups change with every batch and never become final",
            "Use update or complete, or group by tumble() or hop() over a column with a watermark"
            + (f", and not by {known.no_window}." if known.no_window else "."),
        )
    if mode == "update" and known.no_update:
        return known.no_update, "Use append, which writes each session once, when it is over; or complete."
    if mode == "update" and kind and SINKS[kind].by_key and known.changes.leave:
        return (
            f"{known.changes.leave}, and its row would stay in {SINKS[kind].by_key} for ever",
            "Use complete; or show the condition as a column, and filter by it where the rows are read.",
        )
    return None
