"""The declared columns of sources and tables."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import duckdb

from streamjob_runtime.query.catalog import Catalog
from streamjob_runtime.query.plan import Column
from streamjob_runtime.query.problems import PlanProblem, Refusal

_BY_FORMAT = {"text": (Column("value", "VARCHAR"),), "raw": (Column("value", "BLOB"),)}
TIMES = ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE")  # the types that event time may have
_RATE = (Column("value", "BIGINT"), Column("timestamp", "TIMESTAMP"))


def implied_columns(source: Any) -> tuple[Column, ...] | None:
    """The columns of a source that has always the same; None: they are declared."""
    return _RATE if source.kind == "rate" else _BY_FORMAT.get(source.format or "")


def declared_columns(
    catalog: Catalog, path: str, schema: Mapping[str, str] | None
) -> tuple[tuple[Column, ...], list[PlanProblem]]:
    """The columns of a manifest's `schema`, with full type names, and what is wrong with it."""
    if not schema:
        return (), [PlanProblem(f"{path}.schema", "Its columns are not known", "Declare them: schema: {column: TYPE}.")]
    columns, problems = [], []
    for name, text in schema.items():
        place = f"{path}.schema.{name}"
        try:
            columns.append(Column(name, catalog.type_of(text)))
        except (duckdb.Error, Refusal):
            near = get_close_matches(text.upper(), catalog.type_names(), n=1)
            remedy = f"Did you mean {near[0]}?" if near else "Use a SQL type, such as VARCHAR, BIGINT or TIMESTAMP."
            problems.append(PlanProblem(place, f"{text} is not a SQL type", remedy))
    return tuple(columns), problems


def watermark_problem(path: str, column: Column) -> PlanProblem:
    """A watermark's column is of a type that is no time."""
    remedy = "Declare it as TIMESTAMP or TIMESTAMP WITH TIME ZONE."
    return PlanProblem(f"{path}.watermark.column", f"{column.name} is of type {column.type}", remedy)
