"""Windows with an offset, and days in a time zone: whatever the batches, and after a restart, rows count in theirs.

What these are is computed row by row, with Python's own time zones.
"""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from support.queries import SOURCES, Row, Runner, problems

EPOCH = datetime(1970, 1, 1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ZONED = [{**SOURCES[0], "schema": {"k": "VARCHAR", "t": "TIMESTAMPTZ"}}]
Window = tuple[datetime, datetime]


def plain(slide: timedelta, size: timedelta, offset: timedelta) -> Callable[[datetime], list[Window]]:
    """The windows of a time, by their offset."""

    def windows(time: datetime) -> list[Window]:
        last = EPOCH + offset + (time - EPOCH - offset) // slide * slide
        starts = [last - i * slide for i in range(size // slide + 1)]
        return [(s, s + size) for s in starts if s + size > time]

    return windows


def local(zone: str, slide: int, size: int, offset: timedelta = timedelta(0)) -> Callable[[datetime], list[Window]]:
    """The windows of whole days in a zone, as instants of UTC."""

    def windows(time: datetime) -> list[Window]:
        there = time.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        return [(instant(s), instant(e)) for s, e in plain(slide * DAY, size * DAY, offset)(there)]

    def instant(there: datetime) -> datetime:
        return there.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).replace(tzinfo=None)

    return windows


# how it is written -> what it means, and the days from which on the rows are
CASES: dict[str, tuple[Callable[[datetime], list[Window]], datetime]] = {
    "tumble(t, INTERVAL '1 day', INTERVAL '6 hours')": (plain(DAY, DAY, 6 * HOUR), datetime(2026, 1, 1)),
    "tumble(t, INTERVAL '7 hours', INTERVAL '-30 minutes')": (
        plain(7 * HOUR, 7 * HOUR, -HOUR / 2),
        datetime(2026, 1, 1),
    ),
    "hop(t, INTERVAL '6 hours', INTERVAL '15 hours', INTERVAL '45 minutes')": (
        plain(6 * HOUR, 15 * HOUR, 0.75 * HOUR),
        datetime(1969, 12, 30),
    ),
    "tumble(t, INTERVAL '1 day', 'Europe/Berlin')": (local("Europe/Berlin", 1, 1), datetime(2026, 3, 27, 12)),
    "tumble(t, INTERVAL '1 day', 'America/New_York')": (local("America/New_York", 1, 1), datetime(2026, 10, 30, 12)),
    "hop(t, INTERVAL '1 day', INTERVAL '3 days', 'Europe/Berlin')": (
        local("Europe/Berlin", 1, 3),
        datetime(2026, 10, 23, 12),
    ),
    "tumble(t, INTERVAL '7 days', 'Europe/Berlin', INTERVAL '4 days')": (
        local("Europe/Berlin", 7, 7, 4 * DAY),
        datetime(2026, 3, 27),
    ),
    "tumble(t, INTERVAL '1 day', 'America/Havana', INTERVAL '6 hours')": (
        local("America/Havana", 1, 1, 6 * HOUR),
        datetime(2025, 10, 31, 12),
    ),
    # Midnight comes twice, and there is none.
    "tumble(t, INTERVAL '1 day', 'America/Havana')": (local("America/Havana", 1, 1), datetime(2025, 10, 31, 12)),
    "tumble(t, INTERVAL '1 day', 'Africa/Cairo')": (local("Africa/Cairo", 1, 1), datetime(2026, 4, 22, 12)),
    "tumble(t, INTERVAL '1 day', 'Asia/Kathmandu')": (local("Asia/Kathmandu", 1, 1), datetime(1985, 12, 30)),
}
BATCHES = st.lists(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 4 * 24 * 4)), max_size=6), min_size=1, max_size=7
)
few = settings(max_examples=3, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))


