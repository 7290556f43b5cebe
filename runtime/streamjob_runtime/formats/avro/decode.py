"""Records in Avro's binary form to columns, all records of a schema at once.

A value is read by its writer's type and given in the type that its column wants; what the columns do not want is passed
over. What fits where stands in `fit.py`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streamjob_runtime.formats import json_text, names
from streamjob_runtime.formats.avro import arrays
from streamjob_runtime.formats.avro.arrays import Array
from streamjob_runtime.formats.avro.cursor import Cursor, Misfit
from streamjob_runtime.formats.avro.fit import fitted, natural
from streamjob_runtime.formats.avro.schema import Node

_DAY_US = 86_400_000_000
_DECIMAL_BYTES = 16
_DECIMAL_DIGITS = 38


def decode_columns(node: Node, schema: pa.Schema, cursor: Cursor) -> list[Array]:
    """The columns of `schema`, by name; NULL where a record has no such field, or is itself null. Raises `Misfit`."""
    try:
        if node.kind not in ("record", "union"):
            raise cursor.misfit(0, f"its schema is {node.words} and no record, whose fields would be the columns")
        records = _values(node, pa.struct(list(schema)), cursor)
        cursor.refuse(cursor.at != cursor.end, "it has bytes behind its end; was it written with another schema?")
    except RecursionError:
        raise cursor.misfit(0, "its values are nested too deeply") from None
    return list(records.flatten())


def _fields(node: Node, wanted: Mapping[str, pa.DataType], cursor: Cursor) -> dict[str, Array]:
    """The fields that are wanted, whatever their case, by the names that are wanted."""
    found = {}
    try:
        ours = {names.found(name, node.fields): name for name in wanted}
    except names.Ambiguous as error:
        raise cursor.misfit(0, f"of its fields {error}") from None
    for name, inner in node.fields.items():
        try:
            if name in ours:
                found[ours[name]] = _values(inner, wanted[ours[name]], cursor)
            else:
                _pass_over(inner, cursor)
        except Misfit as misfit:
            misfit.path.insert(0, name)
            raise
    return found


def _values(node: Node, wanted: pa.DataType, cursor: Cursor) -> Array:
    cursor.look()
    if node.kind == "union":
        return _union(node, wanted, cursor)
    if node.kind not in ("record", "array", "map"):
        return fitted(_SCALARS[node.logical or node.kind](node, cursor), node, wanted, cursor)
    if pa.types.is_string(wanted):
        values = _values(node, natural(node, cursor), cursor)
        return json_text.or_null(values)
    if node.kind == "record" and pa.types.is_struct(wanted):
        return _struct(node, wanted, cursor)
    if node.kind == "array" and pa.types.is_list(wanted):
        assert node.items is not None
        items, offsets = _items(cursor, wanted.value_type, lambda part: _values(_item(node), wanted.value_type, part))
        return pa.ListArray.from_arrays(offsets, items, type=wanted)
    if node.kind == "map" and pa.types.is_map(wanted) and pa.types.is_string(wanted.key_type):
        return _map(node, wanted, cursor)
    return fitted(None, node, wanted, cursor)


def _item(node: Node) -> Node:
    assert node.items is not None
    return node.items


def _union(node: Node, wanted: pa.DataType, cursor: Cursor) -> Array:
    branch = _branch(node, cursor)
    place = np.zeros(len(cursor), np.int64)  # where the value of each record stands in the parts
    parts: list[Array] = []
    count = 0
    for which, inner in _branches(node, branch):
        if len(which) == len(cursor):
            return _values(inner, wanted, cursor)
        part = cursor.part(which)
        parts.append(_values(inner, wanted, part))
        cursor.at[which] = part.at
        place[which] = count + np.arange(len(which))
        count += len(which)
    return arrays.taken(pa.concat_arrays([pa.array([], wanted), *parts]), place)


def _branch(node: Node, cursor: Cursor) -> npt.NDArray[np.int64]:
    branch = cursor.longs()
    cursor.refuse((branch < 0) | (branch >= len(node.branches)), f"it is not {node.words}")
    return branch


def _branches(node: Node, branch: npt.NDArray[np.int64]) -> list[tuple[npt.NDArray[np.intp], Node]]:
    """The records of each type of the union that any has."""
    found = [(np.nonzero(branch == k)[0], inner) for k, inner in enumerate(node.branches)]
    return [(which, inner) for which, inner in found if which.size]


def _struct(node: Node, wanted: pa.StructType, cursor: Cursor) -> Array:
    fields = [wanted.field(i) for i in range(wanted.num_fields)]
    found = _fields(node, {field.name: field.type for field in fields}, cursor)
    if not fields:  # nothing else tells how many there are
        return pa.Array.from_buffers(wanted, len(cursor), [None], children=[])
    arrays = [found[f.name] if f.name in found else pa.nulls(len(cursor), f.type) for f in fields]
    return pa.StructArray.from_arrays(arrays, fields=fields)


def _map(node: Node, wanted: Any, cursor: Cursor) -> Array:
    entry = pa.struct([pa.field("key", pa.string()), pa.field("value", wanted.item_type)])

    def read(part: Cursor) -> Array:
        key = _texts(node, part)
        return pa.StructArray.from_arrays([key, _values(_item(node), wanted.item_type, part)], fields=list(entry))

    entries, offsets = _items(cursor, entry, read)
    _refuse_repeated(entries.field(0), np.diff(offsets), cursor)
    return pa.MapArray.from_arrays(offsets, entries.field(0), entries.field(1)).cast(wanted)


def _refuse_repeated(keys: Array, counts: npt.NDArray[np.int32], cursor: Cursor) -> None:
    """Avro allows a key twice in a map, neither SQL nor JSON does."""
    row = np.repeat(np.arange(len(counts)), counts)
    code = np.asarray(keys.dictionary_encode().indices).astype(np.int64)
    pair, times = np.unique(row * (len(keys) + 1) + code, return_counts=True)
    if (times > 1).any():
        raise cursor.misfit(pair[np.argmax(times > 1)] // (len(keys) + 1), "a map has a key twice")


def _items(cursor: Cursor, kind: pa.DataType, read: Callable[[Cursor], Array]) -> tuple[Array, Array]:
    """The items of a list in each record, and the offsets at which the lists begin."""
    parts: list[Array] = [pa.array([], kind)]
    rows = [np.zeros(0, np.int64)]
    for active in cursor.items():
        part = cursor.part(active)
        parts.append(read(part))
        cursor.at[active] = part.at
        rows.append(active)
    row = np.concatenate(rows)
    offsets = np.zeros(len(cursor) + 1, np.int32)
    np.cumsum(np.bincount(row, minlength=len(cursor)), out=offsets[1:])
    # All first items came first, then all second ones: a stable order by record brings each list together.
    return arrays.taken(pa.concat_arrays(parts), np.argsort(row, kind="stable")), pa.array(offsets)


# --- values that are not nested: as Arrow has them, before they are fitted to a column


def _nulls(node: Node, cursor: Cursor) -> Array:
    return pa.nulls(len(cursor))


def _booleans(node: Node, cursor: Cursor) -> Array:
    byte = cursor.matrix(1)[:, 0]
    cursor.refuse(byte > 1, "a boolean is neither 0 nor 1")
    return pa.array(byte.astype(np.bool_))


def _longs(node: Node, cursor: Cursor) -> Array:
    return pa.array(cursor.longs())


def _floats(node: Node, cursor: Cursor) -> Array:
    return pa.array(cursor.matrix(4).view("<f4")[:, 0])


def _doubles(node: Node, cursor: Cursor) -> Array:
    return pa.array(cursor.matrix(8).view("<f8")[:, 0])


def _bytes(node: Node, cursor: Cursor) -> Array:
    return cursor.slices(*cursor.take(node.size if node.kind == "fixed" else cursor.longs()))


def _texts(node: Node, cursor: Cursor) -> Array:
    values: Array = cursor.slices(*cursor.take(cursor.longs()))
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        for i, value in enumerate(values.to_pylist()):
            try:
                value.decode()
            except UnicodeDecodeError:
                raise cursor.misfit(i, "a string is not UTF-8") from None
        raise


def _enums(node: Node, cursor: Cursor) -> Array:
    symbol = cursor.longs()
    cursor.refuse((symbol < 0) | (symbol >= len(node.symbols)), f"it is no symbol of the enum {node.name}")
    return arrays.taken(pa.array(node.symbols, pa.string()), symbol)


def _dates(node: Node, cursor: Cursor) -> Array:
    days = cursor.longs()
    cursor.refuse(days.astype(np.int32) != days, "a date is too far away")
    return pa.array(days.astype(np.int32)).cast(pa.date32())


def _times(node: Node, cursor: Cursor) -> Array:
    time = cursor.longs()
    per_unit = 1000 if node.logical == "time-millis" else 1
    cursor.refuse((time < 0) | (time >= _DAY_US // per_unit), "a time is not within a day")
    return pa.array(time * per_unit).cast(pa.time64("us"))


def _timestamps(node: Node, cursor: Cursor) -> Array:
    time = cursor.longs()
    if node.logical.endswith("millis"):
        most = np.iinfo(np.int64).max // 1000
        cursor.refuse((time > most) | (time < -most), "a time is too far away")
        time = time * 1000
    elif node.logical.endswith("nanos"):
        time = time // 1000
    return pa.array(time).cast(pa.timestamp("us"))


def _decimals(node: Node, cursor: Cursor) -> Array:
    """Numbers in two's complement, the highest byte first, to Arrow's sixteen bytes, the lowest first."""
    if node.scale > _DECIMAL_DIGITS:
        raise cursor.misfit(0, f"{node.words} has more than {_DECIMAL_DIGITS} digits behind the point")
    start, end = cursor.take(node.size if node.kind == "fixed" else cursor.longs())
    cursor.refuse(end - start > _DECIMAL_BYTES, f"a decimal has more than {_DECIMAL_DIGITS} digits")
    negative = (end > start) & (cursor.data[start] >= 0x80)
    numbers = np.empty((len(cursor), _DECIMAL_BYTES), np.uint8)
    for i in range(_DECIMAL_BYTES):
        there = end - 1 - i >= start
        numbers[:, i] = np.where(there, cursor.data[np.where(there, end - 1 - i, 0)], np.where(negative, 0xFF, 0))
    kind = pa.decimal128(min(node.precision, _DECIMAL_DIGITS), node.scale)
    values = pa.Array.from_buffers(kind, len(cursor), [None, arrays.buffer(numbers)])
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        for i in range(len(cursor)):
            try:
                values.slice(i, 1).validate(full=True)
            except pa.ArrowInvalid:
                raise cursor.misfit(i, f"a number has more digits than {node.words}") from None
        raise
    return values


def _uuids(node: Node, cursor: Cursor) -> Array:
    if node.kind == "string":
        return _texts(node, cursor)
    parts = (raw.hex() for raw in _bytes(node, cursor).to_pylist())
    return pa.array([f"{t[:8]}-{t[8:12]}-{t[12:16]}-{t[16:20]}-{t[20:]}" for t in parts], pa.string())


_SCALARS: Mapping[str, Callable[[Node, Cursor], Array]] = {
    "null": _nulls,
    "boolean": _booleans,
    "int": _longs,
    "long": _longs,
    "float": _floats,
    "double": _doubles,
    "bytes": _bytes,
    "fixed": _bytes,
    "string": _texts,
    "enum": _enums,
    "date": _dates,
    "time-millis": _times,
    "time-micros": _times,
    "timestamp-millis": _timestamps,
    "timestamp-micros": _timestamps,
    "timestamp-nanos": _timestamps,
    "local-timestamp-millis": _timestamps,
    "local-timestamp-micros": _timestamps,
    "local-timestamp-nanos": _timestamps,
    "decimal": _decimals,
    "uuid": _uuids,
}


# --- values that no column wants


def _pass_over(node: Node, cursor: Cursor) -> None:
    cursor.look()
    match node.kind:
        case "null" | "boolean" | "float" | "double" | "fixed":
            cursor.take(_SIZES.get(node.kind, node.size))
        case "int" | "long" | "enum":
            cursor.longs()
        case "bytes" | "string":
            cursor.take(cursor.longs())
        case "record":
            _fields(node, {}, cursor)
        case "union":
            for which, inner in _branches(node, _branch(node, cursor)):
                _pass_over_some(inner, which, cursor)
        case _:
            for active in cursor.items():
                if node.kind == "map":
                    _pass_over_some(_KEY, active, cursor)
                _pass_over_some(_item(node), active, cursor)


def _pass_over_some(node: Node, which: npt.NDArray[np.intp], cursor: Cursor) -> None:
    part = cursor.part(which)
    _pass_over(node, part)
    cursor.at[which] = part.at


_KEY = Node("string")
_SIZES = {"null": 0, "boolean": 1, "float": 4, "double": 8}
