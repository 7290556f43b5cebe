"""No result depends on the order of rows, on where batches are cut, or on when a job was stopped and started again."""

import math
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from support.queries import TABLES, Row, Runner, problems

BASE = datetime(2026, 1, 1)
SCHEMA = {"k": "VARCHAR", "n": "BIGINT", "d": "DOUBLE", "s": "VARCHAR", "b": "BOOLEAN", "t": "TIMESTAMP"}
SOURCES = [{"name": "events", "queue": {}, "schema": SCHEMA, "watermark": {"column": "t", "delay": "1h"}}]
ARROW = pa.table(
    {
        **{"k": pa.array([], pa.string()), "n": pa.array([], pa.int64()), "d": pa.array([], pa.float64())},
        **{"s": pa.array([], pa.string()), "b": pa.array([], pa.bool_()), "t": pa.array([], pa.timestamp("us"))},
        "batch": pa.array([], pa.int64()),
    }
).schema
# What is written, and what plain DuckDB calls it; None: the same.
AGGREGATES: list[tuple[str, str | None]] = [
    *((f"{a}(n)", None) for a in ("count", "sum", "avg", "mean", "min", "max", "bit_and", "bit_or", "bit_xor")),
    *((f"{a}(n)", None) for a in ("sum_no_overflow", "median", "mad", "approx_count_distinct")),
    *((f"{a}(b)", None) for a in ("bool_and", "bool_or", "count_if", "countif")),
    *(
        (f"{a}(d)", None)
        for a in ("sum", "avg", "fsum", "favg", "kahan_sum", "sumkahan", "min", "max", "median", "mad")
    ),
    *((f"{a}(n)", None) for a in ("stddev", "stddev_pop", "stddev_samp", "var_pop", "var_samp", "variance", "sem")),
    *((f"{a}(n)", None) for a in ("skewness", "kurtosis", "kurtosis_pop", "product")),
    *((f"{a}(d, n)", None) for a in ("corr", "covar_pop", "covar_samp", "regr_avgx", "regr_avgy", "regr_count")),
    *((f"{a}(d, n)", None) for a in ("regr_intercept", "regr_r2", "regr_slope", "regr_sxx", "regr_sxy", "regr_syy")),
    *((f"{a}(n, 0.3)", None) for a in ("quantile", "quantile_cont", "quantile_disc")),
    ("count(*) FILTER (WHERE n > 2)", None),
    ("weighted_avg(n, n)", None),
    ("min(s)", None),
    ("max({'n': n, 's': s})", None),
    ("any_value(s)", "min(s)"),
    ("any_value(s) FILTER (WHERE n > 2)", "min(s) FILTER (WHERE n > 2)"),
    ("list_sort(list(s))", None),
    ("list_sort(list_distinct(array_agg(n)))", None),
    ("list_reverse_sort(list({'by': n, 's': s}))[1:2]", None),
    ("len(list(n))", None),
    ("list_min(list(n)) + cardinality(list(s))", None),
    ("list_has_any(list(n), [1, 2])", None),
    ("list_contains(list(n), 3)", None),
    ("array_to_string(list_sort(list(s)), ',')", None),
    *(
        (f"{name}(s, n){only}", f"list_sort(list({{'n': n, 's': s}}) FILTER ({there}))[{i}].s")
        for names, i in ((("arg_max", "argmax", "max_by"), -1), (("arg_min", "argmin", "min_by"), 1))
        for name in names
        for only, there in (
            ("", "n IS NOT NULL AND s IS NOT NULL"),
            (" FILTER (WHERE b)", "b AND n IS NOT NULL AND s IS NOT NULL"),
        )
    ),
    *(
        (f"{name}(s, n)", f"list_sort(list({{'n': n, 's': s}}) FILTER (n IS NOT NULL))[{i}].s")
        for name, i in (("arg_max_null", -1), ("arg_min_null", 1))
    ),
]
SHOWN = ", ".join(f"{written} AS a{i}" for i, (written, _) in enumerate(AGGREGATES))
EXPECTED = ", ".join(f"{plain or written} AS a{i}" for i, (written, plain) in enumerate(AGGREGATES))
# Kind of state: the SELECT in a job, and the same for plain DuckDB. The number of a batch is its time, in seconds.
KINDS = {
    "kept": ("SELECT k, {} FROM events GROUP BY k", "SELECT k, {} FROM events GROUP BY k"),
    "one row": ("SELECT {} FROM events", "SELECT {} FROM events"),
    "tumble": (
        "SELECT k, window_start, {} FROM events GROUP BY k, tumble(t, INTERVAL '20 seconds')",
        "SELECT k, time_bucket(INTERVAL '20 seconds', t) AS window_start, {} FROM events GROUP BY ALL",
    ),
    "hop": (
        "SELECT k, window_start, {} FROM events GROUP BY k, hop(t, INTERVAL '5 seconds', INTERVAL '12 seconds')",
        "SELECT k, window_start, {} FROM (SELECT *, time_bucket(INTERVAL '5 seconds', t) - to_seconds(5 * i) "
        "AS window_start FROM events, range(3) AS r(i)) WHERE window_start + INTERVAL '12 seconds' > t GROUP BY ALL",
    ),
    "rolling": (
        "SELECT k, {} FROM events WHERE batch_time > now() - INTERVAL '4 seconds' GROUP BY k",
        "SELECT k, {} FROM events WHERE batch > now_at - 4 GROUP BY k",
    ),
    "rolling, one row": (
        "SELECT {} FROM events WHERE batch_time > now() - INTERVAL '20 seconds'",
        "SELECT {} FROM events WHERE batch > now_at - 20",
    ),
}

