"""Texts in the declared types: times with an offset are taken to UTC, or refused, and never change without a word."""

import json
from typing import Any

import pytest

from streamjob_runtime.errors import JobError
from streamjob_runtime.formats.open import make_decoder
from support.queries import Runner

INSTANT = [
    "2024-01-01T12:00:00Z",
    "2024-01-01T14:00:00+02:00",
    "2024-01-01 07:00:00-05",
    "2024-01-01T12:00:00",
    "2024-01-01 17:30:00.000000+0530",
    "2024-01-01 13:00:00 Europe/Paris",
]


def read(kind: str, value: Any, format_: str = "json") -> Any:
    """The value as text in a file of that format, declared in that type, as the engine's text of it."""
    source = {"name": "src", "files": {"path": "in/"}, "format": format_, "schema": {"v": kind}}
    runner = Runner({"o": "SELECT CAST(v AS VARCHAR) AS v FROM src"}, [("o", "append")], sources=[source], tables=[])
    decoder = make_decoder(format_, runner.query.source_schemas["src"])
    cell = value if isinstance(value, str) else json.dumps(value)
    text = json.dumps({"v": value}) if format_ == "json" else 'v\n"' + cell.replace('"', '""') + '"'
    try:
        return runner.batch(src=decoder.decode(text.encode()).to_pylist())[0][0]["v"]
    finally:
        runner.close()


@pytest.mark.parametrize("format_", ["json", "csv"])
@pytest.mark.parametrize("text", INSTANT)
def test_one_instant_is_one_timestamp_whatever_its_offset(format_: str, text: str) -> None:
    assert read("TIMESTAMP", text, format_) == "2024-01-01 12:00:00"
    assert read("TIMESTAMP WITH TIME ZONE", text, format_) == "2024-01-01 12:00:00+00"
    assert read("TIMESTAMP[]", [text, None], format_) == "['2024-01-01 12:00:00', NULL]"
    assert read('STRUCT("a b" TIMESTAMP)', {"a b": text}, format_) == "{'a b': '2024-01-01 12:00:00'}"
    for kind in ("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"):
        assert read(kind, text, format_) == "2024-01-01 12:00:00"
    assert read("DATE", text, format_) == "2024-01-01"


def test_times_within_other_values_are_taken_to_utc_too() -> None:
    nested = [{"ts": [INSTANT[1]], "n": 1}, None, {"ts": None, "n": 2}]
    assert read("STRUCT(ts TIMESTAMP[], n BIGINT)[]", nested) == (
        "[{'ts': ['2024-01-01 12:00:00'], 'n': 1}, NULL, {'ts': NULL, 'n': 2}]"
    )
    assert read("TIMESTAMP[1]", [INSTANT[1]]) == "['2024-01-01 12:00:00']"
    assert read("MAP(VARCHAR, TIMESTAMP)", f"{{k={INSTANT[1]}}}", "csv") == "{k='2024-01-01 12:00:00'}"


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("TIMESTAMP", "infinity", "infinity"),
        ("TIMESTAMP", "-infinity", "-infinity"),
        ("TIMESTAMP", "0044-03-15 (BC) 01:02:03Z", "0044-03-15 (BC) 01:02:03"),
        ("TIMESTAMP", "40000-01-01T01:00:00+01:00", "40000-01-01 00:00:00"),
        ("TIMESTAMP", "2024-01-01", "2024-01-01 00:00:00"),
        ("TIMESTAMP", "1969-12-31 23:59:59.999999-01", "1970-01-01 00:59:59.999999"),
        # Finer than a microsecond is cut off.
        ("TIMESTAMP", "2024-01-01T00:00:00.1234567Z", "2024-01-01 00:00:00.123456"),
        ("TIMESTAMP_NS", "2024-01-01T02:00:00.123456789+02:00", "2024-01-01 00:00:00.123456789"),
        # The day in UTC, as of the TIMESTAMP of the same text.
        ("DATE", "2024-01-01T23:00:00-05:00", "2024-01-02"),
        ("DATE", "2024-01-01T23:00:00", "2024-01-01"),
        ("DATE", "-0043-03-15", "0044-03-15 (BC)"),
        ("DATE", "infinity", "infinity"),
        ("DATE", "5881580-07-10", "5881580-07-10"),
        ("TIME", "24:00:00", "24:00:00"),
        ("TIME", "10:00:00Z", "10:00:00"),
        ("TIME WITH TIME ZONE", "10:00:00+02:00", "10:00:00+02"),
    ],
)
@pytest.mark.parametrize("format_", ["json", "csv"])
def test_the_texts_of_times(kind: str, text: str, value: str, format_: str) -> None:
    assert read(kind, text, format_) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("TIMESTAMP", "2024-01-01t10:00:00z"),
        ("TIMESTAMP", "2024-01-01 10:00:00 +0200"),
        ("TIMESTAMP", "2024-01-01 10:00:00 PM"),
        ("TIMESTAMP", "1704103200"),
        ("TIME", "10:00:00+02:00"),
        ("TIME", "10:00 PM"),
        ("TIME", "2024-01-01T10:00:00-05:00"),
        ("TIME[]", ["10:00:00+02:00"]),
    ],
)
def test_a_time_that_would_lose_something_is_refused_with_its_value(kind: str, text: Any) -> None:
    shown = text if isinstance(text, str) else text[0]
    with pytest.raises(JobError, match="the value") as error:
        read(kind, text)
    assert shown in str(error.value)
    assert ("Declare the column as BIGINT: " in str(error.value)) == shown.isdigit()
    assert f"not a {kind}" in str(error.value)
