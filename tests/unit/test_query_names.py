"""What a name means in a clause is what DuckDB says: each answer equals DuckDB's own over the same rows."""

from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import pytest

from support.queries import Row, Runner, problems

EVENTS: dict[str, Any] = {
    "name": "ev",
    "queue": {},
    "schema": {"k": "VARCHAR", "i": "INTEGER", "v": "BIGINT", "dt": "DATE", "l": "BIGINT[]", "j": "VARCHAR"},
}
DIM: dict[str, Any] = {
    "name": "dim",
    "files": {"path": "dim.csv"},
    "format": "csv",
    "schema": {"k": "VARCHAR", "w": "BIGINT", "today": "DATE", "localtime": "BIGINT"},
}
ROWS: list[Row] = [
    {
        "dt": date(2026, 1, 1 + x % 7),
        "i": x % 5,
        "j": f'{{"n": {{"z": {x % 2}}}}}',
        "k": "abc"[x % 3],
        "l": [x, x + 1],
        "v": x,
    }
    for x in range(20)
]
DIMS: list[Row] = [
    {"k": "a", "w": 3, "today": date(2026, 1, 2), "localtime": 7},
    {"k": "z", "w": 9, "today": date(2026, 1, 3), "localtime": 8},
]
TABLES = [
    # ORDER BY and DISTINCT ON: a bare name is a shown column, any other name is one of FROM.
    "SELECT -i AS i, count(*) AS c FROM ev GROUP BY ev.i ORDER BY ev.i LIMIT 3",
    "SELECT -i AS i, count(*) AS c FROM ev GROUP BY ev.i ORDER BY i LIMIT 3",
    "SELECT -i AS i, count(*) AS c FROM ev GROUP BY ev.i ORDER BY i + 0 LIMIT 3",
    "SELECT -i AS z, count(*) AS c FROM ev GROUP BY ev.i ORDER BY z + 0 LIMIT 3",
    "SELECT e.i % 3 AS i, sum(v) AS s FROM ev e GROUP BY e.i ORDER BY e.i LIMIT 4",
    "SELECT sum(v) AS k, k AS x FROM ev GROUP BY ev.k ORDER BY ev.k LIMIT 2",
    "SELECT DISTINCT ON (ev.i) i % 2 AS i, count(*) AS c FROM ev GROUP BY ev.i ORDER BY 1, 2",
    "SELECT DISTINCT ON (i) i % 2 AS i, count(*) AS c FROM ev GROUP BY ev.i ORDER BY 1",
    # HAVING and QUALIFY: FROM goes first.
    "SELECT i + 100 AS i, count(*) AS c FROM ev GROUP BY ev.i HAVING i > 2 ORDER BY 1",
    "SELECT -i AS i, count(*) AS c FROM ev GROUP BY ev.i QUALIFY row_number() OVER (ORDER BY i) = 1",
    "SELECT -i AS z, count(*) AS c FROM ev GROUP BY ev.i QUALIFY row_number() OVER (ORDER BY z) = 1",
    # WHERE knows aliases, and none that the state's columns have.
    "SELECT upper(k) AS u, count(*) AS c FROM ev WHERE u = 'A' GROUP BY u",
    "SELECT k, v AS k0, count(*) AS c FROM ev WHERE k0 > 3 GROUP BY ALL ORDER BY 2",
    "SELECT k, i AS a0, max(v) AS m FROM ev WHERE a0 > 2 GROUP BY ALL ORDER BY 1, 2",
    # Names of functions are no clocks.
    "SELECT dt AS today, count(*) AS c FROM ev GROUP BY today ORDER BY today DESC LIMIT 3",
    "SELECT dt AS today, count(*) AS c FROM ev GROUP BY 1 HAVING today > DATE '2026-01-05' ORDER BY 1",
    "SELECT v AS now, count(*) AS c FROM ev GROUP BY v ORDER BY now DESC LIMIT 3",
    # Those of SQL's bare clocks are not where an alias or a column has the name.
    "SELECT i AS localtime, count(*) AS c FROM ev GROUP BY i ORDER BY localtime DESC LIMIT 3",
    "SELECT dt AS current_date, count(*) AS c FROM ev GROUP BY current_date ORDER BY 1",
    "SELECT dt AS current_date, count(*) AS c FROM ev WHERE current_date < DATE '2026-01-03' GROUP BY ALL ORDER BY 1",
    "SELECT i AS localtime, localtime + 1 AS more, count(*) AS c FROM ev GROUP BY ev.i ORDER BY 1",
    "SELECT k, localtime, count(*) AS c FROM ev JOIN dim USING (k) GROUP BY k, localtime",
    "SELECT i, (SELECT max(dim.localtime) FROM dim) AS y FROM ev GROUP BY i ORDER BY i",
    # A lambda's parameters are its own, and what else it names is not.
    "SELECT max(v) AS x, list_transform(list_sort(list(v)), lambda x: x + 1) AS y FROM ev GROUP BY k ORDER BY 1",
    "SELECT i + 1 AS x, list_transform(list_sort(list(v)), lambda i: i + 1) AS y FROM ev GROUP BY ALL ORDER BY 1",
    "SELECT i AS g, list_transform(list_sort(list(v)), lambda v: v + ev.i) AS y FROM ev GROUP BY ev.i ORDER BY 1",
    "SELECT k || '!' AS k, list_transform(list_sort(list(i)), lambda x: x || k) AS y FROM ev GROUP BY ev.k ORDER BY 1",
    "SELECT k, list_transform(list_sort(list(v)), lambda x: x + max(i)) AS y FROM ev GROUP BY k ORDER BY 1",
    "SELECT k, list_transform(list_sort(list(v)), lambda localtime: localtime + 1) AS y FROM ev GROUP BY k ORDER BY 1",
    # An arrow takes apart JSON.
    "SELECT j->'n' AS u, count(*) AS c FROM ev GROUP BY u ORDER BY u",
    "SELECT j->'n'->>'z' AS u, count(*) AS c FROM ev GROUP BY ALL ORDER BY u",
    "SELECT max(j)->'n' AS u FROM ev",
    # What USING makes one of shows one side's value; the other side keeps its own.
    "SELECT ev.k AS e, dim.k AS d, count(*) AS c FROM ev LEFT JOIN dim USING (k) GROUP BY ev.k, dim.k ORDER BY 1",
    "SELECT k, count(*) AS c, max(dim.k) AS d FROM ev LEFT JOIN dim USING (k) GROUP BY ev.k ORDER BY 1",
    "SELECT k, dim.k AS d, count(*) AS c FROM dim RIGHT JOIN ev USING (k) GROUP BY ALL ORDER BY 1",
    "SELECT ev.k, count(dim.k) AS c FROM ev NATURAL LEFT JOIN dim GROUP BY k ORDER BY 1",
    # Macros: arguments by name, inside FROM, and the name of the column.
    "SELECT round(weighted_avg(weight := i, \"value\" := v), 9) AS x FROM ev",
    "SELECT k, round(g, 9) AS g FROM (SELECT k, geomean(v + 1) AS g FROM ev GROUP BY k) ORDER BY k",
    "SELECT geomean(v + 1) FROM ev WHERE v = 3",
]  # fmt: skip
STREAMS = [
    "SELECT dt AS today, today = DATE '2026-01-01' AS first FROM ev",
    "SELECT v AS now, now + 1 AS more FROM ev",
    "SELECT v AS localtime, localtime + 1 AS more FROM ev WHERE localtime > 3",
    "SELECT k, v FROM ev WHERE dt IN (SELECT today FROM dim)",
    "SELECT k, (SELECT max(d.localtime) FROM dim d WHERE d.localtime > ev.v) AS y FROM ev",
    "SELECT list_transform(l, lambda localtime: localtime + v) AS y FROM ev",
    "SELECT k, localtime, today FROM ev JOIN dim USING (k)",
    "SELECT * REPLACE (v + 1 AS v) FROM ev",
]


