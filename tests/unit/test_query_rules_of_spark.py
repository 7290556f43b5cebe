"""Where a rule could go two ways, Spark Structured Streaming's holds. Each test names one."""

from datetime import datetime, timedelta

import pytest

from streamjob_runtime.query import BatchInput
from support.queries import START, Row, Runner

T0 = datetime(2026, 1, 1)
T0_MS = 1_767_225_600_000
BY_TEN = "SELECT k, window_start, window_end, count(*) AS c FROM events GROUP BY k, tumble(t, INTERVAL '10 seconds')"


def at(second: float, k: str = "a") -> Row:
    return {"k": k, "n": 1, "t": T0 + timedelta(seconds=second)}


def short(given: list[Row]) -> list[tuple[str, int, int]]:
    """Rows of BY_TEN as (key, start in seconds, count)."""
    return sorted((r["k"], int((r["window_start"] - T0).total_seconds()), r["c"]) for r in given)


def test_windows_are_aligned_to_the_epoch_and_include_their_start_only() -> None:
    run = Runner({"v": BY_TEN}, [("v", "update")])
    given = [at(0), at(9.999999), at(10), at(-0.5), {"k": "a", "t": datetime(1969, 12, 31, 23, 59, 59)}]
    found = run.batch(events=given)[0]
    assert [(r["window_start"], r["window_end"], r["c"]) for r in sorted(found, key=lambda r: r["window_start"])] == [
        (datetime(1969, 12, 31, 23, 59, 50), datetime(1970, 1, 1), 1),
        (T0 - timedelta(seconds=10), T0, 1),
        (T0, T0 + timedelta(seconds=10), 2),
        (T0 + timedelta(seconds=10), T0 + timedelta(seconds=20), 1),
    ]


def test_a_window_is_written_in_append_mode_once_when_the_watermark_reaches_its_end() -> None:
    run = Runner({"v": BY_TEN}, [("v", "append")], delay_ms=0)
    assert run.batch(events=[at(1)]) == [[]]
    assert run.batch(events=[at(9.999)]) == [[]]
    assert run.batch(events=[at(10)]) == [[]]  # the watermark of this batch is 9.999 s
    assert short(run.batch(events=[at(10.5)])[0]) == [("a", 0, 2)]  # and now 10 s: the window's end
    assert run.batch(events=[at(11)]) == [[]]


def test_a_row_counts_until_its_window_is_final_and_is_dropped_afterwards() -> None:
    run = Runner({"v": BY_TEN}, [("v", "append")], delay_ms=0)
    run.batch(events=[at(1)])
    run.batch(events=[at(25)])
    # Behind the watermark (25 s), yet the window [20, 30) is not final: it counts. [0, 10) leaves with this batch, and
    # was not final before it: it counts as well.
    assert short(run.batch(events=[at(20), at(2)])[0]) == [("a", 0, 2)]
    assert run.batch(events=[at(3)]) == [[]]
    assert run.last is not None
    assert run.last.operators[0].rows_dropped_by_watermark == 1
    run.batch(events=[at(41)])
    assert short(run.batch()[0]) == [("a", 20, 2)]


def test_rows_without_event_time_are_in_no_window() -> None:
    run = Runner({"v": BY_TEN}, [("v", "update")])
    assert short(run.batch(events=[{"k": "a"}, at(1)])[0]) == [("a", 0, 1)]


def test_update_mode_gives_the_groups_that_a_batch_touched() -> None:
    run = Runner({"v": "SELECT k, min(n) AS lo FROM events GROUP BY k"}, [("v", "update")])
    run.batch(events=[{"k": "a", "n": 1}, {"k": "b", "n": 2}])
    assert run.batch(events=[{"k": "a", "n": 5}]) == [[{"k": "a", "lo": 1}]]  # touched, though the result is the same
    assert run.batch() == [[]]


def test_complete_mode_keeps_every_window_and_takes_late_rows() -> None:
    run = Runner({"v": BY_TEN}, [("v", "complete"), ("v", "append"), ("v", "update")], delay_ms=0)
    run.batch(events=[at(1)])
    run.batch(events=[at(25)])
    complete, append, _ = run.batch()
    assert short(append) == [("a", 0, 1)]
    assert short(complete) == [("a", 0, 1), ("a", 20, 1)]
    complete, append, update = run.batch(events=[at(2)])
    assert short(complete) == [("a", 0, 2), ("a", 20, 1)]
    assert append == update == []  # for these the window is over
    assert run.last is not None
    assert run.last.operators[0].rows_dropped_by_watermark == 0


def test_without_watermark_in_the_key_groups_are_kept_for_good() -> None:
    run = Runner({"v": "SELECT k, count(*) AS c FROM events GROUP BY k"}, [("v", "update")], delay_ms=0)
    run.batch(events=[at(0)])
    run.batch(events=[at(1_000_000)])
    run.batch()
    assert run.batch(events=[at(0)]) == [[{"k": "a", "c": 3}]]


def test_windows_before_1970_are_kept_where_spark_takes_them_for_late_from_the_start() -> None:
    before, start = datetime(1969, 12, 31, 23, 0), datetime(1969, 12, 31, 23, 0)
    run = Runner({"v": BY_TEN}, [("v", "append")], delay_ms=0)
    run.batch(events=[{"k": "a", "t": before}, {"k": "a", "t": before + timedelta(seconds=3)}])
    run.batch(events=[{"k": "a", "t": before + timedelta(seconds=12)}])
    assert [(r["window_start"], r["c"]) for r in run.batch()[0]] == [(start, 2)]


