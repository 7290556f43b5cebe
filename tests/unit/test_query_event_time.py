"""Which column of a step is the watermark's: windows over any other are kept whole, and none of their rows is late."""

from datetime import datetime, timedelta
from typing import Any

import duckdb
import pytest

from streamjob_api.models import StreamJobSpec
from streamjob_runtime.plan.planner import plan
from streamjob_runtime.plan.problems import PlanError
from support.queries import Row, Runner, spec

BASE = datetime(2026, 1, 1)
EVENTS: dict[str, Any] = {
    "name": "events",
    "queue": {},
    "schema": {"k": "VARCHAR", "t": "TIMESTAMP", "past": "TIMESTAMP", "s": "STRUCT(t TIMESTAMP)"},
    "watermark": {"column": "t", "delay": "1s"},
}
TABLE: dict[str, Any] = {
    "name": "names",
    "files": {"path": "names.csv"},
    "format": "csv",
    "schema": {"k": "VARCHAR", "t": "TIMESTAMP", "name": "VARCHAR"},
}
# `events` as SELECT * gives it: k, past, s, t. `names`: k, name, t.
OTHERS = [
    "SELECT k, past AS t FROM events",
    "SELECT * EXCLUDE (t, past), past AS t FROM events",
    "SELECT * EXCLUDE (T, PAST), past AS t FROM events",
    "SELECT * EXCLUDE (events.t, Events.Past), past AS t FROM events",
    "SELECT * REPLACE (past AS t) FROM events",
    "SELECT * REPLACE (past AS T) FROM events",
    "SELECT * EXCLUDE (past) RENAME (t AS x), past AS t FROM events",
    "SELECT * EXCLUDE (t) RENAME (past AS t) FROM events",
    "SELECT COLUMNS('^k$'), past AS t FROM events",
    "SELECT COLUMNS(lambda c: c = 'k'), past AS t FROM events",
    "SELECT COLUMNS(* EXCLUDE (t, past)), past AS t FROM events",
    "SELECT * LIKE 'k%', past AS t FROM events",
    "SELECT COLUMNS('^t$') - INTERVAL 10 minutes, k FROM events",
    "SELECT k, s.t FROM events",
    "SELECT k, s.* FROM events",
    "SELECT k, unnest(s) FROM events",
    "SELECT names.*, past FROM events JOIN names USING (k)",
    "SELECT * EXCLUDE (events.t) FROM events JOIN names USING (k)",
    "SELECT k, names.t FROM events LEFT JOIN names USING (k)",
    "SELECT k, t FROM events AS e(k, t, s, x)",
    "SELECT * FROM events AS e(k, t, s, x)",
    "WITH e(k, t, s, x) AS (SELECT * FROM events) SELECT * FROM e",
    "SELECT k, t, past FROM events UNION ALL SELECT k, past, t FROM events",
    "SELECT k, t, past FROM events UNION ALL SELECT k, past AS t, t AS past FROM events",
    "SELECT k, past AS t, t AS past FROM events UNION ALL SELECT k, t, past FROM events",
    "SELECT k, t FROM events UNION ALL BY NAME SELECT k, past AS t FROM events",
    "SELECT k, t AS x, past AS t FROM events",
]
ITSELF = [
    "SELECT * FROM events",
    "SELECT k, T FROM events",
    "SELECT * EXCLUDE (past) FROM events",
    "SELECT * REPLACE (upper(k) AS k) FROM events",
    "SELECT * RENAME (past AS x) FROM events",
    "SELECT e.* FROM events AS e JOIN names USING (k)",
    "SELECT * EXCLUDE (names.t) FROM events JOIN names USING (k)",
    "SELECT * FROM events LEFT JOIN names USING (k, t)",
    "SELECT k, events.t FROM events LEFT JOIN names USING (k, t)",
    "SELECT * FROM events SEMI JOIN names USING (k)",
    "SELECT COLUMNS('^[kt]$') FROM events",
    "SELECT COLUMNS(* EXCLUDE (past)) FROM events",
    "SELECT * SIMILAR TO '[kt]' FROM events",
    "SELECT k, x AS t FROM (SELECT k, t AS x FROM events)",
    "SELECT k, x AS t FROM (SELECT * RENAME (t AS x) FROM events)",
    "SELECT k, x AS t FROM events AS e(k, past, s, x)",
    "WITH e(k, x, y, t) AS (SELECT * FROM events) SELECT * FROM e",
    "SELECT k, t, past FROM events UNION ALL SELECT past::VARCHAR, t AS x, t FROM events",
    "SELECT k, t FROM events UNION ALL BY NAME SELECT t, k FROM events",
]
WINDOWED = "SELECT k, window_start AS w, count(*) AS c FROM e GROUP BY k, tumble(t, INTERVAL '10 seconds')"


