"""Steps over windowed results that concern each window by itself, in append mode."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.queries import SOURCES, Row, Runner, Steps, problems

EPOCH = dt.datetime(2026, 1, 1)
TWO: list[Mapping[str, Any]] = [
    *SOURCES[:1],
    {
        "name": "others",
        "queue": {},
        "schema": {"k": "VARCHAR", "n": "BIGINT", "t": "TIMESTAMP"},
        "watermark": {"column": "t", "delay": "10s"},
    },
]

HOP = "hop(t, INTERVAL '5 seconds', INTERVAL '10 seconds')"
COUNTS = f"SELECT k, window_start, window_end, count(*) AS n FROM events GROUP BY k, {HOP}"
OTHERS = f"SELECT k, window_start AS ws, max(n) AS n FROM others GROUP BY k, {HOP}"

# name -> the steps behind counts and others
CASES: dict[str, dict[str, str]] = {
    "aggregate": {"r": "SELECT window_start, max(n) AS top, count(*) AS ks FROM counts GROUP BY window_start"},
    "aggregate by end": {"r": "SELECT window_end, window_end AS e, sum(n) AS n FROM counts GROUP BY ALL"},
    "aggregate by position": {"r": "SELECT window_start AS w, sum(n) AS n FROM counts GROUP BY 1 HAVING sum(n) > 2"},
    "hottest": {
        "r": "SELECT c.k, c.window_start, c.n FROM counts AS c JOIN "
        "(SELECT max(n) AS top, window_start FROM counts GROUP BY window_start) AS m "
        "ON c.window_start = m.window_start AND c.n = m.top"
    },
    "rank": {
        "ranked": "SELECT *, rank() OVER (PARTITION BY window_start ORDER BY n DESC) AS place FROM counts",
        "r": "SELECT * FROM ranked WHERE place <= 2",
    },
    "qualify": {
        "r": "SELECT window_end AS e, k, n FROM counts "
        "QUALIFY row_number() OVER (PARTITION BY window_end ORDER BY n DESC, k) = 1"
    },
    "distinct": {"r": "SELECT DISTINCT n, window_start FROM counts"},
    "distinct on": {"r": "SELECT DISTINCT ON (window_start) k, n FROM counts ORDER BY window_start, n DESC, k"},
    "join": {
        "r": "SELECT c.k, c.n, o.n AS m, ws FROM counts AS c JOIN others_ AS o ON c.k = o.k AND window_start = ws"
    },
    "left join": {
        "r": "SELECT c.k, window_start, c.n, o.n AS m FROM counts AS c LEFT JOIN others_ AS o "
        "ON c.k = o.k AND c.window_start = o.ws"
    },
    "right join": {
        "r": "SELECT o.k, o.ws, c.n, o.n AS m FROM counts AS c RIGHT JOIN others_ AS o "
        "ON c.k = o.k AND window_start = ws"
    },
    "using": {
        "renamed": "SELECT ws AS window_start, k, n AS m FROM others_",
        "r": "SELECT k, window_start, n, m FROM counts JOIN renamed USING (k, window_start)",
    },
    "natural": {
        "renamed": "SELECT ws AS window_start, k, n AS m FROM others_",
        "r": "SELECT * FROM counts NATURAL JOIN renamed",
    },
    "where": {
        "r": "SELECT c.k, c.n, o.n AS m FROM counts AS c, others_ AS o WHERE c.window_start = o.ws AND c.k < o.k"
    },
    "semi": {"r": "SELECT * FROM counts SEMI JOIN others_ ON counts.k = others_.k AND window_start = ws"},
    "anti": {"r": "SELECT * FROM counts ANTI JOIN others_ ON counts.k = others_.k AND window_start = ws"},
    "three": {
        "tops": "SELECT window_start, max(n) AS top FROM counts GROUP BY window_start",
        "joined": "SELECT c.k, c.window_start AS s, o.n AS m FROM counts AS c JOIN others_ AS o "
        "ON c.window_start = o.ws AND c.k = o.k",
        "r": "SELECT j.*, t.top FROM joined AS j JOIN tops AS t ON j.s = t.window_start",
    },
}


def whole(steps: Mapping[str, str], events: Sequence[Row], others: Sequence[Row]) -> list[tuple[Any, ...]]:
    """What DuckDB says of the windows that are final, over all rows at once."""
    con = duckdb.connect()
    for name, rows in (("events", events), ("others", others)):
        con.register(f"{name}_rows", pa.table({c: [r[c] for r in rows] for c in ("k", "n", "t")}))
        con.execute(
            f"CREATE VIEW {name}_in AS SELECT *, time_bucket(INTERVAL 5 SECOND, t, TIMESTAMP '1970-01-01') - "
            f"to_seconds(5 * i) AS w FROM {name}_rows, range(2) AS r(i)"
        )
    latest = min(max(r["t"] for r in rows) for rows in (events, others)) - dt.timedelta(seconds=10)
    final = f"w + INTERVAL 10 SECOND <= TIMESTAMP '{latest}'"
    con.execute(
        f"CREATE VIEW counts AS SELECT k, w AS window_start, w + INTERVAL 10 SECOND AS window_end, count(*) AS n "
        f"FROM events_in WHERE {final} GROUP BY k, w"
    )
    con.execute(f"CREATE VIEW others_ AS SELECT k, w AS ws, max(n) AS n FROM others_in WHERE {final} GROUP BY k, w")
    for name, sql in steps.items():
        con.execute(f"CREATE VIEW {name} AS {sql}")
    return con.execute("SELECT * FROM r").fetchall()


class Job(Runner):
    """With a watermark for each source, and what came out so far."""

    def __init__(self, steps: Mapping[str, str]) -> None:
        given: Steps = {"counts": COUNTS, "others_": OTHERS, **steps}
        super().__init__(given, [("r", "append")], sources=TWO)
        self.highest: dict[str, int] = {}
        self.out: list[tuple[Any, ...]] = []

    def step(self, given: Mapping[str, Sequence[Row]]) -> None:
        before = self.watermark
        (rows,) = self.batch(at_s=None, **given)
        self.out += [tuple(row.values()) for row in rows]
        assert self.last is not None
        for name, ms in self.last.max_event_time_ms.items():
            self.highest[name] = max(ms, self.highest.get(name, ms))
        marks = [ms - 10_000 for ms in self.highest.values()]
        self.watermark = min(marks) if len(marks) == 2 else None
        if self.watermark is not None and before is not None:
            self.watermark = max(self.watermark, before)


def event(k: str, second: int, n: int) -> Row:
    return {"k": k, "n": n, "t": EPOCH + dt.timedelta(seconds=second)}


# Rows of a batch are at most ten seconds behind those before: none is late, however the batches are cut.
BATCHES = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.integers(0, 5)), max_size=6),
        st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.integers(0, 5)), max_size=6),
    ),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("steps", CASES.values(), ids=CASES)
@settings(max_examples=4)
@given(batches=BATCHES, restart=st.integers(0, 7))
def test_what_is_written_of_final_windows_is_what_a_query_over_all_of_them_gives(
    steps: Mapping[str, str], batches: list[Any], restart: int
) -> None:
    job = Job(steps)
    kept: dict[str, list[Row]] = {"events": [event("z", 0, 0)], "others": [event("z", 0, 0)]}
    job.step(kept)
    now = 0
    for i, (ahead, events, others) in enumerate(batches):
        now += ahead
        rows = {
            "events": [event(k, now + s, n) for k, s, n in events],
            "others": [event(k, now + s, n) for k, s, n in others],
        }
        job.step(rows)
        for name in kept:
            kept[name] += rows[name]
        if i == restart:
            job.restart()
    job.step({})
    assert sorted(job.out, key=repr) == sorted(whole(steps, kept["events"], kept["others"]), key=repr)
    job.close()


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELECT k, sum(n) AS n FROM counts GROUP BY k", "its GROUP BY puts rows of several windows together"),
        ("SELECT sum(n) AS n FROM counts", "its GROUP BY puts rows of several windows together"),
        ("SELECT *, rank() OVER (ORDER BY n) AS place FROM counts", "its OVER looks at rows of several windows"),
        ("SELECT * FROM counts ORDER BY n LIMIT 3", "its LIMIT is over all windows"),
        ("SELECT DISTINCT k FROM counts", "its DISTINCT is over all windows"),
        ("SELECT c.k FROM counts AS c JOIN others_ AS o ON c.k = o.k", "its join is not on the window"),
        ("SELECT c.k FROM counts AS c JOIN others_ AS o ON window_end = ws", "its join is not on the window"),
        ("SELECT c.k FROM counts AS c FULL JOIN others_ AS o ON window_start = ws", "its join"),
        ("SELECT * FROM counts WHERE n = (SELECT max(n) FROM counts)", "it has a subquery in an expression"),
        ("SELECT c.k FROM counts AS c JOIN wide ON c.window_start = wide.window_start", "windows of different lengths"),
        ("SELECT c.k FROM counts AS c RIGHT JOIN names ON c.k = names.k", "its join"),
    ],
)
def test_what_does_not_concern_each_window_by_itself_is_refused_in_append_mode(sql: str, why: str) -> None:
    wide = "SELECT window_start, count(*) AS n FROM events GROUP BY tumble(t, INTERVAL '1 minute')"
    steps = {"counts": COUNTS, "others_": OTHERS, "wide": wide, "r": sql}
    (problem,) = problems(steps, [("r", "append")], sources=TWO)
    assert why in problem.text
    assert problem.path == "spec.sinks[0].mode"
    assert problems(steps, [("r", "complete")], sources=TWO) == []


def test_two_watermarks_the_slower_source_decides() -> None:
    job = Job(CASES["join"])
    job.step({"events": [event("a", 1, 1), event("a", 60, 1)], "others": [event("a", 2, 7)]})
    job.step({})
    assert job.out == []
    job.step({"others": [event("a", 60, 1)]})
    job.step({})
    assert {(k, n, m) for k, n, m, _ in job.out} == {("a", 1, 7)}
