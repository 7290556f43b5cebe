"""Avro's binary form, against fastavro: what it writes is read, and it reads what is written."""

import io
import json
import uuid
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamjob_runtime.errors import JobError
from streamjob_runtime.formats.avro import cursor
from streamjob_runtime.formats.avro.encode import NoAvro, encode_rows, schema_of
from streamjob_runtime.formats.avro.messages import AvroMessages, head
from streamjob_runtime.formats.avro.schema import BadSchema, Node, parse_schema
from streamjob_runtime.formats.base import BadRecord
from streamjob_runtime.formats.wire import wire_schema

EPOCH = datetime(1970, 1, 1)
FIRST, LAST = datetime(1900, 1, 1), datetime(2200, 1, 1)
TEXT = st.text(max_size=12)


def written(schema: Any, values: Sequence[Any]) -> list[bytes]:
    """Records of fastavro's, as messages with the schema number 7."""
    parsed = fastavro.parse_schema(json.loads(json.dumps(schema)))
    messages = []
    for value in values:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, parsed, value)
        messages.append(head(7) + out.getvalue())
    return messages


def decoded(schema: Any, messages: Sequence[bytes | None], **columns: pa.DataType) -> list[dict[str, Any]]:
    node = parse_schema(json.dumps(schema))
    wire = wire_schema("avro", columns_of(**columns))
    table = AvroMessages(wire, lambda _: node).decode(messages)
    table.validate(full=True)
    assert table.schema == wire
    return table.to_pylist()


def columns_of(**kinds: Any) -> pa.Schema:
    return pa.schema(list(kinds.items()))


