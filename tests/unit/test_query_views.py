"""Steps over steps: what SQL means stays what DuckDB says it means."""

from datetime import datetime

import pytest

from support.queries import START, Row, Runner

GIVEN: list[Row] = [
    {"k": "a", "n": 1},
    {"k": "a", "n": 2},
    {"k": "b", "n": 5},
    {"k": "c", "n": 7},
]
NAMES: list[Row] = [{"k": "a", "name": "Ann", "since": "2020-01-31"}, {"k": "b", "name": "Bob", "since": "2021-02-28"}]

TABLES = [
    ("SELECT k AS x, sum(n)::BIGINT AS s FROM events GROUP BY x ORDER BY s DESC, x LIMIT 2", [("c", 7), ("b", 5)]),
    ("SELECT k, count(*) FROM events GROUP BY 1 HAVING count(*) > 1", [("a", 2)]),
    ("SELECT k, count(*) AS c FROM events GROUP BY ALL HAVING c > 1", [("a", 2)]),
    ("SELECT upper(k) AS u, n % 2 AS odd, count(*) AS c FROM events GROUP BY ALL ORDER BY ALL",
     [("A", 0, 1), ("A", 1, 1), ("B", 1, 1), ("C", 1, 1)]),
    ("SELECT sum(n) / count(*) AS mean, avg(n) AS a FROM events", [(3.75, 3.75)]),
    ("SELECT k, rank() OVER (ORDER BY sum(n) DESC) AS r FROM events GROUP BY k ORDER BY r",
     [("c", 1), ("b", 2), ("a", 3)]),
    ("SELECT k, sum(n)::INT AS s FROM events GROUP BY k QUALIFY row_number() OVER (ORDER BY s) = 1", [("a", 3)]),
    ("SELECT DISTINCT count(*) AS c FROM events GROUP BY k ORDER BY c", [(1,), (2,)]),
    ("SELECT max(s)::INT AS m FROM (SELECT k, sum(n) AS s FROM events GROUP BY k)", [(7,)]),
    ("WITH g(x, y) AS (SELECT k, sum(n)::INT FROM events GROUP BY k) SELECT x, y FROM g WHERE y > 4 ORDER BY y",
     [("b", 5), ("c", 7)]),
    ("SELECT name, count(*) AS c FROM events LEFT JOIN names USING (k) GROUP BY name ORDER BY name NULLS LAST",
     [("Ann", 2), ("Bob", 1), (None, 1)]),
    ("SELECT events.k, count(*) AS c FROM events JOIN names ON events.k = names.k GROUP BY events.k ORDER BY k",
     [("a", 2), ("b", 1)]),
    ("SELECT k, (SELECT count(*) FROM names) AS all_names, count(*) AS c FROM events GROUP BY k ORDER BY k LIMIT 1",
     [("a", 2, 2)]),
    ("SELECT w, count(*) AS c FROM (SELECT unnest(range(n)) AS w FROM events) GROUP BY w ORDER BY w LIMIT 2",
     [(0, 4), (1, 3)]),
    ("SELECT u.x, count(*) AS c FROM events, unnest(range(n)) AS u(x) GROUP BY u.x ORDER BY x LIMIT 2",
     [(0, 4), (1, 3)]),
    ("SELECT e.k, max(n) AS m, m + 1 AS more FROM events AS e GROUP BY e.k HAVING m > 1 AND k < 'c' ORDER BY more",
     [("a", 2, 3), ("b", 5, 6)]),
    ("WITH g AS (SELECT k, sum(n)::INT AS s FROM events GROUP BY k) "
     "SELECT a.k, b.k AS j FROM g a, g b WHERE a.s + 2 = b.s",
     [("a", "b"), ("b", "c")]),
    ("SELECT count(*) FILTER (WHERE n > 1 AND k <> 'b') AS f, geomean(n) AS g FROM events WHERE n = 2 OR n = 5",
     [(1, pytest.approx(10**0.5))]),
    ("SELECT k FROM events GROUP BY k ORDER BY k LIMIT 1", [("a",)]),
    ("SELECT k, list_transform(list_sort(list(n)), lambda n: n * 2) AS l FROM events GROUP BY k ORDER BY k LIMIT 1",
     [("a", [2, 4])]),
    ("SELECT count(*) AS c FROM (SELECT k FROM events UNION ALL SELECT k FROM other)", [(4,)]),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "expected"), TABLES, ids=lambda v: str(v)[:50])
