"""SQL of a manifest consists of what somebody has looked at: all that DuckDB has is on one of two lists."""

import duckdb
import pytest

from streamjob_runtime.plan import allowed
from streamjob_runtime.plan.catalog import Catalog
from streamjob_runtime.plan.functions import check_calls
from streamjob_runtime.plan.problems import Refusal
from streamjob_runtime.plan.tree import function_name, walk
from support.queries import problems

# Those of DuckDB 2.0 that no step may call. A function of a newer DuckDB is on neither list, and the test says so: look
# at what it could reach before you put it on one.
INTERNAL = ("__internal", "collate_", "icu_collate_", "pg_", "has_", "inet_", "st_", "variant_", "json_copy_")
REFUSED = allowed.words(
    """
    __between __cast alias bitstring_byte_comparable can_cast_implicitly col_description combine combine_aggr
    constant_or_null create_sort_key current_catalog current_connection_id current_database current_query
    current_query_id current_role current_schema current_schemas current_setting current_transaction_id current_user
    currval decimal_average finalize format_pg_type format_type gen_random_uuid get_block_size get_type getvariable
    hive_partition_component icu_sort_key in_search_path index_key invoke json_deserialize_sql json_serialize_plan
    json_serialize_sql make_type map_to_pg_oid nextval obj_description parse_duckdb_log_message random
    remap_struct replace_type session_user setseed setval shobj_description sleep_ms stats timetz_byte_comparable
    to_aggregate_state txid_current unpivot_list user uuid uuidv4 uuidv7 vector_type version vertex_extract
    write_log
    """
)
REFUSED_TABLE_FUNCTIONS = allowed.words(
    """
    arrow_scan arrow_scan_dumb checkpoint create_external_resource deregister_external_resource
    destroy_external_resource disable_logging disable_profiling duckdb_approx_database_count
    duckdb_available_metrics duckdb_columns duckdb_connection_count duckdb_constraints duckdb_coordinate_systems
    duckdb_databases duckdb_dependencies duckdb_dialects duckdb_eviction_queues duckdb_extension_repositories
    duckdb_extensions duckdb_external_file_cache duckdb_external_resource_types duckdb_external_resources
    duckdb_functions duckdb_grammar_extensions duckdb_indexes duckdb_keywords duckdb_log_contexts duckdb_logs
    duckdb_logs_parsed duckdb_memory duckdb_optimizers duckdb_prepared_statements duckdb_profiling_settings
    duckdb_schemas duckdb_secret_type_parameters duckdb_secret_types duckdb_secrets duckdb_sequences duckdb_settings
    duckdb_table_sample duckdb_tables duckdb_temporary_files duckdb_triggers duckdb_types duckdb_variables
    duckdb_views enable_logging enable_profiling force_checkpoint glob histogram histogram_values icu_calendar_names
    json_execute_serialized_sql pandas_scan parquet_bloom_probe parquet_file_metadata parquet_full_metadata
    parquet_kv_metadata parquet_metadata parquet_scan parquet_schema pg_timezone_names pragma_collations
    pragma_database_size pragma_metadata_info pragma_platform pragma_show pragma_storage_info pragma_table_info
    pragma_user_agent pragma_version python_arrow_scan python_map_function query query_table read_blob read_csv
    read_csv_auto read_duckdb read_json read_json_auto read_json_objects read_json_objects_auto read_ndjson
    read_ndjson_auto read_ndjson_objects read_parquet read_single_csv_file read_single_json_file
    read_single_parquet_file read_text register_external_resource register_external_resource_type seq_scan sniff_csv
    summary test_all_types test_vector_types truncate_duckdb_logs which_secret
    """
)
COMPARISONS = {"is distinct from", "is not distinct from"}  # which the parser makes nodes of
CALLS = (
    'SELECT "{}"(1)',
    'SELECT system.main."{}"(1)',
    'SELECT [x for x in [1] if "{}"(x)]',
    'FROM t WHERE "{}"(k) = 1',
)
REFUSED_TYPES = {"null", "type", "variant"}