def record(**fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": [{"name": n, "type": t} for n, t in fields.items()]}


def one(kind: Any, values: Sequence[Any], column: pa.DataType) -> list[Any]:
    """The values of one field as those of one column; beside them stands what no column wants."""
    schema = record(before=["null", "string"], x=kind, after="long")
    rows = [{"before": "b" if i % 2 else None, "x": value, "after": i} for i, value in enumerate(values)]
    return [row["x"] for row in decoded(schema, written(schema, rows), x=column)]


# --- types: a strategy gives Avro's type, a column's, and pairs of what is written and what must be read

Kind = tuple[Any, pa.DataType, st.SearchStrategy[tuple[Any, Any]]]


def same(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    return values.map(lambda value: (value, value))


def numbers(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    bound = 10**precision - 1
    return st.integers(-bound, bound).map(lambda n: Decimal(f"{n}E-{scale}"))


def logical(kind: str, logical_type: str, /, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": logical_type, **more}


def times(step: timedelta, local: bool) -> st.SearchStrategy[tuple[Any, Any]]:
    whole = st.datetimes(FIRST, LAST).map(lambda t: t - (t - EPOCH) % step)
    return whole.map(lambda t: (t if local else t.replace(tzinfo=UTC), t))


MILLI, MICRO = timedelta(milliseconds=1), timedelta(microseconds=1)
DAYTIME = st.times().map(lambda t: t.replace(tzinfo=None))
SCALARS: list[Kind] = [
    ("boolean", pa.bool_(), same(st.booleans())),
    ("int", pa.int32(), same(numbers(32))),
    ("long", pa.int64(), same(numbers(64))),
    ("float", pa.float32(), same(st.floats(allow_nan=False, width=32))),
    ("double", pa.float64(), same(st.floats(allow_nan=False))),
    ("bytes", pa.binary(), same(st.binary(max_size=20))),
    ("string", pa.string(), same(TEXT)),
    ({"type": "enum", "name": "E", "symbols": ["A", "B", "C"]}, pa.string(), same(st.sampled_from("ABC"))),
    ({"type": "fixed", "name": "F", "size": 3}, pa.binary(), same(st.binary(min_size=3, max_size=3))),
    (logical("int", "date"), pa.date32(), same(st.dates())),
    (
        logical("int", "time-millis"),
        pa.time64("us"),
        same(DAYTIME.map(lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000))),
    ),
    (logical("long", "time-micros"), pa.time64("us"), same(DAYTIME)),
    (logical("long", "timestamp-millis"), pa.timestamp("us"), times(MILLI, local=False)),
    (logical("long", "timestamp-micros"), pa.timestamp("us"), times(MICRO, local=False)),
    (logical("long", "local-timestamp-millis"), pa.timestamp("us"), times(MILLI, local=True)),
    (logical("long", "local-timestamp-micros"), pa.timestamp("us"), times(MICRO, local=True)),
    (logical("bytes", "decimal", precision=38, scale=6), pa.decimal128(38, 6), same(decimals(38, 6))),
    (logical("bytes", "decimal", precision=4, scale=1), pa.decimal128(12, 3), same(decimals(4, 1))),
    (
        logical("fixed", "decimal", name="D", size=9, precision=18, scale=2),
        pa.decimal128(18, 2),
        same(decimals(18, 2)),
    ),
    (logical("string", "uuid"), pa.string(), st.uuids().map(lambda u: (u, str(u)))),
]


def listed(kind: Kind) -> Kind:
    avro, column, pairs = kind
    many = st.lists(pairs, max_size=5).map(lambda found: ([w for w, _ in found], [r for _, r in found]))
    return {"type": "array", "items": avro}, pa.list_(column), many


def mapped(kind: Kind) -> Kind:
    avro, column, pairs = kind
    many = st.dictionaries(TEXT, pairs, max_size=4).map(
        lambda found: ({k: w for k, (w, _) in found.items()}, [(k, r) for k, (_, r) in found.items()])
    )
    return {"type": "map", "values": avro}, pa.map_(pa.string(), column), many


def optional(kind: Kind) -> Kind:
    avro, column, pairs = kind
    return ["null", avro], column, st.one_of(st.just((None, None)), pairs)


def recorded(kind: Kind) -> Kind:
    avro, column, pairs = kind
    fields = [{"name": "skipped", "type": "string"}, {"name": "a", "type": avro}, {"name": "b", "type": "int"}]
    whole = st.tuples(pairs, numbers(32)).map(
        lambda both: (
            {"skipped": "x", "a": both[0][0], "b": both[1]},
            {"b": both[1], "a": both[0][1], "more": None},
        )
    )
    struct = pa.struct([("b", pa.int32()), ("a", column), ("more", pa.string())])
    return {"type": "record", "name": "S", "fields": fields}, struct, whole


SIMPLE = st.sampled_from(SCALARS)
# At most one of each: the names of types must not stand twice.
KINDS = st.one_of(
    SIMPLE,
    SIMPLE.map(optional),
    SIMPLE.map(listed),
    SIMPLE.map(optional).map(listed),
    SIMPLE.map(mapped),
    SIMPLE.map(optional).map(recorded).map(optional).map(listed).map(optional),
    SIMPLE.map(listed).map(mapped).map(recorded),
    SIMPLE.map(listed).map(listed),
)


@given(st.data())
def test_what_fastavro_writes_is_read(data: st.DataObject) -> None:
    avro, column, pairs = data.draw(KINDS)
    found = data.draw(st.lists(pairs, min_size=1, max_size=8))
    assert one(avro, [w for w, _ in found], column) == [r for _, r in found]


@given(st.data())
def test_what_no_column_wants_is_passed_over(data: st.DataObject) -> None:
    avro, _, pairs = data.draw(KINDS)
    values = [w for w, _ in data.draw(st.lists(pairs, min_size=1, max_size=8))]
    schema = record(unwanted=avro, x="long")
    rows = [{"unwanted": value, "x": i} for i, value in enumerate(values)]
    assert decoded(schema, written(schema, rows), x=pa.int64()) == [{"x": i} for i in range(len(values))]


def column_strategy() -> st.SearchStrategy[tuple[pa.DataType, st.SearchStrategy[Any]]]:
    scalars: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
        (pa.bool_(), st.booleans()),
        (pa.int8(), numbers(8)),
        (pa.uint16(), st.integers(0, 2**16 - 1)),
        (pa.int32(), numbers(32)),
        (pa.uint32(), st.integers(0, 2**32 - 1)),
        (pa.int64(), numbers(64)),
        (pa.uint64(), st.integers(0, 2**64 - 1)),
        (pa.float32(), st.floats(allow_nan=False, width=32)),
        (pa.float64(), st.floats(allow_nan=False)),
        (pa.string(), TEXT),
        (pa.dictionary(pa.uint8(), pa.string()), st.sampled_from("abc")),
        (pa.binary(), st.binary(max_size=200)),
        (pa.date32(), st.dates()),
        (pa.time64("us"), DAYTIME),
        (pa.timestamp("us"), st.datetimes(FIRST, LAST)),
        (pa.timestamp("us", "UTC"), st.datetimes(FIRST, LAST, timezones=st.just(UTC))),
        (pa.timestamp("s"), st.datetimes(FIRST, LAST).map(lambda t: t.replace(microsecond=0))),
        (pa.decimal128(38, 0), decimals(38, 0)),
        (pa.decimal128(9, 2), decimals(9, 2)),
    ]
    simple = st.sampled_from(scalars)

    def of(kind: pa.DataType, values: st.SearchStrategy[Any]) -> tuple[pa.DataType, st.SearchStrategy[Any]]:
        return kind, st.none() | values

    lists = simple.map(lambda k: of(pa.list_(k[0]), st.lists(st.none() | k[1], max_size=4)))
    structs = st.one_of(simple, lists).map(
        lambda k: of(
            pa.struct([("a", k[0]), ("b", pa.int64())]), st.fixed_dictionaries({"a": st.none() | k[1], "b": numbers(9)})
        )
    )
    maps = simple.map(
        lambda k: of(
            pa.map_(pa.string(), k[0]),
            st.dictionaries(TEXT, st.none() | k[1], max_size=3).map(lambda found: list(found.items())),
        )
    )
    deep = st.one_of(structs, maps).map(lambda k: of(pa.list_(k[0]), st.lists(k[1], max_size=3)))
    return st.one_of(simple.map(lambda k: of(*k)), lists, structs, maps, deep)


def as_fastavro_reads(value: Any, kind: Any) -> Any:
    """A value of Arrow as fastavro gives it: times with their zone, maps as dictionaries."""
    if value is None:
        return None
    if pa.types.is_timestamp(kind):
        return value.replace(tzinfo=UTC)
    if pa.types.is_list(kind):
        return [as_fastavro_reads(item, kind.value_type) for item in value]
    if pa.types.is_map(kind):
        return {key: as_fastavro_reads(item, kind.item_type) for key, item in value}
    if pa.types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        return {field.name: as_fastavro_reads(value[field.name], field.type) for field in fields}
    return value


@given(st.data())
def test_fastavro_and_we_read_what_is_written(data: st.DataObject) -> None:
    kind, values = data.draw(column_strategy())
    rows = [{"first": i, "x": value} for i, value in enumerate(data.draw(st.lists(values, max_size=8)))]
    table = pa.Table.from_pylist(rows, columns_of(first=pa.int64(), x=kind))
    start = data.draw(st.integers(0, len(rows)))
    table, rows = table.slice(start), table.slice(start).to_pylist()  # Arrow's slices begin within their buffers
    text = schema_of(table.schema, "T", "n.s")
    messages = encode_rows(table, head(7))
    parsed = fastavro.parse_schema(json.loads(text))
    read = []
    for message in messages:
        rest = io.BytesIO(message[5:])
        read.append(fastavro.schemaless_reader(rest, parsed, None))
        assert rest.read() == b""
    assert read == [{**row, "x": as_fastavro_reads(row["x"], kind)} for row in rows]
    if "dictionary" not in str(kind):
        wire = wire_schema("avro", table.schema)
        again = AvroMessages(wire, lambda _: parse_schema(text)).decode(messages)
        assert again.cast(table.schema).to_pylist() == rows


def test_the_schema_of_columns_is_what_the_docs_say() -> None:
    columns = columns_of(
        tiny=pa.int8(),
        big=pa.uint64(),
        sum=pa.decimal128(38, 0),
        at=pa.timestamp("us"),
        tags=pa.list_(pa.string()),
        where=pa.struct([("x", pa.float64())]),
        by=pa.map_(pa.string(), pa.int32()),
    )
    fields = {f["name"]: f["type"][1] for f in json.loads(schema_of(columns, "T"))["fields"]}
    assert fields == {
        "tiny": "int",
        "big": logical("bytes", "decimal", precision=20, scale=0),
        "sum": logical("bytes", "decimal", precision=38, scale=0),
        "at": logical("long", "timestamp-micros"),
        "tags": {"type": "array", "items": ["null", "string"]},
        "where": {
            "type": "record",
            "name": "T_where",
            "fields": [{"name": "x", "type": ["null", "double"], "default": None}],
        },
        "by": {"type": "map", "values": ["null", "int"]},
    }


@pytest.mark.parametrize(
    "columns, said",
    [
        ({"count_star()": pa.int64()}, r'column "count_star\(\)" has a name that Avro does not take'),
        ({"a": pa.struct([("b c", pa.int64())])}, r'column "a\.b c" has a name'),
        ({"a": pa.map_(pa.int64(), pa.int64())}, r'column "a" is a map whose keys are no texts\. Cast it'),
        ({"a": pa.month_day_nano_interval()}, r'column "a" is of a type that Avro does not have .*Cast it to VARCHAR'),
    ],
)
def test_columns_that_avro_does_not_take_are_named(columns: dict[str, pa.DataType], said: str) -> None:
    with pytest.raises(NoAvro, match=said):
        schema_of(columns_of(**columns), "T")


# --- what fits which column

AT = datetime(2026, 11, 21, 9, 30)


@pytest.mark.parametrize(
    "kind, value, column, read",
    [
        ("long", 5, pa.string(), "5"),
        ("boolean", True, pa.string(), "true"),
        (logical("bytes", "decimal", precision=9, scale=2), Decimal("1.50"), pa.string(), "1.50"),
        (logical("int", "date"), date(2026, 11, 21), pa.string(), "2026-11-21"),
        ({"type": "array", "items": "int"}, [1, 2], pa.string(), "[1,2]"),
        ({"type": "map", "values": "string"}, {"k": "v"}, pa.string(), '{"k":"v"}'),
        ({"type": "map", "values": "string"}, {}, pa.string(), "{}"),
        (["string", "long"], 5, pa.string(), "5"),
        (["string", "long"], "a", pa.string(), "a"),
        ("string", "é", pa.binary(), "é".encode()),
        ("long", 5, pa.float64(), 5.0),
        ("float", 0.5, pa.float64(), 0.5),
        ("long", 5, pa.decimal128(9, 2), Decimal("5.00")),
        ("string", "1.5", pa.decimal128(9, 2), Decimal("1.50")),
        (logical("bytes", "decimal", precision=9, scale=2), Decimal("7.00"), pa.int64(), 7),
        ("string", "2026-11-21T09:30:00", pa.timestamp("us"), AT),
        ("string", "2026-11-21T10:30:00.000+01:00", pa.timestamp("us"), AT),
        ("string", "2026-11-21 09:30:00Z", pa.timestamp("us", "UTC"), AT.replace(tzinfo=UTC)),
        ("string", "2026-11-21", pa.date32(), date(2026, 11, 21)),
        (
            logical("long", "timestamp-millis"),
            AT.replace(tzinfo=UTC),
            pa.timestamp("us", "UTC"),
            AT.replace(tzinfo=UTC),
        ),
        (logical("long", "timestamp-nanos"), 1_999, pa.timestamp("us"), EPOCH + MICRO),
        (logical("fixed", "uuid", name="U", size=16), uuid.UUID(int=1).bytes, pa.string(), str(uuid.UUID(int=1))),
        ("null", None, pa.int64(), None),
    ],
)
def test_values_of_other_types_that_fit(kind: Any, value: Any, column: pa.DataType, read: Any) -> None:
    plain = {**kind, "logicalType": "none"} if "uuid" in str(kind) or "nanos" in str(kind) else kind
    schema, writer = record(x=kind), record(x=plain)
    assert decoded(schema, written(writer, [{"x": value}]), x=column) == [{"x": read}]


@pytest.mark.parametrize(
    "kind, value, column, said",
    [
        ("string", "a", pa.int64(), '"x": a string stands where an integer is declared'),
        ("double", 0.5, pa.int64(), '"x": a double stands where an integer is declared'),
        ("long", 5, pa.timestamp("us"), '"x": a long stands where TIMESTAMP is declared'),
        ("bytes", b"a", pa.string(), '"x": a bytes stands where VARCHAR is declared'),
        ("string", "soon", pa.timestamp("us"), "\"x\": 'soon', a string, is no TIMESTAMP"),
        ("long", 1000, pa.decimal128(4, 2), '"x": .1000., a long, is no decimal128'),
        (
            logical("bytes", "decimal", precision=9, scale=3),
            Decimal("1.005"),
            pa.decimal128(9, 2),
            r'"x": .1.005., a decimal\(9,3\), is no decimal',
        ),
        ({"type": "array", "items": "int"}, [1], pa.int64(), '"x": an array stands where an integer is declared'),
        (record(y="int"), {"y": 1}, pa.struct([("y", pa.bool_())]), r'"x\.y": an int stands where BOOLEAN is declared'),
    ],
)
def test_a_value_that_does_not_fit_is_named(kind: Any, value: Any, column: pa.DataType, said: str) -> None:
    inner = {**kind, "name": "Inner"} if isinstance(kind, dict) and kind["type"] == "record" else kind
    schema = record(x=["null", inner])
    messages = written(schema, [{"x": None}, {"x": value}])
    assert decoded(schema, messages[:1], x=column) == [{"x": None}]  # only values are refused, not what may come
    with pytest.raises(BadRecord, match=said) as bad:
        decoded(schema, [None, *messages], x=column)
    assert bad.value.record == 2


# --- messages


def test_messages_of_several_schemas_and_none_keep_their_order() -> None:
    schemas = {1: record(x="long"), 2: record(y="string", x="int"), 3: record(y="string")}
    nodes: dict[int, Node] = {number: parse_schema(json.dumps(schema)) for number, schema in schemas.items()}

    def message(number: int, **value: Any) -> bytes:
        return head(number) + written(schemas[number], [value])[0][5:]

    messages = [message(2, x=1, y="a"), None, message(1, x=2), message(3, y="c"), message(2, x=3, y="d"), None]
    table = AvroMessages(columns_of(x=pa.int64(), y=pa.string()), nodes.__getitem__).decode(messages)
    assert table.column("x").to_pylist() == [1, None, 2, None, 3, None]
    assert table.column("y").to_pylist() == ["a", None, None, "c", "d", None]
    assert AvroMessages(columns_of(x=pa.int64()), nodes.__getitem__).decode([]).num_rows == 0
    assert AvroMessages(columns_of(x=pa.int64()), nodes.__getitem__).decode([None]).to_pylist() == [{"x": None}]


def test_bad_messages_are_told_from_good_ones_of_any_schema() -> None:
    schemas = {1: record(x="long"), 2: record(x="string")}
    nodes: dict[int, Node] = {number: parse_schema(json.dumps(schema)) for number, schema in schemas.items()}

    def find(number: int) -> Node:
        if number not in nodes:
            raise BadSchema("there is none")
        return nodes[number]

    good = [head(1) + written(schemas[1], [{"x": i}])[0][5:] for i in range(40)]
    text = head(2) + written(schemas[2], [{"x": "no number"}])[0][5:]
    bad: dict[int, bytes] = {0: b"", 3: b"{}", 17: good[17][:-1], 18: text, 39: head(9) + b"x"}
    messages: list[bytes | None] = [bad.get(i, None if i == 5 else message) for i, message in enumerate(good)]
    table, wrong = AvroMessages(columns_of(x=pa.int64()), find).sift(messages)
    assert sorted(wrong) == sorted(bad)
    assert table.column("x").to_pylist() == [None if i == 5 else i for i in range(40) if i not in bad]
    assert "there is none" in wrong[39].full


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5), st.data())
def test_no_bytes_do_worse_than_to_be_refused(bodies: list[bytes], data: st.DataObject) -> None:
    avro, column, _ = data.draw(KINDS)
    schema = record(a=avro, x=avro if isinstance(avro, str) else "long")
    try:
        decoded(schema, [head(7) + body for body in bodies], a=column)
    except BadRecord as bad:
        assert 0 <= bad.record < len(bodies)


