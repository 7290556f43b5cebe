"""SELECT DISTINCT over a stream: a stream in which each row comes once, when it is there for the first time."""

from streamjob_runtime.plan.aggregation import has_aggregates
from streamjob_runtime.plan.catalog import Catalog
from streamjob_runtime.plan.fingerprint import fingerprint_of
from streamjob_runtime.plan.model import Column, DistinctRows
from streamjob_runtime.plan.normalize import Flat
from streamjob_runtime.plan.problems import Refusal
from streamjob_runtime.plan.scope import Known
from streamjob_runtime.plan.steps import Planned
from streamjob_runtime.plan.storable import stored_column
from streamjob_runtime.plan.tree import Node, base_table, column


def without_distinct_rows(
    catalog: Catalog, flat: Flat, known: dict[str, Known], inputs: tuple[str, ...]
) -> Flat | None:
    """The SELECT whose rows are to come once, under a name of its own; None: this is not asked for."""
    node = flat.node
    if node["type"] != "SELECT_NODE" or all(known[i].shape != "stream" for i in inputs):
        return None
    modifiers = node.get("modifiers", [])
    asked = [m for m in modifiers if m["type"] == "DISTINCT_MODIFIER" and not m.get("distinct_on_targets")]
    if not asked or len(modifiers) > 1 or "qualify" in node or has_aggregates(catalog, node):
        return None
    name = f"{flat.name}.rows"
    while name in known:
        name += "_"
    return Flat(name, {k: v for k, v in node.items() if k != "modifiers"})


def plan_distinct_rows(catalog: Catalog, name: str, rows: Known, columns: tuple[Column, ...], at: Node) -> Planned:
    """The step over the stream `rows`. Raises `Refusal`."""
    if rows.rolling is not None:
        raise Refusal(
            "has DISTINCT over rows that count for a while of batch time",
            "Group by the columns: a group without rows leaves.",
            at,
        )
    source = base_table(rows.name)
    stored = [stored_column(catalog, source, column(c.name), f"c{i}", "remembers") for i, c in enumerate(columns)]
    place = next((i for i, c in enumerate(columns) if c.name == rows.event_time), None)
    kinds = [f"{c.name} {c.type}" for c in columns]
    step = DistinctRows(
        name,
        rows.name,
        tuple(c.name for c in columns),
        tuple(there for there, _ in stored),
        tuple(back for _, back in stored),
        None if place is None else f"CAST(c{place} AS TIMESTAMP) + to_microseconds({rows.lag_us})",
        fingerprint_of(
            {"distinct": kinds, "by": rows.event_time},
            (*(("column", kind) for kind in kinds), *([("event time", rows.event_time)] if rows.event_time else [])),
        ),
    )
    return step, Known(name, "stream", rows.columns, event_time=rows.event_time, lag_us=rows.lag_us), columns
