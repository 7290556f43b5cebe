"""What cannot be kept up to date is refused before the start, in words that name step, clause and remedy."""

import pytest

from streamjob_api.models import StreamJobSpec
from streamjob_runtime.plan.planner import plan
from streamjob_runtime.plan.problems import PlanError, PlanProblem
from support.queries import keyed, problems, spec

STAR = "SELECT * FROM "
NEWEST = (
    "The first rows are kept: QUALIFY row_number() OVER (PARTITION BY key ORDER BY time DESC) <= 3, in update mode."
)
CASES = [
    (
        "SELECT DISTINCT k FROM events LIMIT 3",
        "The step v has DISTINCT beside ORDER BY or LIMIT on a stream",
        "Make the rows distinct in a step of their own.",
    ),
    (
        "SELECT list_sort(list(DISTINCT k)) FROM events",
        "The step v has DISTINCT inside list(), which cannot be combined over batches",
        "Write list_sort(list_distinct(list(x))).",
    ),
    (
        "SELECT arg_max(DISTINCT k, n) FROM events",
        "The step v has DISTINCT inside arg_max(), which cannot be combined over batches",
        "Leave DISTINCT out.",
    ),
    (
        "SELECT DISTINCT ON (k) * FROM events",
        "The step v has DISTINCT ON without ORDER BY on a stream",
        "Say which row of each: ORDER BY key, time DESC.",
    ),
    (
        "SELECT * FROM events QUALIFY row_number() OVER (PARTITION BY k ORDER BY t DESC) = 2",
        "The step v has a window function (OVER) on a stream, which never ends",
        NEWEST,
    ),
    (
        "SELECT string_agg(k, ',' ORDER BY n) FROM events",
        "The step v has ORDER BY inside string_agg(), which cannot be combined over batches",
        "Use arg_max(value, order) or arg_min(value, order), or order the finished list: list_sort(list(x)).",
    ),
    (
        "SELECT mode(n) FROM events GROUP BY k",
        "The step v uses mode(), whose state cannot be kept between batches",
        "Count each value in a step of its own (GROUP BY value), and take this from that step's table.",
    ),
    (
        "SELECT arg_max(k, to_seconds(n)) FROM events",
        "The step v keeps in arg_max() values of type INTERVAL, which no checkpoint can hold",
        "Take its seconds, epoch(x), and make it an INTERVAL again in a later step: to_seconds(x).",
    ),
    (
        "SELECT to_seconds(n) AS i, count(*) FROM events GROUP BY i",
        "The step v groups by values of type INTERVAL, which no checkpoint can hold",
        "Take its seconds, epoch(x), and make it an INTERVAL again in a later step: to_seconds(x).",
    ),
    (
        "SELECT list_sort(list({'a': n::BIGNUM})) FROM events",
        "The step v keeps in list() values of type BIGNUM, which no checkpoint can hold",
        "Cast them: x::VARCHAR.",
    ),
    (
        "SELECT max(union_value(a := n)) FROM events",
        "The step v keeps in max() values of type UNION, which no checkpoint can hold",
        "Cast them: x::VARCHAR.",
    ),
    (
        "SELECT n::BIGNUM AS b, count(*) FROM events GROUP BY b",
        "The step v groups by values of type BIGNUM, which no checkpoint can hold",
        "Cast them: x::VARCHAR.",
    ),
    (
        "SELECT max(n, 3) FROM events",
        "The step v uses max(), whose state cannot be kept between batches",
        "Keep the values themselves, list_sort(list(x)), or use another aggregate.",
    ),
    (
        "SELECT n FROM events JOIN other ON n < m",
        "The step v joins the streams events and other without an equality",
        "Join them by a column that both have: ON a.key = b.key.",
    ),
    (
        "SELECT k FROM events ORDER BY n",
        "The step v has ORDER BY on a stream, which never ends",
        "Group the rows first; a table can be ordered. Of the first rows of a stream: ORDER BY … LIMIT 10.",
    ),
    (
        "SELECT k FROM events LIMIT 3",
        "The step v has LIMIT on a stream, which never ends",
        "Group the rows first; a table can be limited. Of the first rows of a stream: ORDER BY … LIMIT 10.",
    ),
    (
        "SELECT row_number() OVER () FROM events",
        "The step v has a window function (OVER) on a stream, which never ends",
        "Group the rows by tumble() or hop(), or use OVER on a table.",
    ),
    (
        "SELECT k FROM events QUALIFY row_number() OVER (PARTITION BY k) = 1",
        "The step v has a window function (OVER) on a stream, which never ends",
        "Group the rows by tumble() or hop(), or use OVER on a table.",
    ),
    (
        "SELECT k FROM events UNION SELECT k FROM other",
        "The step v has UNION over streams, which would have to remember every row",
        "UNION ALL is kept up to date.",
    ),
    (
        "SELECT k FROM events EXCEPT SELECT k FROM other",
        "The step v has EXCEPT over streams, which would have to remember every row",
        "UNION ALL is kept up to date.",
    ),
    (
        "SELECT k FROM events UNION ALL SELECT k FROM names",
        "The step v unites a stream with a table",
        "Unite streams with streams only.",
    ),
    (
        "SELECT random() FROM events",
        "The step v calls random(), which gives another answer each time, so a replay would not give the same rows",
        "Derive the value from the row, for example hash(column).",
    ),
    (
        "SELECT list_transform(l, lambda x: x || uuid()) FROM events",
        "The step v calls uuid(), which gives another answer each time, so a replay would not give the same rows",
        "Derive the value from the row, for example hash(column).",
    ),
    (
        "SELECT age(t) FROM events",
        "The step v calls age() with one argument, which means the wall clock",
        "Write age(now(), …).",
    ),
    (
        "SELECT 1; SELECT 2",
        "The step v has 2 statements",
        "A step is one SELECT; write a step for each.",
    ),
    (
        "INSERT INTO events VALUES (1)",
        "The step v is not a SELECT",
        "A step is one SELECT; where its rows go is said under `sinks`.",
    ),
    (
        STAR + "evnts",
        "The step v reads evnts, which is no source, table or earlier step",
        "Did you mean events? A step sees the sources, the tables and the steps above it.",
    ),
    (
        STAR + "v",
        "The step v reads v, which is no source, table or earlier step",
        "Known here: events, lines, names, other. A step sees the sources, the tables and the steps above it.",
    ),
    ("SELECT kk FROM events", "The step v names the column kk, which is not there", "Did you mean k?"),
    ("SELECT uper(k) FROM events", "The step v calls uper(), which is no function", "Did you mean upper?"),
    (
        "SELECT sum(k) FROM events",
        "The step v calls sum(VARCHAR), and there is no such function for these types",
        "Cast an argument: CAST(… AS type).",
    ),
    ("SELECT k FROM events WHERE", "The step v cannot be read: something is missing after WHERE", ""),
    ("SELECT $1 FROM events", "The step v has a parameter, and nobody gives it a value", "Write the value itself."),
    (
        "SELECT k FROM events GROUP BY session(t, INTERVAL '1 minute', INTERVAL '5 minutes'), k",
        "The step v calls session() with 3 arguments",
        "Write session(column, gap).",
    ),
    (
        "SELECT tumble(t, INTERVAL '1 minute') FROM events",
        "The step v has tumble() without GROUP BY",
        "It belongs into GROUP BY; its bounds are window_start and window_end.",
    ),
    (
        "SELECT k FROM events GROUP BY k, tumble(t, INTERVAL '1 month')",
        "The step v has a window whose length is not a fixed time",
        "Write it in days, hours, minutes or seconds.",
    ),
    (
        "SELECT k FROM events GROUP BY k, tumble(n, INTERVAL '1 minute')",
        "The step v has a window over a column of type BIGINT",
        "It must be a TIMESTAMP: epoch_ms(x) of milliseconds, to_timestamp(x) of seconds.",
    ),
    (
        "SELECT k FROM events GROUP BY tumble(k, INTERVAL '1 minute'), k",
        "The step v has a window over a column of type VARCHAR",
        "It must be a TIMESTAMP: CAST(… AS TIMESTAMP).",
    ),
    (
        "SELECT count(*) FROM events GROUP BY tumble(t, INTERVAL '1 minute'), tumble(t, INTERVAL '2 minutes')",
        "The step v groups by two windows",
        "Write one step for each window.",
    ),
    (
        "SELECT count(*) FROM events WHERE batch_time > now() - INTERVAL '1 hour' GROUP BY tumble(t, INTERVAL '1 day')",
        "The step v has an event-time window and a rolling window",
        "Keep one of the two.",
    ),
    (
        "SELECT count(*) FROM events WHERE batch_time > now() - INTERVAL '1 month'",
        "The step v has a rolling window whose length is not a fixed time of at least a millisecond",
        "Write it in days, hours, minutes or seconds.",
    ),
    (
        "SELECT sum(n) FILTER (WHERE batch_time > now() - INTERVAL '1 minute') FROM events",
        "The step v compares batch_time with the clock in a way that cannot be kept up to date",
        "Keep a rolling window with WHERE batch_time > now() - INTERVAL '10 minutes', alone or joined by AND.",
    ),
    (
        "SELECT n AS batch_time FROM events",
        "The step v calls a column batch_time, which is the name of the batch's own time",
        "Give it another name.",
    ),
    (
        "WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM r WHERE x < 5) SELECT * FROM r",
        "The step v is a recursive query, which cannot be kept up to date",
        "Write the levels out as steps.",
    ),
    (
        STAR + "names LEFT JOIN events USING (k)",
        "The step v has a LEFT JOIN that keeps rows without a match in the stream, and a match may still come",
        "Put the stream on the side that is kept: stream LEFT JOIN table.",
    ),
    (
        STAR + "events FULL JOIN names USING (k)",
        "The step v has a FULL JOIN that keeps rows without a match in the stream, and a match may still come",
        "Put the stream on the side that is kept: stream LEFT JOIN table.",
    ),
    (
        STAR + "names SEMI JOIN events USING (k)",
        "The step v has a SEMI JOIN that asks of each row whether the stream has a match, and one may still come",
        "Put the stream on the side that is kept: stream LEFT JOIN table.",
    ),
    (
        STAR + "events WHERE k NOT IN (SELECT k FROM other)",
        "The step v has a subquery over a stream inside an expression",
        "Only static tables can be asked there; make the subquery a step and join.",
    ),
    (
        STAR + "events JOIN (SELECT k, count(*) AS c FROM other GROUP BY k) AS o USING (k)",
        "The step v joins the stream events with o, which changes with every batch",
        "Join with a static table, or join two results that are kept.",
    ),
    (
        "SELECT k, n FROM events GROUP BY k",
        "The step v shows the column n, which has many values in a group",
        "Add it to GROUP BY, or take one of them: any_value(n).",
    ),
    (
        "SELECT *, count(*) FROM events GROUP BY ALL",
        "The step v selects * together with aggregates",
        "Name the columns.",
    ),
    (
        "SELECT k, count(*) FROM events GROUP BY ROLLUP (k)",
        "The step v groups by several sets at once (GROUPING SETS, ROLLUP, CUBE)",
        "Write one step for each set.",
    ),
    ("SELECT k FROM events WHERE sum(n) > 1", "The step v has an aggregate in WHERE", "Filter groups with HAVING."),
    (
        "SELECT any_value(COLUMNS(*)) FROM events",
        "The step v has several columns at once inside any_value()",
        "Write the aggregate for each column.",
    ),
    ("SELECT k, k FROM events", "The step v has two columns named k", "Give one of them another name with AS."),
    (
        STAR + "events USING SAMPLE 10",
        "The step v takes a sample, which is another one each time",
        "Filter by a hash: hash(column) % 10 = 0.",
    ),
]


