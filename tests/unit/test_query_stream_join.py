"""Joins of streams: at any cut into batches, with a restart anywhere, what a query over all rows gives."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamjob_runtime.plan.planner import look_at
from support.queries import problems, spec
from support.three_streams import BATCHES, NAMES, SOURCES, STREAM, Job, row, run, whole

NEAR = "b.t BETWEEN a.t AND a.t + INTERVAL '10 seconds'"
ON = f"ON a.k = b.k AND {NEAR}"
X, Y = "SELECT k, t, n FROM a", "SELECT k, t, n AS m FROM b"
CASES: dict[str, dict[str, str]] = {
    "inner": {"r": f"SELECT a.k, a.n, b.n AS m, a.t, b.t AS u FROM a JOIN b {ON}"},
    "from and where": {"r": f"SELECT a.n, b.n AS m FROM a, b WHERE a.k = b.k AND {NEAR} AND a.n > 1"},
    "inner without a bound": {"r": "SELECT a.n, b.n AS m, a.k FROM a JOIN b ON a.k = b.k AND a.n < b.n"},
    "half a bound": {"r": "SELECT a.n, b.n AS m FROM a JOIN b ON a.k = b.k AND b.t <= a.t"},
    "equal times": {"r": "SELECT a.n, b.n AS m, a.t FROM a JOIN b ON a.k = b.k AND a.t = b.t"},
    "not distinct": {"r": f"SELECT a.k, a.n, b.n AS m FROM a JOIN b ON a.k IS NOT DISTINCT FROM b.k AND {NEAR}"},
    "by a difference": {
        "r": "SELECT a.n, b.n AS m FROM a JOIN b ON a.k = b.k AND b.t - a.t <= INTERVAL '5 seconds' "
        "AND INTERVAL '-5 seconds' <= b.t - a.t"
    },
    "until a column": {"r": "SELECT a.n, b.n AS m, a.until FROM a JOIN b ON a.k = b.k AND b.t BETWEEN a.t AND a.until"},
    "left until a column": {
        "r": "SELECT a.n, b.n AS m, a.until FROM a LEFT JOIN b ON a.k = b.k AND b.t BETWEEN a.t AND a.until"
    },
    "left": {"r": f"SELECT a.k, a.n, b.n AS m, b.k AS bk FROM a LEFT JOIN b {ON}"},
    "left where": {"r": f"SELECT a.n FROM a LEFT JOIN b {ON} WHERE b.k IS NULL AND a.n > 1"},
    "right": {"r": f"SELECT b.k, a.n, b.n AS m FROM a RIGHT JOIN b {ON}"},
    "full": {"r": f"SELECT a.k, b.k AS bk, a.n, b.n AS m FROM a FULL JOIN b {ON}"},
    "semi": {"r": f"SELECT * FROM a SEMI JOIN b {ON}"},
    "anti": {"r": f"SELECT a.k, a.n FROM a ANTI JOIN b {ON} AND b.n > 2"},
    "exists": {"r": f"SELECT k, n FROM a WHERE n > 0 AND EXISTS (SELECT * FROM b WHERE k = a.k AND {NEAR})"},
    "not exists": {"r": f"SELECT k, n FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE a.k = k AND {NEAR}) AND n > 0"},
    "exists in itself": {
        "r": "SELECT k, n FROM a WHERE EXISTS (FROM a AS x WHERE x.k = a.k AND x.t = a.t AND x.n > a.n)"
    },
    "in": {"r": f"SELECT k, n FROM a WHERE n IN (SELECT n + 1 FROM b WHERE b.k = a.k AND {NEAR})"},
    "itself": {
        "r": "SELECT x.n, y.n AS m FROM a AS x JOIN a AS y ON x.k = y.k AND y.t = x.t AND x.n <= y.n "
        "AND x.k NOT LIKE 'last%'"
    },
    "using": {"x": X, "y": Y, "r": "SELECT * FROM x JOIN y USING (k, t)"},
    "using left": {"x": X, "y": Y, "r": "SELECT k, n, m, t FROM x LEFT JOIN y USING (k, t)"},
    "using full": {"x": X, "y": Y, "r": "SELECT * FROM x FULL JOIN y USING (t, k)"},
    "natural": {"x": X, "y": Y, "r": "SELECT * FROM x NATURAL JOIN y"},
    "three": {
        "r": f"SELECT a.n, b.n AS m, c.n AS l FROM a JOIN b {ON} "
        "JOIN c ON c.k = b.k AND c.t BETWEEN b.t AND b.t + INTERVAL '5 seconds'"
    },
    "three, the last left": {
        "r": f"SELECT a.n, b.n AS m, c.n AS l FROM a JOIN b {ON} "
        "LEFT JOIN c ON c.k = b.k AND c.t BETWEEN b.t AND b.t + INTERVAL '5 seconds'"
    },
    "in two steps": {
        "x": f"SELECT a.k, a.n, b.n AS m, b.t AS u FROM a JOIN b {ON}",
        "r": "SELECT x.n, x.m, c.n AS l FROM x LEFT JOIN c ON c.k = x.k "
        "AND c.t BETWEEN x.u AND x.u + INTERVAL 5 SECOND",
    },
    "read twice": {
        "x": f"SELECT a.k, a.n, b.n AS m, a.t FROM a JOIN b {ON}",
        "y": "SELECT k, n + 100 AS n, m, t FROM x WHERE m > 1",
        "r": "SELECT * FROM x UNION ALL SELECT * FROM y",
    },
    "with a table": {"r": f"SELECT names.name, a.n, b.n AS m FROM a JOIN b {ON} LEFT JOIN names ON a.k = names.k"},
    "a table before": {
        "r": "SELECT names.name, a.n, b.n AS m FROM a JOIN names ON a.k = names.k "
        f"LEFT JOIN b ON b.k = names.k AND {NEAR}"
    },
    "star": {
        "r": "SELECT * FROM (SELECT k, n, t FROM a) AS a JOIN (SELECT k AS k2, n AS n2, t AS t2 FROM b) AS b "
        "ON k = k2 AND t2 BETWEEN t AND t + INTERVAL 3 SECOND"
    },
    "expressions as keys": {
        "r": f"SELECT a.n, b.n AS m FROM a JOIN b ON upper(a.k) = upper(b.k) AND a.n + 1 = b.n AND {NEAR}"
    },
    "structs": {"r": f"SELECT a, b.n AS m FROM a JOIN b {ON}"},
    "filtered before": {
        "x": "SELECT * FROM a WHERE n > 2",
        "r": f"SELECT a.n, b.n AS m FROM x AS a LEFT JOIN (SELECT * FROM b WHERE n < 4) AS b {ON}",
    },
}

START = "time_bucket(INTERVAL 5 SECOND, {}, TIMESTAMP '1970-01-01')"
# What is grouped behind a join: name -> mode, steps, and what DuckDB is asked over all rows.
GROUPED: dict[str, tuple[str, dict[str, str], str]] = {
    name: (mode, {"r": sql}, asked or sql)
    for name, mode, sql, asked in (
        ("by key", "complete", f"SELECT a.k, count(*) AS c, sum(b.n) AS s FROM a JOIN b {ON} GROUP BY a.k", ""),
        ("all", "complete", f"SELECT count(*) AS c, max(b.n) AS s FROM a JOIN b {ON}", ""),
        (
            "two joins",
            "complete",
            f"SELECT a.k, count(c.n) AS c FROM a JOIN b {ON} LEFT JOIN c ON c.k = b.k AND c.t = b.t GROUP BY a.k",
            "",
        ),
        (
            "windows of the first",
            "append",
            f"SELECT window_start AS w, count(*) AS c, sum(b.n) AS s FROM a JOIN b {ON} "
            "GROUP BY tumble(a.t, INTERVAL 5 SECOND)",
            f"SELECT {START.format('a.t')} AS w, count(*) AS c, sum(b.n) AS s FROM a JOIN b {ON} GROUP BY w",
        ),
        (
            "windows of the second",
            "append",
            f"SELECT window_start AS w, count(*) AS c FROM (SELECT b.t AS u FROM a JOIN b {ON}) "
            "GROUP BY hop(u, INTERVAL 5 SECOND, INTERVAL 10 SECOND)",
            f"SELECT {START.format('b.t')} - to_seconds(5 * i) AS w, count(*) AS c FROM a JOIN b {ON}, "
            "range(2) AS r(i) GROUP BY w",
        ),
        (
            "windows of a left join",
            "append",
            f"SELECT window_start AS w, count(*) AS c, count(b.n) AS s FROM a LEFT JOIN b {ON} "
            "GROUP BY tumble(a.t, INTERVAL 5 SECOND)",
            f"SELECT {START.format('a.t')} AS w, count(*) AS c, count(b.n) AS s FROM a LEFT JOIN b {ON} "
            "WHERE a.t IS NOT NULL GROUP BY w",
        ),
    )
}


@pytest.mark.parametrize("steps", CASES.values(), ids=CASES)
@settings(max_examples=4)
@given(batches=BATCHES, restart=st.integers(0, 6))
def test_a_join_of_streams_gives_what_a_query_over_all_rows_does(
    steps: Mapping[str, str], batches: list[Any], restart: int
) -> None:
    job = Job(steps)
    kept = run(job, batches, restart)
    assert sorted(job.out, key=repr) == sorted(whole(steps, kept), key=repr)
    job.close()


@pytest.mark.parametrize(("mode", "steps", "asked"), GROUPED.values(), ids=GROUPED)
@settings(max_examples=4)
@given(batches=BATCHES, restart=st.integers(0, 6))
def test_what_is_grouped_behind_a_join_is_what_a_query_over_all_rows_gives(
    mode: str, steps: Mapping[str, str], asked: str, batches: list[Any], restart: int
) -> None:
    job = Job(steps, mode)
    kept = run(job, batches, restart)
    assert sorted(job.out if mode == "append" else job.shown, key=repr) == sorted(whole({"r": asked}, kept), key=repr)
    job.close()


def test_a_match_comes_with_the_later_of_its_rows_and_a_row_without_one_once_the_watermark_says_so() -> None:
    job = Job({"r": f"SELECT a.n, b.n AS m FROM a LEFT JOIN b {ON}"})
    job.step({"a": [row("a", "x", 1, 0), row("a", "y", 2, 0)], "b": [row("b", "x", 5, 10)]})
    assert job.take() == [(1, 5)]
    job.step({"b": [row("b", "x", 6, 10.000001)], "a": [row("a", "z", 3, 19.999)], "c": [row("c", "x", 0, 100)]})
    assert job.take() == []
    # The watermark is 0.000001 s, then 9.999 s: y waits until 10.
    job.step({"b": [row("b", "x", 7, 19.999)]})
    job.step({})
    assert job.take() == []
    job.step({"b": [row("b", "x", 8, 20)], "a": [row("a", "w", 4, 20)]})
    job.step({})
    assert job.take() == [(2, None)]


def test_a_late_row_of_either_side_is_dropped_and_counted() -> None:
    job = Job({"r": f"SELECT a.n, b.n AS m FROM a LEFT JOIN b {ON}"})
    far = {name: [row(name, f"far {name}", 0, 100)] for name in NAMES}
    job.step(far)
    job.step({})  # the watermark is 90
    job.step({"a": [row("a", "x", 1, 90), row("a", "x", 2, 90.000001)], "b": [row("b", "x", 3, 89)]})
    assert job.last is not None
    assert [o.rows_dropped_by_watermark for o in job.last.operators] == [2]
    job.step({"b": [row("b", "x", 4, 95)]})
    assert job.take() == [(2, 4)]


def test_where_no_row_leaves_none_is_late() -> None:
    job = Job({"r": "SELECT a.n, b.n AS m FROM a JOIN b ON a.k = b.k"})
    job.step({name: [row(name, f"far {name}", 0, 100)] for name in NAMES})
    job.step({})  # the watermark is 90
    job.step({"a": [row("a", "x", 1, 5)]})
    job.step({"b": [row("b", "x", 2, 1)]})
    assert job.take() == [(1, 2)]


def test_another_condition_or_another_column_is_another_state() -> None:
    def of(columns: str, condition: str) -> str:
        job = Job({"r": f"SELECT {columns} FROM a JOIN b ON a.k = b.k AND {condition}"})
        (found,) = job.query.fingerprints.values()
        job.close()
        return found.partition(" ")[0]

    one = of("a.n, b.n AS m", NEAR)
    assert of("b.n AS other, a.n", NEAR) == one
    assert of("a.n, b.n AS m", NEAR.replace("10", "11")) != one
    assert of("a.n, b.n AS m, b.until", NEAR) != one


def test_rows_leave_when_no_match_can_come() -> None:
    job = Job({"r": f"SELECT a.n, b.n AS m FROM a JOIN b {ON}"})
    sizes = []
    for second in range(0, 200, 10):
        job.step({name: [row(name, "x", i, second) for i in range(3)] for name in NAMES})
        assert job.last is not None
        sizes.append(job.last.operators[0].rows_total)
    assert max(sizes) == max(sizes[:6])


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELECT a.n FROM a LEFT JOIN b ON a.k = b.k", "no time bound says when none can come any more"),
        (
            "SELECT a.n FROM a LEFT JOIN b ON a.k = b.k AND b.t >= a.t",
            "Bound it: AND b.t BETWEEN a.t AND a.t + INTERVAL",
        ),
        ("SELECT b.n FROM a RIGHT JOIN b ON a.k = b.k AND b.t <= a.t", "shows rows of b that have no match"),
        (f"SELECT a.n FROM a FULL JOIN d ON a.k = d.k AND {NEAR.replace('b.', 'd.')}", "Give d a watermark"),
        ("SELECT a.n FROM a ANTI JOIN b ON a.k = b.k", "shows rows of a without a match"),
        (f"SELECT a.n FROM a JOIN b ON {NEAR}", "without an equality"),
        ("SELECT a.n FROM a, b", "without an equality"),
        ("SELECT a.n FROM a JOIN b ON a.k = b.k AND a.t > now()", "asks for the batch's time"),
        ("SELECT a.n FROM a JOIN b ON a.k = b.k AND a.batch_time > a.t", "asks for the batch's time"),
        ("SELECT a.n FROM a ASOF JOIN b ON a.k = b.k AND a.t >= b.t", "has a ASOF JOIN of streams"),
        ("SELECT a.n FROM a POSITIONAL JOIN b", "has a POSITIONAL JOIN of streams"),
        ("SELECT a.n FROM a JOIN b ON a.k = b.nothing", "names the column nothing, which is not there"),
        ("SELECT a.n FROM a JOIN b ON a.k = b.k AND a.n = (SELECT max(1))", "has a subquery in the condition"),
        ("SELECT a.n, a.k, b.k FROM a JOIN b ON a.k = b.k", "has two columns named k"),
        ("SELECT * EXCLUDE (k) FROM a JOIN b USING (k)", "has a * that is more than all columns"),
        ("SELECT a.n, i FROM a JOIN b ON a.k = b.k AND a.i = b.i", "keeps for its join values of type INTERVAL"),
        (f"SELECT n FROM a WHERE n NOT IN (SELECT n FROM b WHERE {NEAR})", "has a subquery over a stream inside"),
        (f"SELECT n FROM a WHERE n IN (SELECT max(n) FROM b WHERE {NEAR})", "has a subquery over a stream inside"),
        (
            f"SELECT n FROM a WHERE EXISTS (SELECT unnest([]) FROM b WHERE {NEAR})",
            "has a subquery over a stream inside",
        ),
        ("SELECT n FROM a WHERE n > (SELECT max(n) FROM b)", "has a subquery over a stream inside"),
        ("SELECT n FROM a WHERE NOT EXISTS (FROM b WHERE a.k = b.k)", "shows rows of a without a match"),
        ("SELECT a.n FROM a JOIN b ON a.k = b.k ORDER BY a.n", "has ORDER BY on a stream"),
    ],
)
def test_a_join_that_cannot_be_kept_up_to_date_is_refused_in_words(sql: str, why: str) -> None:
    schema = {**STREAM["schema"], "i": "INTERVAL"}
    sources = [*({**s, "schema": schema} for s in SOURCES[:2]), {"name": "d", "queue": {}, "schema": schema}]
    (problem,) = problems({"r": sql}, [("r", "append")], sources=sources)
    assert why in f"{problem.text} {problem.remedy}"


def test_a_watermark_is_not_put_on_what_has_waited() -> None:
    step = {
        "sql": f"SELECT a.n, b.t FROM a JOIN b {ON}",
        "watermark": {"column": "t", "delay": "1s"},
    }
    (problem,) = problems({"r": step}, [("r", "append")], sources=SOURCES)
    assert "have waited, for a match in a join of streams" in problem.text


def test_rows_that_wait_for_good_are_warned_of() -> None:
    found = look_at(spec({"r": "SELECT a.n, b.n AS m FROM a JOIN b ON a.k = b.k AND b.t <= a.t"}, sources=SOURCES))
    (warning,) = found.warnings
    assert "keeps all rows of b for good" in warning.text
    assert "rows of a wait for a match until the watermark" in found.outline[0]
    bounded = look_at(spec({"r": f"SELECT a.n, b.n AS m FROM a JOIN b {ON}"}, sources=SOURCES))
    assert bounded.warnings == []
