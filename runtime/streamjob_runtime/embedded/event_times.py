# ruff: noqa: S608 - SQL is put together here from names that are quoted and texts that the planner rendered.
"""How far the event times of a batch's rows reach, of each source and step that has a watermark."""

from collections.abc import Mapping
from dataclasses import dataclass

from streamjob_runtime.embedded.compose import rows_table
from streamjob_runtime.embedded.database import Database
from streamjob_runtime.plan.model import Plan, Projection
from streamjob_runtime.plan.tree import quoted


@dataclass(frozen=True, slots=True)
class EventTimes:
    """Of a relation's rows in a batch, in microseconds since the epoch, UTC."""

    lowest: int | None  # None: a row is at minus infinity, or all are at infinity
    highest: int | None  # of those that are finite and not too far ahead; None: none is
    ahead: int  # rows that are


@dataclass(frozen=True, slots=True)
class EventTimeColumn:
    """Where a relation's event times are read: `sql` is a SELECT of them as `t`, of the type `type`."""

    sql: str
    type: str

    def look(self, db: Database, ahead_ms: int | None) -> EventTimes | None:
        """Those of the rows that are there now; None: no row has one. `ahead_ms`: see `BatchInput`."""
        bound = "'infinity'"
        if ahead_ms is not None:
            bound = f"{'make_timestamp' if self.type == 'TIMESTAMP' else 'make_timestamptz'}({ahead_ms * 1000})"
        # Infinite times have no microseconds, and one of them hides no other.
        counts = f"t <= {bound} AND isfinite(t)"
        low, high, ahead, early, there = db.numbers(
            "SELECT epoch_us(min(t) FILTER (isfinite(t))), "
            f"epoch_us(max(t) FILTER ({counts})), count(*) FILTER (t > {bound}), "
            f"count(*) FILTER (t = '-infinity'), count(t) FROM ({self.sql})"
        )
        return None if there == 0 else EventTimes(None if early else low, high, ahead or 0)


def computed_event_times(plan: Plan) -> Mapping[str, EventTimeColumn]:
    """Those that are first known in a step, or that a source's expression gives: read from the `rows_table`."""
    marked = {s.name: s.watermark_column for s in plan.sources if s.computed}
    marked |= {s.name: s.watermark_column for s in plan.steps if isinstance(s, Projection)}
    found = {}
    for name, column in marked.items():
        if column is not None:
            kind = next(c.type for c in plan.relations[name].columns if c.name == column)
            found[name] = EventTimeColumn(f"SELECT {quoted(column)} AS t FROM {quoted(rows_table(name))}", kind)
    return found
