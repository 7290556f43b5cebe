"""A state's rows as Parquet holds them: it has no times of whole seconds, and far ones do not fit into milliseconds."""

from typing import Any, cast

import pyarrow as pa
import pyarrow.types as pt

_SECONDS = pa.timestamp("s")


def to_stored(rows: pa.Table) -> pa.Table:
    """The rows with such times as whole numbers, within lists, structs and maps too."""
    return _cast(rows, pa.schema([field.with_type(_stored(field.type)) for field in rows.schema]))


def from_stored(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows with the times that `to_stored` has found in rows of `schema`; all else as it was read."""
    fields = [
        schema.field(field.name) if _stored(schema.field(field.name).type) != schema.field(field.name).type else field
        for field in rows.schema
    ]
    return _cast(rows, pa.schema(fields))


def _cast(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    # pyarrow 26 does not cast structs of NULLs within lists, not even to what they are.
    return rows if rows.schema.equals(schema) else rows.cast(schema)


def _stored(kind: Any) -> pa.DataType:
    if kind == _SECONDS:
        return pa.int64()
    if pt.is_fixed_size_list(kind):
        return cast("pa.DataType", pa.list_(kind.field(0).with_type(_stored(kind.value_type)), kind.list_size))
    if pt.is_list(kind):
        return pa.list_(kind.field(0).with_type(_stored(kind.value_type)))
    if pt.is_map(kind):
        return pa.map_(_stored(kind.key_type), _stored(kind.item_type))
    if pt.is_struct(kind):
        return pa.struct([field.with_type(_stored(field.type)) for field in kind])
    return cast("pa.DataType", kind)
