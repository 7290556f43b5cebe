"""Event time that is first known in a step, or that an expression of a source gives."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from streamjob_runtime.query import BatchInput
from support.queries import START, Row, Runner, Steps, problems, rows

LINES: list[Mapping[str, Any]] = [{"name": "lines", "tcp": {"host": "h", "port": 1}, "format": "text"}]
PARSED: dict[str, Any] = {
    "sql": "SELECT TRY_CAST(split_part(value, ' ', 1) AS TIMESTAMP) AS ts, split_part(value, ' ', 2) AS k FROM lines",
    "watermark": {"column": "TS", "delay": "10s"},
}
COUNTS = "SELECT k, window_start, count(*) AS n FROM parsed GROUP BY k, tumble(ts, INTERVAL '10 seconds')"
DAY = "2026-01-01T00:"


def lines(*texts: str) -> list[Row]:
    return [{"value": f"{DAY}{text}" if text[0].isdigit() else text} for text in texts]


def counted(given: list[Row]) -> set[tuple[str, str, int]]:
    return {(row["k"], row["window_start"].strftime("%M:%S"), row["n"]) for row in given}


@pytest.fixture
def runner() -> Iterator[Runner]:
    made = Runner({"parsed": PARSED, "counts": COUNTS}, [("counts", "append")], sources=LINES)
    yield made
    made.close()


def test_windows_over_a_steps_event_time_end_by_its_watermark(runner: Runner) -> None:
    assert runner.batch(lines=lines("00:01 a", "00:05 a", "00:21 b")) == [[]]
    assert runner.last is not None
    assert runner.last.max_event_time_ms == {"parsed": 1767225621000}
    assert runner.last.marked_rows == {"parsed": 3}
    (ended,) = runner.batch(lines=lines("00:25 b"))
    assert counted(ended) == {("a", "00:00", 2)}
    runner.batch(lines=lines("00:02 a", "00:31 a"))
    assert [o.rows_dropped_by_watermark for o in runner.last.operators] == [1]


def test_rows_that_the_step_leaves_out_move_nothing(runner: Runner) -> None:
    runner.batch(lines=lines("00:01 a", "no time b"))
    assert runner.last is not None
    assert runner.last.max_event_time_ms == {"parsed": 1767225601000}
    runner.batch(lines=lines("no time b"))
    assert runner.last.max_event_time_ms == {}
    assert runner.last.marked_rows == {"parsed": 1}
    runner.batch()
    assert runner.last.marked_rows == {}


def test_a_row_too_far_ahead_moves_no_watermark_of_a_step(runner: Runner) -> None:
    given = {"lines": rows(runner.query, "lines", lines("00:01 a", "59:01 a"))}
    out = runner.query.run(BatchInput(0, START, None, None, given, {"parsed": 1767225700000}))
    assert out.max_event_time_ms == {"parsed": 1767225601000}
    assert out.rows_ahead == {"parsed": 1}


def test_a_watermark_counts_though_no_sink_reads_its_step() -> None:
    runner = Runner({"parsed": PARSED, "all": "SELECT * FROM lines"}, [("all", "append")], sources=LINES)
    runner.batch(lines=lines("00:01 a"))
    assert runner.last is not None
    assert runner.last.max_event_time_ms == {"parsed": 1767225601000}


def test_event_time_goes_on_through_later_steps_and_unions() -> None:
    steps: Steps = {
        "parsed": PARSED,
        "again": {**PARSED, "sql": PARSED["sql"] + " WHERE value LIKE '%b'"},
        "united": "SELECT ts AS at_, k FROM parsed UNION ALL SELECT ts, k FROM again",
        "counts": "SELECT k, window_start, count(*) AS n FROM united GROUP BY k, tumble(at_, INTERVAL '10 seconds')",
    }
    runner = Runner(steps, [("counts", "append")], sources=LINES)
    runner.batch(lines=lines("00:01 a", "00:02 b", "00:31 b"))
    (ended,) = runner.batch(lines=lines("00:32 a"))
    assert counted(ended) == {("a", "00:00", 1), ("b", "00:00", 2)}
    assert runner.last is not None
    assert runner.last.marked_rows == {"parsed": 1}


def test_a_state_over_a_steps_event_time_goes_on_after_a_restart(runner: Runner) -> None:
    runner.batch(lines=lines("00:01 a", "00:05 a"))
    runner.restart()
    runner.batch(lines=lines("00:21 b", "00:06 a"))
    (ended,) = runner.batch(lines=lines("00:22 b"))
    assert counted(ended) == {("a", "00:00", 3)}


@pytest.mark.parametrize("infinite", ["infinity", "-infinity"])
@pytest.mark.parametrize("kind", ["TIMESTAMP", "TIMESTAMPTZ"])
def test_an_infinite_time_hides_no_other(infinite: str, kind: str) -> None:
    parsed = {**PARSED, "sql": PARSED["sql"].replace("TIMESTAMP", kind)}
    counts = COUNTS.replace("GROUP", "WHERE k <> 'z' GROUP")
    runner = Runner({"parsed": parsed, "counts": counts}, [("counts", "append")], sources=LINES)
    endless = {"value": f"{infinite} z"}
    runner.batch(lines=[*lines("00:01 a", "00:05 a", "00:21 b"), endless])
    assert runner.last is not None
    assert runner.last.max_event_time_ms == {"parsed": 1767225621000}
    (ended,) = runner.batch(lines=[*lines("00:25 b"), endless])
    assert counted(ended) == {("a", "00:00", 2)}
    given = {"lines": rows(runner.query, "lines", [endless])}
    out = runner.query.run(BatchInput(9, START, None, None, given, {"parsed": START}))
    assert (out.max_event_time_ms, out.rows_ahead) == ({}, {"parsed": 1} if infinite == "infinity" else {})


def test_a_watermark_before_all_times_makes_nothing_late() -> None:
    parsed = {**PARSED, "sql": "SELECT CAST(value AS TIMESTAMP) AS ts FROM lines"}
    counts = "SELECT count(*) AS n FROM parsed GROUP BY tumble(ts, INTERVAL '10 seconds')"
    runner = Runner({"parsed": parsed, "counts": counts}, [("counts", "append")], sources=LINES)
    first: list[Row] = [{"value": "290309-12-22 (BC) 00:00:05"}]
    for _ in range(2):
        assert runner.batch(lines=first) == [[]]
    assert runner.watermark is not None
    runner.batch(lines=lines("00:01"))
    assert runner.batch() == [[{"n": 2}]]


SENT: Mapping[str, Any] = {
    "name": "events",
    "queue": {},
    "schema": {"sent": "BIGINT", "k": "VARCHAR"},
    "watermark": {"column": "ts", "expression": "epoch_ms(events.sent)", "delay": "10s"},
}


def test_an_expression_gives_a_source_its_event_time_as_a_column() -> None:
    counts = "SELECT k, window_start, count(*) AS n FROM events GROUP BY k, tumble(ts, INTERVAL '10 seconds')"
    steps = {"counts": counts, "shown": "SELECT * FROM events"}
    runner = Runner(steps, [("counts", "append"), ("shown", "append")], sources=[SENT])
    _, shown = runner.batch(events=[{"sent": 1000, "k": "a"}, {"sent": 25_000, "k": "b"}, {"k": "c"}])
    assert [row["ts"] for row in shown] == [
        datetime.fromtimestamp(1, UTC).replace(tzinfo=None),
        datetime.fromtimestamp(25, UTC).replace(tzinfo=None),
        None,
    ]
    assert list(shown[0]) == ["k", "sent", "ts"]
    assert runner.last is not None
    assert runner.last.max_event_time_ms == {"events": 25_000}
    ended, _ = runner.batch(events=[{"sent": 26_000, "k": "b"}])
    assert counted(ended) == {("a", "00:00", 1)}


def test_an_expression_may_be_computed_of_text() -> None:
    source = {**LINES[0], "watermark": {**PARSED["watermark"], "expression": "TRY_CAST(left(value, 19) AS TIMESTAMP)"}}
    steps = {
        "counts": "SELECT window_start, count(*) AS n, 'all' AS k FROM lines GROUP BY tumble(ts, INTERVAL 10 SECOND)"
    }
    runner = Runner(steps, [("counts", "update")], sources=[source])
    (changed,) = runner.batch(lines=lines("00:01 a", "00:05 b"))
    assert counted(changed) == {("all", "00:00", 2)}


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("epoch_mss(sent)", "The event time of events calls epoch_mss(), which is no function"),
        ("max(epoch_ms(sent))", "The event time of events is an aggregate"),
        ("sent", "ts is of type BIGINT"),
        ("sent, k", "ts is of type TUPLE"),
        ("CAST('2026-01-01' AS DATE)", "ts is of type DATE. Cast it in the expression as TIMESTAMP or"),
        ("unnest([epoch_ms(sent)])", "The event time of events is not one value for each row"),
        ("unnest([sent, sent]) + TIMESTAMP '2026-01-01'", "The event time of events"),
        ("(SELECT max(sent) FROM events)", "The event time of events"),
        ("epoch_ms(nothing)", "which is not there"),
        ("epoch_ms(sent", "syntax error"),
    ],
)
def test_an_expression_that_is_no_event_time_is_refused(expression: str, said: str) -> None:
    source = {**SENT, "watermark": {**SENT["watermark"], "expression": expression}}
    (problem,) = problems({"all": "SELECT * FROM events"}, sources=[source])
    assert said in problem.text
    assert problem.path.startswith("spec.sources[0].watermark.")


def test_where_an_expression_is_wrong_is_told() -> None:
    source = {**SENT, "watermark": {**SENT["watermark"], "expression": "epoch_ms(\n  nothing)"}}
    (problem,) = problems({"all": "SELECT * FROM events"}, sources=[source])
    assert (problem.line, problem.clause, problem.sql) == (2, "nothing", "epoch_ms(\n  nothing)")
    assert problem.offset is not None
    assert problem.sql[problem.offset :].startswith("nothing")


def test_an_expression_needs_a_column_of_its_own() -> None:
    with pytest.raises(ValidationError, match='there is a column "K" already'):
        problems({}, [], sources=[{**SENT, "watermark": {**SENT["watermark"], "column": "K"}}])


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"sql": "SELECT value FROM lines"}, "There is no column TS. Its columns are value."),
        ({"sql": "SELECT value AS ts FROM lines"}, "ts is of type VARCHAR. Cast it in the step as TIMESTAMP"),
        ({"sql": "SELECT now() AS ts, count(*) AS n FROM lines"}, "s is not a stream: a watermark is of new rows"),
    ],
)
def test_a_watermark_that_a_step_cannot_have_is_refused(step: Mapping[str, Any], said: str) -> None:
    found = problems({"s": {**step, "watermark": PARSED["watermark"]}}, [("s", "update")], sources=LINES)
    assert [problem.text.partition(said)[1] for problem in found] == [said]