def event(second: int, past: int) -> Row:
    past_time = BASE + timedelta(seconds=past)
    return {"k": "a", "t": BASE + timedelta(seconds=second), "past": past_time, "s": {"t": past_time}}


# Event time hurries ahead of every other time.
BATCHES = [[event(700, 5)], [event(800, 5)], [event(900, 6), event(901, 700)], [event(1000, 7)]]


def plain(step: str) -> set[tuple[Any, ...]]:
    """What DuckDB alone gives for all rows."""
    with duckdb.connect() as con:
        con.execute("CREATE TABLE events (k VARCHAR, past TIMESTAMP, s STRUCT(t TIMESTAMP), t TIMESTAMP)")
        con.execute("CREATE TABLE names (k VARCHAR, name VARCHAR, t TIMESTAMP)")
        con.execute("INSERT INTO names VALUES ('a', 'Ann', ?)", [BASE])
        for row in (row for rows in BATCHES for row in rows):
            con.execute("INSERT INTO events VALUES (?, ?, ?, ?)", [row["k"], row["past"], row["s"], row["t"]])
        grouped = "SELECT k, time_bucket(INTERVAL '10 seconds', t, TIMESTAMP '1970-01-01') AS w, count(*) AS c FROM e"
        answer = con.execute(f"WITH e AS ({step}) {grouped} WHERE t IS NOT NULL GROUP BY ALL").fetchall()
        return set(answer)


def kept(step: str) -> set[tuple[Any, ...]]:
    run = Runner({"e": step, "g": WINDOWED}, [("g", "update")], 1_000, tables=[TABLE], sources=[EVENTS])
    run.table("names", [{"k": "a", "name": "Ann", "t": str(BASE)}])
    mirror = {}
    for rows in BATCHES:
        mirror.update({(row["k"], row["w"]): row["c"] for row in run.batch(events=rows)[0]})
    run.close()
    return {(*key, count) for key, count in mirror.items()}


def becomes_final(step: str) -> bool:
    job: StreamJobSpec = spec({"e": step, "g": WINDOWED}, [("g", "append")], [EVENTS], [TABLE])
    try:
        plan(job)
    except PlanError as error:
        assert "never become final" in str(error)
        return False
    return True


@pytest.mark.parametrize("step", OTHERS)
def test_another_column_is_not_taken_for_the_watermarks(step: str) -> None:
    assert kept(step) == plain(step)
    assert not becomes_final(step)


@pytest.mark.parametrize("step", ITSELF)
def test_the_watermarks_column_is_followed_under_any_name(step: str) -> None:
    assert kept(step) == plain(step)
    assert becomes_final(step)


@pytest.mark.parametrize(
    ("windowed", "final"),
    [
        ("SELECT count(*) AS c FROM events GROUP BY tumble(events.T, INTERVAL '10 seconds')", True),
        ("SELECT count(*) AS c FROM events GROUP BY tumble(s.t, INTERVAL '10 seconds')", False),
        ("SELECT count(*) AS c FROM events AS e(k, t, s, x) GROUP BY tumble(t, INTERVAL '10 seconds')", False),
        ("SELECT count(*) AS c FROM events AS e(k, t, s, x) GROUP BY tumble(x, INTERVAL '10 seconds')", True),
        ("SELECT count(*) AS c FROM events LEFT JOIN names USING (k, t) "
         "GROUP BY tumble(names.t, INTERVAL '10 seconds')", False),
        ("SELECT count(*) AS c FROM events LEFT JOIN names USING (k, t) GROUP BY tumble(t, INTERVAL '10 seconds')",
         True),
    ],
)  # fmt: skip
def test_a_window_is_final_by_the_watermarks_column_alone(windowed: str, final: bool) -> None:
    job = spec({"g": windowed}, [("g", "append")], [EVENTS], [TABLE])
    if final:
        plan(job)
    else:
        with pytest.raises(PlanError, match="never become final"):
            plan(job)
