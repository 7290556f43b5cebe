"""Good records and bad ones are told apart, format by format: each as if it stood alone."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamjob_runtime.connectors.files.decoding import FileDecoder
from streamjob_runtime.connectors.shared.long_lines import sift_around
from streamjob_runtime.excerpts import said
from streamjob_runtime.formats.base import BadFile, BadRecord
from streamjob_runtime.formats.columns import Columns
from streamjob_runtime.formats.lines import BOM
from streamjob_runtime.formats.messages import make_message_decoder
from streamjob_runtime.formats.open import make_decoder
from streamjob_runtime.formats.sifted import Sifted, no_misfits

COLUMNS: list[tuple[str, Any]] = [("a", pa.int64()), ("b", pa.string())]
SCHEMA = pa.schema(COLUMNS)
TEXT = pa.schema([("value", pa.string())])

# Records of each format, as lines: those that are rows, and those that are not.
GOOD = {
    "json": [b'{"a": 1, "b": "x"}', b'{"b": 7}', b'{"a": 1e3, "c": [1]}', "{'b': 'é'}".replace("'", '"').encode()],
    "csv": [b"1,x", b'2,"y, z"', b",", '3,"é"'.encode(), b'4,x"y"'],
    "text": [b"x", b"", "é".encode(), b" {"],
}
BAD = {
    "json": [b"nope", b'{"a": "one"}', b'{"a": 1', b"[1]", b'{"a": 1}{"a": 2}', b'{"b": "\xff"}', b"\xc3"],
    "csv": [b"one,x", b"1", b"1,x,y", b'2,"open', b'3,"x"y', b"\xff,"],
    "text": [b"\xff", b"x\xc3"],
}


def sift(format_: str, data: bytes) -> Sifted:
    schema = TEXT if format_ == "text" else SCHEMA
    return make_decoder(format_, schema, header=False).sift(data, no_misfits)


def alone(format_: str, record: bytes) -> list[dict[str, Any]] | None:
    """What a strict decoder makes of one record; None: it refuses it."""
    schema = TEXT if format_ == "text" else SCHEMA
    try:
        return make_decoder(format_, schema, header=False).decode(record + b"\n").to_pylist()
    except BadRecord:
        return None


@pytest.mark.parametrize("format_", GOOD)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_each_record_is_judged_as_if_it_stood_alone(format_: str, data: st.DataObject) -> None:
    many = st.lists(st.sampled_from(GOOD[format_] * 3 + BAD[format_]), max_size=60)
    # An opened quote may be closed by one that follows: what has none behind it cannot.
    records = [r for r in data.draw(many) if r != b'2,"open']
    whole = b"\n".join(records) + (b"\n" if records and (not records[-1] or data.draw(st.booleans())) else b"")
    found = sift(format_, whole)
    verdicts = [alone(format_, record) for record in records]
    assert found.rows.to_pylist() == [row for verdict in verdicts if verdict is not None for row in verdict]
    assert [(bad.record, bad.line, bad.raw) for bad in found.bad] == [
        (i, i, records[i]) for i, verdict in enumerate(verdicts) if verdict is None
    ]
    assert all(bad.reason.full for bad in found.bad)
    cut = data.draw(st.integers(0, found.total))
    begin, end = found.slice(0, cut), found.slice(cut, found.total)
    assert begin.total == cut
    assert [*begin.rows.to_pylist(), *end.rows.to_pylist()] == found.rows.to_pylist()
    assert (*begin.bad, *end.bad) == found.bad


@pytest.mark.parametrize("format_", GOOD)
def test_the_lists_above_are_what_they_say(format_: str) -> None:
    assert all(alone(format_, record) is not None for record in GOOD[format_])
    assert all(alone(format_, record) is None for record in BAD[format_])


def test_many_good_records_around_a_bad_one_are_all_there() -> None:
    """More than Arrow is given at once."""
    records = [json.dumps({"a": i, "b": "x" * 50}).encode() for i in range(50_000)]
    records[31_234] = b"nope"
    found = sift("json", b"\n".join(records))
    assert [bad.record for bad in found.bad] == [31_234]
    assert found.rows.column("a").to_pylist() == [i for i in range(50_000) if i != 31_234]
    lines = [b"%d,x" % i for i in range(50_000)]
    lines[31_234] = b"one"
    found = sift("csv", b"\n".join(lines))
    assert [bad.record for bad in found.bad] == [31_234]
    assert found.rows.column("a").to_pylist() == [i for i in range(50_000) if i != 31_234]


def test_blank_lines_and_byte_order_marks_shift_nothing() -> None:
    found = sift("json", BOM + b'\n{"a": 1}\n  \nnope\n\n{"a": 2}')
    assert found.rows.column("a").to_pylist() == [1, 2]
    assert [(bad.record, bad.line) for bad in found.bad] == [(1, 3)]
    # A mark stands at the beginning alone: one that a dropped record leaves there is text.
    assert sift("text", b"\xff\n" + BOM + b"x\n").rows.to_pylist() == [{"value": "\ufeffx"}]


def test_quoted_fields_of_csv_hold_ends_of_lines_also_beside_bad_records() -> None:
    data = b'b,a\r\n"x\r\ny",1\r\n\r\nz,one\r\n"u\nv",2\r\n"open,3\r\nw,4\r\n'
    found = make_decoder("csv", SCHEMA, header=True).sift(data, no_misfits)
    assert found.rows.to_pylist() == [{"a": 1, "b": "x\r\ny"}, {"a": 2, "b": "u\nv"}, {"a": 4, "b": "w"}]
    assert [(bad.record, bad.line, bad.raw) for bad in found.bad] == [(1, 4, b"z,one"), (3, 7, b'"open,3')]
    spark = make_decoder("csv", SCHEMA, header=False, escape="\\").sift(b'1,"x\\"y"\n"z"z,2\n2,u\n', no_misfits)
    assert spark.rows.to_pylist() == [{"a": 1, "b": 'x"y'}, {"a": 2, "b": "u"}]
    assert [bad.raw for bad in spark.bad] == [b'"z"z,2']


@pytest.mark.parametrize("data", [b"x,y\n1,2\n", b"a,a\n1,2\n", b'"a\n1,2\n', b"\xff,a\n1,2\n"])
def test_a_header_that_is_none_makes_the_file_bad_and_no_record(data: bytes) -> None:
    with pytest.raises(BadFile):
        make_decoder("csv", SCHEMA, header=True).sift(data, no_misfits)


@pytest.mark.parametrize("format_", ["json", "csv", "text"])
def test_what_the_caller_finds_unfit_is_bad_too(format_: str) -> None:
    records = [GOOD[format_][0], BAD[format_][0], GOOD[format_][-1], GOOD[format_][0]]
    schema = TEXT if format_ == "text" else SCHEMA
    found = make_decoder(format_, schema, header=False).sift(b"\n".join(records), lambda rows: {1: said("unfit")})
    assert [(bad.record, bad.raw) for bad in found.bad] == [(1, records[1]), (2, records[2])]
    assert found.bad[1].reason.full == "unfit"
    assert found.rows.num_rows == 2


def parquet(**columns: list[Any]) -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), out)
    return out.getvalue().to_pybytes()


def test_rows_of_parquet_whose_values_do_not_fit() -> None:
    fields: list[tuple[str, Any]] = [("a", pa.int16()), ("b", pa.string())]
    decoder = make_decoder("parquet", pa.schema(fields))
    found = decoder.sift(parquet(a=[1, 70_000, None, 3, -70_000], b=list("vwxyz")), no_misfits)
    assert found.rows.to_pylist() == [{"a": 1, "b": "v"}, {"a": None, "b": "x"}, {"a": 3, "b": "y"}]
    assert [(bad.record, bad.raw) for bad in found.bad] == [(1, b'{"a":70000,"b":"w"}'), (4, b'{"a":-70000,"b":"z"}')]
    assert 'column "a" is int64 in the file and int16' in found.bad[0].reason.full
    lines = decoder.sift(parquet(a=[70_000, 80_000], b=["v\nw", None]), no_misfits)
    assert [bad.raw for bad in lines.bad] == [b'{"a":70000,"b":"v\\nw"}', b'{"a":80000,"b":null}']
    unfit = decoder.sift(parquet(a=[1, 70_000, 3], b=list("vwx")), lambda rows: {1: said("unfit")})
    assert [(bad.record, bad.raw) for bad in unfit.bad] == [(1, b'{"a":70000,"b":"w"}'), (2, b'{"a":3,"b":"x"}')]
    with pytest.raises(BadFile):
        decoder.sift(b"PAR1 but no more", no_misfits)


def messages(format_: str) -> list[bytes | None]:
    return [*GOOD[format_][:2], None, BAD[format_][0], *GOOD[format_][2:], *BAD[format_][1:], GOOD[format_][0]]


@pytest.mark.parametrize("format_", GOOD)
def test_messages_are_judged_each_alone(format_: str) -> None:
    schema = TEXT if format_ == "text" else SCHEMA
    decoder = make_message_decoder(format_, schema)
    rows, wrong = decoder.sift(messages(format_))
    expected: list[dict[str, Any]] = []
    bad: list[int] = []
    for i, message in enumerate(messages(format_)):
        try:
            expected += decoder.decode([message]).to_pylist()
        except BadRecord:
            bad.append(i)
    assert rows.to_pylist() == expected
    assert sorted(wrong) == bad
    assert decoder.sift([])[0].num_rows == 0


def test_a_message_of_json_may_have_several_lines_and_none_is_several_records() -> None:
    decoder = make_message_decoder("json", SCHEMA)
    rows, wrong = decoder.sift([b'{"a":\n1}', b'{"a": 2}\n{"a": 3}', b"", b" \n", b'{"a": 4}'])
    assert rows.column("a").to_pylist() == [1, 4]
    assert sorted(wrong) == [1, 2, 3]
    assert wrong[2].full == "it is empty"


def test_a_file_that_is_packed_has_bad_records_and_a_cut_one_is_bad_itself() -> None:
    columns = Columns(SCHEMA.names, ["a"])
    decoder = FileDecoder(make_decoder("json", SCHEMA), columns, lenient=True)
    data = gzip.compress(b'{"a": 1}\nnope\n{"b": "x"}\n{"a": 2}\n{"a":')
    found = decoder.sift("x.json.gz", data)
    assert found.rows.column("a").to_pylist() == [1, 2]
    assert [(bad.line, bad.raw) for bad in found.bad] == [(1, b"nope"), (2, b'{"b": "x"}'), (4, b'{"a":')]
    assert found.bad[1].reason.full == 'it has no "a", which is required'
    with pytest.raises(BadFile, match="cut off"):
        decoder.sift("x.json.gz", data[:-12])


def test_long_lines_are_bad_whatever_they_hold() -> None:
    decode: Callable[[bytes], Sifted] = lambda data: sift("text", data)  # noqa: E731
    data = b"short\n" + b"x" * 11 + b"\n\nmore\n" + b"y" * 10 + b"\n" + b"z" * 12
    found = sift_around(data, 10, decode, 16 << 20)
    assert found.rows.column("value").to_pylist() == ["short", "", "more", "y" * 10]
    assert [(bad.record, bad.line, bad.raw) for bad in found.bad] == [(1, 1, b"x" * 11), (5, 5, b"z" * 12)]
    assert found.bad[0].reason.full == "it is longer than 16 MiB, and a line is a record"