def plain(sql: str) -> list[Any]:
    """What DuckDB alone gives over all rows."""
    with duckdb.connect() as con:
        con.execute("CREATE TABLE ev (dt DATE, i INTEGER, j VARCHAR, k VARCHAR, l BIGINT[], v BIGINT)")
        con.executemany("INSERT INTO ev VALUES (?, ?, ?, ?, ?, ?)", [list(row.values()) for row in ROWS])
        con.execute("CREATE TABLE dim (k VARCHAR, w BIGINT, today DATE, localtime BIGINT)")
        con.executemany("INSERT INTO dim VALUES (?, ?, ?, ?)", [list(row.values()) for row in DIMS])
        answer: list[Any] = con.sql(sql).to_arrow_table().to_pylist()
        return answer


def runner(sql: str, mode: str) -> Runner:
    run = Runner({"q": sql}, [("q", mode)], tables=[DIM], sources=[EVENTS])
    run.table("dim", [{**row, "today": str(row["today"])} for row in DIMS])
    return run


def refused(sql: str) -> str:
    found = problems({"q": sql}, [("q", "complete" if "GROUP" in sql else "append")], [EVENTS], [DIM])
    return "" if not found else found[0].text


@pytest.mark.parametrize("sql", TABLES)
def test_a_table_is_what_duckdb_says_of_all_rows(sql: str) -> None:
    run = runner(sql, "complete")
    for start in range(0, len(ROWS), 6):
        found = run.batch(ev=ROWS[start : start + 6])[0]
        run.restart()
    run.close()
    assert found == plain(sql)


