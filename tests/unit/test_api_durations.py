from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamjob_api.durations import format_duration, parse_duration

milliseconds = st.integers(min_value=0, max_value=10**12)


@given(milliseconds)
def test_what_is_written_reads_as_the_same(ms: int) -> None:
    duration = timedelta(milliseconds=ms)
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "ms"),
    [("500ms", 500), ("2s", 2000), ("1h30m", 5_400_000), ("1m1ms", 60_001), ("90s", 90_000), ("0s", 0), ("0ms", 0)],
)
def test_units_add_up(text: str, ms: int) -> None:
    assert parse_duration(text) == timedelta(milliseconds=ms)


@pytest.mark.parametrize(
    "text", ["", "2", "s", "-2s", "1.5h", "2 s", "2S", "30m1h", "1s1s", "2s\n", "٢s", "1d", "9" * 9 + "h"]
)
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert parse_duration(text) >= timedelta(0)