@pytest.fixture(scope="module")
def there() -> dict[str, set[str]]:
    """The names that DuckDB has, in lower case, by kind."""
    found: dict[str, set[str]] = {}
    con = duckdb.connect()
    for name, kind in con.execute("SELECT lower(function_name), function_type FROM duckdb_functions()").fetchall():
        found.setdefault(kind, set()).add(name)
    found["type"] = {name for (name,) in con.execute("SELECT lower(type_name) FROM duckdb_types()").fetchall()}
    con.close()
    return found


def test_every_function_is_on_one_of_two_lists(there: dict[str, set[str]]) -> None:
    names = there["scalar"] | there["macro"] | there["aggregate"] | there["window"]
    others = {name for name in names - allowed.FUNCTIONS - COMPARISONS if not name.startswith(INTERNAL)}
    assert others == REFUSED
    assert not [name for name in allowed.FUNCTIONS & names if name.startswith(INTERNAL) and name != "pg_typeof"]
    assert there["table"] | there["table_macro"] == REFUSED_TABLE_FUNCTIONS | (allowed.TABLE_FUNCTIONS & there["table"])
    assert not REFUSED_TABLE_FUNCTIONS & allowed.TABLE_FUNCTIONS
    assert there["type"] - allowed.TYPES == REFUSED_TYPES
    assert set(there) == {"scalar", "macro", "aggregate", "window", "table", "table_macro", "pragma", "type"}


def test_what_is_not_allowed_is_refused_wherever_it_is_called(there: dict[str, set[str]]) -> None:
    catalog = Catalog()
    names = set().union(*(there[kind] for kind in there if kind != "type"))
    for name in sorted(names - allowed.FUNCTIONS - COMPARISONS):
        for sql in CALLS:
            with pytest.raises(Refusal, match=r"calls .*(which|VARIANT)"):
                check_calls(catalog, catalog.parse(sql.format(name))[0])
    for name in sorted(names - allowed.TABLE_FUNCTIONS):
        for sql in (f'SELECT * FROM "{name}"(1)', f'SELECT (SELECT 1 FROM "{name}"(1) LIMIT 1)'):
            with pytest.raises(Refusal, match="reads from the table function"):
                check_calls(catalog, catalog.parse(sql)[0])
    catalog.close()


def test_an_allowed_macro_stands_for_what_is_allowed() -> None:
    catalog = Catalog()
    bodies = [m.definition for macros in catalog.macros.values() for m in macros]
    assert len(bodies) > 50
    for body in bodies:
        query = catalog.parse(f"SELECT {body}")[0]
        called = {function_name(n) for n in walk(query) if n.get("class") in ("FUNCTION", "WINDOW")}
        assert called <= allowed.FUNCTIONS, body
        assert not [n for n in walk(query) if n["type"] in ("BASE_TABLE", "TABLE_FUNCTION", "SHOW_REF")], body
    catalog.close()


LOOKS = ["SHOW TABLES", "SHOW ALL TABLES", "SHOW DATABASES", "DESCRIBE events", "SUMMARIZE events", "SHOW events"]
PLACES = [
    "{}",
    "SELECT * FROM ({})",
    "FROM ({})",
    "SELECT * FROM events, ({}) AS x",
    "SELECT (SELECT count(*) FROM ({})) AS n FROM events",
    "SELECT k FROM events WHERE EXISTS (FROM ({}))",
    "WITH x AS (FROM ({})) SELECT * FROM x",
    "SELECT k FROM events UNION ALL SELECT name FROM ({})",
    "SELECT k FROM events JOIN LATERAL (SELECT * FROM ({})) AS x ON true",
]


