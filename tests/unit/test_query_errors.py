"""What the data makes impossible is said in the job's own words, and memory does not grow with the batches."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from streamjob_runtime.embedded.database import Database
from streamjob_runtime.embedded.engine import EmbeddedQuery
from streamjob_runtime.embedded.open import open_query
from streamjob_runtime.errors import JobError
from streamjob_runtime.plan.connect import connect
from streamjob_runtime.plan.planner import plan
from streamjob_runtime.query import BatchInput
from support.queries import START, Runner, rows, spec

JSON_EVENTS = {
    "name": "events",
    "files": {"path": "in/"},
    "format": "json",
    "schema": {"k": "VARCHAR", "t": "TIMESTAMP"},
    "watermark": {"column": "t", "delay": "1s"},
}


def test_a_value_that_is_not_of_its_type_is_named_with_source_and_column() -> None:
    query = open_query(spec({"v": "SELECT k, t FROM events"}, sources=[JSON_EVENTS]), threads=1)
    given = rows(query, "events", [{"k": "a", "t": "2026-01-01 00:00:00"}, {"k": "b", "t": "soon " * 20}])
    with pytest.raises(JobError) as caught:
        query.run(BatchInput(0, START, None, None, {"events": given}))
    assert str(caught.value) == (
        f"The source events has the value '{('soon ' * 20)[:60]}…' in the column t, which is not a TIMESTAMP. "
        "Declare the column as VARCHAR and use TRY_CAST, or mend the data; "
        "or say by onBadRecord what becomes of such records."
    )


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("1767225600", "to_timestamp(t) makes a time of seconds"),
        ("1767225600123", "epoch_ms(t) makes a time of milliseconds"),
        ("1767225600123456", "make_timestamp(t) makes a time of microseconds"),
        ("1767225600123456789", "make_timestamp_ns(t) makes a time of nanoseconds"),
    ],
)
def test_a_number_in_place_of_a_time_is_told_the_function_of_its_unit(number: str, said: str) -> None:
    query = open_query(spec({"v": "SELECT k, t FROM events"}, sources=[JSON_EVENTS]), threads=1)
    given = rows(query, "events", [{"k": "a", "t": number}])
    with pytest.raises(JobError) as caught:
        query.run(BatchInput(0, START, None, None, {"events": given}))
    assert str(caught.value).endswith(f"Declare the column as BIGINT: {said}.")


def test_a_cast_in_sql_that_fails_says_what_it_could_not_do() -> None:
    run = Runner({"v": "SELECT CAST(value AS INTEGER) AS n FROM lines"}, [("v", "append")])
    with pytest.raises(JobError, match=r"^The batch failed: .* Could not convert string 'x' to INT32"):
        run.batch(lines=[{"value": "x"}])


def test_a_value_of_a_static_table_that_is_not_of_its_type_names_the_table() -> None:
    run = Runner({"v": "SELECT * FROM names"}, [("v", "complete")])
    with pytest.raises(JobError, match=r"^Reading the static table names failed: .*never.* column since"):
        run.table("names", [{"k": "a", "since": "never"}])


def test_a_state_that_does_not_fit_into_memory_says_so() -> None:
    job = spec({"v": "SELECT n, len(list(l)) AS l FROM events GROUP BY n"}, [("v", "complete")])
    query = open_query(job, threads=1, memory_limit="10MB")
    given = rows(query, "events", [{"n": n, "l": [n] * 200} for n in range(10_000)])
    with pytest.raises(JobError, match=r"^The batch needs more memory than the job has"):
        query.run(BatchInput(0, START, None, None, {"events": given}))


def test_a_snapshot_that_does_not_fit_into_memory_beside_the_state_is_not_begun() -> None:
    job = spec({"v": "SELECT k, count(*) AS c FROM events GROUP BY k"}, [("v", "update")])

    def grown(memory_limit: str, state: Mapping[str, pa.Table] | None, batches: int) -> EmbeddedQuery:
        query = open_query(job, threads=1, memory_limit=memory_limit)
        if state is not None:
            query.restore(state)
        for i in range(batches):
            given = rows(query, "events", [{"k": f"{i}-{n}".rjust(200)} for n in range(50_000)])
            query.run(BatchInput(i, START, None, None, {"events": given}))
        return query

    small, large = grown("110MB", None, 1), grown("1GB", None, 3)
    assert small.snapshot()["v"].num_rows == 50_000
    state = large.snapshot()
    assert grown("1GB", state, 1).snapshot()["v"].num_rows == 150_000
    with pytest.raises(
        JobError, match=r"^The state has grown to 150,000 rows, .* of 210 MiB. Give the job more memory"
    ):
        grown("110MB", state, 1).snapshot()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT window_start, approx_count_distinct(n) AS c FROM events GROUP BY k, tumble(t, INTERVAL '1 second')",
        "SELECT approx_count_distinct(n) AS c FROM events WHERE batch_time > now() - INTERVAL '2 seconds' GROUP BY k",
    ],
)
def test_what_left_the_state_leaves_memory(sql: str) -> None:
    con = connect(threads=1)
    query = EmbeddedQuery(plan(spec({"v": sql}, [("v", "update")])), Database(con))
    used = []
    for i in range(150):
        now = START + i * 1000
        time = datetime(2023, 11, 14, 22, 13, 20) + timedelta(seconds=i)
        given = rows(query, "events", [{"k": f"{i}-{n}", "n": n, "t": time} for n in range(200)])
        query.run(BatchInput(i, now, now - 2000, now - 3000, {"events": given}))
        used.append(con.execute("SELECT sum(memory_usage_bytes) FROM duckdb_memory()").fetchall()[0][0])
    query.close()
    assert max(used[100:]) < 1.2 * max(used[50:100])