@pytest.mark.parametrize(("sql", "message", "remedy"), CASES, ids=[c[0][:60] for c in CASES])
def test_refused(sql: str, message: str, remedy: str) -> None:
    found = problems({"v": sql})
    assert [(p.path, p.message, p.remedy) for p in found] == [("spec.pipeline[0].sql", message, remedy)]


TYPES = [
    ("k::VARIANT", "has the type VARIANT, which SQL of a job may not", "Keep it as JSON or VARCHAR."),
    ("(k::STRUCT(a VARIANT[])).a", "has the type VARIANT, which SQL of a job may not", "Keep it as JSON or VARCHAR."),
    ("variant_typeof(k)", "calls variant_typeof(), and SQL of a job may not have the type VARIANT",
     "Keep it as JSON or VARCHAR."),
    ("from_json(k, '[\"VARIANT\"]')", "has the type VARIANT in from_json(), which SQL of a job may not",
     "Keep it as JSON or VARCHAR."),
    ("json_transform(k, '\"VARI' || 'ANT\"')", "calls json_transform() with a structure that is no plain text",
     "Write it as one: '[\"BIGINT\"]'."),
    ("get_type(k)", "calls get_type(), which SQL of a job may not",
     "What looks at the engine or outside of its rows is refused, or is the engine's own. Write the value."),
    ("k COLLATE NOCASE",
     "gives a column a collation, and which of several equal texts it shows would depend on their order",
     "Compare in WHERE or ORDER BY, or take a text that is the same for all: lower(x), strip_accents(x)."),
]  # fmt: skip


