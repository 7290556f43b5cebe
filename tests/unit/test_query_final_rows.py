"""Windowed results read again as streams of final rows: grouped by further windows, joined with streams."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.queries import problems
from support.three_streams import BATCHES, NAMES, SOURCES, Job, row, run, whole

BUCKET = "time_bucket(INTERVAL {} SECOND, {}, TIMESTAMP '1970-01-01')"
COUNTS = "SELECT k, window_start, window_end, count(*) AS n FROM a GROUP BY k, tumble(t, INTERVAL 5 SECOND)"
COUNTS_ASKED = (
    f"SELECT k, {BUCKET.format(5, 't')} AS window_start, window_start + INTERVAL 5 SECOND AS window_end, "
    "count(*) AS n FROM a WHERE t IS NOT NULL GROUP BY ALL"
)
HOPS = "SELECT window_start AS s, sum(n) AS n FROM b GROUP BY hop(t, INTERVAL 5 SECOND, INTERVAL 10 SECOND)"
HOPS_ASKED = (
    f"SELECT {BUCKET.format(5, 't')} - to_seconds(5 * i) AS s, sum(n) AS n FROM b, range(2) AS r(i) "
    "WHERE t IS NOT NULL GROUP BY ALL"
)


def again(window: str, by: str, other: str) -> tuple[str, str]:
    """Groups of the counts by a further window, as a step and as DuckDB is asked."""
    what = "count(*) AS rows_, sum(n) AS n, max(k) AS k"
    return (
        f"SELECT window_start AS w, {what} FROM counts GROUP BY {window}",
        f"SELECT {by} AS w, {what} FROM {other} GROUP BY w",
    )


# name -> (the step r, what DuckDB is asked)
CASES: dict[str, tuple[str, str]] = {
    "larger": again("tumble(window_start, INTERVAL 15 SECOND)", BUCKET.format(15, "window_start"), "counts"),
    "not aligned": again("tumble(window_start, INTERVAL 7 SECOND)", BUCKET.format(7, "window_start"), "counts"),
    "with the first among its keys": (
        "SELECT window_start AS w, sum(n) AS n FROM counts "
        "GROUP BY window_start, tumble(window_start, INTERVAL 10 SECOND)",
        "SELECT window_start AS w, sum(n) AS n FROM counts GROUP BY w",
    ),
    "the same": again("tumble(window_start, INTERVAL 5 SECOND)", "window_start", "counts"),
    "by the end": (
        "SELECT window_start AS w, sum(n) AS n FROM (SELECT window_end AS e, n FROM counts) "
        "GROUP BY tumble(e, INTERVAL 10 SECOND)",
        f"SELECT {BUCKET.format(10, 'window_end')} AS w, sum(n) AS n FROM counts GROUP BY w",
    ),
    "sliding": again(
        "hop(window_start, INTERVAL 10 SECOND, INTERVAL 20 SECOND)",
        f"{BUCKET.format(10, 'window_start')} - to_seconds(10 * i)",
        "counts, range(2) AS r(i)",
    ),
    "over hops": (
        "SELECT window_start AS w, max(n) AS n FROM hops GROUP BY tumble(s, INTERVAL 10 SECOND)",
        f"SELECT {BUCKET.format(10, 's')} AS w, max(n) AS n FROM hops GROUP BY w",
    ),
    "of what concerns a window": (
        "SELECT window_start AS w, sum(n) AS n FROM "
        "(SELECT window_start, max(n) AS n FROM counts GROUP BY window_start) "
        "GROUP BY tumble(window_start, INTERVAL 10 SECOND)",
        f"SELECT {BUCKET.format(10, 'window_start')} AS w, sum(n) AS n FROM "
        "(SELECT window_start, max(n) AS n FROM counts GROUP BY window_start) GROUP BY w",
    ),
    "of two results": (
        "SELECT window_start AS w, sum(n) AS n FROM (SELECT c.window_start, c.n + h.n AS n FROM counts AS c JOIN "
        "(SELECT window_start, max(n) AS n FROM counts GROUP BY window_start) AS h ON c.window_start = h.window_start) "
        "GROUP BY tumble(window_start, INTERVAL 10 SECOND)",
        f"SELECT {BUCKET.format(10, 'window_start')} AS w, sum(n) AS n FROM (SELECT c.window_start, c.n + h.n AS n "
        "FROM counts AS c JOIN (SELECT window_start, max(n) AS n FROM counts GROUP BY window_start) AS h "
        "ON c.window_start = h.window_start) GROUP BY w",
    ),
    "with a stream": (
        "SELECT b.n, c.n AS m, c.window_start FROM b JOIN counts AS c "
        "ON b.k = c.k AND b.t >= c.window_start AND b.t < c.window_end",
        "",
    ),
    "a stream that may find none": (
        "SELECT b.n, c.n AS m FROM b LEFT JOIN counts AS c "
        "ON b.k = c.k AND b.t >= c.window_start AND b.t < c.window_start + INTERVAL 5 SECOND",
        "",
    ),
    "the best of each window": (
        "SELECT a.k, a.n, a.t FROM a JOIN (SELECT max(n) AS n, window_end AS e FROM a "
        "GROUP BY tumble(t, INTERVAL 10 SECOND)) AS m ON a.n = m.n AND a.t BETWEEN m.e - INTERVAL 10 SECOND AND m.e",
        f"SELECT a.k, a.n, a.t FROM a JOIN (SELECT max(n) AS n, {BUCKET.format(10, 't')} + INTERVAL 10 SECOND AS e "
        "FROM a WHERE t IS NOT NULL GROUP BY e) AS m "
        "ON a.n = m.n AND a.t BETWEEN m.e - INTERVAL 10 SECOND AND m.e",
    ),
    "windows joined, then grouped": (
        "SELECT window_start AS w, count(*) AS c, sum(m) AS m FROM (SELECT b.t, c.n AS m FROM b JOIN counts AS c "
        "ON b.k = c.k AND b.t >= c.window_start AND b.t < c.window_end) GROUP BY tumble(t, INTERVAL 10 SECOND)",
        f"SELECT {BUCKET.format(10, 'b.t')} AS w, count(*) AS c, sum(c.n) AS m FROM b JOIN counts AS c "
        "ON b.k = c.k AND b.t >= c.window_start AND b.t < c.window_end GROUP BY w",
    ),
}


@pytest.mark.parametrize(("sql", "asked"), CASES.values(), ids=CASES)
@settings(max_examples=6)
@given(batches=BATCHES, restart=st.integers(0, 6))
def test_final_rows_are_a_stream(sql: str, asked: str, batches: list[Any], restart: int) -> None:
    job = Job({"counts": COUNTS, "hops": HOPS, "r": sql})
    kept = run(job, batches, restart)
    expected = whole({"counts": COUNTS_ASKED, "hops": HOPS_ASKED, "r": asked or sql}, kept)
    assert sorted(job.out, key=repr) == sorted(expected, key=repr)
    job.close()


def test_a_larger_window_is_final_with_the_last_of_those_in_it() -> None:
    job = Job({"counts": COUNTS, "r": CASES["larger"][0]})
    job.step({name: [row(name, name, 0, second) for second in (0, 5, 14)] for name in NAMES})
    job.step({name: [row(name, "later", 0, 24.999)] for name in NAMES})
    job.step({})
    assert job.take() == []
    job.step({name: [row(name, "later", 0, 25)] for name in NAMES})
    job.step({})  # the watermark is 15
    assert [row_[1:] for row_ in job.take()] == [(3, 3, "a")]


def test_what_changes_is_not_joined_with_a_stream() -> None:
    steps: Mapping[str, str] = {
        "totals": "SELECT k, sum(n) AS n FROM a GROUP BY k",
        "r": "SELECT b.n, t.n AS m FROM b JOIN totals AS t ON b.k = t.k",
    }
    (problem,) = problems(steps, [("r", "append")], sources=SOURCES)
    assert "joins the stream b with t, which changes with every batch" in problem.text