@pytest.mark.parametrize("sql", STREAMS)
def test_a_stream_is_what_duckdb_says_of_all_rows(sql: str) -> None:
    run = runner(sql, "append")
    found = [row for start in range(0, len(ROWS), 6) for row in run.batch(ev=ROWS[start : start + 6])[0]]
    run.close()
    assert sorted(found, key=str) == sorted(plain(sql), key=str)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT weighted_avg(v, i) FILTER (WHERE i > 1) FROM ev GROUP BY k", "has FILTER, DISTINCT or ORDER BY at"),
        ("SELECT json_group_array(DISTINCT v) FROM ev GROUP BY k", "has FILTER, DISTINCT or ORDER BY at"),
        ("SELECT json_group_array(v ORDER BY v) FROM ev GROUP BY k", "has FILTER, DISTINCT or ORDER BY at"),
        ("SELECT x FROM (SELECT geomean(v) FILTER (WHERE v > 1) AS x FROM ev GROUP BY k)", "DISTINCT or ORDER BY at"),
        ("SELECT weighted_avg(v, heaviness := i) FROM ev GROUP BY k", "with arguments that it does not have"),
        ("SELECT k, today FROM ev", "names the column today, which is not there"),
        ("SELECT k, now FROM ev GROUP BY ALL", "names the column now, which is not there"),
        ("SELECT k, max(k0) AS m FROM ev GROUP BY k", "names the column k0, which is not there"),
        ("SELECT k, count(*) AS c FROM ev WHERE a0 > 1 GROUP BY k", "names the column a0, which is not there"),
        ("SELECT k, k AS K, count(*) AS c FROM ev GROUP BY k", "has two columns named"),
        ("SELECT i + 1 AS i, (SELECT max(w) FROM dim WHERE w > i) AS y FROM ev GROUP BY ev.i",
         "has a subquery beside aggregates that names the column i, which is not there"),
        ("SELECT k, (SELECT max(w) FROM dim WHERE w > a0) AS y, sum(v) AS s FROM ev GROUP BY k",
         "has a subquery beside aggregates that names the column a0, which is not there"),
        ("SELECT (SELECT max(localtime) FROM dim) AS y FROM ev", "where it may be a column or the clock"),
        ("SELECT k, max(batch_time) AS batch_time FROM ev GROUP BY k HAVING batch_time > now()", "batch_time"),
        ("SELECT k, max(batch_time) AS batch_time FROM ev GROUP BY k HAVING batch_time IS NOT NULL",
         "which is one of its own columns and the batch's own time"),
        ("SELECT batch_time AS bt, k FROM ev WHERE bt > now() - INTERVAL '1 minute'", "compares batch_time with"),
        ("SELECT now() - INTERVAL '1 minute' AS since, k FROM ev WHERE batch_time > since", "compares batch_time with"),
        ("SELECT k, dim.k AS d FROM ev JOIN dim USING (k) GROUP BY ev.k", "shows the column dim.k, which"),
    ],
)  # fmt: skip
def test_what_cannot_be_followed_is_refused(sql: str, said: str) -> None:
    assert said in refused(sql)