@given(st.data())
def test_a_record_that_is_cut_off_is_refused(data: st.DataObject) -> None:
    avro, column, pairs = data.draw(KINDS)
    schema = record(a=avro, end="string")
    (message,) = written(schema, [{"a": data.draw(pairs)[0], "end": "e"}])
    cut = message[: data.draw(st.integers(0, len(message) - 1))]
    with pytest.raises(BadRecord) as bad:
        decoded(schema, [message, cut], a=column)
    assert bad.value.record == 1


@pytest.mark.parametrize(
    "name, number, column",
    [
        ("date", 2**31, pa.date32()),
        ("date", -(2**63), pa.date32()),
        ("time-micros", -1, pa.time64("us")),
        ("time-micros", 86_400_000_000, pa.time64("us")),
        ("timestamp-millis", 2**63 - 1, pa.timestamp("us")),
        ("timestamp-millis", -(2**63), pa.timestamp("us")),
    ],
)
def test_times_beyond_their_bounds_are_refused(name: str, number: int, column: pa.DataType) -> None:
    schema = record(x=logical("int" if name == "date" else "long", name))
    messages = written(record(x="long"), [{"x": 0}, {"x": number}])
    with pytest.raises(BadRecord, match=r"too far away|not within a day") as bad:
        decoded(schema, messages, x=column)
    assert bad.value.record == 1


