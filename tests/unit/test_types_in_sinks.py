"""Values of each type in each sink: written as they are, refused before the start, or refused aloud by their value."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from streamjob_api.sinks import Sink
from streamjob_runtime.connectors.console.sink import text_table
from streamjob_runtime.connectors.delta.types import type_for as delta_type
from streamjob_runtime.connectors.postgres.rows import as_csv
from streamjob_runtime.connectors.postgres.types import type_for as postgres_type
from streamjob_runtime.embedded.open import open_query
from streamjob_runtime.errors import JobError
from streamjob_runtime.formats.open import make_encoder
from streamjob_runtime.plan.model import Column
from streamjob_runtime.plan.written import as_text, unwritable_column, wide_integers
from streamjob_runtime.query import BatchInput
from support.queries import START, Runner, rows, spec
from support.types import ALL

FORMS = {
    "value": ("{kind}", "{value}"),
    "list": ("{kind}[]", "[{value}, NULL]"),
    "struct": ("STRUCT(a {kind})", "{{'a': {value}}}"),
    "key of a map": ("MAP({kind}, INTEGER)", "MAP {{{value}: 1}}"),
    "value of a map": ("MAP(VARCHAR, {kind})", "MAP {{'k': {value}}}"),
}
# These have no such values at all, in whatever they stand.
# Far times, and what is between two microseconds, is looked at elsewhere.
ORDINARY = {"TIMESTAMP_NS": "'2026-01-02'", "MAP(UUID, TIMESTAMP_S)": "MAP {}"}
NOWHERE = ("BIT", "BIGNUM", "UHUGEINT", "TIMETZ", "GEOMETRY")


def of_files(form: str) -> tuple[SimpleNamespace, Callable[[pa.Table], object]]:
    return SimpleNamespace(kind="files", format=form), make_encoder(form).encode


def to_postgres(rows: pa.Table) -> object:
    kind = postgres_type(rows.schema.field(0).type)
    assert kind is not None
    return list(as_csv(rows, frozenset(["v"] if kind == "jsonb" else [])))


def to_delta(rows: pa.Table) -> object:
    kind = delta_type(rows.schema.field(0).type)
    assert kind is not None
    return kind


SINKS = {
    **{form: of_files(form) for form in ("json", "csv", "parquet")},
    "postgres": (SimpleNamespace(kind="postgres", format=None), to_postgres),
    "delta": (SimpleNamespace(kind="delta", format=None), to_delta),
}


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    return con


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize("kind", ALL)
def test_each_type_is_written_or_refused(con: duckdb.DuckDBPyConnection, kind: str, sink: str) -> None:
    where, write = SINKS[sink]
    for form, (of, made) in FORMS.items():
        text = made.format(value=f"CAST({ORDINARY.get(kind, ALL[kind][-1])} AS {kind})")
        relation = con.sql(f"SELECT CAST({text} AS {of.format(kind=kind)}) AS v")
        column = Column("v", str(relation.types[0]))
        problem = unwritable_column("spec.sinks[0]", "r", [column], where)
        assert problem is not None or not any(word in kind for word in NOWHERE), form
        if problem is None:
            try:
                write(relation.to_arrow_table())
            except JobError as error:
                assert "cast it" in str(error).lower()


def test_what_arrow_has_no_values_for_is_shown_as_text() -> None:
    values = {"'101'::BIT": "101", "'340282366920938463463374607431768211455'::UHUGEINT": str(2**128 - 1)}
    values |= {"'10:00:00+05:30'::TIMETZ": "10:00:00+05:30", "['-1'::BIGNUM]": "[-1]"}
    items = ", ".join(f"{value} AS c{i}" for i, value in enumerate(values))
    steps = {"p": f"SELECT k, {items} FROM events", "g": "SELECT k, count(*) AS c, max(c0) AS hi FROM p GROUP BY k"}
    run = Runner(steps, [("p", "append"), ("g", "update"), ("g", "complete")])
    (row,), (update,), (complete,) = run.batch(events=[{"k": "a"}])
    assert list(row.values()) == ["a", *values.values()]
    assert update == complete == {"k": "a", "c": 1, "hi": "101"}
    assert run.batch() == [[], [], [{"k": "a", "c": 1, "hi": "101"}]]
    run.close()


def test_the_console_shows_an_interval_in_words() -> None:
    console = SimpleNamespace(kind="console", format=None)
    columns = [Column("i", "INTERVAL"), Column("n", "HUGEINT")]
    assert (as_text(columns, console), wide_integers(columns, console)) == (("i",), ())
    assert text_table(pa.table({"i": ["1 month 2 days"]}))[-1] == "1 month 2 days"


@pytest.mark.parametrize("value", ["{n}", "[{n}]", "{{'a': {n}}}", "MAP {{'k': {n}}}"])
@pytest.mark.parametrize("mode", ["update", "complete"])
def test_an_integer_of_more_digits_than_a_sink_has_ends_the_job(value: str, mode: str) -> None:
    files: dict[str, Any] = {"files": {"path": "out/"}, "format": "json"}
    kafka: dict[str, Any] = {"kafka": {"bootstrapServers": "k:9092", "topic": "out"}, "format": "json"}
    number = value.format(n=f"sum(n * '1{'0' * 30}'::HUGEINT)")
    job = spec({"g": f"SELECT {number} AS x, count(*) AS c FROM events"}, [("g", "complete")])
    sink = Sink.model_validate({"from": "g", "mode": mode, **(files if mode == "complete" else kafka)})
    job = job.model_copy(update={"sinks": [sink]})
    query = open_query(job, threads=1)
    query.run(BatchInput(0, START, None, None, {"events": rows(query, "events", [{"n": 99_999_999}])}))
    with pytest.raises(JobError, match="The column x of g has an integer of more than 38 digits"):
        query.run(BatchInput(1, START + 1000, None, None, {"events": rows(query, "events", [{"n": 1}])}))
    query.close()
