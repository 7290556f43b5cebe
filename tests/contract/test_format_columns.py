"""Which column of a file is which, whatever its case; what is missing, and what is required."""

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamjob_runtime.formats import json_values, names
from streamjob_runtime.formats.base import BadRecord
from streamjob_runtime.formats.columns import Columns, Missing
from streamjob_runtime.formats.open import make_decoder

SCHEMA_COLUMNS: list[tuple[str, Any]] = [
    ("userId", pa.int64()),
    ("näme", pa.string()),
    ("at", pa.struct([("x", pa.int64())])),
    ("price", pa.decimal128(9, 2)),
]
SCHEMA = pa.schema(SCHEMA_COLUMNS)


def encoded(format_: str, row: dict[str, Any]) -> bytes:
    match format_:
        case "json":
            return json.dumps(row).encode() + b"\n"
        case "csv":
            cells = ['"' + (v if isinstance(v, str) else json.dumps(v)).replace('"', '""') + '"' for v in row.values()]
            return (",".join(row) + "\n" + ",".join(cells) + "\n").encode()
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([row]), out)
    return out.getvalue()


def decoded(format_: str, data: bytes, schema: pa.Schema = SCHEMA) -> list[dict[str, Any]]:
    return make_decoder(format_, schema).decode(data).to_pylist()


@pytest.mark.parametrize("format_", ["json", "csv", "parquet"])
def test_a_column_is_found_whatever_its_case(format_: str) -> None:
    schema = pa.schema(list(SCHEMA)[:3])
    row = {"USERID": 7, "näME": "a", "At": {"X": 1}}
    assert decoded(format_, encoded(format_, row), schema) == [{"userId": 7, "näme": "a", "at": {"x": 1}}]
    # The very name comes first, and other alphabets have no case, as in the SQL engine.
    row = {"userId": 7, "USERID": 8, "nÄme": "a", "at": {"x": 1, "X": 2}}
    assert decoded(format_, encoded(format_, row), schema) == [{"userId": 7, "näme": None, "at": {"x": 1}}]


@pytest.mark.parametrize("format_", ["json", "csv", "parquet"])
def test_two_names_that_differ_in_case_are_refused_where_none_is_the_columns(format_: str) -> None:
    with pytest.raises(BadRecord, match="'USERID' and 'userID' are one name in SQL, which ignores case, for 'userId'"):
        decoded(format_, encoded(format_, {"USERID": 7, "userID": 8}))


def test_the_fields_of_a_struct_are_one_name_too() -> None:
    schema = pa.schema(list(SCHEMA)[2:3])
    for format_ in ("json", "parquet"):
        with pytest.raises(BadRecord, match=r"'xx' and 'xX' are one name|'xX' and 'xx' are one name"):
            decoded(
                format_,
                encoded(format_, {"at": {"xx": 1, "xX": 2}}),
                pa.schema([("at", pa.struct([("XX", pa.int64())]))]),
            )
    assert decoded("parquet", encoded("parquet", {"at": {"y": 1}}), schema) == [{"at": {"x": None}}]


keys = st.sampled_from(["userId", "USERID", "userid", "price", "Price", "other", "näme", "Näme"])
values = st.none() | st.integers(-5, 5)


@given(st.lists(st.dictionaries(keys, values, max_size=4), min_size=1, max_size=6))
def test_the_quick_and_the_exact_way_find_the_same_keys(objects: list[dict[str, Any]]) -> None:
    schema = pa.schema([SCHEMA.field("userId"), SCHEMA.field("näme"), SCHEMA.field("price")])
    for ascii_only in (True, False):
        data = "".join(json.dumps(o, ensure_ascii=ascii_only) + "\n" for o in objects).encode()

        def decode(way: Any) -> Any:
            try:
                return way().to_pylist()
            except BadRecord as e:
                return e.record, e.reason

        quick = decode(lambda: make_decoder("json", schema).decode(data))  # noqa: B023 - it is called at once
        assert quick == decode(lambda: json_values.decode_lines(data, 0, schema))  # noqa: B023


