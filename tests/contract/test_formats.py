"""What a file of each format becomes, and what is said of one that is wrong."""

import bz2
import gzip
import io
import itertools
import json
import lzma
import random
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamjob_runtime.errors import JobError
from streamjob_runtime.formats import json_values, lines
from streamjob_runtime.formats.base import BadRecord
from streamjob_runtime.formats.compression import decompress
from streamjob_runtime.formats.open import make_decoder, make_encoder
from streamjob_runtime.formats.parquet import read_schema
from streamjob_runtime.formats.wire import wire_schema


def columns(types: list[tuple[str, Any]]) -> pa.Schema:
    return pa.schema([pa.field(*each) for each in types])


JSON = columns(
    [
        ("text", pa.string()),
        ("int", pa.int64()),
        ("real", pa.float64()),
        ("flag", pa.bool_()),
        ("price", pa.decimal128(10, 2)),
        ("tags", pa.list_(pa.string())),
        ("at", pa.struct([("x", pa.int64())])),
    ]
)
CSV = columns([("a", pa.int64()), ("b", pa.string())])


def rows(name: str, schema: pa.Schema, data: bytes, header: bool = True) -> list[dict[str, Any]]:
    table = make_decoder(name, schema, header=header).decode(data)
    table.validate(full=True)
    assert table.schema.equals(schema)
    return table.to_pylist()


def bad(name: str, schema: pa.Schema, data: bytes, header: bool = True) -> BadRecord:
    with pytest.raises(BadRecord) as caught:
        make_decoder(name, schema, header=header).decode(data)
    assert len(caught.value.excerpt) <= 200
    return caught.value


TEXT = wire_schema("text", pa.schema([]))
RAW = wire_schema("raw", pa.schema([]))


@pytest.mark.parametrize(
    ("data", "values"),
    [
        (b"", []),
        (b"one", ["one"]),
        (b"one\n", ["one"]),
        (b"one\n\ntwo\n", ["one", "", "two"]),
        (b"\n", [""]),
        (b"one\r\ntwo\r\n", ["one", "two"]),
        (b"one\rtwo\n", ["one\rtwo"]),
        (b'"a",b\x1fc\n\x00\n', ['"a",b\x1fc', "\x00"]),
        (b"\xef\xbb\xbfafter a byte order mark\n", ["after a byte order mark"]),
        ("žluť\n".encode(), ["žluť"]),
        (b"x" * (9 << 20) + b"\ny", ["x" * (9 << 20), "y"]),
    ],
)
def test_each_line_of_text_is_a_row(data: bytes, values: list[str]) -> None:
    assert [row["value"] for row in rows("text", TEXT, data)] == values


@given(
    st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))), st.sampled_from(["\n", ""])
)
def test_lines_of_text_come_back_as_they_were(values: list[str], end: str) -> None:
    data = ("\n".join(values) + end).encode()
    expected = [value.removesuffix("\r") for value in data.removeprefix(lines.BOM).decode().split("\n")]
    if expected[-1] == "":
        expected.pop()
    # Only a CR before a newline belongs to the line's end; at the end of the data it is text.
    if data and not data.endswith(b"\n") and data.endswith(b"\r"):
        expected[-1] = data.removeprefix(lines.BOM).decode().split("\n")[-1]
    assert [row["value"] for row in rows("text", TEXT, data)] == expected


def test_text_beyond_one_arrow_array_is_decoded_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "PIECE", 10)
    values = [f"line {i} \x1f" for i in range(100)] + ["one that is longer than a piece"]
    assert [row["value"] for row in rows("text", TEXT, "\n".join(values).encode())] == values


def test_text_that_is_not_utf8_is_named_by_its_line() -> None:
    error = bad("text", TEXT, b"good\n" * 1000 + b"bad \xff\nworse \xfe\n")
    assert error.record == 1000
    assert "not UTF-8" in error.reason.full
    assert error.excerpt == "bad �"


def test_raw_lines_are_bytes_whatever_they_are() -> None:
    assert [row["value"] for row in rows("raw", RAW, b"\xff\xfe\r\n\nlast")] == [b"\xff\xfe\r", b"", b"last"]
    assert rows("raw", RAW, b"") == []


def one(record: str) -> dict[str, Any]:
    (row,) = rows("json", JSON, record.encode())
    return {name: value for name, value in row.items() if value is not None}


