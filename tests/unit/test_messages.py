"""Messages to rows and back: one row a message, whatever is in it."""

import pyarrow as pa
import pytest

from streamjob_runtime.formats.base import BadRecord
from streamjob_runtime.formats.message_values import column_messages, json_messages
from streamjob_runtime.formats.messages import make_message_decoder

SCHEMA = pa.table({"id": pa.array([], pa.int64()), "word": pa.array([], pa.string())}).schema


@pytest.mark.parametrize(
    ("format_", "messages", "rows"),
    [
        ("json", [b'{"id": 1}', b'{"word": "a"}'], [(1, None), (None, "a")]),
        ("json", [b'{\n "id": 1,\r\n "word": "a\\nb"\n}', b'{"id": 2}'], [(1, "a\nb"), (2, None)]),
        ("json", [None, b'{"id": 1}', None], [(None, None), (1, None), (None, None)]),
        ("json", [None], [(None, None)]),
        ("json", [], []),
        ("csv", [b"1,a", b'2,"b,c"'], [(1, "a"), (2, "b,c")]),
        ("csv", [b"1,a\r", b"2,b\r"], [(1, "a"), (2, "b")]),
        ("csv", [b'1,"a\nb"', None, b"2,c"], [(1, "a\nb"), (None, None), (2, "c")]),
    ],
)
def test_each_message_is_a_row(
    format_: str, messages: list[bytes | None], rows: list[tuple[int | None, str | None]]
) -> None:
    found = make_message_decoder(format_, SCHEMA).decode(messages)
    assert found.schema == SCHEMA
    assert [(row["id"], row["word"]) for row in found.to_pylist()] == rows


def test_text_and_bytes_are_taken_as_they_are() -> None:
    messages = [b"a\nb\r\n", b"", None, "é".encode()]
    assert make_message_decoder("text", SCHEMA).decode(messages).column("value").to_pylist() == [
        "a\nb\r\n",
        "",
        None,
        "é",
    ]
    assert make_message_decoder("raw", SCHEMA).decode([*messages, b"\xff"]).column("value").to_pylist() == [
        *messages,
        b"\xff",
    ]


@pytest.mark.parametrize(
    ("format_", "bad", "reason"),
    [
        ("json", b"", "it is empty"),
        ("json", b'{"id": 1}{"id": 2}', "Extra data"),
        ("json", b'{"id": 1}\n{"id": 2}', "Extra data"),
        ("json", b"[1]", "a list stands where an object is expected"),
        ("json", b"\xff", "not UTF-8"),
        ("csv", b"1,a\n2,b", "holds 2 records"),
        ("csv", b"1,a\r2,b", "holds 2 records"),
        ("csv", b"", "it is empty"),
        ("csv", b"1", "number of its fields"),
        ("csv", b'1,"a', "never closed"),
        ("text", b"\xff", "not UTF-8"),
    ],
)
@pytest.mark.parametrize("before", [0, 3])
def test_a_bad_message_is_named_by_its_number(format_: str, bad: bytes, reason: str, before: int) -> None:
    good = {"json": b'{"id": 1}', "csv": b"1,a", "text": b"a"}[format_]
    messages = [None, *[good] * before, bad, good]
    with pytest.raises(BadRecord, match=reason) as error:
        make_message_decoder(format_, SCHEMA).decode(messages)
    assert error.value.record == before + 1


@pytest.mark.parametrize(
    ("format_", "two"),
    [
        ("csv", b"1,a\r2,b"),
        ("csv", b"1,a\r2,b\r"),
        ("csv", b"1,a\n2,b"),
        ("json", b'{"id": 1}{"id": 2}'),
        ("json", b'{"id": 1}\r{"id": 2}'),
    ],
)
def test_two_rows_in_one_message_do_not_stand_for_an_empty_one(format_: str, two: bytes) -> None:
    for messages in ([two, b""], [b"", two]):
        with pytest.raises(BadRecord) as error:
            make_message_decoder(format_, SCHEMA).decode(messages)
        assert error.value.record == 0


def test_rows_become_messages() -> None:
    rows = pa.table({"a": [1, None], "b": ["x\n", None], "c": [b"\xff", None], "d": [[1], None]})
    assert json_messages(rows) == [
        b'{"a":1,"b":"x\\n","c":"\\\\xFF","d":[1]}',
        b'{"a":null,"b":null,"c":null,"d":null}',
    ]
    assert [column_messages(rows.column(i)) for i in range(4)] == [
        [b"1", None],
        [b"x\n", None],
        [b"\xff", None],
        [b"[1]", None],
    ]
    assert json_messages(rows.slice(1)) == json_messages(rows)[1:]