event = st.fixed_dictionaries(
    {
        "k": st.sampled_from(["a", "b", None]),
        "n": st.one_of(st.none(), st.integers(1, 5)),
        "d": st.one_of(st.none(), st.sampled_from([0.1, -0.3, 1e-6, 1234.567, -99999.9])),
        "s": st.one_of(st.none(), st.sampled_from(["x", "y", "Z", ""])),
        "b": st.one_of(st.none(), st.booleans()),
        "t": st.integers(0, 59).map(lambda s: BASE + timedelta(seconds=s)),
    }
)
batches = st.lists(st.tuples(st.booleans(), st.lists(event, max_size=6)), min_size=2, max_size=6)


def plain(sql: str, rows: Sequence[Row], at: int) -> list[Row]:
    """The answer of DuckDB over all rows, the last row first."""
    turned = [{c: row.get(c) for c in ARROW.names} for row in reversed(rows)]
    with duckdb.connect() as con:
        con.register("events", pa.Table.from_pylist(turned, ARROW))
        answer: list[Row] = con.sql(sql.replace("now_at", str(at))).to_arrow_table().to_pylist()
        return answer


def same(ones: list[Row], others: list[Row]) -> None:
    """Equal, but for the last digits of floating-point numbers."""

    def key(row: Row) -> tuple[str, ...]:
        return tuple(repr(row.get(c)) for c in ("k", "window_start"))

    def close(a: Any, b: Any) -> bool:
        if isinstance(a, float) and isinstance(b, float):
            return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-7) or (math.isnan(a) and math.isnan(b))
        return bool(a == b)

    assert sorted(map(key, ones)) == sorted(map(key, others))
    for one, other in zip(sorted(ones, key=key), sorted(others, key=key), strict=True):
        assert {c: (one[c], other[c]) for c in one if not close(one[c], other[c])} == {}


