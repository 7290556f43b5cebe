"""SQL of a manifest is not trusted: it reaches no file, no network, no setting, no secret and no extension."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from streamjob_runtime.plan.connect import connect
from support.queries import Runner, problems

secret_rows = pa.table({"secret": ["s3cr3t"]})  # what a replacement scan would find by its name

TRIES = [
    "COPY (SELECT 1) TO '{file}'",
    "COPY events FROM '{file}'",
    "ATTACH '{file}' AS other_db",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "PRAGMA database_list",
    "EXPORT DATABASE '{file}'",
    "IMPORT DATABASE '{file}'",
    "CALL pragma_version()",
    "CREATE SECRET x (TYPE s3)",
    "CREATE MACRO f() AS 1",
    "EXPLAIN SELECT 1",
    "PREPARE x AS SELECT 1",
    "SELECT k FROM events; COPY events TO '{file}'",
    "SELECT * FROM read_csv('{file}')",
    "SELECT * FROM read_text('{file}')",
    "SELECT * FROM read_blob('{file}')",
    "SELECT * FROM read_parquet('{file}')",
    "SELECT * FROM read_json_auto('{file}')",
    "SELECT * FROM sniff_csv('{file}')",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM '{file}'",
    'SELECT * FROM "{file}"',
    "SELECT * FROM 'http://127.0.0.1:1/x.parquet'",
    "SELECT * FROM secret_rows",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_variables()",
    "SELECT * FROM which_secret('s3://x', 's3')",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM duckdb_tables",
    "SELECT * FROM memory.main.events",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('events')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT * FROM histogram(events, k)",
    'SELECT * FROM "state:v"',
    'SELECT * FROM "raw:events"',
    "SELECT k FROM events WHERE k IN (SELECT content FROM read_text('{file}'))",
    "SELECT (SELECT content FROM read_text('{file}')) AS c FROM events",
    "SELECT k FROM events, LATERAL (SELECT * FROM read_text('{file}')) AS x",
    "WITH x AS (FROM '{file}') SELECT * FROM x",
    "SELECT getenv('SECRET') AS s FROM events",
    "SELECT current_setting('secret_directory') AS s FROM events",
    "SELECT main.current_setting('secret_directory') AS s FROM events",
    "SELECT system.main.getvariable('x') AS s FROM events",
    "SELECT getvariable('x') AS s FROM events",
    "SELECT pg_get_viewdef(1) AS s FROM events",
    "SELECT list_transform(l, lambda x: current_setting('threads')) AS s FROM events",
    "SELECT write_log('x') AS s FROM events",
    "SELECT sleep_ms(1000) AS s FROM events",
    "SELECT setseed(0.5) AS s FROM events",
    "SELECT json_serialize_plan('SELECT * FROM read_csv(''{file}'')') AS s FROM events",
    "SELECT \ue000() AS s FROM events",
]


@pytest.mark.parametrize("sql", TRIES)
def test_is_refused_before_it_runs(sql: str, tmp_path: Path) -> None:
    file = tmp_path / "secret.csv"
    file.write_text("secret\ns3cr3t\n")
    found = problems({"v": sql.replace("{file}", str(file))})
    assert found, "the planner let it through"
    assert all("s3cr3t" not in str(p) for p in found)
    assert [p.name for p in tmp_path.iterdir()] == ["secret.csv"]


ENGINE_TRIES = [
    "COPY (SELECT 1) TO '{file}.out'",
    "SELECT * FROM read_text('{file}')",
    "SELECT * FROM '{file}'",
    "SELECT * FROM secret_rows",
    "ATTACH '{file}.db'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "SET temp_directory = '{file}'",
    "SET memory_limit = '1TB'",
    "RESET ALL",
]


@pytest.mark.parametrize("sql", ENGINE_TRIES)
def test_the_engine_would_not_do_it_either(sql: str, tmp_path: Path) -> None:
    file = tmp_path / "secret.csv"
    file.write_text("secret\ns3cr3t\n")
    con = connect(threads=1)
    with pytest.raises(duckdb.Error):
        con.execute(sql.replace("{file}", str(file))).fetchall()
    assert [p.name for p in tmp_path.iterdir()] == ["secret.csv"]
    con.close()


def test_text_that_looks_like_the_engines_own_is_only_text() -> None:
    sql = (
        """SELECT 'make_timestamptz(0)' AS a, '"now"()' AS b, k AS "c""d", 'x''; DROP TABLE events' AS e FROM events"""
    )
    run = Runner({"v": sql}, [("v", "append")])
    assert run.batch(events=[{"k": "a"}]) == [
        [{"a": "make_timestamptz(0)", "b": '"now"()', 'c"d': "a", "e": "x'; DROP TABLE events"}]
    ]


def test_a_column_may_have_any_name() -> None:
    sql = 'SELECT k AS "a""b; --", count(*) AS "s.k0" FROM events GROUP BY k'
    run = Runner({"v": sql, "w": 'SELECT "a""b; --" AS x, "s.k0" AS y FROM v'}, [("v", "update"), ("w", "update")])
    assert run.batch(events=[{"k": "a"}]) == [[{'a"b; --': "a", "s.k0": 1}], [{"x": "a", "y": 1}]]
