"""Which columns a decoder gives in their declared type, and which as text that the query casts."""

import pyarrow as pa

FORMATS = ("text", "json", "csv", "avro", "parquet", "raw")


def wire_schema(name: str, declared: pa.Schema) -> pa.Schema:
    """The columns that the decoder of the format `name` gives, for columns declared in the types of the SQL engine.

    - json: bool, integers (as int64; unsigned 64 bits as a decimal of 20 digits), floating point (as double), decimal,
      text, and lists and structs of these stay; every other type comes as text.
    - csv: the same without decimals, which come as text, but for those in lists and structs, which are JSON.
    - avro: as json, and bytes, dates, times of a day, timestamps in microseconds and maps stay too.
    - parquet: the declared types; the file's own are cast.
    - text and raw: one column `value`, of strings or of bytes.

    Raises ValueError for a format that is not there.
    """
    match name:
        case "json":
            return pa.schema([pa.field(f.name, _json_type(f.type)) for f in declared])
        case "csv":
            return pa.schema([pa.field(f.name, _csv_type(f.type)) for f in declared])
        case "avro":
            return pa.schema([pa.field(f.name, _avro_type(f.type)) for f in declared])
        case "parquet":
            return declared
        case "text":
            return pa.schema([pa.field("value", pa.string())])
        case "raw":
            return pa.schema([pa.field("value", pa.binary())])
    raise ValueError(f'there is no format "{name}"; the formats are {", ".join(FORMATS)}')


def _json_type(declared: pa.DataType) -> pa.DataType:
    if pa.types.is_list(declared) or pa.types.is_large_list(declared) or pa.types.is_fixed_size_list(declared):
        return pa.list_(_json_type(declared.value_type))
    if pa.types.is_struct(declared):
        return pa.struct([pa.field(f.name, _json_type(f.type)) for f in declared])
    if pa.types.is_uint64(declared):
        return pa.decimal128(20, 0)
    if pa.types.is_decimal128(declared):
        return declared
    return _flat_type(declared)


def _avro_type(declared: pa.DataType) -> pa.DataType:
    if pa.types.is_list(declared) or pa.types.is_large_list(declared) or pa.types.is_fixed_size_list(declared):
        return pa.list_(_avro_type(declared.value_type))
    if pa.types.is_struct(declared):
        return pa.struct([pa.field(f.name, _avro_type(f.type)) for f in declared])
    if pa.types.is_map(declared):
        return pa.map_(_avro_type(declared.key_type), _avro_type(declared.item_type))
    if pa.types.is_timestamp(declared):
        return pa.timestamp("us", declared.tz)
    if pa.types.is_binary(declared) or pa.types.is_date(declared) or declared == pa.time64("us"):
        return declared
    return _json_type(declared)


def _csv_type(declared: pa.DataType) -> pa.DataType:
    return (
        _flat_type(declared) if pa.types.is_map(declared) or not pa.types.is_nested(declared) else _json_type(declared)
    )


def _flat_type(declared: pa.DataType) -> pa.DataType:
    if pa.types.is_boolean(declared):
        return pa.bool_()
    if pa.types.is_integer(declared) and not pa.types.is_uint64(declared):
        return pa.int64()
    if pa.types.is_floating(declared):
        return pa.float64()
    return pa.string()