@pytest.mark.parametrize(
    "column", [pa.list_(pa.int32()), pa.struct([("a", pa.int32())]), pa.map_(pa.string(), pa.int32())]
)
def test_null_fits_every_column(column: Any) -> None:
    assert one("null", [None], column) == [None]


def test_a_list_longer_than_its_record_is_refused_at_once() -> None:
    schema = record(a={"type": "array", "items": "null"})
    endless = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"  # 2**63 - 1 items that take no bytes
    with pytest.raises(BadRecord, match="a list is longer than its record"):
        decoded(schema, [head(7) + endless], a=pa.list_(pa.string()))


@pytest.mark.parametrize("column", [pa.list_(pa.string()), None], ids=["read", "passed over"])
@pytest.mark.parametrize("nested", [False, True])
def test_lists_of_nothing_are_bounded_over_the_whole_record(
    nested: bool, column: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cursor, "_ITEMS_OF_NOTHING", 100)
    nothing = {"type": "array", "items": "null"}
    schema = record(a=nothing if not nested else {"type": "array", "items": nothing})
    block = b"\x50"  # of 40 items that take no bytes
    body, longer = (
        block * n + b"\x00" if not nested else bytes([2 * n]) + (block + b"\x00") * n + b"\x00" for n in (2, 4)
    )
    columns = {"b": pa.string()} if column is None else {"a": pa.list_(column) if nested else column}
    decoded(schema, [head(7) + body] * 3, **columns)
    with pytest.raises(BadRecord, match="a list is longer than its record") as bad:
        decoded(schema, [head(7) + body, head(7) + longer], **columns)
    assert bad.value.record == 1