@pytest.mark.parametrize(("value", "message", "remedy"), TYPES)
@pytest.mark.parametrize("deep", [False, True])
def test_types_that_no_column_may_have(value: str, message: str, remedy: str, deep: bool) -> None:
    sql = f"SELECT {value} AS x FROM events"
    found = problems({"v": f"SELECT count(*) AS c FROM ({sql}) AS q" if deep else sql}, [("v", "update")])
    assert [(p.path, p.message, p.remedy) for p in found] == [("spec.pipeline[0].sql", f"The step v {message}", remedy)]


def test_the_state_of_an_aggregate_is_no_value() -> None:
    (found,) = problems({"v": "SELECT k, sum(n) EXPORT_STATE AS s FROM events GROUP BY k"}, [("v", "update")])
    assert found.message == "The step v has EXPORT_STATE at sum(), whose state is no value"
    (found,) = problems({"v": "SELECT count(*) AS c FROM events GROUP BY k COLLATE NOCASE"}, [("v", "update")])
    assert "gives a column a collation" in found.message
    assert not problems({"v": "SELECT k FROM events WHERE k COLLATE NOCASE = 'a'"})


@pytest.mark.parametrize("kind", ["VARIANT", "STRUCT(a VARIANT)", "TYPE"])
def test_types_that_no_declared_column_may_have(kind: str) -> None:
    source = {"name": "events", "queue": {}, "schema": {"k": kind}}
    (found,) = problems({"v": "SELECT 1 AS one FROM events"}, None, [source], [])
    assert (found.path, found.message) == ("spec.sources[0].schema.k", f"{kind} is no type that a column may have")