@pytest.mark.parametrize(
    ("record", "row"),
    [
        (
            '{"text":"a","int":1,"real":1.5,"flag":true,"price":1.25}',
            {"text": "a", "int": 1, "real": 1.5, "flag": True},
        ),
        ('{"tags":["a",null],"at":{"x":1,"y":2}}', {"tags": ["a", None], "at": {"x": 1}}),
        ('{"unknown":{"deep":[1]}}', {}),
        ('{"text":null}', {}),
        ('{"text":12}', {"text": "12"}),
        ('{"text":12.50}', {"text": "12.50"}),
        ('{"text":-9223372036854775809}', {"text": "-9223372036854775809"}),
        ('{"text":true}', {"text": "true"}),
        ('{"text":{"a": [1, "é"]}}', {"text": '{"a":[1,"é"]}'}),
        ('{"tags":[1,{"a":2}]}', {"tags": ["1", '{"a":2}']}),
        ('{"int":1.0}', {"int": 1}),
        ('{"int":9007199254740993.0}', {"int": 9007199254740993}),
        ('{"int":1e3}', {"int": 1000}),
        ('{"real":1}', {"real": 1.0}),
        ('{"price":1.255}', {"price": Decimal("1.26")}),
        ('{"price":"12.5"}', {"price": Decimal("12.50")}),
        ('{"int":1,"int":2}', {"int": 2}),
    ],
)
def test_values_of_json_fit_the_declared_types(record: str, row: dict[str, Any]) -> None:
    found = one(record)
    assert {name: found[name] for name in row} == row
    assert set(found) - set(row) <= {"price"}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("nonsense", "it is not JSON: Expecting value at column 1"),
        ('{"int":1', "it is not JSON: Expecting ',' delimiter at column 9"),
        ('{"text":"a', "it is not JSON: Unterminated string starting at column 9"),
        ('{"int":1}{"int":2}', "it is not JSON: Extra data at column 10"),
        ("[1]", "a list stands where an object is expected, with a field a column"),
        ("null", "null stands where an object is expected, with a field a column"),
        ('{"int":"1"}', 'field "int": a string stands where an integer is declared'),
        ('{"int":1.5}', 'field "int": a number stands where an integer is declared'),
        ('{"int":true}', 'field "int": true or false stands where an integer is declared'),
        (
            '{"int":9223372036854775808}',
            'field "int": the number does not fit in 64 bits; declare it DOUBLE, DECIMAL or VARCHAR',
        ),
        ('{"real":"x"}', 'field "real": a string stands where a number is declared'),
        ('{"flag":1}', 'field "flag": a number stands where true or false is declared'),
        ('{"price":1e9}', 'field "price": the number has more than 8 digits before the point'),
        ('{"price":"much"}', 'field "price": it is no number of at most 10 digits, 2 behind the point'),
        ('{"tags":"a"}', 'field "tags": a string stands where a list is declared'),
        ('{"at":[]}', 'field "at": a list stands where an object is declared'),
        ('{"text":"\\ud800"}', 'field "text": the text holds half of a surrogate pair (\\ud800 to \\udfff)'),
        ('{"tags":' + "[" * 100_000, "its values are nested too deeply"),
    ],
)
def test_a_bad_json_record_is_found_among_many(record: str, reason: str) -> None:
    good = b'{"text":"a","int":1}\n'
    error = bad("json", JSON, good * 7000 + b"\n" + record.encode() + b"\n" + good * 9000)
    assert (error.record, error.reason.full) == (7001, reason)
    assert error.excerpt[:199] == record[:199]
    # No column's type mends a record that is no object.
    whole = not reason.startswith("field")
    assert ("format text" in error.remedy and "TRY_CAST(value AS JSON)" in error.remedy) == whole


def test_blank_lines_are_no_json_records() -> None:
    assert [row["int"] for row in rows("json", JSON, b'\n{"int":1}\r\n  \r\n\n{"int":2}')] == [1, 2]
    assert rows("json", JSON, b"\n \n") == rows("json", JSON, b"") == []


def test_an_object_over_several_lines_is_refused_whatever_else_the_file_holds() -> None:
    assert bad("json", JSON, b'{"int":\n1}\n{}\n{"int":2}\n').record == 0


def test_json_in_another_encoding_is_refused() -> None:
    assert "not UTF-8" in bad("json", JSON, b'{"text":"a"}\n{"text":"\xe9"}\n').reason.full


values = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.text(max_size=5)
records = st.dictionaries(st.sampled_from([*JSON.names, "other"]), values | st.lists(values, max_size=2), max_size=4)


@given(st.lists(records | values, max_size=6))
@example([None])
@example([None, {"int": 1}])
def test_the_quick_and_the_exact_way_of_json_agree(objects: list[Any]) -> None:
    data = "".join(json.dumps(o) + "\n" for o in objects).encode()

    def decode(way: Any) -> Any:
        try:
            return way().to_pylist()
        except BadRecord as e:
            return e.record, e.reason

    quick = decode(lambda: make_decoder("json", JSON).decode(data))
    assert quick == decode(lambda: json_values.decode_lines(data, 0, JSON))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"a,b\n", []),
        (b"a,b\n1,x\n2,\n", [(1, "x"), (2, None)]),
        (b'b,other,a\r\n"x, y",0,1\r\n"",0,\r\n', [(1, "x, y"), (None, "")]),
        (b"a\n1\n", [(1, None)]),
        (b"a,b\n\n1,x\n\n\n2,y", [(1, "x"), (2, "y")]),
        (b'a,b\n1,"two\nlines ""quoted"""\n', [(1, 'two\nlines "quoted"')]),
        (b"a,b\n1," + b"x" * (12 << 20) + b"\n", [(1, "x" * (12 << 20))]),
    ],
)
def test_csv_with_a_header(data: bytes, expected: list[tuple[Any, Any]]) -> None:
    assert [(row["a"], row["b"]) for row in rows("csv", CSV, data)] == expected


def test_quoted_newlines_are_understood_throughout_a_long_file() -> None:
    data = b"a,b\n" + b'1,"two\nlines"\n' * 400_000
    table = make_decoder("csv", CSV).decode(data)
    assert table.column("b").unique().to_pylist() == ["two\nlines"]
    assert table.num_rows == 400_000


def test_csv_without_a_header_has_the_declared_columns_in_their_order() -> None:
    assert rows("csv", CSV, b"1,x\n", header=False) == [{"a": 1, "b": "x"}]


@pytest.mark.parametrize(
    ("data", "record", "reason"),
    [
        (b"1,x\n2,y\n", 0, "the header names none of the declared columns (a, b)"),
        (b"a,a\n1,2\n", 0, 'the header names column "a" twice'),
        (b'"a\nb",b\n1,x\n', 0, "the header is not one line of names"),
        (b"a,b\n1,x\n\nten,y\n", 3, 'column "a": "ten" is no int64'),
        (b"more,b,a\n0,x,1\n0,y,ten\n", 2, 'column "a": "ten" is no int64'),
        (b"a,b\n1,x\n2\n", 2, "the number of its fields is 1, and that of the columns 2"),
    ],
)
def test_a_bad_csv_record_is_named(data: bytes, record: int, reason: str) -> None:
    error = bad("csv", CSV, data)
    assert (error.record, error.reason.full) == (record, reason)


