"""Columns to records in Avro's binary form, and the schema that says how they were written.

| column | Avro |
| --- | --- |
| BOOLEAN, REAL, DOUBLE, VARCHAR, BLOB | boolean, float, double, string, bytes |
| integers of up to 32 bits, other integers | int, long; UBIGINT: decimal(20,0) |
| DECIMAL, HUGEINT | bytes, decimal |
| DATE, TIME | date, time-micros |
| TIMESTAMP, TIMESTAMP WITH TIME ZONE | timestamp-micros |
| lists, STRUCT, MAP with keys of text | array, record, map |

Each of these is a union with null.
"""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from streamjob_runtime.errors import JobError
from streamjob_runtime.formats import times
from streamjob_runtime.formats.avro.arrays import Array, binary, joined
from streamjob_runtime.formats.avro.schema import NAME

_UNSIGNED_64 = pa.decimal128(20, 0)


class NoAvro(ValueError):
    """A column that cannot be written; says which, and what to do."""


def schema_of(columns: pa.Schema, name: str, namespace: str = "") -> str:
    """The schema of records of these columns, as JSON. Raises `NoAvro`."""
    whole = {"type": "record", "name": name, "fields": _fields(list(columns), name, "")}
    return json.dumps({**whole, "namespace": namespace} if namespace else whole)


def encode_rows(rows: pa.Table, head: bytes) -> list[bytes]:
    """A record a row, by the schema of the rows' columns, each with `head` before it.

    Raises `JobError` for a time that Avro has no number for.
    """
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        if what := times.no_number(column) or times.too_far(column):
            raise JobError(times.refusal(name, what, "Avro"))
    found: list[bytes] = []
    for batch in rows.to_batches(max_chunksize=1 << 16):
        parts = [_optional(column) for column in batch.columns]
        found += joined([_constant(head, batch.num_rows), *parts]).to_pylist()
    return found


# --- the schema


def _fields(columns: list[Any], path: str, column: str) -> list[dict[str, Any]]:
    fields: list[dict[str, Any]] = []
    for field in columns:
        place = f"{column}.{field.name}" if column else field.name
        if not NAME.fullmatch(field.name):
            raise NoAvro(
                f'column "{place}" has a name that Avro does not take: letters, digits and _, not beginning with a '
                "digit. Give it one with AS"
            )
        if any(field.name == other["name"] for other in fields):
            raise NoAvro(f'two columns are named "{place}". Give each a name of its own with AS')
        kind = _type(field.type, f"{path}_{field.name}", place)
        fields.append({"name": field.name, "type": ["null", kind], "default": None})
    return fields


def _type(kind: Any, name: str, column: str) -> Any:
    if pt.is_dictionary(kind):
        return _type(kind.value_type, name, column)
    if _is_list(kind):
        return {"type": "array", "items": ["null", _type(kind.value_type, name, column)]}
    if pt.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        return {"type": "record", "name": name, "fields": _fields(fields, name, column)}
    if pt.is_map(kind):
        if not pt.is_string(kind.key_type):
            raise NoAvro(f'column "{column}" is a map whose keys are no texts. Cast it to MAP(VARCHAR, …)')
        return {"type": "map", "values": ["null", _type(kind.item_type, name, column)]}
    if pt.is_decimal(kind) or pt.is_uint64(kind):
        size = _UNSIGNED_64 if pt.is_uint64(kind) else kind
        return {"type": "bytes", "logicalType": "decimal", "precision": size.precision, "scale": size.scale}
    if pt.is_integer(kind):
        return "long" if kind.bit_width + pt.is_unsigned_integer(kind) > 32 else "int"
    if (pt.is_timestamp(kind) or pt.is_time(kind)) and kind.unit == "ns":
        raise NoAvro(f'column "{column}" has nanoseconds, and Avro microseconds. Cast it to TIMESTAMP, TIME or VARCHAR')
    found = next((avro for is_it, avro in _SIMPLE if is_it(kind)), None)
    if found is None:
        raise NoAvro(f'column "{column}" is of a type that Avro does not have ({kind}). Cast it to VARCHAR')
    return found


_SIMPLE: tuple[tuple[Any, Any], ...] = (
    (pt.is_boolean, "boolean"),
    (pt.is_float32, "float"),
    (pt.is_float64, "double"),
    (pt.is_string, "string"),
    (pt.is_large_string, "string"),
    (pt.is_null, "string"),
    (pt.is_binary, "bytes"),
    (pt.is_large_binary, "bytes"),
    (pt.is_date32, {"type": "int", "logicalType": "date"}),
    (pt.is_time, {"type": "long", "logicalType": "time-micros"}),
    (pt.is_timestamp, {"type": "long", "logicalType": "timestamp-micros"}),
)


# --- the bytes: each value's as an item of an array of bytes


def _optional(values: Array) -> Array:
    """The values with the number of their branch, of which null is the first."""
    if pt.is_dictionary(values.type):
        values = values.dictionary_decode()
    branch = pc.if_else(pc.is_valid(values), pa.scalar(b"\x02"), pa.scalar(b"\x00"))
    return joined([branch, *_parts(values)])


