"""Whatever the batches, what is kept up to date equals one query over all rows."""

import math
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from support.queries import START, Row, Runner

AGGREGATES = """count(*) AS c, count(n) AS cn, sum(n) AS s, avg(n) AS a, min(n) AS lo, max(n) AS hi,
    stddev_samp(n) AS sd, median(n) AS md, approx_count_distinct(n) AS acd, list_sort(list(n)) AS l,
    arg_max(n, n) AS am, bool_or(n > 2) AS b, count(*) FILTER (WHERE n > 1) AS f, sum(n) / count(*) AS q,
    weighted_avg(n, n) AS w, count(DISTINCT n) AS dc, sum(DISTINCT n) AS ds, avg(DISTINCT n) FILTER (n > 0) AS da,
    count(DISTINCT (n, k)) AS dt, max(DISTINCT n) AS dm, median(DISTINCT n) AS dd, stddev_samp(DISTINCT n) AS dv"""
BY_WINDOW = f"SELECT k, window_start, {AGGREGATES} FROM events GROUP BY k, window_start"
EPOCH = datetime(1970, 1, 1)
BASE = datetime(2026, 1, 1)

event = st.fixed_dictionaries(
    {
        "k": st.sampled_from(["a", "b", None]),
        "n": st.one_of(st.none(), st.integers(-3, 5)),
        "t": st.one_of(st.none(), st.integers(0, 59).map(lambda s: BASE + timedelta(seconds=s))),
    }
)
batches = st.lists(st.lists(event, max_size=6), min_size=1, max_size=8)
# No shrinking: every try opens queries, which takes a while.
few = settings(max_examples=8, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))


# A row has its batch's time or its window's start where the test gives them.
COLUMNS = pa.table(
    {
        "k": pa.array([], pa.string()),
        "n": pa.array([], pa.int64()),
        "t": pa.array([], pa.timestamp("us")),
        "batch_time": pa.array([], pa.timestamp("us", "UTC")),
        "window_start": pa.array([], pa.timestamp("us")),
    }
).schema


def one_shot(sql: str, rows: list[Row]) -> list[Row]:
    """The answer of plain DuckDB over all rows; each has its batch's time, window columns as the test made them."""
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.register("events", pa.Table.from_pylist([{c: r.get(c) for c in COLUMNS.names} for r in rows], COLUMNS))
        answer: list[Row] = con.sql(sql).to_arrow_table().to_pylist()
        return answer


def same(one: list[Row], other: list[Row]) -> None:
    """Equal but for order and the last digits."""

    def key(row: Row) -> str:
        return repr([None if isinstance(v, float) else v for v in row.values()])

    def close(a: Any, b: Any) -> bool:
        if isinstance(a, float) and isinstance(b, float):
            return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9) or (math.isnan(a) and math.isnan(b))
        return bool(a == b)

    ones, others = sorted(one, key=key), sorted(other, key=key)
    assert len(ones) == len(others), f"{ones}\n{others}"
    for a, b in zip(ones, others, strict=True):
        assert a.keys() == b.keys()
        assert all(close(a[c], b[c]) for c in a), f"{a}\n{b}"


@few
@given(batches, st.integers(0, 7))
def test_groups(script: list[list[Row]], restart_at: int) -> None:
    sql = f"SELECT k, {AGGREGATES} FROM events GROUP BY k"
    run = Runner({"g": sql}, [("g", "complete"), ("g", "update")])
    seen: list[Row] = []
    mirror: dict[Any, Row] = {}
    for i, rows in enumerate(script):
        if i == restart_at:
            run.restart()
        seen += rows
        complete, update = run.batch(events=rows)
        mirror.update({row["k"]: row for row in update})
        assert {row["k"] for row in update} == {row["k"] for row in rows}
        same(complete, one_shot(sql, seen))
        same(list(mirror.values()), complete)
    run.close()


@few
@given(batches, st.integers(0, 7))
def test_one_group_of_all_rows(script: list[list[Row]], restart_at: int) -> None:
    sql = f"SELECT {AGGREGATES} FROM events"
    run = Runner({"g": sql}, [("g", "complete")])
    seen: list[Row] = []
    for i, rows in enumerate(script):
        if i == restart_at:
            run.restart()
        seen += rows
        same(run.batch(events=rows)[0], one_shot(sql, seen))
    run.close()