def parquet_of(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def parquet(columns: dict[str, Any]) -> bytes:
    return parquet_of(pa.table(columns))


def test_parquet_columns_are_cast_to_the_declared_types() -> None:
    schema = columns([("n", pa.int64()), ("t", pa.timestamp("us")), ("gone", pa.string())])
    data = parquet({"t": pa.array([1_500], pa.timestamp("ns", "UTC")), "n": pa.array([7], pa.int8()), "more": ["x"]})
    (row,) = make_decoder("parquet", schema).decode(data).cast(schema).to_pylist()
    assert (row["n"], row["t"].isoformat(), row["gone"]) == (7, "1970-01-01T00:00:00.000001", None)


def test_a_parquet_file_with_two_columns_of_one_name_is_refused_where_one_of_them_is_read() -> None:
    twice = parquet_of(pa.table([[1], [2], [3]], names=["n", "n", "m"]))
    assert 'more than one column of the name "n"' in bad("parquet", pa.schema([("n", pa.int64())]), twice).reason.full
    assert make_decoder("parquet", pa.schema([("m", pa.int64())])).decode(twice).to_pylist() == [{"m": 3}]
    for names in (["n", "n"], ["n", "N"]):
        with pytest.raises(BadRecord, match="more than one column of the name"):
            read_schema(parquet_of(pa.table([[1], [2]], names=names)))


def test_a_parquet_file_that_does_not_fit_says_which_column() -> None:
    schema = columns([("n", pa.int64())])
    assert (
        'column "n" is string in the file and int64 as declared'
        in bad("parquet", schema, parquet({"n": ["x"]})).reason.full
    )
    assert "not a whole Parquet file" in bad("parquet", schema, parquet({"n": [1]})[:-9]).reason.full
    assert "not a whole Parquet file" in bad("parquet", schema, b"").reason.full


tables = st.lists(
    st.fixed_dictionaries(
        {
            "n": st.none() | st.integers(-(2**63), 2**63 - 1),
            "f": st.none() | st.floats(allow_nan=False, allow_infinity=False),
            "s": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
            "b": st.none() | st.booleans(),
        }
    ),
    max_size=8,
)
TABLE = columns([("n", pa.int64()), ("f", pa.float64()), ("s", pa.string()), ("b", pa.bool_())])


@pytest.mark.parametrize("name", ["json", "csv", "parquet"])
@given(content=tables, cut=st.integers(0, 8))
def test_what_is_written_is_read_back(name: str, content: list[dict[str, Any]], cut: int) -> None:
    table = pa.Table.from_pylist(content, TABLE)
    data = make_encoder(name).encode(table)
    assert make_decoder(name, TABLE).decode(data).to_pylist() == content
    in_two_chunks = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
    assert make_encoder(name).encode(in_two_chunks) == data


def test_the_bytes_of_a_long_parquet_file_do_not_show_how_its_rows_were_computed() -> None:
    rng = random.Random(0)
    count = 50_000
    wide = [f"{rng.getrandbits(400):x}" if rng.random() < 0.9 else None for _ in range(count)]
    table = pa.table({"wide": wide, "list": [[rng.random()] * rng.randrange(4) for _ in range(count)]})
    cuts = [0, *sorted(rng.sample(range(count), 20)), count]
    in_chunks = pa.concat_tables([table.slice(a, b - a) for a, b in itertools.pairwise(cuts)])
    assert make_encoder("parquet").encode(table) == make_encoder("parquet").encode(in_chunks)


def test_json_shows_every_type_as_readers_expect_it() -> None:
    table = pa.table(
        {
            "time": pa.array([1_500_000], pa.timestamp("us")),
            "zoned": pa.array([1_500_000], pa.timestamp("us", "UTC")),
            "day": pa.array([1], pa.date32()),
            "price": pa.array([Decimal("1.10")]),
            "nan": [float("nan")],
            "text": ['"\\\n'],
            "nested": [{"a": [1, None], "p": Decimal("2.50")}],
            "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
            "no_entry": pa.array([[]], pa.map_(pa.string(), pa.int64())),
        }
    )
    assert make_encoder("json").encode(table) == (
        b'{"time":"1970-01-01T00:00:01.500000","zoned":"1970-01-01T00:00:01.500000Z","day":"1970-01-02","price":1.10,'
        b'"nan":"NaN","text":"\\"\\\\\\n","nested":{"a":[1,null],"p":2.50},"map":{"k":1},"no_entry":{}}\n'
    )


FAR = """
SELECT * FROM (VALUES
  (DATE 'infinity', TIMESTAMP 'infinity', TIMESTAMPTZ 'infinity', TIME '24:00:00'),
  (DATE '-infinity', TIMESTAMP '-infinity', TIMESTAMPTZ '-infinity', TIME '00:00:00'),
  (DATE '40000-01-01', TIMESTAMP '40000-01-01', TIMESTAMPTZ '40000-01-01 00:00:00+00', TIME '23:59:59.999999'),
  (DATE '0044-03-15 (BC)', TIMESTAMP '0044-03-15 (BC)', TIMESTAMPTZ '0044-03-15 (BC) 00:00:00+00', NULL),
  (DATE '2024-02-29', TIMESTAMP '2024-02-29 12:30:00.5', TIMESTAMPTZ '2024-02-29 12:30:00.5+00', TIME '12:30:00')
) AS t(d, t, z, c)
"""


@pytest.mark.parametrize("format_", ["json", "csv"])
@pytest.mark.parametrize("nested", ["{0}", "[{0}, NULL]", "{{'a': {0}}}", "MAP {{'k': {0}}}"])
def test_far_and_infinite_times_are_written_as_the_sql_engine_writes_them(format_: str, nested: str) -> None:
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    columns = ", ".join(f"{nested.format(c)} AS {c}" for c in "dtzc")
    rows = con.sql(f"SELECT {columns} FROM ({FAR})").to_arrow_table()
    text = make_encoder(format_).encode(rows).decode()
    for value in ("infinity", "-infinity", "40000-01-01", "0044-03-15 (BC)", "2024-02-29", "24:00:00"):
        assert value in text
    # And it reads every one of them back as what it was.
    types = con.execute(f"SELECT typeof(d), typeof(t), typeof(z), typeof(c) FROM ({FAR}) LIMIT 1").fetchall()[0]
    if nested == "{0}":
        back = wire_schema(format_, rows.schema)
        decoded = make_decoder(format_, back).decode(text.encode())  # noqa: F841 - DuckDB finds it
        casts = ", ".join(f"CAST({c} AS {kind}) AS {c}" for c, kind in zip("dtzc", types, strict=True))
        assert con.sql(f"SELECT {casts} FROM decoded").to_arrow_table().equals(rows)


@pytest.mark.parametrize("column", ["d", "t", "z", "c", "[d]", "{'a': t}", "MAP {'k': z}", "[[c]]"])
def test_a_time_that_parquet_has_no_number_for_is_refused(column: str) -> None:
    con = duckdb.connect()
    rows = con.sql(f"SELECT {column} AS x FROM ({FAR})").to_arrow_table()
    with pytest.raises(JobError, match=r'the column "x" holds (infinity|24:00:00), which Parquet has no number for'):
        make_encoder("parquet").encode(rows)
    there = con.sql(f"SELECT {column} AS x FROM ({FAR}) WHERE d BETWEEN '-0100-01-01' AND '50000-01-01'")
    rows = there.to_arrow_table()
    assert make_decoder("parquet", rows.schema).decode(make_encoder("parquet").encode(rows)).equals(rows)


def zstd(data: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(data, asbytes=True))


def lz4(data: bytes) -> bytes:
    return bytes(pa.Codec("lz4").compress(data, asbytes=True))


COMPRESSIONS: Mapping[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstd,
    ".lz4": lz4,
}


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_compressed_files_are_told_by_their_suffix(suffix: str) -> None:
    content = b"".join(b"line %d\n" % i for i in range(5000))
    packed = COMPRESSIONS[suffix](content)
    assert decompress(f"in/a.json{suffix}", packed) == content
    assert decompress(f"in/a{suffix}.json", packed) == packed
    for cut in (0, 3, len(packed) // 2, len(packed) - 1):
        with pytest.raises(BadRecord, match=f"the {suffix} compression is cut off or damaged"):
            decompress(f"a{suffix}", packed[:cut])


def test_the_types_that_a_decoder_gives() -> None:
    declared = columns(
        [
            ("small", pa.int16()),
            ("big", pa.uint64()),
            ("real", pa.float32()),
            ("price", pa.decimal128(18, 3)),
            ("time", pa.timestamp("us")),
            ("blob", pa.binary()),
            ("days", pa.list_(pa.date32())),
            ("at", pa.struct([("x", pa.int32()), ("t", pa.timestamp("us"))])),
        ]
    )
    assert wire_schema("json", declared).types == [
        pa.int64(),
        pa.decimal128(20, 0),
        pa.float64(),
        pa.decimal128(18, 3),
        pa.string(),
        pa.string(),
        pa.list_(pa.string()),
        pa.struct([("x", pa.int64()), ("t", pa.string())]),
    ]
    assert wire_schema("csv", declared).types == [
        pa.int64(),
        pa.string(),
        pa.float64(),
        *[pa.string()] * 3,
        pa.list_(pa.string()),
        pa.struct([("x", pa.int64()), ("t", pa.string())]),
    ]
    assert wire_schema("avro", declared).types == [
        pa.int64(),
        pa.decimal128(20, 0),
        pa.float64(),
        pa.decimal128(18, 3),
        pa.timestamp("us"),
        pa.binary(),
        pa.list_(pa.date32()),
        pa.struct([("x", pa.int64()), ("t", pa.timestamp("us"))]),
    ]
    assert wire_schema("parquet", declared) == declared
    assert wire_schema("text", declared) == pa.schema([("value", pa.string())])
    assert wire_schema("raw", declared) == pa.schema([("value", pa.binary())])
    with pytest.raises(ValueError, match='no format "orc"; the formats are text, json, csv, avro, parquet, raw'):
        wire_schema("orc", declared)
