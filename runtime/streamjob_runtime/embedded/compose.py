# ruff: noqa: S608 - SQL is put together here from names that are quoted and texts that the planner rendered.
"""SQL texts put together: a statement with the relations it reads in front of it, as WITH."""

from collections.abc import Mapping

from streamjob_runtime.plan.model import IN_TIME, MARK, NOW, Aggregation, DistinctRows, FinalRows, Plan, StreamJoin
from streamjob_runtime.plan.tree import quoted


def raw_table(source: str) -> str:
    """The name under which a source's rows of the batch are registered."""
    return f"raw:{source}"


def rows_table(relation: str) -> str:
    """The name under which rows that are computed already are registered."""
    return f"rows:{relation}"


class Composer:
    """Knows how each relation follows from others."""

    def __init__(self, plan: Plan, source_sql: Mapping[str, str]) -> None:
        self._sql: dict[str, str] = dict(source_sql)
        self._inputs: dict[str, tuple[str, ...]] = dict.fromkeys(source_sql, ())
        self._marked = {s.name for s in (*plan.sources, *plan.steps) if getattr(s, "watermark_column", None)}
        for step in plan.steps:
            if isinstance(step, Aggregation):
                # From its state; of what its rows came from, only tables can stand in its result (in subqueries).
                self._sql[step.name] = step.result
                self._inputs[step.name] = tuple(i for i in step.inputs if plan.relations[i].kind == "table")
            elif isinstance(step, StreamJoin | FinalRows | DistinctRows):
                self._sql[step.name] = f"SELECT * FROM {quoted(rows_table(step.name))}"
                self._inputs[step.name] = ()
                self._marked.add(step.name)
            else:
                self._sql[step.name] = step.sql
                self._inputs[step.name] = step.inputs

    def statement(self, sql: str, inputs: tuple[str, ...], ready: frozenset[str] = frozenset()) -> str:
        """The statement, able to stand alone. Relations in `ready` are read from their `rows_table`."""
        needed: dict[str, str] = {}
        for name in inputs:
            self._collect(name, ready, needed)
        if not needed:
            return sql
        return f"WITH {', '.join(f'{quoted(n)} AS ({text})' for n, text in needed.items())} {sql}"

    def relation(self, name: str, ready: frozenset[str] = frozenset()) -> str:
        """The statement that reads a whole relation."""
        return self.statement(f"SELECT * FROM {quoted(name)}", (name,), ready)

    def depends_on(self, name: str) -> set[str]:
        """Every relation that this one is read from, itself included; beyond a kept result nothing more."""
        found = {name}
        for below in self._inputs.get(name, ()):
            found |= self.depends_on(below)
        return found

    def marks(self, name: str) -> set[str]:
        """The sources and steps with a watermark, joins and final rows that a stream's event time comes from."""
        if name in self._marked:
            return {name}
        return set().union(*(self.marks(below) for below in self._inputs.get(name, ())))

    def _collect(self, name: str, ready: frozenset[str], needed: dict[str, str]) -> None:
        if name in needed or name not in self._sql:
            return  # a static table stands in the database under its own name
        if name in ready:
            needed[name] = f"SELECT * FROM {quoted(rows_table(name))}"
            return
        for below in self._inputs[name]:
            self._collect(below, ready, needed)
        needed[name] = self._sql[name]


def at_time(sql: str, batch_time_ms: int) -> str:
    """The statement with the batch's time in it; `IN_TIME`, where it is still there, says nothing."""
    if MARK not in sql:
        return sql
    return sql.replace(NOW, f"make_timestamptz({batch_time_ms * 1000})").replace(IN_TIME, "make_timestamptz(0)")
