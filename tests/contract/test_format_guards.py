"""What a format is not given, and what it is bounded by: digits, quotes, sizes, far times."""

import bz2
import gzip
import io
import lzma
import tracemalloc
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamjob_runtime.errors import JobError
from streamjob_runtime.formats import json_keys, json_values
from streamjob_runtime.formats.base import BadRecord, TooLarge
from streamjob_runtime.formats.casts import cast
from streamjob_runtime.formats.compression import decompress
from streamjob_runtime.formats.csv import CsvDecoder
from streamjob_runtime.formats.decimals import to_decimal
from streamjob_runtime.formats.open import make_decoder, make_encoder

MONEY = pa.decimal128(10, 2)

# --- digits


@pytest.mark.parametrize(
    ("text", "kind", "number"),
    [
        ("1.25", MONEY, "1.25"),
        ("-0.5", MONEY, "-0.50"),
        ("+7", MONEY, "7.00"),
        (".5", MONEY, "0.50"),
        ("1.2500", MONEY, "1.25"),
        ("1e3", MONEY, "1000.00"),
        ("0e9", MONEY, "0.00"),
        ("1" * 38, pa.decimal128(38, 0), "1" * 38),
        ("0." + "1" * 38, pa.decimal128(38, 38), "0." + "1" * 38),
        ("0012", MONEY, "12.00"),
    ],
)
def test_texts_that_are_decimals(text: str, kind: Any, number: str) -> None:
    assert to_decimal(pa.array([text, None]), kind).to_pylist() == [Decimal(number), None]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1.255", MONEY),
        ("123456789", MONEY),
        ("1e9", MONEY),
        ("", MONEY),
        (".", MONEY),
        ("x", MONEY),
        (" 1", MONEY),
        ("nan", MONEY),
        # Arrow gives other numbers for these.
        ("1" * 38, pa.decimal128(38, 38)),
        ("0." + "1" * 39, pa.decimal128(38, 0)),
        ("1" * 1000, pa.decimal128(38, 0)),
    ],
)
def test_texts_that_are_no_decimals_of_the_type(text: str, kind: Any) -> None:
    with pytest.raises(pa.ArrowInvalid):
        to_decimal(pa.array([text]), kind)


def test_a_decimal_that_its_new_type_does_not_hold_is_refused() -> None:
    wide = pa.array([Decimal("1" * 38)], pa.decimal128(38, 0))
    with pytest.raises(pa.ArrowInvalid):
        cast(wide, pa.decimal128(38, 38))  # Arrow gives 0.8215…
    small = pa.array([Decimal("0.5")], pa.decimal128(38, 1))
    assert cast(small, pa.decimal128(38, 38)).to_pylist() == [Decimal("0.5")]
    assert cast(pa.array([[Decimal("7")]], pa.list_(pa.decimal256(70, 0))), pa.list_(MONEY)).to_pylist() == [[7]]


DECIMALS_COLUMNS: list[tuple[str, Any]] = [
    ("price", MONEY),
    ("n", pa.decimal128(20, 0)),
    ("share", pa.decimal128(3, 3)),
    ("all", pa.list_(MONEY)),
    ("in", pa.struct([("fee", MONEY)])),
]
DECIMALS = pa.schema(DECIMALS_COLUMNS)


@pytest.mark.parametrize(
    "plain",
    [
        '{"price":1.25,"n":18446744073709551615,"share":0.125,"all":[1,2.5,null],"in":{"fee":0.01}}',
        '{"price":null,"n" : "12" , "share":"-.5","all":[],"in":null}',
        '{"other":1e9,"price":12345678.12}',
        '{"text":"1e9","price":-0}',
        '{"ids":["b2a1c9f0-0000-4c1f-8d5a"],"all":["1.5"]}',
    ],
)
def test_plain_digits_are_read_quickly(plain: str) -> None:
    assert not json_keys.doubtful_decimals(DECIMALS).is_in(plain.encode())
    assert not json_keys.doubtful_decimals(DECIMALS).is_in(plain.encode() * 1000)


@pytest.mark.parametrize(
    "doubtful",
    [
        '{"price":1e3}',
        '{"price":"1E3"}',
        '{"price": 1.5e-1}',
        '{"price":1.255}',
        '{"price":123456789}',
        '{"price":" 1"}',
        '{"price":"\\u0031"}',
        '{"pr\\u0069ce":1}',
        '{"n":123456789012345678901}',
        '{"share":12}',
        '{"all":[1,1e3]}',
        '{"all":["1e3"]}',
        '{"all":["\\u0031"]}',
        '{"in":{"fee":1e1}}',
    ],
)
def test_what_else_stands_for_a_decimal_is_read_record_by_record(doubtful: str) -> None:
    assert json_keys.doubtful_decimals(DECIMALS).is_in(doubtful.encode())
    assert json_keys.doubtful_decimals(DECIMALS).is_in(b'{"x":1}\n' * 1000 + doubtful.encode())


