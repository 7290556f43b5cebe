"""Which mode a relation can be written in."""

from difflib import get_close_matches
from typing import Any

from streamjob_runtime.query.plan import SinkPlan
from streamjob_runtime.query.problems import PlanProblem
from streamjob_runtime.query.scope import Known


def plan_sink(path: str, known: Known, sink: Any) -> SinkPlan | PlanProblem:
    """What the sink is given, or why its mode does not fit its relation."""
    refused = _refused(known, sink.mode)
    if refused is not None:
        message, remedy = refused
        return PlanProblem(f"{path}.mode", f"{known.name} cannot be written in {sink.mode} mode: {message}", remedy)
    partitions = getattr(sink.files, "partition_by", ()) if sink.kind == "files" else ()
    for i, column in enumerate(partitions):
        if column.lower() not in (c.lower() for c in known.columns):
            return _no_column(f"{path}.files.partitionBy[{i}]", known, column)
    for i, column in enumerate((sink.postgres.key or ()) if sink.kind == "postgres" else ()):
        if column.lower() not in (c.lower() for c in known.columns):
            return _no_column(f"{path}.postgres.key[{i}]", known, column)
    operator = known.operator if sink.mode != "complete" else None
    return SinkPlan(known.name, sink.mode, operator)


def _no_column(path: str, known: Known, column: str) -> PlanProblem:
    near = get_close_matches(column, known.columns, n=1)
    remedy = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known.columns)}."
    return PlanProblem(path, f"{known.name} has no column {column}", remedy)


def _refused(known: Known, mode: str) -> tuple[str, str] | None:
    if known.shape == "stream":
        if mode == "complete":
            return "it is a stream, which never ends", "Use append, or group the rows first."
        return None
    if mode == "complete":
        return None
    if known.shape == "static":
        return "it follows from static tables only", "Use complete."
    if known.shape == "view":
        return (
            "it is a view of a table as a whole (ORDER BY, LIMIT, OVER, a join or an aggregate of tables)",
            "Use complete.",
        )
    if mode == "append" and not known.final:
        return (
            "its groups change with every batch and never become final",
            "Use update or complete, or group by tumble() or hop() over a column with a watermark.",
        )
    return None