@few
@given(batches, st.integers(0, 7), st.lists(st.integers(0, 4), min_size=8, max_size=8), st.sampled_from([">", ">="]))
@pytest.mark.parametrize("keys", ["k, ", ""])
def test_rolling_window(keys: str, script: list[list[Row]], restart_at: int, steps: list[int], sign: str) -> None:
    shape = "SELECT {keys}{aggregates} FROM events WHERE batch_time {sign} {now} - INTERVAL '5 seconds' {group}"
    group = "GROUP BY k" if keys else ""
    sql = shape.format(keys=keys, aggregates=AGGREGATES, sign=sign, now="now()", group=group)
    run = Runner({"g": sql}, [("g", "complete"), ("g", "update")])
    seen: list[Row] = []
    mirror: dict[Any, Row] = {}
    at = 0
    for i, rows in enumerate(script):
        at += steps[i]
        if i == restart_at:
            run.restart()
        stamp = datetime.fromtimestamp(START // 1000 + at, UTC)
        seen += [{**row, "batch_time": stamp} for row in rows]
        wanted = run.query.wants_batch(START + at * 1000, None)
        complete, update = run.batch(events=rows, at_s=at)
        now = f"TIMESTAMPTZ '{stamp}'"
        expected = one_shot(shape.format(keys=keys, aggregates=AGGREGATES, sign=sign, now=now, group=group), seen)
        same(complete, expected)
        before = dict(mirror)
        mirror.update({row.get("k"): row for row in update})
        mirror = {k: row for k, row in mirror.items() if k in {row.get("k") for row in expected}}
        if seen:
            same(list(mirror.values()), expected)
        if not rows and not wanted:
            assert mirror == before
    run.close()


@pytest.mark.parametrize("length", [3, 9, 70])
def test_a_rolling_window_of_many_batches(length: int) -> None:
    sql = f"SELECT k, sum(n) AS s FROM events WHERE batch_time > now() - INTERVAL '{length} seconds' GROUP BY k"
    run = Runner({"g": sql}, [("g", "complete")])
    rng = random.Random(length)
    seen: list[tuple[int, str, int]] = []
    at = 0
    for i in range(150):
        at += rng.choice([0, 1, 1, 1, 2]) if i % 60 else length + 1
        if i in (75, 100):
            run.restart()
        rows = [(at, rng.choice("abcdefgh"), rng.randint(0, 9)) for _ in range(rng.choice([0, 1, 3]))]
        seen += rows
        expected: Counter[str] = Counter()
        for time, k, n in seen:
            expected[k] += n if time > at - length else 0
        live = {k for time, k, _ in seen if time > at - length}
        complete = run.batch(at_s=at, events=[{"k": k, "n": n} for _, k, n in rows])[0]
        assert {row["k"]: row["s"] for row in complete} == {k: expected[k] for k in live}
    run.close()


WINDOWS = [
    ("tumble(t, INTERVAL '10 seconds')", 10, 10),
    ("hop(t, INTERVAL '5 seconds', INTERVAL '10 seconds')", 5, 10),
    ("hop(t, INTERVAL '5 seconds', INTERVAL '12 seconds')", 5, 12),
]


def starts(time: datetime, slide: int, size: int) -> list[datetime]:
    """The windows that a time is in."""
    second = int((time - EPOCH).total_seconds())
    last = second // slide * slide
    return [EPOCH + timedelta(seconds=s) for s in range(last, second - size, -slide)]


@few
@given(batches, st.integers(0, 7), st.sampled_from([0, 5_000, 20_000]))
@pytest.mark.parametrize(("window", "slide", "size"), WINDOWS)
def test_event_time_windows(
    window: str, slide: int, size: int, script: list[list[Row]], restart_at: int, delay_ms: int
) -> None:
    sql = f"SELECT k, window_start, {AGGREGATES} FROM events GROUP BY k, {window}"
    run = Runner({"g": sql}, [("g", "append"), ("g", "update")], delay_ms)
    all_of_it = Runner({"g": sql}, [("g", "complete")], delay_ms)
    in_time: list[Row] = []
    everything: list[Row] = []
    final: list[Row] = []
    mirror: dict[Any, Row] = {}
    dropped = 0
    for i, rows in enumerate(script):
        if i == restart_at:
            run.restart()
            all_of_it.restart()
        late_before = run.late_before
        counted = [{**r, "window_start": s} for r in rows if r["t"] is not None for s in starts(r["t"], slide, size)]
        everything += counted
        kept = [r for r in counted if late_before is None or end_ms(r, size) > late_before]
        in_time += kept
        append, update = run.batch(events=rows)
        final += append
        mirror.update({(row["k"], row["window_start"]): row for row in update})
        assert run.last is not None
        dropped += run.last.operators[0].rows_dropped_by_watermark
        assert dropped == len(everything) - len(in_time)
        assert {(r["k"], r["window_start"]) for r in update} == {(r["k"], r["window_start"]) for r in kept}
        same(all_of_it.batch(events=rows)[0], one_shot(BY_WINDOW, everything))
    end = run.watermark
    final += run.batch()[0]
    expected = one_shot(BY_WINDOW, in_time)
    same(list(mirror.values()), expected)
    same(final, [r for r in expected if end is not None and end_ms(r, size) <= end])
    run.close()
    all_of_it.close()


def end_ms(row: Row, size: int) -> int:
    """The end of a row's window, in milliseconds."""
    return int(((row["window_start"] - EPOCH).total_seconds() + size) * 1000)