@pytest.mark.parametrize("place", PLACES)
def test_nothing_looks_at_the_engine_wherever_it_stands(place: str) -> None:
    catalog = Catalog()
    for look in LOOKS:
        with pytest.raises(Refusal, match="has SHOW, DESCRIBE or SUMMARIZE"):
            check_calls(catalog, catalog.parse(place.format(look))[0])
    catalog.close()
    assert [p.message for p in problems({"v": place.format("SHOW TABLES")})] == [
        "The step v has SHOW, DESCRIBE or SUMMARIZE, which look into the engine and not at rows"
    ]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT k::VARIANT AS x FROM events", "has the type VARIANT, which SQL of a job may not"),
        ("SELECT k::STRUCT(a VARIANT[]) AS x FROM events", "has the type VARIANT, which SQL of a job may not"),
        ("SELECT k::main.my_type AS x FROM events", "has the type my_type, which SQL of a job may not"),
        ("SELECT sum(n) EXPORT_STATE AS x FROM events", "has EXPORT_STATE at sum(), whose state is no value"),
        ("SELECT finalize(k) AS x FROM events", "calls finalize(), which SQL of a job may not"),
        ("SELECT DEFAULT AS x FROM events", "has the word DEFAULT for a value, and there is none"),
        ("SELECT k FROM events AT (VERSION => 1)", "reads an earlier state of a table (AT), and none is kept"),
        ("FROM events PIVOT (count(*) FOR k IN ('a', 'b'))", "has a PIVOT or UNPIVOT"),
        ("SELECT * FROM (UNPIVOT names ON name)", "has a PIVOT"),
        ("PIVOT events ON k USING count(*)", "has a PIVOT, whose columns follow from the rows"),
    ],
)
def test_what_is_not_known_is_refused_in_words(sql: str, message: str) -> None:
    (found,) = problems({"v": sql})
    assert found.message.startswith(f"The step v {message}")


def test_what_is_allowed_is_taken() -> None:
    steps = {
        "v": """
        SELECT k, j.key, r.range, u.x, g.y, [x + 1 for x in l] AS more, l[1:2] AS some, TRY(n / 0) AS t,
               CASE WHEN n IN (1, 2) THEN 'a' ELSE NULL END AS c, n BETWEEN 1 AND 2 AS b, k IS DISTINCT FROM 'x' AS d,
               {'a': n}.a AS s, MAP {'a': n} AS m, n::DECIMAL(10, 2)[] AS z, @n AS abs
        FROM events, json_each('{"a": 1}') AS j, range(3) AS r, unnest(l) AS u(x), (VALUES (1)) AS g(y)
        WHERE k COLLATE NOCASE = 'A'
        """,
        "w": "SELECT k, count(*) AS c FROM events GROUP BY k",
        "x": "SELECT k, lag(c, 1, 0) OVER (ORDER BY k ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS before, "
        "sum(c) FILTER (WHERE c > 1) OVER (ORDER BY c RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE TIES) AS y "
        "FROM w ORDER BY ALL LIMIT 10 OFFSET 1",
    }
    assert problems(steps, [("v", "append"), ("w", "update"), ("x", "complete")]) == []