@pytest.mark.parametrize("kind", ["BIT", "STRUCT(a INTERVAL)", "UHUGEINT[]", "TIMETZ", "UNION(a BIGINT)", "BIGNUM"])
def test_types_that_parquet_does_not_have(kind: str) -> None:
    declared = {"format": "parquet", "schema": {"k": kind}}
    source = {"name": "events", "files": {"path": "in/"}, **declared}
    table = {"name": "names", "files": {"path": "names.parquet"}, **declared}
    found = problems({"v": "SELECT 1 AS one FROM events"}, None, [source], [table])
    assert [p.path for p in found] == ["spec.sources[0].schema.k", "spec.tables[0].schema.k"]
    assert {p.message for p in found} == {f"{kind} is no type that Parquet has"}


MODES = [
    (
        "SELECT k, sum(n) AS s FROM events GROUP BY k",
        "append",
        "v cannot be written in append mode: its groups change with every batch and never become final",
        "Use update or complete, or group by tumble() or hop() over a column with a watermark.",
    ),
    (
        "SELECT k, count(*) AS c FROM events GROUP BY k, tumble(t + INTERVAL '1 hour', INTERVAL '1 minute')",
        "append",
        "v cannot be written in append mode: its groups change with every batch and never become final",
        "Use update or complete, or group by tumble() or hop() over a column with a watermark, and not by "
        "tumble((t + CAST('1 hour' AS INTERVAL)), 1m), which is over no such column.",
    ),
    (
        "SELECT k, sum(n) AS s FROM events GROUP BY k ORDER BY s LIMIT 3",
        "append",
        "v cannot be written in append mode: it is a view of a table as a whole "
        "(ORDER BY, LIMIT, OVER, a join or an aggregate of tables)",
        "Use update or complete.",
    ),
    (
        "SELECT k FROM events",
        "complete",
        "v cannot be written in complete mode: it is a stream, which never ends",
        "Use append, or group the rows first.",
    ),
    (
        "SELECT k FROM names",
        "append",
        "v cannot be written in append mode: it follows from static tables only",
        "Use complete.",
    ),
]


