"""Event time that goes wrong: a row from the future, a watermark that stands still, and the way back."""

from datetime import datetime
from typing import Any

import pytest

from streamjob_runtime.checkpoint.log import read_log
from streamjob_runtime.clock import ManualClock, iso
from streamjob_runtime.engine.event_time import EventTimeWatch
from streamjob_runtime.engine.progress import Progress, WatermarkNow
from streamjob_runtime.engine.watermark_reset import describe, plan_reset, reset
from streamjob_runtime.errors import JobError
from support.simulate import BEGIN_MS, Simulation, job_of

HOUR_MS = 3_600_000
START_MS = BEGIN_MS // HOUR_MS * HOUR_MS

MANIFEST = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: job}}
spec:
  batchInterval: 1s
  sources:
  - {{name: e, queue: {{}}, schema: {{ts: {type}}}, watermark: {{column: ts, delay: 0s{ahead}}}}}
  pipeline:
  - {{name: o, sql: "SELECT window_start, count(*) AS n FROM e GROUP BY tumble(ts, INTERVAL '1 minute')"}}
  sinks: [{{from: o, mode: append, queue: {{}}}}]
"""


def simulated(script: list[list[int]], ahead: str = "", type_: str = "TIMESTAMP") -> Simulation:
    """`script`: of each batch the rows' event times, in minutes from the start; a far one is eleven years ahead."""
    job = job_of(MANIFEST.format(ahead=ahead, type=type_))
    return Simulation(job, [{"e": [{"ts": at(minutes)} for minutes in batch]} for batch in [*script, []]])


def at(minutes: int) -> Any:
    text = iso(START_MS + minutes * 60_000)
    return datetime.fromisoformat(text).replace(tzinfo=None)


