"""Which column takes which values, so that none is changed without a word."""

import pyarrow as pa
import pytest

from streamjob_runtime.connectors.postgres.types import PgType, holds, parse_type, type_for

US, MS = pa.timestamp("us"), pa.timestamp("ms")
HELD: list[tuple[str, pa.DataType]] = [
    ("smallint", pa.uint8()),
    ("bigint", pa.int8()),
    ("bigint", pa.uint32()),
    ("numeric", pa.uint64()),
    ("numeric(20,0)", pa.uint64()),
    ("numeric(21,2)", pa.int64()),
    ("numeric(12,4)", pa.decimal128(10, 2)),
    ("bigint", pa.int64()),
    ("double precision", pa.float32()),
    ("character varying(20)", pa.string()),
    ("jsonb", pa.string()),
    ("jsonb", pa.struct([("a", pa.int32())])),
    ("json", pa.list_(pa.list_(pa.int32()))),
    ("bigint[]", pa.list_(pa.int32())),
    ("numeric(10,2)[]", pa.list_(pa.decimal128(10, 2))),
    ("timestamp without time zone", US),
    ("timestamp(3) without time zone", MS),
    ("timestamp with time zone", pa.timestamp("us", "UTC")),
    ("time without time zone", pa.time64("us")),
    ("text", pa.dictionary(pa.int8(), pa.string())),
    ("text", pa.null()),
    ("interval", pa.month_day_nano_interval()),
    ("interval(6)", pa.month_day_nano_interval()),
    ("interval[]", pa.list_(pa.month_day_nano_interval())),
]
NOT_HELD: list[tuple[str, pa.DataType]] = [
    ("integer", pa.int64()),
    ("bigint", pa.uint64()),
    ("bigint", pa.decimal128(38, 0)),
    ("numeric(20,2)", pa.int64()),
    ("numeric(19,0)", pa.uint64()),
    ("numeric(10,1)", pa.decimal128(10, 2)),
    ("numeric(10,4)", pa.decimal128(10, 2)),
    ("real", pa.float64()),
    ("double precision", pa.int64()),
    ("numeric", pa.float64()),
    ("bytea", pa.string()),
    ("character(20)", pa.string()),
    ("text", pa.int64()),
    ("bigint[]", pa.int64()),
    ("bigint", pa.list_(pa.int64())),
    ("integer[]", pa.list_(pa.int64())),
    ("bigint[]", pa.list_(pa.list_(pa.int64()))),
    ("text", pa.struct([("a", pa.int32())])),
    ("timestamp(3) without time zone", US),
    ("timestamp without time zone", pa.timestamp("ns")),
    ("timestamp without time zone", pa.timestamp("us", "UTC")),
    ("timestamp with time zone", US),
    ("date", US),
    ("interval", pa.int64()),
    ("interval(0)", pa.month_day_nano_interval()),
    ("interval(5)[]", pa.list_(pa.month_day_nano_interval())),
    ("interval hour", pa.month_day_nano_interval()),
    ("interval second(3)", pa.month_day_nano_interval()),
    ("mood", pa.string()),
]


@pytest.mark.parametrize(("column", "kind"), HELD, ids=str)
def test_held(column: str, kind: pa.DataType) -> None:
    assert holds(parse_type(column), kind)


@pytest.mark.parametrize(("column", "kind"), NOT_HELD, ids=str)
def test_not_held(column: str, kind: pa.DataType) -> None:
    assert not holds(parse_type(column), kind)


def test_types_are_taken_apart() -> None:
    assert parse_type("timestamp(3) without time zone[]") == PgType("timestamp without time zone", (3,), True)
    assert parse_type("numeric(10,-2)") == PgType("numeric", (10, -2))
    assert parse_type("character varying(5)") == PgType("character varying", (5,))
    assert parse_type("mood", is_enum=True) == PgType("enum")
    assert parse_type('"Odd(Type"').name


def test_no_column_is_made_for_what_has_no_type() -> None:
    union = pa.sparse_union([pa.field("a", pa.int32())])
    assert [type_for(kind) for kind in (pa.timestamp("ns"), union, pa.list_(union), pa.time64("ns"))] == [None] * 4