def test_records_without_fields_are_as_many_as_there_are() -> None:
    empty = {"type": "record", "name": "E", "fields": []}
    assert one({"type": "array", "items": empty}, [[{}, {}], [], [{}]], pa.string()) == ["[{},{}]", "[]", "[{}]"]
    assert one(empty, [{}, {}], pa.string()) == ["{}", "{}"]
    assert one(["null", empty], [{}, None], pa.string()) == ["{}", None]


@pytest.mark.parametrize("column", [pa.string(), pa.float64(), pa.decimal128(38, 38)])
def test_a_decimal_with_more_digits_behind_the_point_than_columns_have_is_refused(column: pa.DataType) -> None:
    kind = ["null", logical("bytes", "decimal", precision=50, scale=40)]
    messages = written(record(x=["null", "bytes"]), [{"x": None}, {"x": b"\x01"}])
    assert decoded(record(x=kind), messages[:1], x=column) == [{"x": None}]
    with pytest.raises(BadRecord, match=r'"x": decimal\(50,40\) has more than 38 digits behind the point') as bad:
        decoded(record(x=kind), messages, x=column)
    assert bad.value.record == 1


def test_a_number_that_no_schema_has_is_not_asked_for() -> None:
    (good,) = written(record(x="long"), [{"x": 1}])
    with pytest.raises(BadRecord, match="no schema registry has a schema with a number above") as bad:
        decoded(record(x="long"), [good, b"\x00\x80\x00\x00\x00\x02"], x=pa.int64())
    assert bad.value.record == 1