def test_a_table_after_two_batches(sql: str, expected: list[tuple[object, ...]]) -> None:
    run = Runner({"v": sql}, [("v", "complete")])
    run.table("names", NAMES)
    run.batch(events=GIVEN[:2])
    assert [tuple(row.values()) for row in run.batch(events=GIVEN[2:])[0]] == expected


def test_changed_rows_go_on_through_projections_and_joins_with_static_tables() -> None:
    steps = {
        "sums": "SELECT k, sum(n)::BIGINT AS s FROM events GROUP BY k HAVING s > 2",
        "named": "SELECT name, s * 10 AS s FROM sums LEFT JOIN names USING (k) WHERE k <> 'c'",
    }
    run = Runner(steps, [("named", "update"), ("sums", "update")])
    run.table("names", NAMES)
    assert run.batch(events=GIVEN[:1]) == [[], []]  # a's sum is not above 2 yet
    named, sums = run.batch(events=GIVEN[1:])
    assert sorted(named, key=str) == [{"name": "Ann", "s": 30}, {"name": "Bob", "s": 50}]
    assert sorted(sums, key=str) == [{"k": "a", "s": 3}, {"k": "b", "s": 5}, {"k": "c", "s": 7}]


def test_a_static_table_that_is_replaced_counts_from_the_next_batch_on() -> None:
    run = Runner({"v": "SELECT name FROM events JOIN names USING (k)", "n": "SELECT count(*) AS c FROM names"},
                 [("v", "append"), ("n", "complete")])  # fmt: skip
    run.table("names", NAMES)
    assert run.batch(events=GIVEN[:1]) == [[{"name": "Ann"}], [{"c": 2}]]
    run.table("names", [{"k": "a", "name": "Anna", "since": None}])
    assert run.batch(events=GIVEN[:1]) == [[{"name": "Anna"}], [{"c": 1}]]


def test_steps_over_static_tables_are_static_tables() -> None:
    steps = {
        "adults": "SELECT k, name, rank() OVER (ORDER BY since) AS r FROM names",
        "many": "SELECT count(*) AS c FROM adults",
        "v": "SELECT k, name, (SELECT c FROM many) AS all_of_them, count(*) AS n FROM events JOIN adults USING (k) "
        "GROUP BY ALL ORDER BY k",
        "stateless": "SELECT name, r FROM events JOIN adults USING (k) WHERE n < (SELECT c FROM many)",
    }
    run = Runner(steps, [("v", "complete"), ("stateless", "append"), ("many", "complete")])
    run.table("names", NAMES)
    assert run.batch(events=GIVEN) == [
        [{"k": "a", "name": "Ann", "all_of_them": 2, "n": 2}, {"k": "b", "name": "Bob", "all_of_them": 2, "n": 1}],
        [{"name": "Ann", "r": 1}],
        [{"c": 2}],
    ]


@pytest.mark.parametrize("name", ["incoming", "restored", "s", "d", "n", "g", "r", "p", "c", "k0", "range", "value"])
def test_a_relation_may_have_any_name(name: str) -> None:
    table = {"name": name, "files": {"path": "x.csv"}, "format": "csv", "schema": {"k": "VARCHAR", "w": "BIGINT"}}
    steps = {
        "v": f"SELECT {name}.w AS u, count(*) AS c FROM events JOIN {name} USING (k) "
        f"WHERE batch_time > now() - INTERVAL '2 seconds' GROUP BY {name}.w",
        f"{name}_2": f"SELECT u, c FROM v JOIN {name} ON u = {name}.w",
        "top": f"SELECT (SELECT max({name}.w) FROM {name}) AS top, count(*) AS c FROM events GROUP BY ALL",
    }
    run = Runner(steps, [("top", "complete"), (f"{name}_2", "update")], tables=[table])
    run.table(name, [{"k": "a", "w": 7}])
    run.batch(events=[{"k": "a"}])
    run.restart()
    assert run.batch(events=[{"k": "a"}, {"k": "b"}]) == [[{"top": 7, "c": 3}], [{"u": 7, "c": 2}]]
    assert run.batch() == [[{"top": 7, "c": 3}], [{"u": 7, "c": 1}]]


