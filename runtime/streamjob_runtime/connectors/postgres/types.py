"""Which of PostgreSQL's types holds which of the result's, without a silent change of any value."""

import re
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

_TEXT = frozenset({"text", "character varying", "citext", "json", "jsonb", "uuid", "inet", "enum"})
_JSON = frozenset({"jsonb", "json"})
_DIGITS = {8: 3, 16: 5, 32: 10, 64: 19}
_FRACTION = {"s": 0, "ms": 3, "us": 6}
_FORMAT = re.compile(r"(?P<head>[^(\[]+?) ?(?:\((?P<numbers>[0-9, -]+)\))?(?P<tail> [a-z ]+)?(?P<array>\[\])?")


@dataclass(frozen=True, slots=True)
class PgType:
    """A type as PostgreSQL's `format_type` writes it, taken apart."""

    name: str  # without its numbers: numeric, timestamp without time zone, enum
    numbers: tuple[int, ...] = ()  # numeric(10,2): (10, 2)
    array: bool = False


def parse_type(text: str, is_enum: bool = False) -> PgType:
    """The type that a text such as `timestamp(3) without time zone` or `numeric(10,2)[]` means."""
    found = _FORMAT.fullmatch(text)
    if found is None:
        return PgType(text)
    numbers = tuple(int(n) for n in (found["numbers"] or "").split(",") if n)
    name = "enum" if is_enum else found["head"] + (found["tail"] or "")
    return PgType(name, numbers, found["array"] is not None)


def type_for(kind: Any) -> str | None:
    """The type of a column that is made for such values; None: there is none."""
    if pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind):
        if _is_nested(kind.value_type):
            return "jsonb"  # PostgreSQL's arrays must be rectangular, and know no [[]]
        inner = type_for(kind.value_type)
        return f"{inner}[]" if inner else None
    if pt.is_dictionary(kind):
        return type_for(kind.value_type)
    if pt.is_decimal(kind):
        return f"numeric({kind.precision},{kind.scale})"
    if pt.is_timestamp(kind):
        return None if kind.unit == "ns" else "timestamptz" if kind.tz else "timestamp"
    if pt.is_integer(kind):
        return _integer(kind)
    return next((name for is_it, name in _SIMPLE if is_it(kind)), None)


_SIMPLE = (
    (pt.is_boolean, "boolean"),
    (pt.is_float32, "real"),
    (pt.is_float64, "double precision"),
    (pt.is_string, "text"),
    (pt.is_large_string, "text"),
    (pt.is_null, "text"),
    (pt.is_binary, "bytea"),
    (pt.is_large_binary, "bytea"),
    (pt.is_date, "date"),
    (lambda kind: pt.is_time(kind) and kind.unit != "ns", "time"),
    (lambda kind: pt.is_interval(kind), "interval"),
    (lambda kind: pt.is_struct(kind) or pt.is_map(kind), "jsonb"),
)


def holds(column: PgType, kind: Any) -> bool:
    """Whether each value of an Arrow type either stays what it is in such a column, or is refused aloud."""
    if pt.is_dictionary(kind):
        return holds(column, kind.value_type)
    if _is_nested(kind):
        if column.name in _JSON and not column.array:
            return True
        flat = not (pt.is_struct(kind) or pt.is_map(kind)) and not _is_nested(kind.value_type)
        return column.array and flat and holds(PgType(column.name, column.numbers), kind.value_type)
    if column.array:
        return False
    if pt.is_integer(kind) or pt.is_decimal(kind):
        return _holds_number(column, kind)
    if pt.is_timestamp(kind) or pt.is_time(kind):
        return kind.unit != "ns" and _holds_time(column, kind)
    if pt.is_interval(kind):
        return column.name == "interval" and _holds_fraction(column, "us")
    return column.name in next((names for is_it, names in _HELD if is_it(kind)), ())


_HELD = (
    (pt.is_boolean, {"boolean"}),
    (pt.is_float32, {"real", "double precision"}),
    (pt.is_float64, {"double precision"}),
    (pt.is_string, _TEXT),
    (pt.is_large_string, _TEXT),
    (pt.is_null, _TEXT),
    (pt.is_binary, {"bytea"}),
    (pt.is_large_binary, {"bytea"}),
    (pt.is_date, {"date"}),
)


def _holds_number(column: PgType, kind: Any) -> bool:
    if column.name != "numeric":
        least = _integer(kind) if pt.is_integer(kind) else None
        sizes = ("smallint", "integer", "bigint")
        return least in sizes and column.name in sizes[sizes.index(least) :]
    if not column.numbers:
        return True
    precision, scale = column.numbers if len(column.numbers) == 2 else (column.numbers[0], 0)
    if pt.is_decimal(kind):
        return bool(scale >= kind.scale and precision - scale >= kind.precision - kind.scale)
    return bool(scale >= 0 and precision - scale >= _DIGITS[kind.bit_width] + (kind == pa.uint64()))


def _holds_time(column: PgType, kind: Any) -> bool:
    zone = pt.is_timestamp(kind) and kind.tz is not None
    what = "timestamp" if pt.is_timestamp(kind) else "time"
    if column.name != f"{what} {'with' if zone else 'without'} time zone":
        return False
    return _holds_fraction(column, kind.unit)


def _holds_fraction(column: PgType, unit: str) -> bool:
    """Whether the column rounds no time of that unit."""
    return not column.numbers or column.numbers[0] >= _FRACTION[unit]


def _integer(kind: Any) -> str:
    """The smallest type that holds all such integers."""
    bits = kind.bit_width + pt.is_unsigned_integer(kind)
    return "smallint" if bits <= 16 else "integer" if bits <= 32 else "bigint" if bits <= 64 else "numeric(20,0)"


def _is_nested(kind: Any) -> bool:
    return bool(pt.is_nested(kind) and not pt.is_union(kind))