def test_blocks_that_say_their_size_are_read() -> None:
    schema = record(a={"type": "array", "items": "int"})
    # Two items in a block with its size, one in a block without, and the end.
    assert decoded(schema, [head(7) + b"\x03\x04\x02\x04\x02\x06\x00"], a=pa.list_(pa.int32())) == [{"a": [1, 2, 3]}]


@pytest.mark.parametrize("column", [pa.string(), pa.map_(pa.string(), pa.int32())])
def test_a_map_with_a_key_twice_is_refused(column: Any) -> None:
    schema = record(a={"type": "map", "values": "int"})
    once, twice = b"\x02\x02k\x02\x00", b"\x04\x02k\x02\x02k\x04\x00"
    with pytest.raises(BadRecord, match='"a": a map has a key twice') as bad:
        decoded(schema, [head(7) + once, head(7) + once, head(7) + twice], a=column)
    assert bad.value.record == 2


def test_types_that_hold_themselves_are_read_as_far_as_columns_go() -> None:
    schema = record(value="int", rest=["null", "R"])
    messages = written(schema, [{"value": 1, "rest": {"value": 2, "rest": {"value": 3, "rest": None}}}])
    one_deep = pa.struct([("value", pa.int32())])
    assert decoded(schema, messages, rest=one_deep) == [{"rest": {"value": 2}}]
    assert decoded(schema, messages, value=pa.int32()) == [{"value": 1}]
    with pytest.raises(BadRecord, match="the type R holds itself"):
        decoded(schema, messages, rest=pa.string())


