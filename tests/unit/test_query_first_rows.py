"""The first rows of a stream, of each key or of all: kept up to date they are what DuckDB says of all rows at once."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from streamjob_runtime.plan.planner import look_at
from support.queries import Row, Runner, keyed, problems, spec

BASE = datetime(2026, 1, 1)
RANKED = "row_number() OVER (PARTITION BY k ORDER BY n DESC, t, l)"
QUERIES = {
    "one of each": ("SELECT * FROM events QUALIFY row_number() OVER (PARTITION BY k ORDER BY t DESC, n, l) = 1", ["k"]),
    "some of each": (f"SELECT k, n, t, l FROM events QUALIFY {RANKED} <= 2", None),
    "with their number": (f"SELECT k, n * 2 AS m, {RANKED} AS rn FROM events QUALIFY rn < 3", ["k", "rn"]),
    "the other way round": (f"SELECT upper(k) AS k, n, t, l FROM events QUALIFY 2 >= {RANKED}", None),
    "of two keys": (
        "SELECT k, n % 2 AS odd, max_of, t FROM (SELECT *, n AS max_of FROM events WHERE n IS NOT NULL) "
        "QUALIFY row_number() OVER (PARTITION BY k, n % 2 ORDER BY t NULLS FIRST, n) = 1",
        ["k", "odd"],
    ),
    "DISTINCT ON": ("SELECT DISTINCT ON (k) k, n, t, l FROM events ORDER BY k, n NULLS FIRST, t DESC, l", ["k"]),
    "DISTINCT ON of a name": ("SELECT DISTINCT ON (u) upper(k) AS u, n, t FROM events ORDER BY n, t DESC", ["u"]),
    "LIMIT": ("SELECT k, n, t, l FROM events WHERE n > -2 ORDER BY n DESC, 1, t, l LIMIT 3", None),
    "WHERE": (
        f"SELECT k, n, t, rn FROM (SELECT *, {RANKED} AS rn FROM events) AS e WHERE n > 0 AND e.rn <= 2",
        ["k", "rn"],
    ),
    "WITH": (f"WITH e AS (SELECT k, n, t, l, {RANKED} AS rn FROM events) SELECT k, n FROM e WHERE 1 = rn", ["k"]),
    "a join": (
        "SELECT name, n FROM events JOIN names USING (k) "
        "QUALIFY row_number() OVER (PARTITION BY name ORDER BY n DESC) <= 2",
        None,
    ),
}
NAMES = [{"k": "a", "name": "Ann"}, {"k": "b", "name": "Ann"}, {"k": "c", "name": "Cem"}]
event = st.fixed_dictionaries(
    {
        "k": st.sampled_from(["a", "b", "c", None]),
        "n": st.one_of(st.none(), st.integers(-3, 4)),
        "t": st.one_of(st.none(), st.integers(0, 5).map(lambda s: BASE + timedelta(seconds=s))),
        "l": st.one_of(st.none(), st.lists(st.integers(0, 1), max_size=2)),
    }
)
batches = st.lists(st.lists(event, max_size=5), min_size=1, max_size=7)
few = settings(max_examples=4, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
COLUMNS = pa.table(
    {
        "k": pa.array([], pa.string()),
        "n": pa.array([], pa.int64()),
        "t": pa.array([], pa.timestamp("us")),
        "l": pa.array([], pa.list_(pa.int64())),
    }
).schema


def at_once(sql: str, rows: list[Row]) -> list[Row]:
    """DuckDB's answer over all rows."""
    with duckdb.connect() as con:
        # The columns of a source stand in the order of their names.
        con.register("given", pa.Table.from_pylist(rows, COLUMNS))
        con.execute("CREATE TABLE events AS SELECT k, l, n, t FROM given")
        con.register("names", pa.Table.from_pylist(NAMES))
        answer: list[Row] = con.sql(sql).to_arrow_table().to_pylist()
        return answer


@few
@given(batches, st.integers(0, 6))
@pytest.mark.parametrize("name", QUERIES)
def test_they_are_those_of_all_rows(name: str, script: list[list[Row]], restart_at: int) -> None:
    sql, key = QUERIES[name]
    sinks: list[Any] = [("v", "update", keyed(*key))] if key else [("v", "update")]
    run = Runner({"v": sql}, [*sinks, ("v", "complete")])
    run.table("names", NAMES)
    seen: list[Row] = []
    by_key: dict[tuple[Any, ...], Row] = {}
    bag: Counter[str] = Counter()
    for i, rows in enumerate(script):
        if i == restart_at:
            run.restart()
        seen += rows
        update, complete = run.batch(events=rows)
        assert Counter(map(repr, complete)) == Counter(map(repr, at_once(sql, seen)))
        deleted = run.deleted[0]
        if key is not None:
            for row in deleted or []:
                assert by_key.pop(tuple(row[c] for c in key)) == row
            by_key.update({tuple(row[c] for c in key): row for row in update})
            assert sorted(map(repr, by_key.values())) == sorted(map(repr, complete))
        else:
            bag.subtract({repr(row) for row in deleted or []})
            bag = Counter(dict.fromkeys(+bag | Counter(map(repr, update)), 1))
            assert set(bag) == set(map(repr, complete))
    run.close()


def test_only_what_can_still_count_is_kept() -> None:
    run = Runner({"v": "SELECT k, n FROM events QUALIFY row_number() OVER (PARTITION BY k ORDER BY n DESC) <= 2"},
                 [("v", "update")])  # fmt: skip
    for start in range(0, 100, 10):
        run.batch(events=[{"k": "a", "n": n} for n in range(start, start + 10)])
    (state,) = run.query.snapshot().values()
    assert [len(rows or []) for rows in state.column("a0").to_pylist()] == [2]