@pytest.mark.parametrize(("sql", "mode", "message", "remedy"), MODES)
def test_refused_modes(sql: str, mode: str, message: str, remedy: str) -> None:
    found = problems({"v": sql}, [("v", mode)])
    assert [(p.path, p.message, p.remedy) for p in found] == [("spec.sinks[0].mode", message, remedy)]


@pytest.mark.parametrize(
    ("value", "kind", "remedy"),
    [
        ("max(t) - min(t)", "INTERVAL", "Cast it, CAST(x AS VARCHAR), or take its seconds: epoch(x)."),
        ("{'a': [max(t) - min(t)]}", "STRUCT(a INTERVAL[])",
         "Cast it, CAST(x AS VARCHAR), or take its seconds: epoch(x)."),
        ("max(n)::INTEGER::BIT", "BIT", "Cast it: CAST(x AS VARCHAR)."),
        ("max(n)::BIGNUM", "BIGNUM", "Cast it: CAST(x AS VARCHAR)."),
        ("map {max(k): max(current_time)}", "MAP(VARCHAR, TIME WITH TIME ZONE)",
         "Cast it: CAST(x AS VARCHAR), or CAST(x AS TIME) for the time without its offset."),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["parquet", "csv", "json"])
def test_values_that_a_file_cannot_hold_are_refused_before_the_start(
    value: str, kind: str, remedy: str, form: str
) -> None:
    sink: dict[str, object] = {"from": "v", "mode": "complete", "files": {"path": "out/"}, "format": form}
    message = f"v has the column x of type {kind}, which {form} files cannot hold"
    sql = f"SELECT k, {value} AS x FROM events GROUP BY k"
    assert [(p.path, p.message, p.remedy) for p in found_by(sql, sink)] == [("spec.sinks[0].from", message, remedy)]


def found_by(sql: str, sink: dict[str, object]) -> list[PlanProblem]:
    """What is wrong with a job of this step and this sink."""
    job = spec({"v": sql}, [("v", "complete")]).model_dump(exclude_none=True, by_alias=True)
    try:
        plan(StreamJobSpec.model_validate({**job, "sinks": [sink]}))
    except PlanError as error:
        return error.problems
    return []


KAFKA: dict[str, object] = {
    "from": "v",
    "mode": "update",
    "kafka": {"bootstrapServers": "k:9092", "topic": "out"},
    "format": "json",
}
POSTGRES: dict[str, object] = {
    "from": "v",
    "mode": "complete",
    "postgres": {"table": "t", "dsnSecretRef": {"name": "pg", "key": "dsn"}},
}


@pytest.mark.parametrize(
    ("value", "sink", "refused"),
    [
        ("max(t) - min(t)", KAFKA, True),
        ("max(t) - min(t)", {**KAFKA, "kafka": {"bootstrapServers": "k:9092", "topic": "out", "value": ["k"]}}, False),
        ("max(t) - min(t)", POSTGRES, False),
        ("max(n)::INTEGER::BIT", POSTGRES, True),
        ("max(t) - min(t)", {"from": "v", "mode": "complete", "delta": {"path": "out/"}}, True),
        ("max(t) - min(t)", {"from": "v", "mode": "complete", "console": {}}, False),
        ("{'INTERVAL': max(n)}", {"from": "v", "mode": "complete", "files": {"path": "o/"}, "format": "json"}, False),
        ("'BIT'::ENUM('BIT', 'INTERVAL')", {"from": "v", "mode": "complete", "files": {"path": "o/"}, "format": "csv"},
         False),
        ("max(t)", {"from": "v", "mode": "complete", "files": {"path": "o/"}, "format": "parquet"}, False),
    ],
)  # fmt: skip
def test_each_kind_of_sink_refuses_what_it_would_alter(value: str, sink: dict[str, object], refused: bool) -> None:
    found = found_by(f"SELECT k, {value} AS x FROM events GROUP BY k", sink)
    assert ["cannot hold" in p.message for p in found] == ([True] if refused else [])


TOTALS = "SELECT k, count(*) AS c, sum(n) AS s, min(n) AS least, list_sort(list(n)) AS l FROM events GROUP BY k"
LEAVES = (
    "v cannot be written in update mode: {why} leaves{key}, which the clock decides, and its row would stay in {where} "
    "for ever"
)
HAVING = "a group that does not meet HAVING any more"
WHERE = "a row that does not meet WHERE any more"
MATCH = "a row that finds no match in a join any more"
ROLLING = "SELECT k, now() AS seen, sum(n) AS s FROM events WHERE batch_time > now() - INTERVAL '1 minute' GROUP BY k"
# Steps after TOTALS as `g`, why a row may leave the last one's result, and how the key has to do with the clock.
MAY_LEAVE_BY_THE_CLOCK = [
    ([f"{TOTALS} HAVING now() > TIMESTAMPTZ '2026-01-01'"], HAVING, ""),
    ([f"{TOTALS} HAVING s > 3 AND c < epoch(now())"], HAVING, ""),
    (["SELECT *, now() AS seen FROM g", "SELECT * FROM v1 WHERE seen > TIMESTAMPTZ '2026-01-01'"], WHERE, ""),
    (["SELECT k, epoch(now()) AS e FROM g", "SELECT v1.k FROM v1 JOIN names ON names.name = e::VARCHAR"], MATCH, ""),
    (["SELECT k, unnest([epoch(now())]) AS x FROM g"], "what is not in a list any more", ""),
    ([ROLLING, "SELECT seen AS k FROM v1"], "a key that has no rows in the rolling window any more",
     ", and its key has k"),
]  # fmt: skip
# The same where it is known what they were, and the columns by which they are told of.
MAY_LEAVE = [
    ([f"{TOTALS} HAVING count(*) < 3"], "k"),
    ([f"{TOTALS} HAVING k > 'a' AND sum(n) > 3"], "k"),
    ([f"{TOTALS} HAVING c > 3 OR s > 3"], "k"),
    ([f"{TOTALS} HAVING max(n) > min(n)"], "k"),
    (["SELECT * FROM g WHERE c < 3"], "k"),
    (["SELECT k, s AS total FROM g", "SELECT * FROM v1 WHERE total > 3"], "k"),
    (["SELECT * REPLACE (c - 5 AS c) FROM g", "SELECT k FROM v1 WHERE c > 3"], "k"),
    (["SELECT k FROM g WHERE s > 3", "SELECT * FROM v1"], "k"),
    (["SELECT g.k, c FROM g JOIN names ON g.s::VARCHAR = names.name"], "k"),
    (["SELECT k, s::VARCHAR AS name FROM g", "SELECT v1.k FROM names JOIN v1 USING (name)"], "k"),
    (["SELECT g.k FROM g SEMI JOIN names ON g.c = length(name)"], "k"),
    (["SELECT g.k, name FROM g LEFT JOIN names ON g.s::VARCHAR = names.k", "SELECT k FROM v1 WHERE name > 'a'"], "k"),
    (["SELECT k, unnest(l) AS x FROM g"], "k"),
    (["SELECT k, x FROM g, unnest(l) AS u(x)"], "k"),
    (["SELECT k, sum(n) AS s FROM events WHERE batch_time > now() - INTERVAL '1 minute' GROUP BY k"], "k"),
    (["SELECT c AS k FROM g"], "k"),
    (["SELECT k || c::VARCHAR AS k FROM g"], "k"),
]
STAY = [
    [TOTALS],
    [f"{TOTALS} HAVING count(*) >= 3 AND 4 > min(n) AND k <> 'a'"],
    ["SELECT * FROM g WHERE c >= 3 AND least < 5 AND k LIKE 'a%'"],
    ["SELECT k AS key, c AS times, s FROM g", "SELECT *, key AS k FROM v1 WHERE times > 2 AND key > 'a'"],
    ["SELECT x.q AS k, r FROM g AS x(q, r) WHERE r > 4 AND q IS NOT NULL"],
    ["SELECT k, c, name FROM g JOIN names USING (k)"],
    ["SELECT g.k, c, name FROM names JOIN g USING (k) WHERE name > 'a'"],
    ["SELECT g.k, c, name FROM g LEFT JOIN names ON g.s::VARCHAR = names.name"],
    ["SELECT k, window_start AS w, sum(n) AS s FROM events GROUP BY k, tumble(t, INTERVAL '1 minute') "
     "HAVING window_start > TIMESTAMP '2026-01-01'"],
]  # fmt: skip
BY_KEY: dict[str, dict[str, object]] = {
    "PostgreSQL": {"postgres": {"table": "t", "key": ["k"], "dsnSecretRef": {"name": "pg", "key": "dsn"}}},
    "the Delta table": {"delta": {"path": "t", "key": ["k"]}},
}


def in_update_mode(steps: list[str], sink: dict[str, object]) -> list[str] | tuple[str, ...] | None:
    """What is wrong with a job that writes the last of these steps, `v`, in update mode; or by what rows leave it."""
    named = {f"v{i + 1}": sql for i, sql in enumerate(steps)}
    job = spec({"g": TOTALS, **named, "v": f"SELECT * FROM v{len(steps)}"}, [("v", "update")])
    dumped = job.model_dump(exclude_none=True, by_alias=True)
    try:
        planned = plan(StreamJobSpec.model_validate({**dumped, "sinks": [{"from": "v", "mode": "update", **sink}]}))
    except PlanError as error:
        return [problem.message for problem in error.problems if problem.path == "spec.sinks[0].mode"]
    return planned.sinks[0].deleted_by


@pytest.mark.parametrize(("steps", "why", "key"), MAY_LEAVE_BY_THE_CLOCK)
@pytest.mark.parametrize("where", BY_KEY)
def test_rows_that_leave_by_the_clock_are_not_put_in_place_by_their_key(
    steps: list[str], why: str, key: str, where: str
) -> None:
    assert in_update_mode(steps, BY_KEY[where]) == [LEAVES.format(why=why, where=where, key=key)]
    if not key:
        assert in_update_mode(steps, {"console": {}}) is None


@pytest.mark.parametrize(("steps", "by"), MAY_LEAVE)
@pytest.mark.parametrize("where", BY_KEY)
def test_rows_that_may_leave_are_told_of_by_their_key(steps: list[str], by: str, where: str) -> None:
    assert in_update_mode(steps, BY_KEY[where]) == (by,)


def test_a_topic_without_a_key_cannot_say_that_a_row_has_left() -> None:
    said = (
        "v cannot be written in update mode: a row that does not meet WHERE any more leaves, and without a key nobody"
    )
    topic = {"bootstrapServers": "kafka:9092", "topic": "t"}
    steps = ["SELECT * FROM g WHERE c < 3"]
    found = in_update_mode(steps, {"kafka": topic, "format": "json"})
    assert found == [f"{said} can be told"]
    assert in_update_mode(steps, {"kafka": {**topic, "key": ["k"]}, "format": "json"}) == ("k",)
    assert in_update_mode(["SELECT k FROM g"], {"kafka": topic, "format": "json"}) is None
    view = ["SELECT k FROM g ORDER BY c LIMIT 1"]
    found = in_update_mode(view, {"kafka": topic, "format": "json"})
    assert found == ["v cannot be written in update mode: a row may leave it, and without a key nobody can be told"]
    assert in_update_mode(view, {"kafka": {**topic, "key": ["k"]}, "format": "json"}) == ("k",)
    enveloped: dict[str, object] = {"kafka": {**topic, "envelope": True}, "format": "json"}
    assert (in_update_mode(view, enveloped), in_update_mode(["SELECT k FROM g WHERE c < 3"], enveloped)) == ((), ("k",))


def test_what_is_shown_of_a_view_is_of_types_that_a_checkpoint_holds() -> None:
    steps = {"g": TOTALS, "v": "SELECT k, max(to_seconds(s)) AS i FROM g GROUP BY k"}
    assert [(p.path, p.message) for p in problems(steps, [("v", "update", keyed("k"))])] == [
        ("spec.sinks[0].from", "v has the column i of type INTERVAL, which no checkpoint can hold")
    ]
    whole = {"postgres": {"table": "t", "dsnSecretRef": {"name": "p", "key": "d"}}}
    assert problems(steps, [("v", "complete", whole)]) == []


@pytest.mark.parametrize("steps", STAY)
def test_rows_that_stay_are_put_in_place_by_their_key(steps: list[str]) -> None:
    assert in_update_mode(steps, BY_KEY["PostgreSQL"]) is None