def test_the_yahoo_streaming_benchmark() -> None:
    sql = """
    SELECT name, window_start, count(*) AS views, approx_count_distinct(n) AS different
    FROM events JOIN names USING (k)
    WHERE n > 1
    GROUP BY name, tumble(t, INTERVAL '10 seconds')
    """
    run = Runner({"views": sql}, [("views", "append"), ("views", "update")], delay_ms=0)
    run.table("names", NAMES)
    given = [
        {"k": k, "n": n, "t": datetime(2026, 1, 1, 0, 0, s)} for k, n, s in [("a", 2, 1), ("a", 2, 9), ("a", 1, 3)]
    ]
    row = {"name": "Ann", "window_start": datetime(2026, 1, 1), "views": 2, "different": 1}
    assert run.batch(events=[*given, {"k": "z", "n": 9, "t": datetime(2026, 1, 1, 0, 1)}]) == [[], [row]]
    assert run.batch() == [[row], []]


def test_two_results_may_be_joined_as_a_view() -> None:
    steps = {
        "sums": "SELECT k, sum(n)::BIGINT AS s FROM events GROUP BY k",
        "means": "SELECT k, avg(m) AS m FROM other GROUP BY k",
        "both": "SELECT k, s, m FROM sums FULL JOIN means USING (k) ORDER BY k",
    }
    run = Runner(steps, [("both", "complete")])
    run.batch(events=GIVEN[:2])
    assert run.batch(other=[{"k": "b", "m": 1.5}]) == [[{"k": "a", "s": 3, "m": None}, {"k": "b", "s": None, "m": 1.5}]]


def test_the_rows_of_an_empty_batch_have_the_columns_of_the_full_ones() -> None:
    steps = {"s": "SELECT k, n FROM events", "g": "SELECT k, avg(n) AS a FROM events GROUP BY k"}
    run = Runner(steps, [("s", "append"), ("g", "update"), ("g", "complete")])
    run.batch()
    assert run.last is not None
    empty = [sink.schema for sink in run.last.sinks]
    run.batch(events=GIVEN)
    assert [sink.schema for sink in run.last.sinks] == empty


def test_the_word_count_of_the_readme() -> None:
    sql = """
    SELECT word, count(*) AS times
    FROM (SELECT unnest(string_split(lower(value), ' ')) AS word FROM lines)
    WHERE word <> '' AND batch_time > now() - INTERVAL '10 minutes'
    GROUP BY word ORDER BY times DESC, word LIMIT 10
    """
    run = Runner({"top": sql}, [("top", "complete")])
    run.batch(at_s=0, lines=[{"value": "To be or not to be"}])
    top = run.batch(at_s=300, lines=[{"value": "be  it"}])[0]
    assert [(r["word"], r["times"]) for r in top] == [("be", 3), ("to", 2), ("it", 1), ("not", 1), ("or", 1)]
    assert run.batch(at_s=600)[0] == [{"word": "be", "times": 1}, {"word": "it", "times": 1}]


GROUPED = (
    "SELECT now() AS seen, k, count(*)::INT AS c FROM events {} GROUP BY k{} HAVING max(n) < epoch(now()) ORDER BY k"
)
CLOCKS = [
    ("complete", "", "", [("a", 1, 0)], [("a", 2, 2)], [("a", 2, 4)]),
    ("update", "", "", [("a", 1, 0)], [("a", 2, 2)], []),
    ("update", "WHERE batch_time > now() - INTERVAL '3 seconds'", "", [("a", 1, 0)], [("a", 2, 2)], [("a", 1, 4)]),
    ("append", "", ", tumble(t, INTERVAL '1 second')", [], [], [("a", 1, 4), ("a", 1, 4)]),
]


@pytest.mark.parametrize(("mode", "where", "window", *"abc"), CLOCKS, ids=[f"{c[0]} {c[1]}" for c in CLOCKS])
def test_the_clock_beside_aggregates_is_the_time_of_the_batch_that_writes_the_row(
    mode: str, where: str, window: str, a: object, b: object, c: object
) -> None:
    sql = GROUPED.format(where, window)
    run = Runner({"v": sql if mode == "complete" else sql.removesuffix(" ORDER BY k")}, [("v", mode)], delay_ms=1000)
    found = [
        run.batch(at_s=0, events=[{"k": "a", "n": 1, "t": datetime(2024, 1, 1, 0, 0, 1)}]),
        run.batch(at_s=2, events=[{"k": "a", "n": 2, "t": datetime(2024, 1, 1, 0, 0, 2)}]),
    ]
    run.restart()
    if mode == "append":
        run.watermark = START + 86_400_000 * 365
    found.append(run.batch(at_s=4))
    shown = [[(row["k"], row["c"], int(row["seen"].timestamp()) - START // 1000) for row in out[0]] for out in found]
    assert shown == [a, b, c]
    run.close()
