"""What the planner makes of a manifest: relations with their columns and kinds, or every problem at once."""

import pyarrow as pa
import pytest

from streamjob_api.models import StreamJobSpec
from streamjob_runtime.errors import JobError
from streamjob_runtime.plan.model import Column
from streamjob_runtime.plan.planner import plan
from streamjob_runtime.plan.problems import PlanError
from support.queries import EVENTS, TABLES, problems, spec


def test_each_relation_is_known_with_its_columns() -> None:
    planned = plan(
        spec(
            {
                "words": "SELECT unnest(string_split(value, ' ')) AS word FROM lines",
                "counts": "SELECT word, count(*) AS n, sum(length(word)) / count(*) FROM words GROUP BY word",
                "top": "SELECT * FROM counts ORDER BY n DESC LIMIT 10",
            },
            [("words", "append"), ("counts", "update"), ("top", "complete")],
        )
    )
    kinds = {name: relation.kind for name, relation in planned.relations.items()}
    assert kinds["words"] == "stream"
    assert kinds["counts"] == kinds["top"] == kinds["names"] == "table"
    assert planned.relations["top"].columns == (
        Column("word", "VARCHAR"),
        Column("n", "BIGINT"),
        Column("(sum(length(word)) / count_star())", "DOUBLE"),
    )


def test_all_problems_are_said_at_once_each_with_its_line() -> None:
    found = problems(
        {
            "a": "SELECT\n  k,\n  missing\nFROM events",
            "b": "SELECT *\nFROM a",  # only wrong because `a` is
            "c": "SELECT k\nFROM nowhere",
            "d": "WITH x AS (\n  SELECT k FROM events\n)\nSELECT k FROM x\nORDER BY k",
        },
        [("b", "append"), ("other", "complete")],
    )
    assert [(p.path, p.line, p.clause) for p in found] == [
        ("spec.pipeline[0].sql", 3, "missing"),
        ("spec.pipeline[2].sql", 2, "nowhere"),
        ("spec.pipeline[3].sql", 5, "k"),
        ("spec.sinks[1].mode", None, ""),
    ]


def test_the_error_is_the_jobs_and_has_every_problem() -> None:
    with pytest.raises(JobError) as caught:
        plan(spec({"a": "SELECT x FROM events", "b": "SELECT y FROM events"}))
    assert isinstance(caught.value, PlanError)
    assert "The step a names the column x" in str(caught.value)
    assert "The step b names the column y" in str(caught.value)


def test_a_wrong_type_of_a_column_is_a_problem_of_its_field() -> None:
    source = {"name": "events", "queue": {}, "schema": {"k": "VARCAHR", "t": "TIMESTAMP_S"}}
    found = problems(
        {"v": "SELECT k FROM events"}, sources=[{**source, "watermark": {"column": "t", "delay": "1s"}}], tables=[]
    )
    assert [(p.path, p.message, p.remedy) for p in found] == [
        ("spec.sources[0].schema.k", "VARCAHR is not a SQL type", "Did you mean VARCHAR?")
    ]
    for kind in ("MAP(VARCHAR, BIGINT)", "JSON", "STRUCT(a JSON)[]"):
        json = {"name": "events", "tcp": {"host": "h", "port": 1}, "format": "json", "schema": {"k": kind}}
        found = problems({"v": "SELECT k FROM events"}, sources=[json], tables=[])
        assert [(p.path, p.message) for p in found] == [
            ("spec.sources[0].schema.k", f"{kind} is no type that a field of JSON is read in")
        ]
        assert "Declare it VARCHAR" in found[0].remedy and "k->>'key'" in found[0].remedy
    found = problems(
        {"v": "SELECT t FROM events"},
        sources=[{**source, "schema": {"t": "TIMESTAMP_S"}, "watermark": {"column": "t", "delay": "1s"}}],
        tables=[],
    )
    assert [(p.path, p.message, p.remedy) for p in found] == [
        (
            "spec.sources[0].watermark.column",
            "t is of type TIMESTAMP_S",
            "Declare it as TIMESTAMP or TIMESTAMP WITH TIME ZONE.",
        )
    ]


@pytest.mark.parametrize("text", ["INT), (SELECT 1", "INT) FROM events --", "(SELECT 1)"])
def test_a_type_is_a_type_and_no_more_sql(text: str) -> None:
    given = spec({"v": "SELECT 1 AS x"}, [("v", "complete")])
    source = given.sources[0].model_copy(update={"schema_": {"k": text}, "watermark": None})
    with pytest.raises(PlanError, match="is not a SQL type"):
        plan(given.model_copy(update={"sources": (source,)}))


def test_a_table_without_schema_is_checked_only_with_the_columns_of_its_files() -> None:
    table = {"name": "ads", "files": {"path": "ads.parquet"}, "format": "parquet"}
    job = spec({"v": "SELECT k, campain FROM events JOIN ads USING (k)"}, tables=[table])
    plan(job)  # nobody has looked into the files
    with pytest.raises(PlanError, match=r"campain, which is not there.*Did you mean campaign"):
        plan(job, {"ads": pa.table({"k": ["a"], "campaign": [1]}).schema})


def test_partition_columns_must_be_there() -> None:
    job = spec({"v": "SELECT k, n FROM events"})
    sink = {"from": "v", "files": {"path": "out", "partitionBy": ["kk"]}, "format": "json"}
    with pytest.raises(PlanError) as caught:
        plan(StreamJobSpec.model_validate({**job.model_dump(exclude_none=True), "sinks": [sink]}))
    assert [(p.path, p.message, p.remedy) for p in caught.value.problems] == [
        ("spec.sinks[0].files.partitionBy[0]", "v has no column kk", "Did you mean k?")
    ]


def test_the_fingerprint_is_of_the_state_and_of_nothing_behind_it() -> None:
    def fingerprint(sql: str) -> str:
        planned = plan(spec({"v": sql}, [("v", "complete")]))
        return next(step.fingerprint for step in planned.steps if hasattr(step, "fingerprint"))

    one = fingerprint("SELECT k, sum(n) AS s FROM events GROUP BY k")
    assert fingerprint("SELECT k, sum(n) + 1 AS more FROM events GROUP BY k ORDER BY more") == one
    assert fingerprint("SELECT k, min(n) AS s FROM events GROUP BY k") != one
    assert fingerprint("SELECT n, sum(n) AS s FROM events GROUP BY n") != one


def test_a_source_with_a_watermark_of_another_case_is_the_same_column() -> None:
    source = {**EVENTS, "watermark": {"column": "T", "delay": "1s"}}
    sql = "SELECT count(*) AS c FROM events GROUP BY tumble(t, INTERVAL '1 second')"
    assert plan(spec({"v": sql}, sources=[source], tables=TABLES)).sources[0].watermark_column == "t"
