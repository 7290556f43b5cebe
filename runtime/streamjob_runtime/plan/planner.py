"""From a manifest to a plan, or to everything that is wrong with it."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pyarrow as pa

from streamjob_api.bad_records import DEAD_LETTER_COLUMNS
from streamjob_api.words import numbered, suggest
from streamjob_runtime.plan.aggregation import has_aggregates
from streamjob_runtime.plan.both_modes import of_both_modes
from streamjob_runtime.plan.catalog import MAX_DEPTH, Catalog
from streamjob_runtime.plan.distinct_rows import plan_distinct_rows, without_distinct_rows
from streamjob_runtime.plan.final_rows import read_final
from streamjob_runtime.plan.functions import check_calls, expand_calls
from streamjob_runtime.plan.model import (
    MARK,
    Aggregation,
    Column,
    FinalRows,
    Plan,
    Projection,
    Relation,
    SinkPlan,
    SourcePlan,
    Step,
    StreamJoin,
)
from streamjob_runtime.plan.normalize import Flat, Target, flatten
from streamjob_runtime.plan.outline import outline, warnings
from streamjob_runtime.plan.problems import PlanError, PlanProblem, Refusal
from streamjob_runtime.plan.scope import Known
from streamjob_runtime.plan.sinks import plan_sink
from streamjob_runtime.plan.sources import (
    TIMES,
    columns_found,
    declared_columns,
    implied_columns,
    unread_dead_letters,
    watermark_problem,
)
from streamjob_runtime.plan.steps import Planned, inputs_of, plan_step
from streamjob_runtime.plan.stream_join import split_joins
from streamjob_runtime.plan.tops import asked_later, find_top, plan_top
from streamjob_runtime.plan.tree import Node, function_name, quoted, walk
from streamjob_runtime.plan.types import check_types

_FRAMES = 8 * MAX_DEPTH


def plan(spec: Any, table_schemas: Mapping[str, pa.Schema] | None = None) -> Plan:
    """The plan of a `StreamJobSpec`. Raises `PlanError` with every problem.

    `table_schemas`: the columns of the static tables whose manifest entry has no `schema`. Without it these are not
    known, and what reads them is not checked.
    """
    with _planner(spec, table_schemas) as planner:
        return planner.plan()


@dataclass(frozen=True, slots=True)
class Findings:
    """What is said of a manifest before it runs."""

    problems: list[PlanProblem]
    warnings: list[PlanProblem]
    outline: list[str]  # what each step becomes


def look_at(spec: Any, at_step: Callable[[int], None] = lambda _: None) -> Findings:
    """What is wrong with a job, or what its steps become. `at_step` is told each step's number before its turn."""
    with _planner(spec, None, (), True, at_step) as planner:
        return planner.findings()


def look_at_draft(draft: Any, at_step: Callable[[int], None] = lambda _: None) -> Findings:
    """The same of a manifest that has other mistakes. `draft`: a `Draft` of the resource's package.

    What reads something that is broken itself is not blamed for it.
    """
    with _planner(draft, None, draft.broken, draft.complete, at_step) as planner:
        return planner.findings()


@contextmanager
def _planner(*given: Any) -> Iterator["_Planner"]:
    """A planner, with room on the stack for the deepest syntax tree that it takes."""
    planner, before = _Planner(*given), sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _FRAMES))
    try:
        yield planner
    finally:
        sys.setrecursionlimit(before)
        planner.catalog.close()