def test_records_of_several_types_in_one_schema_are_rows() -> None:
    schema = ["null", {**record(x="long"), "name": "A"}, {**record(y="string", x="int"), "name": "B"}]
    messages = written(schema, [("A", {"x": 1}), None, ("B", {"x": 2, "y": "b"})])
    assert decoded(schema, messages, x=pa.int64(), y=pa.string()) == [
        {"x": 1, "y": None},
        {"x": None, "y": None},
        {"x": 2, "y": "b"},
    ]


def test_a_schema_that_is_no_record_is_refused() -> None:
    with pytest.raises(BadRecord, match="its schema is string and no record"):
        decoded("string", [head(7) + b"\x02a"], a=pa.string())


@pytest.mark.parametrize(
    "text, said",
    [
        ("{", "it is not JSON"),
        ('{"type": "record", "name": "R"}', 'a type has no "fields"'),
        ('{"type": "array", "items": "Nowhere"}', 'there is no type "Nowhere"'),
        ("5", "5 is no type"),
        ("[" * 10_000 + "]" * 10_000, "nested too deeply"),
    ],
)
def test_a_schema_that_is_none_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(BadSchema, match=said):
        parse_schema(text)


def test_names_are_found_in_their_namespaces() -> None:
    inner = {"type": "enum", "name": "E", "symbols": ["A"]}
    schema = {
        "type": "record",
        "name": "R",
        "namespace": "a.b",
        "fields": [
            {"name": "x", "type": inner},
            {"name": "y", "type": "a.b.E"},
            {"name": "z", "type": ["null", "E"]},
        ],
    }
    messages = written(schema, [{"x": "A", "y": "A", "z": "A"}])
    kinds = {name: pa.string() for name in "xyz"}
    assert decoded(schema, messages, **kinds) == [{"x": "A", "y": "A", "z": "A"}]


def test_times_of_day_have_microseconds() -> None:
    assert one(logical("long", "time-micros"), [time(1, 2, 3, 4)], pa.time64("us")) == [time(1, 2, 3, 4)]