numbers = (
    st.decimals(-999, 999, places=2).map(str)
    | st.floats(-1e6, 1e6).map(repr)
    | st.sampled_from(["1e3", '"1.5"', '"1e1"', "null", "-0", "1E+2", '"x"', "12345678.99", "0.005"])
)


@given(st.lists(st.tuples(st.sampled_from(["price", "n", "share", "other"]), numbers), max_size=5))
def test_the_quick_and_the_exact_way_agree_on_decimals(fields: list[tuple[str, str]]) -> None:
    data = "".join(f'{{"{name}":{number}}}\n' for name, number in fields).encode()

    def decode(way: Callable[[], pa.Table]) -> Any:
        try:
            return way().to_pylist()
        except BadRecord as e:
            return e.record, e.reason

    quick = decode(lambda: make_decoder("json", DECIMALS).decode(data))
    assert quick == decode(lambda: json_values.decode_lines(data, 0, DECIMALS))


# --- quotes

CSV_COLUMNS: list[tuple[str, Any]] = [("a", pa.int64()), ("b", pa.string())]
CSV = pa.schema(CSV_COLUMNS)


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        (b'a,b\n1,"open\n2,x\n3,y\n', 1, "a quote is opened and never closed"),
        (b'a,b\n1,x\n2,"open\n3,"x"\n', 2, "text stands behind the quote that ends a field"),
        (b'a,b\n1,"two\nlines"\n2,"x"y\n', 3, "text stands behind the quote that ends a field"),
        (b'a,b\r\n1,x\r\n2,"x"y\r\n', 2, "text stands behind the quote that ends a field"),
        (b'a,b\n1,"say \\"hi\\""\n', 1, r"as Spark does, write escape: '\\'"),
        (b'a,b\n1,"', 1, "never closed"),
    ],
)
def test_a_quote_that_does_not_end_its_field_is_refused_by_its_line(data: bytes, line: int, reason: str) -> None:
    for more in (b"", b"4,z\n" * 100_000):
        begin = data if data.endswith(b"\n") or not more else data + b"\n"
        with pytest.raises(BadRecord, match=reason) as error:
            CsvDecoder(CSV, header=True).decode(begin + more)
        assert error.value.record == line


def test_quotes_within_a_field_without_them_are_text() -> None:
    rows = CsvDecoder(CSV, header=True).decode(b'a,b\n1,5" pipe\n2,"x"\n3,a"b"c\n').to_pylist()
    assert [row["b"] for row in rows] == ['5" pipe', "x", 'a"b"c']


def test_quotes_are_read_as_spark_writes_them() -> None:
    # Spark 4 writes the texts below so.
    written = (
        b'a,b\n1,"q\\"uote"\n2,"\\""\n3,"\\\\\\""\n4,a\\b\n5,"a\\\\,b"\n'
        b'6,""\n7,\n8,"two\nlines"\n9,"a\\nb"\n10,C:\\\\x\n'
    )
    rows = CsvDecoder(CSV, header=True, escape="\\").decode(written).to_pylist()
    texts = ['q"uote', '"', '\\"', "a\\b", "a\\,b", "", None, "two\nlines", "a\\nb", "C:\\\\x"]
    assert [(row["a"], row["b"]) for row in rows] == list(enumerate(texts, 1))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'a,b\n1,"a""b"\n', "text stands behind the quote"),
        (b'a,b\n1,"a\\"\n', "never closed"),
        (b'a,b\n1,a"b\n', "a quote stands within a field that has none around it"),
    ],
)
def test_with_a_backslash_no_other_quotes_stand_within_fields(data: bytes, reason: str) -> None:
    with pytest.raises(BadRecord, match=reason) as error:
        CsvDecoder(CSV, header=True, escape="\\").decode(data)
    assert error.value.record == 1


FIELDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00"), min_size=1, max_size=6)


@given(st.lists(FIELDS | st.sampled_from(['"', "\\", '\\"', '"\\', ",", "\n", "\\\\"]), min_size=1, max_size=6))
def test_whatever_text_is_escaped_by_backslashes_comes_back(texts: list[str]) -> None:
    quoted = ['"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts]
    data = "a,b\n" + "".join(f"{i},{text}\n" for i, text in enumerate(quoted))
    rows = CsvDecoder(CSV, header=True, escape="\\").decode(data.encode()).to_pylist()
    assert [row["b"] for row in rows] == texts


@pytest.mark.parametrize("data", [b"a,b", b"a,b\n", b"a,b\r\n", b'"a","b"', b"\n\na,b\n\n"])
def test_a_header_alone_is_no_rows(data: bytes) -> None:
    assert CsvDecoder(CSV, header=True).decode(data).num_rows == 0


def test_a_null_that_would_be_a_blank_line_is_refused() -> None:
    with pytest.raises(JobError, match='the column "a" is NULL in 1 rows, and the only one'):
        make_encoder("csv").encode(pa.table({"a": ["x", None]}))


# --- sizes

PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: bytes(pa.Codec("zstd").compress(data, asbytes=True)),
    ".lz4": lambda data: bytes(pa.Codec("lz4").compress(data, asbytes=True)),
}