class _Planner:
    def __init__(
        self,
        spec: Any,
        table_schemas: Mapping[str, pa.Schema] | None,
        broken: Iterable[str] = (),
        complete: bool = True,
        at_step: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.catalog = Catalog()
        self._spec = spec
        self._table_schemas = table_schemas
        self._problems: list[PlanProblem] = []
        self._known: dict[str, Known] = {}
        self._relations: dict[str, Relation] = {}
        self._broken = set(broken)  # names in lower case whose mistake is said already
        self._complete = complete  # whether every relation's name is known
        self._at_step = at_step
        self._sources: list[SourcePlan] = []
        self._steps: dict[str, Step] = {}

    def plan(self) -> Plan:
        """See the module's `plan`."""
        for i, source in _there(self._spec.sources):
            self._source(f"spec.sources[{i}]", source)
        tables = [self._table(f"spec.tables[{i}]", t) for i, t in _there(self._spec.tables)]
        for i, step in _there(self._spec.pipeline):
            self._at_step(i)
            self._pipeline_step(i, step)
            if step.watermark is not None and isinstance(found := self._steps.get(step.name), Projection | Aggregation):
                marked = self._mark(f"spec.pipeline[{i}]", step, "Cast it in the step")
                if isinstance(found, Projection):
                    self._steps[step.name] = replace(found, watermark_column=marked)
        names = numbered("" if sink is None else f"{sink.from_}.{sink.kind}" for sink in self._spec.sinks)
        sinks = [s for i, sink in _there(self._spec.sinks) for s in self._sink(f"spec.sinks[{i}]", sink, names[i])]
        steps = _needed(list(self._steps.values()), sinks)
        self._problems += of_both_modes(self._spec.sinks, self._steps)
        # In a draft a sink or a step may be missing that reads them.
        if not self._problems and not self._broken and None not in (*self._spec.sinks, *self._spec.pipeline):
            read = {s.relation for s in sinks}.union(*(step.inputs for step in steps))
            self._problems += unread_dead_letters(self._spec.sources, read)
        if self._problems:
            raise PlanError(self._problems)
        return Plan(
            relations=self._relations,
            sources=tuple(self._sources),
            tables=tuple(t for t in tables if t is not None),
            steps=tuple(steps),
            sinks=tuple(sinks),
        )

    def findings(self) -> Findings:
        """See `look_at`."""
        try:
            self.plan()
        except PlanError as error:
            return Findings(error.problems, [], [])
        noted = warnings(self._spec, self._known, self._steps, self.catalog.reserved)
        return Findings([], noted, outline(self._spec, self._known, self._steps))

    def _source(self, path: str, source: Any) -> None:
        columns = implied_columns(source)
        if columns is None:
            columns = self._declared(path, source.ordered_schema, source.format)
        if columns is not None:
            columns += tuple(Column(name, self.catalog.type_of(text)) for name, text in source.metadata.items())
        if columns is None:
            self._broken.add(source.name.lower())
            return
        self._add(Known(source.name, "stream", tuple(c.name for c in columns)), columns)
        planned = SourcePlan(source.name, source.format, columns, None, tuple(source.metadata))
        if source.watermark is not None:
            computed = self._computed(path, source)
            do = "Declare it" if source.watermark.expression is None else "Cast it in the expression"
            planned = replace(planned, computed=computed or "", watermark_column=self._mark(path, source, do))
        self._sources.append(planned)
        if source.dead_letters:
            letters = tuple(Column(name, self.catalog.type_of(text)) for name, text in DEAD_LETTER_COLUMNS.items())
            self._add(Known(source.dead_letters, "stream", tuple(c.name for c in letters)), letters)
            self._sources.append(SourcePlan(source.dead_letters, None, letters, None))

    def _computed(self, path: str, source: Any) -> str | None:
        """Add the event time that an expression gives to a source's columns; the SELECT that does."""
        text = source.watermark.expression
        if text is None:
            return None
        before = "SELECT *, (\n"
        sql = f"{before}{text}\n) AS {quoted(source.watermark.column)} FROM {quoted(source.name)}"
        try:
            step, known, columns = self._one(source.name, sql)
            if known.shape != "stream" or len(columns) != len(self._known[source.name].columns) + 1:
                raise Refusal("is not one value for each row", "Write an expression over the source's columns.")
        except Refusal as refusal:
            self._broken.add(source.name.lower())
            if refusal.message:
                place = f"{path}.watermark.expression"
                problem = _problem(place, f"The event time of {source.name}", sql, refusal)
                offset = problem.offset and max(0, problem.offset - len(before))
                line = problem.line and max(1, problem.line - 1)
                self._problems.append(replace(problem, sql=text, offset=offset, line=line))
            return None
        self._add(known, columns)
        return step.sql

    def _one(self, name: str, sql: str) -> tuple[Projection, Known, tuple[Column, ...]]:
        """The one projection that a SELECT over a source is."""
        flats = self._flatten(name, sql)
        if len(flats) != 1:
            raise Refusal("has a query in it", "Write an expression over the source's columns.")
        if has_aggregates(self.catalog, flats[0].node):
            raise Refusal("is an aggregate", "Write an expression over the source's columns.")
        if any(function_name(part) == "unnest" for part in walk(flats[0].node, into_subqueries=False)):
            raise Refusal("is not one value for each row", "Take the list apart in a step, and give it the watermark.")
        step, known, columns = plan_step(self.catalog, self._known, flats[0])
        assert isinstance(step, Projection)
        return step, known, columns

    def _mark(self, path: str, part: Any, do: str) -> str | None:
        """Note the column by which a source's or a step's rows have their event time; its name as it is declared."""
        known = self._known.get(part.name)
        if known is None or part.name.lower() in self._broken:
            return None
        column = next((c for c in self._relations[part.name].columns if _same(c.name, part.watermark.column)), None)
        problem = None
        if column is None:
            near = suggest(part.watermark.column, known.columns, "its columns are")
            remedy = f"{near[0].upper()}{near[1:]}{'' if near.endswith('?') else '.'}"
            problem = PlanProblem(f"{path}.watermark.column", f"There is no column {part.watermark.column}", remedy)
        elif known.shape != "stream":
            problem = PlanProblem(
                f"{path}.watermark",
                f"{part.name} is not a stream: a watermark is of new rows",
                "Put it on the step or the source that the groups are made of.",
            )
        elif self._follows_join(part.name):
            problem = PlanProblem(
                f"{path}.watermark",
                f"The rows of {part.name} have waited, for a match in a join of streams or until their window was "
                "final: their times do not say how far event time has come",
                "Put the watermark on the sources, or on the steps that are joined or grouped.",
            )
        elif column.type not in TIMES:
            problem = watermark_problem(path, column, do)
        if problem is not None:
            self._problems.append(problem)
            self._broken.add(part.name.lower())
            return None
        assert column is not None
        self._known[part.name] = replace(known, event_time=column.name)
        return column.name

    def _follows_join(self, name: str) -> bool:
        step = self._steps.get(name)
        return isinstance(step, StreamJoin | FinalRows) or (
            step is not None and any(map(self._follows_join, step.inputs))
        )

    def _table(self, path: str, table: Any) -> Relation | None:
        columns: tuple[Column, ...] | None
        if table.schema_ is None and table.name in (self._table_schemas or {}):
            found, problems = columns_found(self.catalog, path, (self._table_schemas or {})[table.name])
            self._problems += problems
            columns = None if problems else found
        elif table.schema_ is None and self._table_schemas is None:
            columns = None  # only its files can tell, and here nobody looks into them
        else:
            columns = self._declared(path, table.ordered_schema, table.format)
        if columns is None:
            self._broken.add(table.name.lower())
            return None
        self._add(Known(table.name, "static", tuple(c.name for c in columns)), columns)
        return self._relations[table.name]

    def _declared(self, path: str, schema: Mapping[str, str] | None, format_: str | None) -> tuple[Column, ...] | None:
        columns, problems = declared_columns(self.catalog, path, schema, format_)
        self._problems += problems
        return None if problems else columns

    def _add(self, known: Known, columns: tuple[Column, ...]) -> None:
        kind = "stream" if known.shape == "stream" else "table"
        self._known[known.name] = known
        self._relations[known.name] = Relation(known.name, kind, columns)  # type: ignore[arg-type]
        self.catalog.define(known.name, columns)

    def _pipeline_step(self, i: int, step: Any) -> None:
        name, sql = str(step.name), str(step.sql)
        ttl_ms = step.ttl // timedelta(milliseconds=1) if step.ttl else None
        # A step whose name is wrong is looked at under one that no other step can name.
        unseen = name.lower() in self._broken
        forgets = False
        try:
            flats = self._flatten(f"broken step.{i}" if unseen else name, sql)
            for at, written in enumerate(flats):
                node = read_final(written.node, self._known, self._relations, self._take)
                flat = split_joins(self.catalog, self._known, replace(written, node=node), self._take)
                for planned, known, columns in self._parts(flat, flats[at + 1 :], ttl_ms):
                    self._take(planned, known, columns)
                    forgets = forgets or (isinstance(planned, Aggregation) and planned.ttl_ms is not None)
            if ttl_ms is not None and not forgets:
                self._problems.append(_nothing_to_forget(f"spec.pipeline[{i}].ttl", name))
        except Refusal as refusal:
            self._broken.add(name.lower())
            if refusal.message:
                self._problems.append(
                    _problem(f"spec.pipeline[{i}].sql", f"The step {name or 'without a name'}", sql, refusal)
                )

    def _take(self, planned: Step, known: Known, columns: tuple[Column, ...]) -> None:
        self._steps[planned.name] = planned
        self._add(known, columns)

    def _parts(self, flat: Flat, later: Sequence[Flat], ttl_ms: int | None) -> Iterator[Planned]:
        """The steps that a flat query becomes; each must be known before the next is asked for."""
        if any(self._known[i].shape == "stream" for i in inputs_of(flat.node, self._known)):
            asked = asked_later(flat, later)
            top = find_top(asked.node)
            if top is not None and not has_aggregates(self.catalog, asked.node):
                yield from (part for _, part in plan_top(self.catalog, self._known, asked, top, ttl_ms))
                return
        rows = without_distinct_rows(self.catalog, flat, self._known, inputs_of(flat.node, self._known))
        if rows is not None:
            _, known, columns = planned = plan_step(self.catalog, self._known, rows)
            yield planned
            yield plan_distinct_rows(self.catalog, flat.name, known, columns, flat.node)
            return
        yield plan_step(self.catalog, self._known, flat, ttl_ms)

    def _flatten(self, name: str, sql: str) -> list[Flat]:
        if MARK in sql:
            raise Refusal("contains the character U+E000", "Leave it out.")
        statements = self.catalog.parse(sql)
        if len(statements) != 1:
            raise Refusal(f"has {len(statements) or 'no'} statements", "A step is one SELECT; write a step for each.")
        visible = {n.lower(): Target(n) for n in self._relations if "." not in n}
        visible.update({n: Target("") for n in self._broken})
        check_calls(self.catalog, statements[0])
        check_types(statements[0])
        query = expand_calls(self.catalog, statements[0])
        check_calls(self.catalog, query)
        if not self._complete:
            visible = {**dict.fromkeys(_named(query), Target("")), **visible}
        flats = flatten(name, query, visible)
        if any(_reads_broken(flat.node) for flat in flats):
            raise Refusal("")  # what it reads is wrong itself, and that is said already
        return flats

    def _sink(self, path: str, sink: Any, name: str) -> Iterator[SinkPlan]:
        known = self._known.get(sink.from_)
        if known is None:
            return  # the manifest's own rules see to it that there is one, so its mistake is said already
        planned = plan_sink(path, known, self._relations[known.name].columns, sink, name)
        if isinstance(planned, PlanProblem):
            self._problems.append(planned)
        else:
            yield planned


def _there(parts: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    return ((i, part) for i, part in enumerate(parts) if part is not None)


def _named(query: Node) -> Iterator[str]:
    """The names in lower case of all that a query reads."""
    for node in walk(query):
        if node["type"] == "BASE_TABLE":
            yield str(node["qualified_name"]["path"][-1]).lower()


def _reads_broken(tree: object) -> bool:
    if isinstance(tree, dict):
        return tree.get("table_name") == "" or any(_reads_broken(v) for v in tree.values())
    return isinstance(tree, list) and any(_reads_broken(v) for v in tree)


def _needed(steps: list[Step], sinks: list[SinkPlan]) -> list[Step]:
    """The steps that some sink's rows follow from, in order."""
    wanted = {s.relation for s in sinks}
    # A watermark of a step counts whoever reads the step, as one of a source does.
    wanted |= {s.name for s in steps if isinstance(s, Projection) and s.watermark_column}
    for step in reversed(steps):
        if step.name in wanted:
            wanted.update(step.inputs)
    return [s for s in steps if s.name in wanted]


def _problem(path: str, of: str, sql: str, refusal: Refusal) -> PlanProblem:
    at = refusal.at if isinstance(refusal.at, dict) else {}
    start = at.get("query_location")
    clause, line, offset = "", None, None
    if isinstance(start, int):
        text = sql.encode()
        line = text[:start].count(b"\n") + 1
        offset = len(text[:start].decode(errors="replace"))
        length = int(at.get("query_location_length", 0))
        clause = " ".join(text[start : start + length].decode(errors="replace").split())
    remedy = refusal.remedy
    if clause.startswith('"') and clause.endswith('"') and "which is not there" in refusal.message:
        remedy = f"{remedy} A text stands in single quotes: '{clause[1:-1]}'.".strip()
    return PlanProblem(path, f"{of} {refusal.message}", remedy, _short(clause), line, sql, offset)


def _nothing_to_forget(path: str, name: str) -> PlanProblem:
    return PlanProblem(
        path,
        f"The step {name} has no groups that a ttl could end",
        "It is for GROUP BY over a stream without a window: windows leave by the watermark or by their own length.",
    )


def _same(one: str, other: str) -> bool:
    return one.lower() == other.lower()


def _short(clause: str) -> str:
    return clause if len(clause) <= 80 else clause[:79] + "…"
