"""Columns of one Arrow type in another, to the last digit; what is nested goes along name by name."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from streamjob_runtime.formats import names
from streamjob_runtime.formats.decimals import to_decimal
from streamjob_runtime.formats.structs import fields_of


def cast(values: Any, kind: Any) -> Any:
    """The values in that type. Raises `pa.ArrowInvalid` or `pa.ArrowNotImplementedError` for what it does not hold.

    Times are cut to the type's unit, towards the past. A field of a struct is found by its name, whatever its case, and
    is NULL where there is none.
    """
    if isinstance(values, pa.ChunkedArray):
        return pa.chunked_array([cast(chunk, kind) for chunk in values.chunks], kind)
    if values.type == kind:
        return values
    if pt.is_dictionary(values.type):
        return cast(values.dictionary_decode(), kind)
    if pt.is_struct(kind) and pt.is_struct(values.type):
        return _struct(values, kind)
    if _is_list(kind) and _is_list(values.type):
        return _list(values, kind)
    if pt.is_map(kind) and pt.is_map(values.type):
        return _map(values, kind)
    if pt.is_decimal(kind):
        return to_decimal(values, kind)
    if pt.is_time(kind) and (pt.is_string(values.type) or pt.is_large_string(values.type)):
        return _times_of_day(values, kind)
    if pt.is_timestamp(values.type) and pt.is_timestamp(kind):
        return _timestamps(values, kind)
    return _plain(values, kind)


def _plain(values: Any, kind: Any) -> Any:
    if _is_number(values.type) and pt.is_temporal(kind):
        raise pa.ArrowInvalid("a number is no time; declare BIGINT and use epoch_ms(…)")
    if pt.is_temporal(values.type) and _is_number(kind):
        raise pa.ArrowInvalid("a time is no number; declare TIMESTAMP, DATE or TIME and use epoch_ms(…)")
    loose = pt.is_timestamp(values.type) and pt.is_temporal(kind)  # its date, or its time of day
    found = values.cast(kind, safe=not loose)
    if pt.is_floating(kind) and not pt.is_integer(values.type):
        _check_finite(values, found)
    return found


def leaves(values: Any) -> list[Any]:
    """The arrays that hold the values: of what is nested those within it, in one order for one type."""
    if isinstance(values, pa.ChunkedArray):
        return [leaf for chunk in values.chunks for leaf in leaves(chunk)]
    if pt.is_dictionary(values.type) and pt.is_nested(values.type.value_type):
        return leaves(values.dictionary)
    if pt.is_map(values.type):
        return leaves(_entries(values))
    if pt.is_struct(values.type):
        return [leaf for child in fields_of(values) for leaf in leaves(child)]
    return leaves(values.flatten()) if _is_list(values.type) else [values]


def _is_number(kind: Any) -> bool:
    """Whether it is one to Arrow, to which the unit in which a file counts a time says what the number is."""
    return bool(pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind) or pt.is_boolean(kind))


def _check_finite(values: Any, found: Any) -> None:
    """Raise `pa.ArrowInvalid` if a number has become infinite, which a smaller type holds in its place."""
    compute: Any = pc
    infinite = compute.is_inf(found)
    if compute.any(infinite).as_py():
        before = values if pt.is_floating(values.type) else values.cast(pa.float64())
        if not compute.all(compute.is_inf(before.filter(infinite))).as_py():
            raise pa.ArrowInvalid("a number is too large for the type")


def _is_list(kind: Any) -> bool:
    return bool(pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind))


def _struct(values: Any, kind: Any) -> Any:
    children = dict(zip([field.name for field in values.type], values.flatten(), strict=True))
    if len(children) < values.type.num_fields:
        raise pa.ArrowInvalid("a struct has a field twice")
    fields = list(kind)
    found = []
    for field in fields:
        try:
            name = names.found(field.name, children)
        except names.Ambiguous as error:
            raise pa.ArrowInvalid(f"of the fields of a struct {error}") from None
        found.append(pa.nulls(len(values), field.type) if name is None else cast(children[name], field.type))
    if not fields:
        return values.cast(kind)
    return pa.StructArray.from_arrays(found, fields=fields, mask=values.is_null())


def _list(values: Any, kind: Any) -> Any:
    items = cast(values.flatten(), kind.value_type)
    listed = pa.ListArray.from_arrays(_offsets(values), items, mask=values.is_null())
    return listed if listed.type == kind else listed.cast(kind)


def _map(values: Any, kind: Any) -> Any:
    listed = _entries(values)
    entries = listed.flatten()
    keys, items = cast(entries.field(0), kind.key_type), cast(entries.field(1), kind.item_type)
    return pa.MapArray.from_arrays(_offsets(listed), keys, items, mask=values.is_null()).cast(kind)


def _entries(values: Any) -> Any:
    return values.cast(pa.list_(pa.struct([values.type.key_field, values.type.item_field])))


def _offsets(lists: Any) -> Any:
    counts = np.asarray(pc.list_value_length(lists).fill_null(0)).astype(np.int64)
    return pa.array(np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]), pa.int32())


def _times_of_day(texts: Any, kind: Any) -> Any:
    """Arrow reads none, but timestamps, whose offset it refuses."""
    join: Any = pc.binary_join_element_wise
    unit = pa.timestamp(kind.unit)
    is_end = pc.match_substring_regex(texts, r"\A24:00(:00(\.0+)?)?\z")
    times = join("1970-01-01 ", pc.if_else(is_end, "00:00:00", texts), "").cast(unit).cast(kind)
    if not pc.any(is_end).as_py():
        return times
    seconds = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[kind.unit]
    numbers = pa.int32() if pt.is_time32(kind) else pa.int64()
    return pc.if_else(is_end, pa.scalar(86_400 * seconds, numbers), times.cast(numbers)).cast(kind)


_FINER = ("s", "ms", "us", "ns")
_UNITS: dict[str, Any] = {"s": "second", "ms": "millisecond", "us": "microsecond"}


def _timestamps(values: Any, kind: Any) -> Any:
    plain = values.view(pa.timestamp(values.type.unit))  # without its zone, whose rules the cut would look up
    if _FINER.index(values.type.unit) > _FINER.index(kind.unit):
        plain = pc.floor_temporal(plain, unit=_UNITS[kind.unit])
    return plain.cast(pa.timestamp(kind.unit)).view(kind)