@pytest.mark.parametrize("suffix", PACKED)
def test_what_is_compressed_is_taken_apart_up_to_a_bound(suffix: str) -> None:
    content = b"0123456789" * (4 << 20)
    packed = PACKED[suffix](content)
    assert decompress(f"a{suffix}", packed, len(content)) == content
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge, match="it becomes more than 8 MiB"):
            decompress(f"a{suffix}", packed, 8 << 20)
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz"])
def test_several_compressed_streams_are_one_file(suffix: str) -> None:
    parts = [b"one\n" * 1000, b"", b"two\n"]
    together = b"".join(map(PACKED[suffix], parts))
    assert decompress(f"a{suffix}", together + bytes(8)) == b"".join(parts)
    with pytest.raises(BadRecord, match="cut off or damaged"):
        decompress(f"a{suffix}", together[:-3])


def parquet(table: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


LONG = "x" * 10_000


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"v": pa.array([LONG]).take(pa.array([0] * 20_000))}),
        pa.table({"v": pa.array([[LONG] * 20] * 1_000)}),
        pa.table({"v": pa.array([{"s": LONG}] * 20_000)}),
        pa.table({"v": pa.array([[("k", LONG)]] * 20_000, pa.map_(pa.string(), pa.string()))}),
        pa.table({"v": pa.array([7] * 20_000_000, pa.int64())}),
        pa.table({"v": pa.array([LONG] * 1_000), "w": pa.array([LONG * 20] * 1_000)}),
    ],
    ids=["texts", "lists", "structs", "maps", "numbers", "several"],
)
def test_what_parquet_becomes_is_bounded_too(table: pa.Table) -> None:
    data = parquet(table)
    assert len(data) < 1 << 20
    before = pa.total_allocated_bytes()
    decoder = make_decoder("parquet", table.schema)
    with pytest.raises(TooLarge):
        decoder.decode(data, 64 << 20 if table.num_columns == 1 else 8 << 20)
    assert decoder.decode(data, 2 << 30).equals(table)
    del table
    assert pa.total_allocated_bytes() - before < 16 << 20


def test_what_parquet_says_of_itself_is_believed_where_it_is_too_much() -> None:
    data = parquet(pa.table({"v": [f"{i:0100}" for i in range(50_000)]}), use_dictionary=False)
    with pytest.raises(TooLarge):
        make_decoder("parquet", pa.schema([("v", pa.string())])).decode(data, 1 << 20)


# --- far times


@pytest.mark.parametrize("nested", [False, True])
def test_the_old_times_of_spark_are_read_as_far_as_microseconds_reach(nested: bool) -> None:
    days = pa.array([253_402_214_400, -11_676_096_000, None], pa.timestamp("s"))
    table = pa.table({"t": pa.array([[v] for v in days.to_pylist()], pa.list_(pa.timestamp("s"))) if nested else days})
    kind = pa.list_(pa.timestamp("us")) if nested else pa.timestamp("us")
    data = parquet(table.cast(pa.schema([("t", kind)])), use_deprecated_int96_timestamps=True)
    read = make_decoder("parquet", pa.schema([("t", kind)])).decode(data).column("t").to_pylist()
    years = [None if v is None else v.year for v in ((row[0] if row else None) if nested else row for row in read)]
    assert years == [9999, 1600, None]


def test_a_time_that_its_new_unit_does_not_reach_is_refused() -> None:
    data = parquet(pa.table({"t": pa.array([9_300_000_000_000_000], pa.timestamp("ms"))}))
    with pytest.raises(BadRecord, match=r'column "t" is timestamp.ms. in the file'):
        make_decoder("parquet", pa.schema([("t", pa.timestamp("us"))])).decode(data)
    before = pa.array([-1_500], pa.timestamp("ns"))
    assert cast(before, pa.timestamp("us")).cast(pa.int64()).to_pylist() == [-2]  # towards the past


@pytest.mark.parametrize("format_", ["parquet"])
def test_a_time_that_microseconds_do_not_reach_is_not_written(format_: str) -> None:
    rows = pa.table({"t": pa.array([10**15], pa.timestamp("s"))})
    with pytest.raises(
        JobError, match=r'"t" holds a time further from 1970 than microseconds reach.*Cast it to VARCHAR'
    ):
        make_encoder(format_).encode(rows)
