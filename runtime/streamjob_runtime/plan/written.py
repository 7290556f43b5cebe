"""Which values a sink cannot write as what they are."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from streamjob_runtime.plan.model import Column
from streamjob_runtime.plan.problems import PlanProblem

_AS_TEXT = "Cast it: CAST({0} AS VARCHAR)."
# On the way out of DuckDB these lose what they are: the offset of a time, the form of the digits.
_NOWHERE = {
    "BIT": _AS_TEXT,
    "BIGNUM": _AS_TEXT,
    "TIME WITH TIME ZONE": "Cast it: CAST({0} AS VARCHAR), or CAST({0} AS TIME) for the time without its offset.",
}
_NO_INTERVAL = {"INTERVAL": "Cast it, CAST({0} AS VARCHAR), or take its seconds: epoch({0})."}
_NO_UNION = {"UNION": _AS_TEXT}
_NO_NANOSECONDS = {"TIME_NS": "Cast it: CAST({0} AS VARCHAR), or CAST({0} AS TIME) for whole microseconds."}
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")  # names of fields, values of an ENUM


def unwritable_column(path: str, relation: str, columns: Sequence[Column], sink: Any) -> PlanProblem | None:
    """What is wrong with the first column whose type, or a type inside it, the sink cannot write."""
    for column in _written(columns, sink):
        plain = _QUOTED.sub("''", column.type)
        for kind, remedy in _refused(sink).items():
            if re.search(rf"\b{kind}(?=[\[\],()]|$)", plain):
                message = (
                    f"{relation} has the column {column.name} of type {column.type}, which {_what(sink)} cannot hold"
                )
                return PlanProblem(f"{path}.from", message, remedy.format(column.name))
    return None


def _written(columns: Sequence[Column], sink: Any) -> Iterator[Column]:
    if sink.kind != "kafka" or not sink.kafka.value:
        return iter(columns)
    names = {name.lower() for name in (*sink.kafka.value, *(sink.kafka.key or ()))}
    return (c for c in columns if c.name.lower() in names)


def _refused(sink: Any) -> dict[str, str]:
    if sink.kind in ("console", "queue"):
        return {}
    refused = dict(_NOWHERE)
    if sink.kind != "postgres":
        refused |= _NO_INTERVAL
    if sink.format == "parquet":
        refused |= _NO_UNION
    if sink.format == "json":
        refused |= _NO_NANOSECONDS
    return refused


def _what(sink: Any) -> str:
    if sink.kind == "files":
        return f"{sink.format} files"
    return {"kafka": "Kafka messages", "postgres": "PostgreSQL", "delta": "Delta tables"}[sink.kind]