NOW = datetime.fromisoformat("2023-11-14T22:13:20+00:00")
CLOCKS = [
    ("current_time", "22:13:20+00"),
    ("get_current_time()", "22:13:20+00"),
    ("localtime", "22:13:20"),
    ("current_localtime()", "22:13:20"),
    ("localtimestamp", "2023-11-14 22:13:20"),
    ("current_localtimestamp()", "2023-11-14 22:13:20"),
    ("current_date", "2023-11-14"),
    ("now()", "2023-11-14 22:13:20+00"),
]


@pytest.mark.parametrize(("clock", "said"), CLOCKS)
def test_every_clock_is_the_batchs_time_in_its_own_type(clock: str, said: str) -> None:
    kind = duckdb.execute(f"SELECT typeof({clock}) AS kind").fetchall()[0][0]
    run = runner(f"SELECT {clock}::VARCHAR AS said, typeof({clock}) AS kind FROM ev", "append")
    assert run.batch(ev=ROWS[:1]) == [[{"said": said, "kind": kind}]]
    run.close()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT y FROM (SELECT ago(INTERVAL '1 day') AS y FROM ev)",
        "SELECT y FROM ev, LATERAL (SELECT now() - INTERVAL '1 day' AS y)",
        "SELECT y FROM ev, LATERAL (SELECT ago(INTERVAL '1 day') AS y)",
        "SELECT (SELECT ago(INTERVAL '1 day')) AS y FROM ev",
        "SELECT (SELECT max(current_timestamp) - INTERVAL '1 day' FROM dim) AS y FROM ev",
        "SELECT y FROM ev SEMI JOIN (SELECT k, current_timestamp AS current_timestamp FROM dim) AS d USING (k), "
        "LATERAL (SELECT current_timestamp - INTERVAL '1 day' AS y)",
        "WITH e AS (SELECT ago(INTERVAL '1 day') AS y FROM ev) SELECT y FROM e",
    ],
)
def test_no_clock_is_left_anywhere(sql: str) -> None:
    run = runner(sql, "append")
    assert run.batch(ev=ROWS[:1])[0] == [{"y": NOW - timedelta(days=1)}]
    run.close()


def test_a_clock_of_a_side_that_a_join_only_asks_is_the_batchs() -> None:
    run = runner("SELECT localtime::VARCHAR AS t FROM ev SEMI JOIN dim USING (k)", "append")
    assert run.batch(ev=ROWS[:1]) == [[{"t": "22:13:20"}]]
    run.close()


def test_a_shown_column_called_batch_time_is_what_order_by_means() -> None:
    run = runner(
        "SELECT k, max(batch_time) AS batch_time FROM ev GROUP BY k ORDER BY batch_time DESC LIMIT 1", "complete"
    )
    run.batch(ev=ROWS[:3])
    assert run.batch(ev=ROWS[1:2])[0] == [{"k": "b", "batch_time": NOW + timedelta(seconds=1)}]
    run.close()
