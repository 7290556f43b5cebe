"""Which values a sink cannot write as what they are.

Rows go to sinks by Arrow. What is not in these lists is refused, so that a type that a later DuckDB brings is looked at
before it is written.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic.alias_generators import to_snake

from streamjob_api.systems.registry import SINKS
from streamjob_runtime.plan.kinds import NESTED, NUMBERS, Kind, first_of, kind_of
from streamjob_runtime.plan.model import Column
from streamjob_runtime.plan.problems import PlanProblem

_AS_TEXT = "Cast it: CAST({0} AS VARCHAR)."
_REMEDIES = {
    "TIME WITH TIME ZONE": "Cast it: CAST({0} AS VARCHAR), or CAST({0} AS TIME) for the time without its offset.",
    "INTERVAL": "Cast it, CAST({0} AS VARCHAR), or take its seconds: epoch({0}).",
    "TIME_NS": "Cast it: CAST({0} AS VARCHAR), or CAST({0} AS TIME) for whole microseconds.",
    "TIMESTAMP_NS": "Cast it: CAST({0} AS VARCHAR), or CAST({0} AS TIMESTAMP) for whole microseconds.",
    "TIMESTAMPTZ_NS": "Cast it: CAST({0} AS VARCHAR), or CAST({0} AS TIMESTAMPTZ) for whole microseconds.",
    "UHUGEINT": "Cast it: CAST({0} AS VARCHAR), or CAST({0} AS DECIMAL(38, 0)) where no number has more digits.",
    "MAP": "There a map's keys are texts: take its entries, map_entries({0}), or cast it, CAST({0} AS VARCHAR).",
}
_NANOSECONDS = {"TIMESTAMP_NS", "TIMESTAMPTZ_NS"}
# With their form and every value in all formats.
_PLAIN = {
    *("NULL", "BOOLEAN", "VARCHAR", "JSON", "UUID", "ENUM", "BLOB", *(NUMBERS - {"UHUGEINT", "BIGNUM"})),
    *("DATE", "TIME", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP WITH TIME ZONE", *_NANOSECONDS),
    *(NESTED - {"UNION"}),
}
_FORMATS = {
    "json": _PLAIN | {"UNION"},
    "csv": _PLAIN | {"UNION", "TIME_NS"},
    "parquet": _PLAIN | {"TIME_NS"},
    "avro": _PLAIN | {"TIME_NS"},
    "text": _PLAIN,
    "raw": _PLAIN,
}
# Shown and handed over by Arrow they would be other values; a text is what they are.
_TEXT_FOR_PEOPLE = frozenset({"BIT", "BIGNUM", "UHUGEINT", "TIME WITH TIME ZONE", "GEOMETRY"})


def unwritable_column(path: str, relation: str, columns: Sequence[Column], sink: Any) -> PlanProblem | None:
    """What is wrong with the first column whose type, or a type inside it, the sink cannot write."""
    if SINKS[sink.kind].in_process:
        return None
    for column in _written(columns, sink):
        kind = _unwritable(kind_of(column.type), sink)
        if kind is not None:
            message = f"{relation} has the column {column.name} of type {column.type}, which {_what(sink)} cannot hold"
            return PlanProblem(f"{path}.from", message, _REMEDIES.get(kind, _AS_TEXT).format(column.name))
    return None


def as_text(columns: Sequence[Column], sink: Any) -> tuple[str, ...]:
    """The columns that the sink is given as text, since Arrow has no such values."""
    of = SINKS[sink.kind]
    if not of.in_process:
        return ()
    kinds = _TEXT_FOR_PEOPLE | of.less_types
    return tuple(c.name for c in columns if first_of(c.type, kinds))


def wide_integers(columns: Sequence[Column], sink: Any) -> tuple[str, ...]:
    """The columns with a HUGEINT in them, where the sink has only decimals of 38 digits for it."""
    if SINKS[sink.kind].in_process:
        return ()
    return tuple(c.name for c in _written(columns, sink) if first_of(c.type, frozenset({"HUGEINT"})))


def _written(columns: Sequence[Column], sink: Any) -> Iterator[Column]:
    of = SINKS[sink.kind]
    if not of.chosen_by or not columns_in(sink, of.chosen_by):
        return iter(columns)
    names = {name.lower() for field in of.columns for name in columns_in(sink, field)}
    return (c for c in columns if c.name.lower() in names)


def columns_in(sink: Any, field: str) -> tuple[str, ...]:
    """The columns that a field of the sink's kind names."""
    return tuple(getattr(sink.config, to_snake(field)) or ())


def _unwritable(kind: Kind, sink: Any) -> str | None:
    """The name of the kind, of this one and those within it, that is the first one that cannot be written."""
    of = SINKS[sink.kind]
    allowed = (_FORMATS.get(sink.format, _PLAIN) | of.more_types) - of.less_types
    found = next((k.name for k in kind.walk() if k.name not in allowed), None)
    if found is not None:
        return found
    if sink.format in ("json", "csv") or of.nested_is_json:
        return _not_in_json(kind, sink)
    return None


def _not_in_json(kind: Kind, sink: Any) -> str | None:
    """The same for what becomes JSON, which has lists and objects alone."""
    if sink.format == "json" or (kind.inner and not _is_list_of_plain(kind, sink)):
        for part in kind.walk():
            if part.name in ("TIME_NS", "INTERVAL"):
                return part.name
    if any(k.name == "MAP" and (k.inner[0].inner or k.inner[0].name == "BLOB") for k in kind.walk()):
        return "MAP"
    return None


def _is_list_of_plain(kind: Kind, sink: Any) -> bool:
    return SINKS[sink.kind].nested_is_json and kind.name in ("LIST", "ARRAY") and not kind.inner[0].inner


def _what(sink: Any) -> str:
    return SINKS[sink.kind].written.format(format=sink.format)