def test_decimals_have_as_many_bytes_as_they_need() -> None:
    bound = 10**38 - 1
    edges = [0, 1, -1, 127, 128, -128, -129, 255, 256, 32767, 32768, -32768, -32769, bound, -bound]
    values = [Decimal(n) for n in edges]
    kind = logical("bytes", "decimal", precision=38, scale=0)
    assert one(kind, values, pa.decimal128(38, 0)) == values
    fixed = {**kind, "type": "fixed", "name": "D", "size": 16}
    assert one(fixed, values, pa.decimal128(38, 0)) == values
    table = pa.table({"x": pa.array(values, pa.decimal128(38, 0))})
    # As Java's BigInteger has them; fastavro takes a byte more for -128.
    shortest = [n.to_bytes((n if n >= 0 else n + 1).bit_length() // 8 + 1, signed=True) for n in edges]
    assert encode_rows(table, head(7)) == written(record(x=["null", "bytes"]), [{"x": raw} for raw in shortest])


def test_a_decimal_with_more_digits_than_it_may_have_is_refused() -> None:
    plain, kind = record(x="bytes"), record(x=logical("bytes", "decimal", precision=38, scale=0))
    messages = written(plain, [{"x": (10**37).to_bytes(16)}, {"x": (10**38).to_bytes(16)}])
    with pytest.raises(BadRecord, match=r"a number has more digits than decimal\(38,0\)") as bad:
        decoded(kind, messages, x=pa.decimal128(38, 0))
    assert bad.value.record == 1
    with pytest.raises(BadRecord, match="a decimal has more than 38 digits"):
        decoded(kind, written(plain, [{"x": b"\1" + bytes(16)}]), x=pa.decimal128(38, 0))


def test_a_schema_that_makes_values_without_end_out_of_no_bytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each type holds the one before twice, and the first takes no byte."""
    monkeypatch.setattr(cursor, "_VALUES_OF_NOTHING", 1000)
    kind: Any = record(a="null", b="null")
    for i in range(12):
        kind = {
            "type": "record",
            "name": f"R{i}",
            "fields": [{"name": "a", "type": kind}, {"name": "b", "type": kind["name"]}],
        }
    schema = {"type": "record", "name": "Top", "fields": [{"name": "x", "type": kind}, {"name": "n", "type": "long"}]}
    for columns in ({"x": pa.string()}, {"n": pa.int64()}):
        with pytest.raises(BadRecord, match="far more values of it than it has bytes"):
            decoded(schema, [head(7) + b"\x02"], **columns)


def test_a_field_is_found_whatever_its_case() -> None:
    schema = record(UserId="long", NESTED=record(X="long") | {"name": "N"}, other="string")
    (message,) = written(schema, [{"UserId": 7, "NESTED": {"X": 1}, "other": "a"}])
    columns: Any = {"userid": pa.int64(), "nested": pa.struct([("x", pa.int64())])}
    assert decoded(schema, [message], **columns) == [{"userid": 7, "nested": {"x": 1}}]
    both = record(UserId="long", userid="long")
    assert decoded(both, written(both, [{"UserId": 7, "userid": 8}]), userid=pa.int64()) == [{"userid": 8}]
    with pytest.raises(BadRecord, match="'UserId' and 'userid' are one name in SQL"):
        decoded(both, written(both, [{"UserId": 7, "userid": 8}]), USERID=pa.int64())


def test_digits_in_a_string_are_a_decimal_only_if_it_holds_them() -> None:
    wide = pa.decimal128(38, 20)
    assert one("string", ["1e3", "-0.5"], wide) == [Decimal(1000), Decimal("-0.5")]
    for text in ("1" * 38, "0." + "1" * 21, "1e18", "x"):
        with pytest.raises(BadRecord, match="is no decimal128"):
            one("string", [text], wide)
    with pytest.raises(BadRecord, match="is no decimal128"):
        one(logical("bytes", "decimal", precision=38, scale=0), [Decimal("1" * 38)], wide)


def test_times_of_a_day_in_a_string_are_read() -> None:
    kind = pa.time64("us")
    assert one("string", ["10:30:00", "10:30:00.5"], kind) == [time(10, 30), time(10, 30, 0, 500_000)]
    schema = record(x="string")
    node = parse_schema(json.dumps(schema))
    rows = AvroMessages(pa.schema([("x", kind)]), lambda _: node).decode(written(schema, [{"x": "24:00:00"}]))
    assert rows.column("x").cast(pa.int64()).to_pylist() == [86_400_000_000]
    for text in ("10:30:00+02:00", "25:00:00", "noon"):
        with pytest.raises(BadRecord, match="is no TIME"):
            one("string", [text], kind)


@pytest.mark.parametrize("kind", [pa.timestamp("ns"), pa.time64("ns"), pa.list_(pa.timestamp("ns", "UTC"))])
def test_nanoseconds_are_not_cut_off_without_a_word(kind: pa.DataType) -> None:
    with pytest.raises(NoAvro, match=r'"t" has nanoseconds, and Avro microseconds. Cast it'):
        schema_of(pa.schema([("t", kind)]), "r")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (pa.array([2**63 - 1]).cast(pa.timestamp("us")), "infinity"),
        (pa.array([1 - 2**31], pa.int32()).cast(pa.date32()), "infinity"),
        (pa.array([86_400_000_000]).cast(pa.time64("us")), "24:00:00"),
        (pa.array([10**15]).cast(pa.timestamp("s")), "a time further from 1970 than microseconds reach"),
    ],
)
def test_a_time_that_avro_has_no_number_for_is_refused(values: Any, said: str) -> None:
    for column in (values, pa.ListArray.from_arrays([0, 1], values)):
        with pytest.raises(JobError, match=f'the column "t" holds {said}, which Avro has no number for'):
            encode_rows(pa.table({"t": column}), b"")


def test_the_fields_of_all_schemas_are_the_names_that_are_there() -> None:
    one_schema, other = record(a="long"), record(b="long", c="long")
    nodes = {7: parse_schema(json.dumps(one_schema)), 8: parse_schema(json.dumps(["null", other]))}
    messages = AvroMessages(pa.schema([("a", pa.int64())]), lambda number: nodes[number])
    assert messages.names([head(7), None, head(8)]) in (["a", "b", "c"], ["b", "c", "a"])