def test_a_row_that_was_there_is_not_given_again() -> None:
    sql = "SELECT k, n FROM events QUALIFY row_number() OVER (PARTITION BY k ORDER BY n DESC) <= 2"
    run = Runner({"v": sql}, [("v", "update", keyed("k", "n"))])
    run.batch(events=[{"k": "a", "n": n} for n in (1, 2, 3)])
    assert (run.batch(events=[{"k": "a", "n": 1}]), run.deleted) == ([[]], [[]])
    assert run.batch(events=[{"k": "a", "n": 4}]) == [[{"k": "a", "n": 4}]]
    assert run.deleted == [[{"k": "a", "n": 2}]]


def test_a_static_table_that_is_replaced_counts_for_all_rows_of_the_keys_that_a_batch_touches() -> None:
    first = "SELECT k, n FROM events QUALIFY row_number() OVER (PARTITION BY k ORDER BY n DESC) <= 2"
    run = Runner({"v": first, "w": "SELECT name, n FROM v JOIN names USING (k)"}, [("w", "update", keyed("n"))])
    run.table("names", [{"k": "a", "name": "Ann"}])
    run.batch(events=[{"k": "a", "n": 1}])
    run.table("names", [{"k": "a", "name": "Anna"}])
    assert sorted(row["name"] for row in run.batch(events=[{"k": "a", "n": 2}])[0]) == ["Anna", "Anna"]


def test_a_rolling_window_and_a_ttl_end_them() -> None:
    sql = "SELECT k, n FROM events {} QUALIFY row_number() OVER (PARTITION BY k ORDER BY n DESC) = 1"
    rolling = sql.format("WHERE batch_time > now() - INTERVAL '3 seconds'")
    for step in (rolling, {"sql": sql.format(""), "ttl": "3s"}):
        run = Runner({"v": step}, [("v", "update", keyed("k")), ("v", "complete")])
        run.batch(at_s=0, events=[{"k": "a", "n": 9}])
        run.batch(at_s=2, events=[{"k": "b", "n": 3}])
        run.restart()
        changed, whole = run.batch(at_s=3, events=[{"k": "c", "n": 1}])
        assert (changed, len(whole)) == ([{"k": "c", "n": 1}], 2)
        assert run.deleted[0] == [{"k": "a", "n": 9}]
        run.close()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT k, n FROM events QUALIFY rank() OVER (PARTITION BY k ORDER BY n) <= 2",
        "SELECT k, n FROM events QUALIFY row_number() OVER (PARTITION BY k) <= 2",
        "SELECT k, n FROM events QUALIFY row_number() OVER (PARTITION BY k ORDER BY n) = 2",
        "SELECT k, n FROM events QUALIFY row_number() OVER (PARTITION BY k ORDER BY n) >= 2",
        "SELECT k, n FROM events QUALIFY row_number() OVER (ORDER BY n) <= 2 OR n = 1",
        "SELECT k, n, lag(n) OVER (ORDER BY n) AS p FROM events QUALIFY row_number() OVER (ORDER BY n) <= 2",
        "SELECT k FROM (SELECT k, row_number() OVER (ORDER BY n) AS rn FROM events) WHERE rn <= 2 OR k = 'a'",
        "WITH e AS (SELECT k, row_number() OVER (ORDER BY n) AS rn FROM events) "
        "SELECT k FROM e WHERE rn <= 2 UNION ALL SELECT k FROM e WHERE rn <= 3",
        "SELECT DISTINCT ON (k) k, n FROM events",
        "SELECT k, n FROM events LIMIT 2",
        "SELECT k, n FROM events ORDER BY n",
        "SELECT k, n FROM events ORDER BY n LIMIT 2 OFFSET 1",
        "SELECT k, n FROM events ORDER BY n LIMIT 0",
        "SELECT *, n AS m FROM events ORDER BY 2 LIMIT 2",
        "SELECT k, n FROM events ORDER BY ALL LIMIT 2",
        "SELECT k, n FROM events ORDER BY k COLLATE NOCASE LIMIT 2",
        "SELECT k, [NULL] AS x FROM events ORDER BY n LIMIT 2",
        "SELECT k, to_seconds(n) AS i FROM events ORDER BY n LIMIT 2",
    ],
)
def test_what_is_not_kept_is_refused(sql: str) -> None:
    assert len(problems({"v": sql}, [("v", "update")])) == 1


def test_what_is_said_of_them() -> None:
    steps = {"v": "SELECT k, n FROM events QUALIFY row_number() OVER (PARTITION BY k ORDER BY n) <= 2",
             "w": "SELECT k, n FROM events ORDER BY n LIMIT 3"}  # fmt: skip
    assert look_at(spec(steps, [("v", "update"), ("w", "update")])).outline == [
        "v: a table with the first 2 rows of events for each k; each group stays for good: the number of keys must be "
        "bounded; can be written in update or complete mode",
        "w: a table with the first 3 rows of events; it holds that row only; can be written in update or complete mode",
    ]


def test_another_order_is_another_state() -> None:
    found: set[str] = set()
    for order, most in (("n", 2), ("n DESC", 2), ("t", 2), ("n", 3)):
        sql = f"SELECT k, n FROM events QUALIFY row_number() OVER (PARTITION BY k ORDER BY {order}) <= {most}"
        run = Runner({"v": sql}, [("v", "update")])
        found.update(run.query.fingerprints.values())
        run.close()
    assert len(found) == 4