def test_an_aggregate_without_groups_gives_its_row_in_update_mode_when_a_batch_has_rows_for_it() -> None:
    run = Runner({"v": "SELECT count(*) AS c, sum(n) AS s FROM events"}, [("v", "update"), ("v", "complete")])
    assert run.batch() == [[], [{"c": 0, "s": None}]]
    assert run.batch(events=[{"n": 2}]) == [[{"c": 1, "s": 2}], [{"c": 1, "s": 2}]]
    assert run.batch() == [[], [{"c": 1, "s": 2}]]  # Spark writes it again, in update mode too
    assert run.batch(other=[{"m": 1.0}])[0] == []


def test_an_aggregate_without_groups_has_a_row_before_any_data() -> None:
    run = Runner({"v": "SELECT count(*) AS c, sum(n) AS s FROM events"}, [("v", "complete")])
    assert run.batch() == [[{"c": 0, "s": None}]]
    assert run.batch(events=[{"k": "a", "n": 2}]) == [[{"c": 1, "s": 2}]]


def test_null_is_a_key_like_any_other() -> None:
    run = Runner({"v": "SELECT k, count(*) AS c FROM events GROUP BY k"}, [("v", "complete")])
    run.batch(events=[{"n": 1}, {"k": "a"}])
    assert sorted(run.batch(events=[{"n": 2}])[0], key=str) == [{"k": "a", "c": 1}, {"k": None, "c": 2}]


def test_update_mode_on_a_stream_is_append() -> None:
    run = Runner({"v": "SELECT k FROM events WHERE n > 1"}, [("v", "update")])
    assert run.batch(events=[{"k": "a", "n": 1}, {"k": "b", "n": 2}]) == [[{"k": "b"}]]
    assert run.batch() == [[]]


def test_the_clock_stands_still_within_a_batch_and_is_the_batchs_time() -> None:
    clocks = ["now()", "current_timestamp", "get_current_timestamp()", "transaction_timestamp()", "batch_time"]
    dates = ["current_date", "today()"]
    columns = ", ".join(f"{c} AS c{i}" for i, c in enumerate(clocks + dates))
    sql = f"SELECT {columns}, ago(INTERVAL '1 day') AS y FROM events"
    run = Runner({"v": sql}, [("v", "append")])
    row = run.batch(at_s=5, events=[{"k": "a"}])[0][0]
    time = datetime.fromisoformat("2023-11-14T22:13:25+00:00")
    assert [row[f"c{i}"] for i in range(len(clocks))] == [time] * len(clocks)
    assert [row[f"c{i}"] for i in range(len(clocks), len(clocks + dates))] == [time.date()] * len(dates)
    assert row["y"] == time - timedelta(days=1)


def test_batch_time_is_a_column_of_every_stream_that_a_star_leaves_out() -> None:
    steps = {
        "all_of_it": "SELECT * FROM other",
        "named": "SELECT batch_time, o.batch_time = batch_time AS same, k FROM other AS o",
        "again": "SELECT batch_time FROM all_of_it",
    }
    run = Runner(steps, [(name, "append") for name in steps])
    all_of_it, named, again = run.batch(other=[{"k": "a", "m": 1.5}])
    assert all_of_it == [{"k": "a", "m": 1.5}]
    assert named[0]["same"] is True
    assert named[0]["batch_time"] == again[0]["batch_time"] == datetime.fromisoformat("2023-11-14T22:13:20+00:00")


@pytest.mark.parametrize(
    "where",
    [
        "batch_time > now() - INTERVAL '10 seconds'",
        "now() - INTERVAL '10 seconds' < events.batch_time",
        "batch_time > ago(INTERVAL 10 seconds) AND true",
    ],
)
def test_a_rolling_window_may_be_written_either_way_and_in_an_earlier_step(where: str) -> None:
    steps = {"recent": f"SELECT * FROM events WHERE {where}", "v": "SELECT count(*) AS c FROM recent"}
    run = Runner(steps, [("v", "complete")])
    assert run.batch(at_s=0, events=[at(0), at(0)]) == [[{"c": 2}]]
    assert run.batch(at_s=9, events=[at(0)]) == [[{"c": 3}]]
    assert run.query.wants_batch(START + 9_999, None) is False
    assert run.query.wants_batch(START + 10_000, None) is True
    assert run.batch(at_s=10) == [[{"c": 1}]]
    assert run.batch(at_s=60) == [[{"c": 0}]]
    assert run.query.wants_batch(START + 99_000, None) is False


def test_a_quiet_job_asks_for_a_batch_when_a_window_is_final_and_then_no_more() -> None:
    run = Runner({"v": BY_TEN}, [("v", "append")], delay_ms=0)
    run.batch(events=[at(1)])
    assert not run.query.wants_batch(START, None)
    assert not run.query.wants_batch(START, T0_MS + 9_999)
    assert run.query.wants_batch(START, T0_MS + 10_000)
    run.query.run(BatchInput(1, START, T0_MS + 10_000, None, {}))
    assert not run.query.wants_batch(START, T0_MS + 10_000)
