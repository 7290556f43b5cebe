"""Session windows: Spark's rules, and whatever the batches and a restart, what one query over all rows gives."""

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from support.queries import SOURCES, START, Row, Runner, problems

BASE = datetime(2026, 1, 1, 12)
GAP = 10
AGGREGATES = """count(*) AS c, count(n) AS cn, sum(n) AS s, avg(n) AS a, min(n) AS lo, max(n) AS hi, median(n) AS md,
    list_sort(list(n)) AS l, count(DISTINCT n) AS dc, arg_max(n, n) AS am, count(*) FILTER (WHERE n > 1) AS f"""
BY = "session(t, INTERVAL '10 seconds')"
STEPS = {"g": f"SELECT k, window_start, window_end, {AGGREGATES} FROM events GROUP BY k, {BY}"}
ISLANDS = f"""
SELECT k, min(t) AS window_start, max(t) + INTERVAL '10 seconds' AS window_end, {AGGREGATES}
FROM (
  SELECT *, sum(begins) OVER (PARTITION BY k ORDER BY t) AS island
  FROM (
    SELECT *, coalesce(t - lag(t) OVER (PARTITION BY k ORDER BY t) > INTERVAL '10 seconds', true)::INTEGER AS begins
    FROM events WHERE t IS NOT NULL
  )
)
GROUP BY k, island"""
few = settings(max_examples=10, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
ROW = st.tuples(st.sampled_from(["a", "b", None]), st.one_of(st.none(), st.integers(0, 600)), st.integers(-1, 3))
ZONED = [{**SOURCES[0], "schema": {"k": "VARCHAR", "n": "BIGINT", "t": "TIMESTAMPTZ"}}]


def one_shot(rows: list[Row]) -> list[Row]:
    """DuckDB's sessions over all rows."""
    with duckdb.connect() as con:
        columns: dict[str, Any] = {"k": pa.string(), "n": pa.int64(), "t": pa.timestamp("us")}
        con.register("events", pa.table({c: pa.array([r[c] for r in rows], kind) for c, kind in columns.items()}))
        answer: list[Row] = con.sql(ISLANDS).to_arrow_table().to_pylist()
        return answer


def event(k: str | None, tenths: int | None, n: int = 1) -> Row:
    """A row of so many tenths of a second behind BASE."""
    return {"k": k, "n": n, "t": None if tenths is None else BASE + timedelta(seconds=tenths / 10)}


def in_order(rows: list[Row]) -> list[Row]:
    bare = [{c: v.replace(tzinfo=None) if isinstance(v, datetime) else v for c, v in row.items()} for row in rows]
    return sorted(bare, key=repr)


@few
@given(st.lists(st.lists(ROW, max_size=6), min_size=1, max_size=8), st.integers(0, 7), st.booleans())
def test_any_cut_of_rows_in_time_gives_what_one_query_over_all_of_them_gives(
    script: list[list[tuple[str | None, int | None, int]]], restart_at: int, zoned: bool
) -> None:
    sources = ZONED if zoned else SOURCES
    # None is late: all times are within a minute.
    run = Runner(STEPS, [("g", "append")], delay_ms=60_000, sources=sources)
    whole = Runner(STEPS, [("g", "complete")], delay_ms=0, sources=sources)
    seen: list[Row] = []
    final: list[Row] = []
    for i, batch in enumerate(script):
        if i == restart_at:
            run.restart()
            whole.restart()
        rows = [event(*row) for row in batch]
        seen += rows
        if zoned:
            rows = [{**row, "t": row["t"] and row["t"].replace(tzinfo=UTC)} for row in rows]
        final += run.batch(events=rows)[0]
        assert in_order(whole.batch(events=rows)[0]) == in_order(one_shot(seen))
    # A row of long after ends all sessions but its own.
    end: Row = {"k": "end", "n": 0, "t": BASE + timedelta(hours=1)}
    final += run.batch(events=[{**end, "t": end["t"].replace(tzinfo=UTC)} if zoned else end])[0]
    final += run.batch()[0]
    assert in_order(final) == in_order(one_shot(seen))
    run.close()
    whole.close()


def spark(batches: list[list[Row]], marks: list[int | None], lates: list[int | None]) -> tuple[list[list[Row]], int]:
    """Spark's rules, row by row: what each batch writes in append mode, and how many rows are late. Times in ms."""
    sessions: list[tuple[Any, list[datetime]]] = []
    dropped = 0
    written = []
    gap = timedelta(seconds=GAP)
    for batch, mark, late in zip(batches, marks, lates, strict=True):
        for row in batch:
            if row["t"] is None:
                continue
            if late is not None and ms(row["t"] + gap) <= late:
                dropped += 1
                continue
            near = [s for s in sessions if s[0] == row["k"] and s[1][0] - gap <= row["t"] <= s[1][-1] + gap]
            sessions = [s for s in sessions if s not in near]
            sessions.append((row["k"], sorted([row["t"], *(t for _, times in near for t in times)])))
        over = [s for s in sessions if mark is not None and ms(s[1][-1] + gap) <= mark]
        sessions = [s for s in sessions if s not in over]
        written.append([{"k": k, "window_start": t[0], "window_end": t[-1] + gap, "c": len(t)} for k, t in over])
    return written, dropped


def ms(time: datetime) -> int:
    return int((time - datetime(1970, 1, 1)).total_seconds() * 1000)


@few
@given(
    st.lists(st.lists(ROW, max_size=6), min_size=1, max_size=8), st.integers(0, 7), st.sampled_from([0, 3_000, 15_000])
)
def test_rows_that_are_late_for_a_session_of_their_own_are_dropped(
    script: list[list[tuple[str | None, int | None, int]]], restart_at: int, delay_ms: int
) -> None:
    steps = {"g": f"SELECT k, window_start, window_end, count(*) AS c FROM events GROUP BY k, {BY}"}
    run = Runner(steps, [("g", "append")], delay_ms=delay_ms)
    batches: list[list[Row]] = []
    marks: list[int | None] = []
    lates: list[int | None] = []
    out: list[list[Row]] = []
    dropped = 0
    for i, batch in enumerate([*script, []]):
        if i == restart_at:
            run.restart()
        batches.append([event(*row) for row in batch])
        marks.append(run.watermark)
        lates.append(run.late_before)
        out.append(run.batch(events=batches[-1])[0])
        assert run.last is not None
        dropped += run.last.operators[0].rows_dropped_by_watermark
    written, late = spark(batches, marks, lates)
    assert [in_order(rows) for rows in out] == [in_order(rows) for rows in written]
    assert dropped == late
    run.close()


def shown(rows: list[Row]) -> list[tuple[Any, float, float, int]]:
    return sorted(
        (r["k"], (r["window_start"] - BASE).total_seconds(), (r["window_end"] - BASE).total_seconds(), r["c"])
        for r in rows
    )


def test_rows_one_gap_apart_are_of_one_session_and_later_ones_join_two() -> None:
    # Spark 4.3: 0 and 10 are one session [0, 20), 25 is another; 16 joins them, which are written at the watermark 44.
    run = Runner(STEPS, [("g", "append")])
    second = [0, 10, 25, 16, 34]
    assert run.batch(events=[event("a", 0), event("a", 100)]) == [[]]
    assert run.batch(events=[event("a", 250)]) == [[]]
    assert run.last is not None
    assert run.last.operators[0].rows_total == 2
    assert run.batch(events=[event("a", 160)]) == [[]]
    assert run.last.operators[0].rows_total == 1
    assert run.batch(events=[event("a", 340), event("b", 539)]) == [[]]
    assert run.batch(events=[event("b", 540)]) == [[]]  # the watermark is 43.9
    assert shown(run.batch()[0]) == [("a", 0, 44, len(second))]
    run.close()


def test_a_row_a_microsecond_further_begins_another() -> None:
    run = Runner(STEPS, [("g", "complete")])
    times = [BASE, BASE + timedelta(seconds=10, microseconds=1)]
    (rows,) = run.batch(events=[{"k": "a", "n": 1, "t": t} for t in times])
    assert [r["c"] for r in rows] == [1, 1]
    run.close()


def test_without_keys_and_with_having() -> None:
    steps = {"g": f"SELECT window_start AS k, count(*) AS c FROM events GROUP BY {BY} HAVING count(*) > 1"}
    run = Runner(steps, [("g", "append")], delay_ms=0)
    run.batch(events=[event("a", 0), event("b", 50), event("a", 300)])
    assert [(r["k"], r["c"]) for r in run.batch(events=[event("a", 900)])[0]] == [(BASE, 2)]
    assert run.batch() == [[]]  # the session of one row
    run.close()


def test_sessions_of_batch_time() -> None:
    steps = {
        "g": "SELECT k, window_start, window_end, count(*) AS c FROM events GROUP BY k, "
        "session(batch_time, INTERVAL '10 seconds')"
    }
    run = Runner(steps, [("g", "append")])
    for at in (0, 10, 15):
        assert run.batch(at_s=at, events=[{"k": "a"}]) == [[]]
    assert not run.query.wants_batch(START + 24_999, None)
    assert run.query.wants_batch(START + 25_000, None)
    (rows,) = run.batch(at_s=25)
    assert [(r["k"], r["c"], (r["window_end"] - r["window_start"]).total_seconds()) for r in rows] == [("a", 3, 25)]
    run.close()


@pytest.mark.parametrize(
    ("steps", "mode", "why"),
    [
        (STEPS, "update", "a session grows together with others, whose rows would stay"),
        (
            {**STEPS, "h": "SELECT k, c FROM g WHERE c > 1"},
            "update",
            "a session grows together with others, whose rows would stay",
        ),
        (
            {**STEPS, "h": "SELECT window_start, max(c) AS c FROM g GROUP BY window_start"},
            "append",
            "it is a view of a table as a whole",
        ),
        ({"g": "SELECT count(*) AS c FROM events GROUP BY session(t)"}, "append", "calls session() with 1 arguments"),
        (
            {"g": "SELECT count(*) AS c FROM events GROUP BY session(t, INTERVAL '1 day', 'UTC')"},
            "append",
            "calls session() with 3 arguments",
        ),
        (
            {"g": "SELECT count(*) AS c FROM events GROUP BY session(t, INTERVAL '1 month')"},
            "append",
            "has a window whose length is not a fixed time",
        ),
    ],
)
def test_what_sessions_cannot_be(steps: dict[str, str], mode: str, why: str) -> None:
    (problem,) = problems(steps, [(list(steps)[-1], mode)])
    assert why in problem.text


def test_sessions_that_are_over_and_all_of_them_are_two_steps() -> None:
    (problem,) = problems(STEPS, [("g", "append"), ("g", "complete")])
    assert problem.text.startswith("g has sessions, of which this sink gets the final ones")