WRITTEN = [
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a), mode() WITHIN GROUP (ORDER BY a) FROM t",
    "SELECT nth_value(a, 2 IGNORE NULLS) OVER w, lead(a, 1, 0) OVER w, fill(a) OVER w FROM t WINDOW w AS (ORDER BY b)",
    "SELECT first_value(a RESPECT NULLS) OVER (ORDER BY b), lag(a ORDER BY c) OVER (), sum(DISTINCT a) OVER () FROM t",
    "SELECT sum(a) OVER (ORDER BY t RANGE BETWEEN INTERVAL 5 MINUTE PRECEDING AND CURRENT ROW EXCLUDE GROUP) FROM t",
    "SELECT a.b[1].c, (f).x, (SELECT max(x) FROM u WHERE u.k = t.k) FROM t",
    "SELECT * FROM t WHERE (a, b) IN (SELECT c, d FROM u) AND a = ANY (SELECT 1) AND NOT EXISTS (FROM u)",
    "SELECT * EXCLUDE (t.a) REPLACE (b AS c) RENAME (d AS e), t.*, COLUMNS('a.*'), coalesce(*COLUMNS('a|b')) FROM t",
    "SELECT list(DISTINCT a ORDER BY b DESC NULLS FIRST) FILTER (WHERE c), count(), 5!, @a, -a, ~a, a ** 2 FROM t",
    "SELECT a::DECIMAL(5, 1)[], a::MAP(VARCHAR, STRUCT(x INT)), a::UNION(i INT), TRY_CAST(a AS TIMESTAMPTZ), a::INT[3]",
    "SELECT {'a': 1}, MAP {'a': 1}, [1, 2][1:], l[-1], row(1, 2), (1, 2), [x FOR x IN l IF x > 1] FROM t",
    "SELECT * FROM t LEFT JOIN LATERAL (SELECT t.a + 1 AS b) ON true ASOF JOIN u USING (k, at_) POSITIONAL JOIN v",
    "SELECT * FROM t SEMI JOIN u USING (k) ANTI JOIN v ON a = b NATURAL JOIN w, unnest(l) WITH ORDINALITY AS z(x, i)",
    "SELECT a FROM t UNION ALL BY NAME (SELECT b FROM u ORDER BY b LIMIT 10%) INTERSECT SELECT 1 EXCEPT ALL SELECT 2",
    "WITH a(x) AS MATERIALIZED (SELECT 1), b AS NOT MATERIALIZED (FROM a) SELECT DISTINCT ON (x) x FROM b ORDER BY ALL",
    "SELECT json '{}' -> 'a' ->> 'b', j->>'$.a', extract(hour FROM t), t AT TIME ZONE 'UTC', a COLLATE nocase FROM t",
    "SELECT overlay(a PLACING 'x' FROM 1 FOR 2), trim(LEADING 'x' FROM a), position('a' IN b), a.upper() FROM t",
    "SELECT a LIKE '%x' ESCAPE '!', a ILIKE 'x', a SIMILAR TO 'x', a GLOB 'x', a IS NOT DISTINCT FROM b, a ISNULL",
    "SELECT #1, x: 2 FROM t GROUP BY GROUPING SETS ((a), ()) HAVING count(*) > 1 QUALIFY rank() OVER () = 1",
    "SELECT struct_pack(a := 1), list_reduce(l, lambda a, b: a + b), quantile_cont(a, [0.1, 0.9]), if(a, b, c) FROM t",
    "VALUES (1, 'a'), (2, NULL)",
]


def test_what_people_write_is_on_the_list() -> None:
    catalog = Catalog()
    for sql in WRITTEN:
        check_calls(catalog, catalog.parse(sql)[0])
    catalog.close()


ENGINES_NAMES = ["user", "session_user", "current_user", "current_role", "current_schema", "current_catalog", "rowid"]


@pytest.mark.parametrize("name", [*ENGINES_NAMES, "events.rowid"])
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT {} AS x FROM events",
        "SELECT k FROM events WHERE {} = '1'",
        "SELECT k, max({}) AS x FROM events GROUP BY k",
        "SELECT {} AS x, count(*) AS c FROM events GROUP BY ALL",
        "SELECT k FROM events WHERE k IN (SELECT k FROM names WHERE {} = '1')",
    ],
)
def test_a_name_that_the_engine_would_give_a_value_is_no_column(name: str, sql: str) -> None:
    (found,) = problems({"v": sql.format(name)}, [("v", "update")])
    assert found.message == f"The step v names the column {name}, which is not there"


def test_a_column_may_have_such_a_name() -> None:
    source = {"name": "events", "queue": {}, "schema": dict.fromkeys(ENGINES_NAMES, "VARCHAR")}
    sql = f"SELECT {', '.join(ENGINES_NAMES)} FROM events WHERE events.rowid = '1'"
    assert problems({"v": sql}, sources=[source], tables=[]) == []


def test_a_field_and_a_node_that_a_new_engine_may_write_are_refused() -> None:
    catalog = Catalog()
    (query,) = catalog.parse("SELECT k FROM events")
    with pytest.raises(Refusal, match="has something that is not known here"):
        check_calls(catalog, {**query, "as_of": "yesterday"})
    with pytest.raises(Refusal, match="has quantum node, which SQL of a job may not have"):
        check_calls(catalog, {**query, "where_clause": {"type": "QUANTUM_NODE"}})
    catalog.close()


@pytest.mark.parametrize("kind", ["VARIANT", "TYPE", "STRUCT(a VARIANT)"])
def test_a_declared_column_has_an_allowed_type(kind: str) -> None:
    source = {"name": "events", "queue": {}, "schema": {"k": kind}}
    (found,) = problems({"v": "SELECT 1 AS x FROM events"}, sources=[source], tables=[])
    assert (found.path, found.message) == (
        "spec.sources[0].schema.k",
        f"{kind} is no type that a column may have",
    )
