"""Which of Delta's types holds which of the result's, without a silent change of any value.

Delta's types are written as Arrow's here: a table's `long` is `int64`, its `timestamp_ntz` a timestamp without a zone.
"""

from typing import Any

import pyarrow as pa
import pyarrow.types as pt

_MAX_PRECISION = 38
_DIGITS = {8: 3, 16: 5, 32: 10, 64: 19}
_NAMES = {
    pa.bool_(): "boolean",
    pa.int8(): "byte",
    pa.int16(): "short",
    pa.int32(): "integer",
    pa.int64(): "long",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.string(): "string",
    pa.binary(): "binary",
    pa.date32(): "date",
    pa.timestamp("us"): "timestamp_ntz",
    pa.timestamp("us", "UTC"): "timestamp",
}


def type_for(kind: Any) -> pa.DataType | None:
    """The type of a column that is made for such values; None: Delta has none."""
    if pt.is_dictionary(kind):
        return type_for(kind.value_type)
    if pt.is_nested(kind):
        return _nested(kind)
    if pt.is_decimal(kind):
        return (
            pa.decimal128(kind.precision, kind.scale) if kind.precision <= _MAX_PRECISION and kind.scale >= 0 else None
        )
    if pt.is_timestamp(kind):
        return None if kind.unit == "ns" else pa.timestamp("us", "UTC" if kind.tz else None)
    if pt.is_unsigned_integer(kind):
        return {8: pa.int16(), 16: pa.int32(), 32: pa.int64()}.get(kind.bit_width, pa.decimal128(20, 0))
    if pt.is_string(kind) or pt.is_large_string(kind) or pt.is_null(kind):
        return pa.string()
    if pt.is_binary(kind) or pt.is_large_binary(kind):
        return pa.binary()
    return kind if kind in _NAMES else None


def _nested(kind: Any) -> pa.DataType | None:
    if pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind):
        inner = type_for(kind.value_type)
        return pa.list_(pa.field("element", inner)) if inner else None
    if pt.is_map(kind):
        key, item = type_for(kind.key_type), type_for(kind.item_type)
        return pa.map_(key, item) if key and item else None
    if pt.is_struct(kind):
        kinds = [(f.name, type_for(f.type)) for f in kind]
        return pa.struct([(name, inner) for name, inner in kinds if inner]) if all(k for _, k in kinds) else None
    return None


def holds(column: Any, kind: Any) -> bool:
    """Whether each value of an Arrow type stays what it is in such a column of a table."""
    if pt.is_null(kind):
        return True
    wanted: Any = type_for(kind)
    if wanted is None:
        return False
    if pt.is_nested(wanted):
        return _holds_nested(column, wanted)
    if pt.is_signed_integer(wanted):
        if pt.is_signed_integer(column):
            return bool(column.bit_width >= wanted.bit_width)
        return bool(pt.is_decimal(column) and column.precision - column.scale >= _DIGITS[wanted.bit_width])
    if pt.is_decimal(wanted):
        return bool(
            pt.is_decimal(column)
            and column.scale >= wanted.scale
            and column.precision - column.scale >= wanted.precision - wanted.scale
        )
    return bool(column == wanted or (pt.is_float32(wanted) and pt.is_float64(column)))


def _holds_nested(column: Any, wanted: Any) -> bool:
    if pt.is_list(wanted):
        return bool(pt.is_list(column) and holds(column.value_type, wanted.value_type))
    if pt.is_map(wanted):
        fits = pt.is_map(column) and holds(column.key_type, wanted.key_type)
        return bool(fits and holds(column.item_type, wanted.item_type))
    if not pt.is_struct(column) or [f.name for f in column] != [f.name for f in wanted]:
        return False
    return all(holds(there.type, given.type) for there, given in zip(column, wanted, strict=True))


def name_of(kind: Any) -> str:
    """What Delta calls a type, such as `decimal(10,2)` or `array<long>`; Arrow's word where Delta has none."""
    if pt.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pt.is_list(kind):
        return f"array<{name_of(kind.value_type)}>"
    if pt.is_map(kind):
        return f"map<{name_of(kind.key_type)},{name_of(kind.item_type)}>"
    if pt.is_struct(kind):
        return f"struct<{','.join(f'{f.name}:{name_of(f.type)}' for f in kind)}>"
    return _NAMES.get(kind, str(kind))