def test_a_key_that_is_written_by_numbers_is_the_same_key() -> None:
    assert decoded("json", b'{"user\\u0049d":1}\n{"\\u0055SERID":2}\n{"pr\\u0069ce":3}\n') == [
        {"userId": 1, "näme": None, "at": None, "price": None},
        {"userId": 2, "näme": None, "at": None, "price": None},
        {"userId": None, "näme": None, "at": None, "price": 3},
    ]


def test_many_records_of_another_case_are_read_as_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    slow: list[bytes] = []
    monkeypatch.setattr(json_values, "decode_lines", lambda data, first, schema: slow.append(data))
    rows = decoded("json", b'{"UserID":7,"Price":1.25}\n' * 20_000)
    assert (len(rows), rows[-1]["userId"], slow) == (20_000, 7, [])


def look(columns: Columns, format_: str, data: bytes, schema: pa.Schema = SCHEMA) -> list[Missing]:
    decoder = make_decoder(format_, schema)
    columns.look(decoder.decode(data), lambda: decoder.names(data), lambda row: decoder.line_of(data, row))
    return columns.missing()


@pytest.mark.parametrize("format_", ["json", "csv", "parquet"])
def test_a_column_that_no_record_has_is_told_once(format_: str) -> None:
    columns = Columns(["userId", "price"])
    misspelt = encoded(format_, {"user_id": 1, "prize": "2.5", "price": "1"}).replace(b"price", b"pryce")
    schema = pa.schema([SCHEMA.field("userId"), pa.field("price", pa.string()), pa.field("pryce", pa.string())])
    (first, second) = look(columns, format_, misspelt, schema)
    assert (first.column, first.similar, second.column) == ("userId", "user_id", "price")
    assert set(first.there) == {"user_id", "prize", "pryce"}
    assert first.fields == {"column": "userId", "there": ", ".join(first.there), "similar": "user_id"}
    assert look(columns, format_, misspelt, schema) == []


@pytest.mark.parametrize("format_", ["json", "csv", "parquet"])
def test_a_column_that_has_come_once_is_missed_no_more(format_: str) -> None:
    schema = pa.schema([("userId", pa.int64()), ("n", pa.int64())])
    columns = Columns(["userId"])
    assert look(columns, format_, encoded(format_, {"n": 1, "userId": 1}), schema) == []
    assert look(columns, format_, encoded(format_, {"n": 1}), schema) == []


def test_a_field_that_is_null_is_there() -> None:
    assert look(Columns(["userId"]), "json", b'{"USERID":null}\n{"x":1}') == []
    assert look(Columns(["userId"]), "json", b"") == []
    assert look(Columns(["userId"]), "json", b"{}\n{}") == []


@pytest.mark.parametrize(
    ("format_", "data", "record"),
    [
        ("json", b'{"userId":1}\n\n{"userId":null}\n{}\n', 2),
        ("csv", b"userId,x\n1,1\n\n,2\n", 3),
        ("parquet", encoded("parquet", {"userId": None}), 0),
        ("parquet", encoded("parquet", {"x": 1}), 0),
    ],
)
def test_a_record_without_a_required_column_is_named(format_: str, data: bytes, record: int) -> None:
    schema = pa.schema([("userId", pa.int64())]) if format_ != "json" else SCHEMA
    with pytest.raises(BadRecord, match='it has no "userId", which is required') as error:
        look(Columns(["userId"], ["userId"]), format_, data, schema)
    assert error.value.record == record


def test_names_are_folded_as_the_sql_engine_folds_them() -> None:
    assert names.folded("Ab_Ä1") == "ab_Ä1"
    assert names.found("id", ["ID", "x"]) == "ID"
    assert names.found("id", ["x"]) is None