@few
@given(BATCHES, st.booleans(), st.integers(0, 6), st.sampled_from([0, 5, 40]))
@pytest.mark.parametrize("window", CASES)
def test_rows_count_in_their_windows_until_these_are_final(
    window: str, script: list[list[tuple[str, int]]], zoned: bool, restart_at: int, delay_h: int
) -> None:
    windows, begin = CASES[window]
    sql = f"SELECT k, window_start, window_end, count(*) AS n FROM events GROUP BY k, {window}"
    given: dict[str, Any] = {"delay_ms": delay_h * 3_600_000, "sources": ZONED if zoned else SOURCES}
    run = Runner({"g": sql}, [("g", "append"), ("g", "update")], **given)
    all_of_it = Runner({"g": sql}, [("g", "complete")], **given)
    in_time: Counter[tuple[str, datetime, datetime]] = Counter()
    everything: Counter[tuple[str, datetime, datetime]] = Counter()
    final: list[Row] = []
    mirror: dict[tuple[str, datetime, datetime], int] = {}
    for i, batch in enumerate(script):
        if i == restart_at:
            run.restart()
            all_of_it.restart()
        rows: list[Row] = [{"k": k, "t": begin + timedelta(minutes=15 * quarter)} for k, quarter in batch]
        late = run.late_before
        for row in rows:
            for start, end in windows(row["t"]):
                everything[row["k"], start, end] += 1
                if late is None or over_ms(end, window) > late:
                    in_time[row["k"], start, end] += 1
        if zoned:
            rows = [{**row, "t": row["t"].replace(tzinfo=UTC)} for row in rows]
        append, update = run.batch(events=rows)
        final += append
        mirror.update(counted(update))
        assert counted(all_of_it.batch(events=rows)[0]) == everything
    mark = run.watermark
    final += run.batch()[0]
    assert mirror == in_time
    expected = {k: n for k, n in in_time.items() if mark is not None and over_ms(k[2], window) <= mark}
    assert counted(final) == expected
    assert len(final) == len(expected)
    run.close()
    all_of_it.close()


def counted(rows: list[Row]) -> dict[tuple[str, datetime, datetime], int]:
    return {(r["k"], utc(r["window_start"]), utc(r["window_end"])): r["n"] for r in rows}


def utc(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time


def over_ms(end: datetime, window: str) -> int:
    """When a window is over, in milliseconds: where midnight comes twice, only the second time."""
    twice = "Havana')" in window and end == datetime(2025, 11, 2, 4)
    return int(((end + HOUR if twice else end) - EPOCH).total_seconds() * 1000)


@pytest.mark.parametrize(
    ("window", "why"),
    [
        ("tumble(t, INTERVAL '1 hour', 'Europe/Berlin')", "has windows in a time zone that are no whole days"),
        ("hop(t, INTERVAL '6 hours', INTERVAL '1 day', 'UTC')", "has windows in a time zone that are no whole days"),
        ("tumble(t, INTERVAL '1 day', 'europe/berlin')", "Did you mean Europe/Berlin?"),
        ("tumble(t, INTERVAL '1 day', 'Berlin')", "names the time zone Berlin, which is not known"),
        ("tumble(t, INTERVAL '1 day', INTERVAL '1 month')", "has a window whose offset is not a fixed time"),
        ("tumble(t, INTERVAL '1 day', k)", "has a window whose offset is not a fixed time"),
        ("tumble(t, INTERVAL '1 day', 'UTC', 'UTC')", "has too many arguments behind the length of a window"),
        ("tumble(t, INTERVAL '1 day', INTERVAL '1 hour', 'UTC')", "has too many arguments behind the length"),
        ("tumble(t)", "calls tumble() with 1 arguments"),
    ],
)
def test_what_is_no_alignment_is_refused(window: str, why: str) -> None:
    (problem,) = problems({"g": f"SELECT count(*) AS n FROM events GROUP BY {window}"})
    assert why in f"{problem.text} {problem.remedy}"


def test_windows_that_begin_elsewhere_are_not_joined() -> None:
    steps = {
        "a": "SELECT window_start, count(*) AS n FROM events GROUP BY tumble(t, INTERVAL '1 day')",
        "b": "SELECT window_start, count(*) AS n FROM events GROUP BY tumble(t, INTERVAL '1 day', 'Europe/Berlin')",
        "r": "SELECT a.n, b.n AS m FROM a JOIN b ON a.window_start = b.window_start",
    }
    (problem,) = problems(steps, [("r", "append")])
    assert "windows of different lengths or beginnings" in problem.text