def _parts(values: Array) -> list[Array]:
    """The bytes of the values in parts, to be put together; of a null they count for nothing."""
    kind = values.type
    if _is_list(kind):
        return _items(values, values.cast(pa.list_(kind.value_type)).flatten(), _optional)
    if pt.is_map(kind):
        listed = values.cast(pa.list_(pa.struct([kind.key_field, kind.item_field])))
        return _items(listed, listed.flatten(), _entries)
    if pt.is_struct(kind):
        return [_void(joined([_optional(each) for each in values.flatten()]), values)]
    return [] if pt.is_null(kind) else _scalars(values)


def _entries(entries: Array) -> Array:
    return joined([*_parts(entries.field(0)), _optional(entries.field(1))])


def _scalars(values: Array) -> list[Array]:
    kind = values.type
    if pt.is_boolean(kind):
        return [pc.if_else(values, pa.scalar(b"\x01"), pa.scalar(b"\x00"))]
    if pt.is_decimal(kind) or pt.is_uint64(kind):
        return _decimals(values.cast(_UNSIGNED_64) if pt.is_uint64(kind) else values)
    if pt.is_floating(kind):
        return [_fixed(values)]
    if _is_bytes(kind):
        return [_void(_longs(pc.binary_length(values)), values), values.cast(pa.binary())]
    if pt.is_timestamp(kind):
        values = values.cast(pa.timestamp("us", kind.tz))
    elif pt.is_time(kind):
        values = values.cast(pa.time64("us"), safe=False)
    elif pt.is_date32(kind):
        values = values.cast(pa.int32())
    return [_void(_longs(values.cast(pa.int64())), values)]


def _items(values: Array, items: Array, encode: Any) -> list[Array]:
    """Lists: a block of the items, if there are any, and the end."""
    count = np.asarray(pc.list_value_length(values).fill_null(0)).astype(np.int64)
    encoded = encode(items)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(count)])
    # The items' bytes lie one behind the other: those of a list begin where its first item does.
    if len(encoded):
        bounds = np.frombuffer(encoded.buffers()[1], np.int32)[encoded.offset :][offsets]
        together = binary(bounds, encoded.buffers()[2], len(values))
    else:
        together = _constant(b"", len(values))
    head = pc.if_else(pa.array(count > 0), _longs(pa.array(count)), pa.scalar(b""))
    return [_void(joined([head, together, _constant(b"\x00", len(values))]), values)]


def _longs(values: Array) -> Array:
    """Numbers in zigzag, seven bits a byte, the lowest first."""
    number = np.asarray(values.cast(pa.int64()).fill_null(0))
    rest = ((number << 1) ^ (number >> 63)).view(np.uint64)
    size = np.ones(len(rest), np.int64)
    for bits in range(7, 64, 7):
        size += rest >= np.uint64(1 << bits)
    longest = int(size.max(initial=1))
    digits = np.empty((len(rest), longest), np.uint8)
    for i in range(longest):
        digits[:, i] = (rest & np.uint64(0x7F)).astype(np.uint8) | np.where(size > i + 1, 0x80, 0).astype(np.uint8)
        rest = rest >> np.uint64(7)
    return _binary(digits[np.arange(longest) < size[:, None]], size)


def _fixed(values: Array) -> Array:
    """Numbers as they lie in memory, the lowest byte first."""
    kind = "<f4" if pt.is_float32(values.type) else "<f8"
    number = np.ascontiguousarray(np.asarray(values.fill_null(0))).astype(kind)
    size = number.dtype.itemsize
    return _void(_binary(number.view(np.uint8), np.full(len(number), size)), values)


def _decimals(values: Array) -> list[Array]:
    """Two's complement with the highest byte first, and no byte more than it needs."""
    values = values.cast(pa.decimal128(values.type.precision, values.type.scale))
    raw = np.frombuffer(values.buffers()[1], np.uint8)[values.offset * 16 : (values.offset + len(values)) * 16]
    digits = raw.reshape(-1, 16)[:, ::-1]
    sign = np.where(digits[:, :1] >= 0x80, 0xFF, 0)
    # A byte may go if it and the highest bit of the next one say only the sign.
    spare = (digits[:, :-1] == sign) & ((digits[:, 1:] >= 0x80) == (sign == 0xFF))
    size = 16 - np.where(spare.all(axis=1), 15, np.argmin(spare, axis=1))
    numbers = _binary(np.ascontiguousarray(digits)[np.arange(16) >= 16 - size[:, None]], size)
    return [_void(_longs(pa.array(size)), values), _void(numbers, values)]


def _binary(data: Any, sizes: Any) -> Array:
    return binary(np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)]), data, len(sizes))


def _void(encoded: Array, values: Array) -> Array:
    """No bytes where the value is null."""
    return pc.if_else(pc.is_valid(values), encoded, pa.scalar(b"")) if values.null_count else encoded


def _constant(data: bytes, count: int) -> Array:
    return pa.repeat(pa.scalar(data, pa.binary()), count)


def _is_list(kind: pa.DataType) -> bool:
    return pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind)


def _is_bytes(kind: pa.DataType) -> bool:
    return pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_string(kind) or pt.is_large_string(kind)