@settings(max_examples=3, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(batches)
@pytest.mark.parametrize("kind", KINDS)
def test_stopped_or_not_a_job_gives_what_plain_duckdb_gives(kind: str, script: list[tuple[bool, list[Row]]]) -> None:
    sql, reference = KINDS[kind]
    sinks = [("v", "complete"), ("v", "update")]
    unbroken, stopped = (Runner({"v": sql.format(SHOWN)}, sinks, sources=SOURCES, tables=[]) for _ in range(2))
    seen: list[Row] = []
    for at, (stop, rows) in enumerate(script):
        if stop:
            stopped.restart()
        seen += [{**row, "batch": at} for row in rows]
        ones, others = unbroken.batch(at_s=at, events=rows), stopped.batch(at_s=at, events=rows)
        for one, other in zip(ones, others, strict=True):
            same(one, other)
        same(ones[0], plain(reference.format(EXPECTED), seen, at))
    unbroken.close()
    stopped.close()


@pytest.mark.parametrize("kind", KINDS)
def test_an_approximate_quantile_stays_near_the_true_one(kind: str) -> None:
    rng = random.Random(7)
    sql, reference = KINDS[kind]
    shown = "approx_quantile(d, 0.9) AS q"
    bounds = "quantile_disc(d, 0.88) AS low, quantile_disc(d, 0.92) AS high"
    unbroken, stopped = (
        Runner({"v": sql.format(shown)}, [("v", "complete")], sources=SOURCES, tables=[]) for _ in "12"
    )
    seen: list[Row] = []
    for at in range(10):
        if at % 3 == 2:
            stopped.restart()
        rows = [{"k": "a", "d": rng.random(), "t": BASE + timedelta(seconds=rng.randrange(60))} for _ in range(2000)]
        seen += [{**row, "batch": at} for row in rows]
        expected = {row.get("window_start"): row for row in plain(reference.format(bounds), seen, at)}
        for run in (unbroken, stopped):
            (table,) = run.batch(at_s=at, events=rows)
            assert {row.get("window_start") for row in table} == expected.keys()
            for row in table:
                wanted = expected[row.get("window_start")]
                assert wanted["low"] <= row["q"] <= wanted["high"]
    unbroken.close()
    stopped.close()


NO_ORDER = "whose result depends on the order of rows, and they have none"
WHICH = "Say which: arg_min(x, time) or arg_max(x, time); any_value(x) where all are the same."
SORTED = "Sort it: list_sort(list(x)), or by another column: list_sort(list({'by': time, 'x': x}))."
TEXTS = "Sort them first: array_to_string(list_sort(list(x)), ','), or to_json(list_sort(list(x)))."
COUNTED = "Count each value in a step of its own, and take arg_max(value, count) or the first of its table."
OTHER = "Use another aggregate, or one over a sorted list: list_sort(list(x))."
REFUSED = [
    *((f"{name}(n)", f"uses {name}(), {NO_ORDER}", WHICH) for name in ("first", "last", "arbitrary")),
    *((f"{name}(s)", f"uses {name}(), {NO_ORDER}", TEXTS) for name in ("group_concat", "listagg")),
    *(
        (f"{name}(s)", f"uses string_agg() (as json_group_array() does too), {NO_ORDER}", TEXTS)
        for name in ("string_agg", "json_group_array")
    ),
    ("approx_top_k(n, 3)", f"uses approx_top_k(), {NO_ORDER}", COUNTED),
    ("arg_max_nulls_last(s, n)", f"uses arg_max_nulls_last(), {NO_ORDER}", OTHER),
    ("lttb(n, d, 3)", f"uses lttb(), {NO_ORDER}", OTHER),
    *(
        (sql, "shows the order of list(), and rows have none", SORTED)
        for sql in (
            *("list(n)", "list(n)[1]", "list_distinct(list(n))", "list_sort([list(n)])", "list_contains([3], list(n))"),
            *("list(n)::VARCHAR", "len(list(n)::VARCHAR)", "unnest(list(n))", "list_transform(list(n), lambda x: x)"),
        )
    ),
    ("array_agg(n)", "shows the order of array_agg(), and rows have none", SORTED),
]


@pytest.mark.parametrize("from_table", [False, True], ids=["over a stream", "over a table"])
@pytest.mark.parametrize(("sql", "message", "remedy"), REFUSED)
def test_what_would_show_an_order_is_refused(sql: str, message: str, remedy: str, from_table: bool) -> None:
    table = "SELECT n, max(d) AS d, min(s) AS s FROM events GROUP BY n"
    steps = (
        {"rows": table, "v": f"SELECT {sql} AS x FROM rows"} if from_table else {"v": f"SELECT {sql} AS x FROM events"}
    )
    (problem,) = problems(steps, [("v", "complete")], SOURCES, [])
    assert (problem.message, problem.remedy) == (f"The step v {message}", remedy)


def test_having_and_order_by_show_no_order_either() -> None:
    for clause in ("HAVING list(n) > [1]", "ORDER BY first(n)", "HAVING list_sort(list(n)) > [1] ORDER BY list(n)"):
        assert len(problems({"v": f"SELECT k FROM events GROUP BY k {clause}"}, [("v", "complete")], SOURCES, [])) == 1


def test_a_subquery_over_a_table_shows_no_order_either() -> None:
    steps = {"rows": "SELECT k, sum(n) AS n FROM events GROUP BY k"}
    for call, count in (("first(n)", 1), ("any_value(n)", 0), ("first(n ORDER BY k)", 0)):
        steps["v"] = f"SELECT k FROM rows WHERE n > (SELECT {call} FROM rows)"
        assert len(problems(steps, [("v", "complete")], SOURCES, TABLES)) == count


def test_a_static_table_is_as_it_is_read() -> None:
    steps = {"firsts": "SELECT first(name) AS f FROM names", "v": "SELECT k, f FROM events, firsts"}
    assert problems(steps, [("v", "append")], SOURCES, TABLES) == []


def test_over_a_table_an_aggregate_may_order_its_rows() -> None:
    shown = "first(n ORDER BY n DESC) AS f, list(s ORDER BY n) AS l, string_agg(s, '' ORDER BY n) AS t"
    ties = "any_value(s) AS any_value, max_by(s, d), arg_min(s, d) AS least, list_sort(list(n)) AS sorted"
    steps = {
        "rows": "SELECT n, max(d) AS d, min(s) AS s FROM events GROUP BY n",
        "v": f"SELECT {shown}, {ties} FROM rows",
    }
    run = Runner(steps, [("v", "complete")], sources=SOURCES, tables=[])
    run.batch(events=[{"n": 2, "d": 1.0, "s": "b"}, {"n": 3, "d": 1.0, "s": "c"}])
    ((row,),) = run.batch(events=[{"n": 1, "d": 1.0, "s": "a"}])
    assert row == {
        **{"f": 3, "l": ["a", "b", "c"], "t": "abc"},
        **{"any_value": "a", "max_by(s, d)": "c", "least": "a", "sorted": [1, 2, 3]},
    }
    run.close()


def test_a_tie_is_broken_by_the_value() -> None:
    shown = "arg_max(s, n) AS most, arg_min(s, n) AS least, arg_max(s, n) FILTER (WHERE b) AS some, any_value(s) AS one"
    for turned in (False, True):
        run = Runner({"v": f"SELECT {shown} FROM events"}, [("v", "complete")], sources=SOURCES, tables=[])
        rows = [{"n": 1, "s": s, "b": s != "z"} for s in ("m", "z", "c")]
        for row in reversed(rows) if turned else rows:
            table = run.batch(events=[row])[0]
        assert table == [{"most": "z", "least": "c", "some": "m", "one": "c"}]
        run.close()
