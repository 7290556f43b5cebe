"""The declared columns of sources and tables."""

import re
from collections.abc import Mapping, Sequence, Set
from difflib import get_close_matches
from typing import Any

import duckdb
import pyarrow as pa

from streamjob_api.systems.registry import SOURCES
from streamjob_runtime.plan.catalog import Catalog
from streamjob_runtime.plan.kinds import first_of
from streamjob_runtime.plan.model import Column
from streamjob_runtime.plan.problems import PlanProblem, Refusal

_BY_FORMAT = {"text": (Column("value", "VARCHAR"),), "raw": (Column("value", "BLOB"),)}
TIMES = ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE")  # the types that event time may have
# DuckDB would read their JSON text by the rules of a cast, which are others: {"a b":1} is no map, and "12" a number.
_NOT_FROM_JSON = re.compile(r"\b(MAP\(|JSON\b|UNION\()")
_NOT_IN_PARQUET = frozenset({"BIT", "BIGNUM", "UHUGEINT", "TIME WITH TIME ZONE", "INTERVAL", "UNION"})


def implied_columns(source: Any) -> tuple[Column, ...] | None:
    """The columns of a source that has always the same; None: they are declared."""
    own = tuple(Column(name, kind) for name, kind in SOURCES[source.kind].columns.items())
    return own or _BY_FORMAT.get(source.format or "")


def declared_columns(
    catalog: Catalog, path: str, schema: Mapping[str, str] | None, format_: str | None
) -> tuple[tuple[Column, ...], list[PlanProblem]]:
    """The columns of a manifest's `schema`, with full type names, and what is wrong with it for that format."""
    if not schema:
        return (), [PlanProblem(f"{path}.schema", "Its columns are not known", "Declare them: schema: {column: TYPE}.")]
    columns, problems = [], []
    for name, text in schema.items():
        place = f"{path}.schema.{name}"
        try:
            columns.append(Column(name, catalog.type_of(text)))
            if format_ == "parquet" and first_of(columns[-1].type, _NOT_IN_PARQUET):
                remedy = "Declare the type that the files have, and cast it in the pipeline."
                problems.append(PlanProblem(place, f"{text} is no type that Parquet has", remedy))
            if format_ == "json" and _NOT_FROM_JSON.search(columns[-1].type):
                problems.append(
                    PlanProblem(
                        place,
                        f"{text} is no type that a field of JSON is read in",
                        "Declare it VARCHAR, which takes any value as JSON text, and take it apart in the pipeline: "
                        f"{name}->>'key', or from_json({name}, …).",
                    )
                )
        except (duckdb.Error, Refusal) as error:
            if isinstance(error, Refusal) and error.remedy:
                problems.append(PlanProblem(place, f"{text} {error.message}", error.remedy))
                continue
            near = get_close_matches(text.upper(), catalog.type_names(), n=1)
            remedy = f"Did you mean {near[0]}?" if near else "Use a SQL type, such as VARCHAR, BIGINT or TIMESTAMP."
            problems.append(PlanProblem(place, f"{text} is not a SQL type", remedy))
    return tuple(columns), problems


def columns_found(catalog: Catalog, path: str, schema: pa.Schema) -> tuple[tuple[Column, ...], list[PlanProblem]]:
    """The columns that a static table's own files name, and those of them that SQL has no type for."""
    columns, problems = [], []
    for field in schema:
        try:
            (column,) = catalog.columns_of_arrow(pa.schema([field]))
            usable = catalog.type_of(column.type) == column.type and not first_of(column.type, _NOT_IN_PARQUET)
        except (duckdb.Error, Refusal):
            usable = False
        if usable:
            columns.append(column)
        else:
            message = f"Its column {field.name} is of type {field.type}, which is not read"
            remedy = "Declare the columns that are to be read: schema: {column: TYPE}."
            problems.append(PlanProblem(path, message, remedy))
    return tuple(columns), problems


def watermark_problem(path: str, column: Column, do: str) -> PlanProblem:
    """A watermark's column is of a type that is no time. `do`: how it becomes one, such as "Declare it"."""
    remedy = f"{do} as TIMESTAMP or TIMESTAMP WITH TIME ZONE."
    return PlanProblem(f"{path}.watermark.column", f"{column.name} is of type {column.type}", remedy)


def unread_dead_letters(sources: Sequence[Any], read: Set[str]) -> list[PlanProblem]:
    """Sources whose dead letters go nowhere. `read`: the names of all that a sink's rows follow from."""
    return [
        PlanProblem(
            f"spec.sources[{i}].onBadRecord",
            f"No sink gets any of {source.dead_letters}",
            f"Write it to one: {{from: {source.dead_letters}, files: {{path: …}}, format: json}}; or take drop.",
        )
        for i, source in enumerate(sources)
        if source is not None and source.dead_letters and source.dead_letters not in read
    ]
