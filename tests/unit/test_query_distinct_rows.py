"""SELECT DISTINCT over a stream: each row once, at any cut into batches and with a restart anywhere."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamjob_runtime.plan.planner import look_at
from support.queries import problems, spec
from support.three_streams import BATCHES, NAMES, SOURCES, Job, row, run, whole

NEAR = "b.t BETWEEN a.t AND a.t + INTERVAL '10 seconds'"
BUCKET = "time_bucket(INTERVAL 5 SECOND, t, TIMESTAMP '1970-01-01')"
BUT_THE_LAST = "WHERE k IS NULL OR k NOT LIKE 'last%'"
# name -> the steps, and what DuckDB is asked where that is not the last one
CASES: dict[str, tuple[dict[str, str], str]] = {
    "keys": ({"r": f"SELECT DISTINCT k, n % 2 AS odd FROM a {BUT_THE_LAST}"}, ""),
    "with the time": ({"r": f"SELECT DISTINCT k, t, n > 2 AS large FROM a {BUT_THE_LAST}"}, ""),
    "values within values": (
        {"r": f"SELECT DISTINCT {{'k': k, 'l': [n % 2, NULL]}} AS s FROM a {BUT_THE_LAST}"},
        "",
    ),
    "of a join": ({"r": f"SELECT DISTINCT a.k, b.t FROM a JOIN b ON a.k = b.k AND {NEAR}"}, ""),
    "before a join": (
        {
            "x": "SELECT DISTINCT k, t FROM a",
            "r": f"SELECT x.k, b.n FROM x LEFT JOIN b ON x.k = b.k AND {NEAR.replace('a.', 'x.')}",
        },
        "",
    ),
    "before windows": (
        {
            "x": "SELECT DISTINCT k, t FROM a",
            "r": "SELECT window_start AS w, count(*) AS c FROM x GROUP BY tumble(t, INTERVAL 5 SECOND)",
        },
        f"SELECT {BUCKET} AS w, count(*) AS c FROM (SELECT DISTINCT k, t FROM a) WHERE t IS NOT NULL GROUP BY w",
    ),
    "of both": (
        {"r": f"SELECT DISTINCT k FROM (SELECT k FROM a UNION ALL SELECT k FROM b) {BUT_THE_LAST}"},
        "",
    ),
}


@pytest.mark.parametrize(("steps", "asked"), CASES.values(), ids=CASES)
@settings(max_examples=6)
@given(batches=BATCHES, restart=st.integers(0, 6))
def test_each_row_comes_once(steps: dict[str, str], asked: str, batches: list[Any], restart: int) -> None:
    job = Job(steps)
    kept = run(job, batches, restart)
    expected = whole({"r": asked} if asked else steps, kept)
    assert sorted(job.out, key=repr) == sorted(expected, key=repr)
    job.close()


def test_rows_leave_when_their_time_has_passed_and_late_ones_are_dropped_and_counted() -> None:
    job = Job({"r": "SELECT DISTINCT k, t FROM a"})
    job.step({name: [row(name, "x", i, 0) for i in range(3)] for name in NAMES})
    assert [k for k, _ in job.take()] == ["x"]
    job.step({name: [row(name, "y", 0, 100)] for name in NAMES})
    job.step({})  # the watermark is 90
    assert [k for k, _ in job.take()] == ["y"]
    job.step({"a": [row("a", "x", 0, 90), row("a", "x", 0, 91), row("a", "y", 0, 100), row("a", "z", 0, None)]})
    assert job.last is not None
    (operator,) = job.last.operators
    assert (operator.rows_total, operator.rows_updated, operator.rows_dropped_by_watermark) == (3, 2, 1)
    assert [k for k, _ in job.take()] == ["x", "z"]


def test_rows_that_are_remembered_for_good_are_warned_of() -> None:
    (warning,) = look_at(spec({"r": "SELECT DISTINCT k FROM a"}, sources=SOURCES)).warnings
    assert "r remembers all its rows for good" in warning.text
    found = look_at(spec({"r": "SELECT DISTINCT k, t FROM a"}, sources=SOURCES))
    assert found.warnings == []
    assert "each comes once, and is remembered until the watermark has passed its time" in found.outline[0]


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELECT DISTINCT k FROM a WHERE batch_time > now() - INTERVAL 1 MINUTE", "count for a while of batch time"),
        ("SELECT DISTINCT k FROM a LIMIT 3", "has DISTINCT beside ORDER BY or LIMIT on a stream"),
        ("SELECT DISTINCT t - t AS i FROM a", "values of type INTERVAL"),
    ],
)
def test_what_is_refused(sql: str, why: str) -> None:
    (problem,) = problems({"r": sql}, [("r", "append")], sources=SOURCES)
    assert why in problem.text
