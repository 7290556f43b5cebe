"""What one of our formats writes, another of ours reads back equal, or one of them refuses it: types by formats."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamjob_runtime.connectors.files.folders import Folders
from streamjob_runtime.connectors.shared.partitions import split
from streamjob_runtime.embedded.declared import declared
from streamjob_runtime.errors import JobError
from streamjob_runtime.formats.avro.encode import NoAvro, encode_rows, schema_of
from streamjob_runtime.formats.avro.messages import AvroMessages, head
from streamjob_runtime.formats.avro.schema import parse_schema
from streamjob_runtime.formats.base import BadRecord
from streamjob_runtime.formats.message_values import json_messages
from streamjob_runtime.formats.messages import make_message_decoder
from streamjob_runtime.formats.open import make_decoder, make_encoder
from streamjob_runtime.formats.wire import wire_schema
from streamjob_runtime.plan.connect import connect

CON = connect(threads=1)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ["", "null", "NULL", '"', "\\", '\\"', "a,b", "a\nb", "\r", " ", "[1]", "{}", "NaN", "\\x00", "\x00", "%3D", "=%/:"]
)


def _day(n: int) -> str:
    """A day of the years 4800 BC to 200000: those that Python has, moved by whole calendars of 400 years."""
    era, day = divmod(n, 146_097)
    year = 400 * era + int((datetime(2001, 1, 1) + timedelta(day)).strftime("%Y"))
    behind = (datetime(2001, 1, 1) + timedelta(day)).strftime("-%m-%d")
    return f"{year if year > 0 else 1 - year:04}{behind}{'' if year > 0 else ' (BC)'}"


DAYS = st.integers(-17 * 146_097, 490 * 146_097).map(_day) | st.dates().map(str)
CLOCKS = st.times().map(str)
FAR = st.sampled_from(["infinity", "-infinity"])
TIMES = st.tuples(DAYS, CLOCKS).map(" ".join) | FAR
NEAR = st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)).map(str)

# SQL type -> texts that are cast to it
SCALARS: dict[str, st.SearchStrategy[str]] = {
    "BOOLEAN": st.booleans().map(str),
    "TINYINT": st.integers(-128, 127).map(str),
    "UINTEGER": st.integers(0, 2**32 - 1).map(str),
    "BIGINT": st.integers(-(2**63), 2**63 - 1).map(str),
    "UBIGINT": st.integers(0, 2**64 - 1).map(str),
    "HUGEINT": st.integers(-(10**37), 10**37).map(str),
    "DECIMAL(10,2)": st.decimals(-99_999_999, 99_999_999, places=2).map("{:f}".format),
    "DECIMAL(38,38)": (st.integers(-(10**38) + 1, 10**38 - 1) | st.integers(-9, 9)).map(
        lambda n: f"{'-' if n < 0 else ''}0.{abs(n):038}"
    ),
    "DOUBLE": st.floats().map(repr),
    "REAL": st.floats(width=32).map(repr),
    "VARCHAR": TEXTS,
    "BLOB": st.binary(max_size=6).map(lambda b: "".join(f"\\x{byte:02X}" for byte in b)),
    "DATE": DAYS | FAR,
    "TIME": CLOCKS | st.just("24:00:00"),
    "TIMESTAMP": TIMES,
    "TIMESTAMP WITH TIME ZONE": TIMES.map(lambda t: t if "inf" in t else f"{t}+00"),
    "TIMESTAMP_MS": TIMES,
    "TIMESTAMP_NS": st.tuples(NEAR, st.integers(0, 999)).map(lambda t: f"{t[0][:19]}.000000{t[1]:03}"),
    "UUID": st.uuids().map(str),
    "ENUM('a', 'b c')": st.sampled_from(["a", "b c"]),
}


def _literal(kind: str, text: str) -> str:
    return f"CAST(decode(from_hex('{text.encode().hex()}')) AS {kind})"


def _values(kind: str) -> st.SearchStrategy[str]:
    return st.just("NULL") | SCALARS[kind].map(lambda text: _literal(kind, text))


def _lists(inner: tuple[str, st.SearchStrategy[str]]) -> tuple[str, st.SearchStrategy[str]]:
    kind, values = inner
    lists = st.lists(values, max_size=3).map(lambda items: f"CAST([{', '.join(items)}] AS {kind}[])")
    return f"{kind}[]", st.just("NULL") | lists


def _structs(inner: list[tuple[str, st.SearchStrategy[str]]]) -> tuple[str, st.SearchStrategy[str]]:
    kind = "STRUCT(" + ", ".join(f'"F{i}" {kind}' for i, (kind, _) in enumerate(inner)) + ")"

    def packed(fields: tuple[str, ...]) -> str:
        return "CAST(struct_pack(" + ", ".join(f'"F{i}" := {sql}' for i, sql in enumerate(fields)) + f") AS {kind})"

    return kind, st.just("NULL") | st.tuples(*(values for _, values in inner)).map(packed)


FLAT = st.sampled_from(sorted(SCALARS)).map(lambda kind: (kind, _values(kind)))
# DuckDB 2.0.0 does not read every list of ENUM that it has given to Arrow.
WITHIN = FLAT.filter(lambda each: "ENUM" not in each[0])
COLUMNS = FLAT | st.recursive(
    WITHIN, lambda inner: inner.map(_lists) | st.lists(inner, min_size=1, max_size=2).map(_structs), max_leaves=3
)


@st.composite
def tables(draw: st.DrawFn, columns: st.SearchStrategy[Any] = COLUMNS) -> tuple[str, pa.Table]:
    """A column `x` of some type, with its rows, and one beside it."""
    kind, values = draw(columns)
    rows = draw(st.lists(values, min_size=1, max_size=4))
    union = " UNION ALL ".join(f"SELECT CAST({sql} AS {kind}) AS x, {i} AS n" for i, sql in enumerate(rows))
    return kind, CON.sql(f"SELECT x, n FROM ({union}) ORDER BY n").to_arrow_table()


def _lines(format_: str) -> Callable[[pa.Table], pa.Table]:
    def there_and_back(rows: pa.Table) -> pa.Table:
        return make_decoder(format_, wire_schema(format_, rows.schema)).decode(make_encoder(format_).encode(rows))

    return there_and_back


def _json_messages(rows: pa.Table) -> pa.Table:
    return make_message_decoder("json", wire_schema("json", rows.schema)).decode(json_messages(rows))


def _avro(rows: pa.Table) -> pa.Table:
    node = parse_schema(schema_of(rows.schema, "row"))
    return AvroMessages(wire_schema("avro", rows.schema), lambda number: node).decode(encode_rows(rows, head(1)))


WAYS: dict[str, Callable[[pa.Table], pa.Table]] = {
    "json": _lines("json"),
    "csv": _lines("csv"),
    "parquet": _lines("parquet"),
    "avro": _avro,
    "json messages": _json_messages,
}


def differences(kind: str, rows: pa.Table, back: pa.Table) -> list[Any]:
    """The values that are others when they are read in their declared type."""
    value = declared("x", back.schema.field("x").type, kind, rows.schema.field("x").type)
    CON.register("there", rows)
    CON.register("back", back)
    sql = (
        "SELECT CAST(there.x AS VARCHAR), CAST(again.x AS VARCHAR) "
        f"FROM there FULL JOIN (SELECT {value} AS x, CAST(n AS INTEGER) AS n FROM back) AS again USING (n) "
        "WHERE there.x IS DISTINCT FROM again.x"
    )
    return CON.execute(sql).fetchall()


@pytest.mark.parametrize("way", sorted(WAYS))
@given(table=tables())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_written_is_read_back_equal_or_refused(way: str, table: tuple[str, pa.Table]) -> None:
    kind, rows = table
    try:
        back = WAYS[way](rows)
    except JobError as refused:
        assert way in ("parquet", "avro")
        assert "has no number for" in str(refused)
        return
    except NoAvro as refused:
        assert "TIMESTAMP_NS" in kind
        assert "Cast it" in str(refused)
        return
    assert differences(kind, rows, back) == []


@pytest.mark.parametrize("format_", ["json", "parquet"])
@given(table=tables(st.sampled_from(sorted(set(SCALARS) - {"BLOB"})).map(lambda kind: (kind, _values(kind)))))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_becomes_a_folder_is_read_back_equal_or_refused(format_: str, table: tuple[str, pa.Table]) -> None:
    kind, rows = table
    wire = wire_schema(format_, rows.schema)
    try:
        parts = list(split(rows, ["x"], "s"))
    except JobError as refused:
        assert "readers of such folders take for NULL" in str(refused)
        return
    found = []
    for folder, part in parts:
        data = make_encoder(format_).encode(part)
        try:
            found.append(Folders("in").put(make_decoder(format_, wire).decode(data), f"{folder}part-0"))
        except BadRecord as refused:
            # Columns of Parquet come in their types, and not every text is one of these to Arrow.
            assert format_ == "parquet"
            assert re.search("infinity|BC|'[0-9]{5}", refused.reason.full)
            return
    assert differences(kind, rows, pa.concat_tables(found)) == []


def test_the_sql_engine_has_all_these_types() -> None:
    for kind in SCALARS:
        assert duckdb.execute(f"SELECT CAST(NULL AS {kind})").fetchall() == [(None,)]