def windows(run: Simulation) -> list[tuple[int, int]]:
    (queue,) = run.outputs.values()
    rows = queue.rows().to_pylist()
    first = at(0)
    return sorted(
        (int((row["window_start"].replace(tzinfo=None) - first).total_seconds() // 60), row["n"]) for row in rows
    )


FAR = 11 * 365 * 24 * 60
SCRIPT = [[1, 1], [2, FAR], [2, 3], [4], [5]]


@pytest.mark.parametrize("type_", ["TIMESTAMP", "TIMESTAMP WITH TIME ZONE"])
def test_a_row_of_the_far_future_counts_and_ends_no_window(type_: str) -> None:
    run = simulated(SCRIPT, type_=type_)
    assert run.run()
    assert windows(run) == [(1, 2), (2, 2), (3, 1), (4, 1)]
    assert run.progress.totals["late_rows"] == 0 and run.progress.totals["ahead_rows"] == 1
    said = "rows are further ahead of the clock than watermark.maxAhead: they count, and move no watermark"
    assert run.logged.count(("warning", said)) == 1


def test_how_far_ahead_a_row_may_be_is_for_the_manifest_to_say() -> None:
    near = simulated([[1], [60 * 20], [2], [3]])
    assert near.run()
    assert near.progress.totals["late_rows"] == 1, "20 hours are within the default, as no time zone is further ahead"
    strict = simulated([[1], [60 * 20], [2], [3]], ", maxAhead: 1h")
    assert strict.run()
    assert strict.progress.totals["late_rows"] == 0 and windows(strict) == [(1, 1), (2, 1)]


def test_a_kill_changes_nothing_of_that() -> None:
    whole = simulated(SCRIPT)
    assert whole.run()
    for at_step in range(0, len(whole.steps), 3):
        run = simulated(SCRIPT)
        assert not run.run(kill_at=at_step)
        assert run.run()
        assert windows(run) == windows(whole)


def test_a_watermark_that_is_ahead_is_said_and_set_back() -> None:
    run = simulated(SCRIPT, ", maxAhead: 876000h")
    assert run.run()
    assert run.progress.totals["late_rows"] == 2, "the fault: all that comes after it is late"
    assert ("warning", "the watermark is ahead of the clock: rows of now count as late") in run.logged
    status = run.progress.status.watermark
    assert status is not None and status.ahead_ms > 10 * 365 * 24 * HOUR_MS
    before = windows(run)

    now_ms = run.clock.now_ms()
    done = reset(run.store, "job", {"e": 0}, now_ms, run.clock, lambda: "nonce of the reset")
    assert done is not None and done.after.watermark_ms is None and done.after.event_times == {}
    assert describe(done).startswith("The watermark is set back from 2038-")
    assert reset(run.store, "job", {"e": 0}, now_ms, run.clock, lambda: "another") is None, "nothing is left to do"

    run.script = [*run.script, *simulated([[7], [8]]).script]
    run.job = job_of(MANIFEST.format(ahead="", type="TIMESTAMP"))
    assert run.run()
    assert windows(run) == [*before, (7, 1)]


def test_of_several_sources_those_that_are_not_ahead_stay() -> None:
    run = simulated(SCRIPT, ", maxAhead: 876000h")
    assert run.run()
    records = read_log(run.store)
    assert plan_reset(records, "job", "url", {"e": 0}, 2**60) is None
    later = plan_reset(records, "job", "url", {"e": 0, "other": 5}, run.clock.now_ms())
    assert later is not None and later.after.watermark_ms is None


def test_a_job_that_was_killed_is_not_set_back_half() -> None:
    run = simulated([[n] for n in range(9)])
    assert not run.run(kill_at=40)
    with pytest.raises(JobError, match="Start the job and stop it"):
        reset(run.store, "job", {"e": 0}, 0, run.clock, lambda: "nonce")
    with pytest.raises(JobError, match="belongs to the job 'job'"):
        reset(run.store, "other", {"e": 0}, 0, run.clock, lambda: "nonce")


def test_a_watermark_that_stands_still_though_rows_come_is_said_once_and_again_when_it_had_moved() -> None:
    said: list[dict[str, Any]] = []
    progress, clock = Progress(), ManualClock()

    def say(level: str, message: str, **fields: Any) -> None:
        if "stands still" in message:
            said.append(fields)

    watch = EventTimeWatch(progress, clock, say, 60)

    def batches(mark: int | None, seconds: int, came: bool = True, lacking: tuple[str, ...] = ()) -> None:
        for _ in range(seconds):
            watch.batch(mark, {"clicks": 1} if came else {}, {}, lacking)
            clock.advance(1)

    batches(None, 100, lacking=("clicks",))
    assert [fields["why"] for fields in said] == ["of clicks no row has come that has an event time which may move it"]
    assert progress.status.watermark == WatermarkNow(0, 99_000)
    batches(5, 1)
    assert progress.status.watermark == WatermarkNow(0, 0)
    batches(5, 500, came=False)
    assert len(said) == 1, "where no rows come it has no reason to move"
    batches(6, 100)
    assert said[1:] == [{"watermark": iso(6), "why": "no row has a later event time"}]


TIMELESS = ("warning", "no row has an event time, and such rows are in no window: is the watermark's column right?")


@pytest.mark.parametrize(
    ("script", "times"),
    [
        ([[None, None], [None]], 1),
        ([[], [None], [1]], 1),
        ([[None, 1], [None]], 0),
        ([[1], [None]], 0),
        ([[FAR, None], [None]], 0),  # that is said in words of its own
        ([[], []], 0),
    ],
)
def test_rows_of_which_none_has_an_event_time_are_said_at_once_and_once(
    script: list[list[int | None]], times: int
) -> None:
    job = job_of(MANIFEST.format(ahead="", type="TIMESTAMP"))
    batches = [{"e": [{"ts": None if minutes is None else at(minutes)} for minutes in batch]} for batch in script]
    run = Simulation(job, batches)
    assert run.run()
    assert run.logged.count(TIMELESS) == times
