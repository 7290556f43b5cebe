"""Whole jobs in simulated time: whatever is killed, and whenever, the results are those of a run without faults."""

import itertools
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamjob_runtime.checkpoint.log import read_log
from streamjob_runtime.checkpoint.records import Fence, decode, log_key
from streamjob_runtime.connectors.shared.input_queue import InputQueue, Rows
from streamjob_runtime.engine.steps import Step
from streamjob_runtime.errors import JobError
from streamjob_runtime.stores.base import Store
from support.flaky import Fault, FlakyStore
from support.memory import MemoryStore
from support.simulate import Simulation, job_of

JOB = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: simulated}
spec:
  batchInterval: 2s
  sources:
  - name: events
    queue: {}
    schema: {key: VARCHAR, n: BIGINT, t: TIMESTAMP}
    watermark: {column: t, delay: 4s}
    maxRecordsPerBatch: 3
  pipeline:
  - {name: big, sql: "SELECT key, n FROM events WHERE n >= 3"}
  - {name: sums, sql: "SELECT key, sum(n) AS total, count(*) AS times FROM events GROUP BY key"}
  - {name: recent, sql: "SELECT key, count(*) AS times FROM events
       WHERE batch_time > now() - INTERVAL '7 seconds' GROUP BY key"}
  - {name: windows, sql: "SELECT key, window_start, sum(n) AS total FROM events
       GROUP BY key, tumble(t, INTERVAL '4 seconds')"}
  sinks:
  - {from: big, mode: append, queue: {}}
  - {from: sums, mode: update, queue: {}}
  - {from: sums, mode: complete, queue: {}}
  - {from: recent, mode: complete, queue: {}}
  - {from: windows, mode: append, queue: {}}
  checkpoint: {interval: 10s, retained: 2}
"""

# What arrives at each wait: rows of (key, n, seconds that its event time is out of order). None is ever late: whether a
# late row still counts depends on where batches are cut, and a kill may cut them elsewhere, as a slow network may.
Script = list[list[tuple[str, int, int]]]
scripts = st.lists(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5), st.integers(0, 3)), max_size=4), max_size=14
)
EXAMPLE: Script = [[("a", n % 6, n % 4), ("b", (n * 5) % 6, 0)] if n % 4 else [] for n in range(14)]
BEGIN = datetime(2026, 1, 1)


def simulation(script: Script, store: Store | None = None) -> Simulation:
    seconds = itertools.count()
    feed = [
        {
            "events": [
                {"key": key, "n": n, "t": BEGIN + timedelta(seconds=next(seconds) + late)} for key, n, late in rows
            ]
        }
        for rows in script
    ]
    # Quiet ticks at the end: what waits for time to pass comes out.
    return Simulation(job_of(JOB), feed + [{}] * 8, store or MemoryStore())


def rows(table: Any) -> list[dict[str, Any]]:
    return sorted(table.to_pylist(), key=str)


def results(run: Simulation) -> dict[str, Any]:
    """What a reader of the sinks has in the end. Batches may be cut differently after a kill; their sum may not."""
    big, sums_update, sums, recent, windows = run.outputs.values()
    latest = {row["key"]: row for row in sums_update.rows().to_pylist()}
    last = [q.batches()[-1][1] if q.batches() else None for q in (sums, recent)]
    return {
        "big": rows(big.rows()),
        "update": latest,
        "complete": [rows(t) if t is not None else [] for t in last],
        "windows": rows(windows.rows()),
    }


def fault_free(script: Script) -> dict[str, Any]:
    run = simulation(script)
    assert run.run()
    return results(run)


def test_the_example_does_everything_that_a_kill_could_hit() -> None:
    run = simulation(EXAMPLE)
    assert run.run()
    assert {step for step, _ in run.steps} == set(Step)
    found = results(run)
    assert found["big"] and found["windows"] and len(found["update"]) == 2
    assert sum(row["times"] for row in found["complete"][0]) == sum(len(r) for r in EXAMPLE)


def test_a_kill_at_each_step_changes_nothing() -> None:
    whole = simulation(EXAMPLE)
    whole.run()
    steps = [step for step, _ in whole.steps]
    # The first and the third time that each step is taken; the property below kills anywhere.
    times = [[at for at, s in enumerate(steps) if s is step] for step in Step]
    for at in sorted({t for ts in times for t in (ts[0], ts[min(2, len(ts) - 1)])}):
        run = simulation(EXAMPLE)
        assert not run.run(kill_at=at)
        assert run.run()
        assert results(run) == results(whole), f"killed after {whole.steps[at]}"


@settings(max_examples=12, deadline=None)
@given(scripts, st.lists(st.integers(0, 60), max_size=5))
def test_any_kills_in_any_job_change_nothing(script: Script, kills: list[int]) -> None:
    run = simulation(script)
    for at in kills:
        if run.run(kill_at=at):
            break
    assert run.run()
    assert results(run) == fault_free(script)


def test_a_slot_behind_an_epoch_is_never_free_again() -> None:
    """A process that was frozen through its replacement's clean-ups must still find the fence."""
    run = simulation(EXAMPLE)
    assert not run.run(kill_at=60)
    last = max(r.seq for r in read_log(run.store))
    assert run.run()
    assert min(r.seq for r in read_log(run.store)) > last + 1, "what lies there was cleaned up"
    assert isinstance(decode(run.store.read(log_key(last + 1)), "").body, Fence)


def test_a_restart_after_a_stop_replays_nothing() -> None:
    run = simulation(EXAMPLE)
    assert run.run()
    run.steps.clear()
    assert run.run()
    assert all(not b.replayed for b in run.progress.recent())
    assert Step.COMMITTED not in {step for step, _ in run.steps}


def test_only_the_retained_checkpoints_stay() -> None:
    run = simulation(EXAMPLE)
    assert run.run()
    assert len(list(run.store.list("state/@sources/"))) == 2
    kept = [e.key for e in run.store.list("log/")]
    assert len(kept) < len([s for s, _ in run.steps if s in (Step.INTENDED, Step.COMMITTED)])


def test_a_damaged_newest_checkpoint_is_passed_over_with_a_warning() -> None:
    expected = fault_free(EXAMPLE)
    run = simulation(EXAMPLE)
    assert not run.run(kill_at=100)
    newest = list(run.store.list("state/@sources/"))[-1].key
    run.store.delete(newest)
    run.store.create(newest, b"{}")
    assert run.run()
    assert ("warning", "checkpoint unusable") in run.logged
    assert results(run) == expected


def test_a_changed_query_is_refused_with_the_way_out() -> None:
    run = simulation(EXAMPLE)
    assert run.run()
    run.job = job_of(JOB.replace("sum(n) AS total, count(*)", "sum(n + 1) AS total, count(*)"))
    before = [e.key for e in run.store.list()]
    with pytest.raises(JobError, match=r"does not fit this job: .*sums.* changed.*new checkpoint location"):
        run.run()
    assert [e.key for e in run.store.list()] == before, "and it leaves no trace"
    run.job = job_of(JOB)
    assert run.run()


faults = st.lists(st.sampled_from([Fault.NONE, Fault.NONE, Fault.BEFORE, Fault.AFTER]), max_size=200)


@settings(max_examples=12, deadline=None)
@given(scripts, faults, st.lists(st.integers(0, 60), max_size=2))
def test_a_store_that_fails_before_or_after_applying_changes_nothing(
    script: Script, plan: list[Fault], kills: list[int]
) -> None:
    run = simulation(script, FlakyStore(MemoryStore(), plan))
    for at in kills:
        if run.run(kill_at=at):
            break
    assert run.run()
    assert results(run) == fault_free(script)


def test_a_store_that_is_away_for_minutes_is_shown_and_waited_for() -> None:
    run = simulation(EXAMPLE, FlakyStore(MemoryStore(), [*[Fault.NONE] * 80, *[Fault.BEFORE] * 20]))
    assert run.run()
    assert ("warning", "waiting for a system outside") in run.logged
    assert ("info", "the system outside answers again") in run.logged
    assert run.progress.status.trouble is None
    assert results(run) == fault_free(EXAMPLE)


class Forgetful(InputQueue):
    """Loses the last row of each range, as a topic does that Kafka compacts."""

    forgets = False

    def rows(self, start: int, end: int) -> list[Rows]:
        return super().rows(start, end - 1 if self.forgets else end)


def test_a_source_that_gives_a_committed_batch_otherwise_is_told_of() -> None:
    run = simulation(EXAMPLE)
    queue = run.inputs["events"] = Forgetful()
    committed = [i for i, (step, _) in enumerate(_steps(EXAMPLE)) if step is Step.COMMITTED]
    assert not run.run(kill_at=committed[2])
    queue.forgets = True
    assert not run.run(kill_at=5)
    assert any(level == "warning" and "other rows for a batch" in message for level, message in run.logged)


def _steps(script: Script) -> list[tuple[Step, int]]:
    run = simulation(script)
    assert run.run()
    return run.steps


def test_the_loop_is_seen_to_move_at_each_step_of_a_batch() -> None:
    run = simulation(EXAMPLE)
    assert run.run()
    of_a_batch = (Step.POLLED, Step.INTENDED, Step.COMPUTED, Step.WRITTEN, Step.COMMITTED)
    assert [run.still_s[step] for step in of_a_batch] == [0] * 5


def test_a_batch_in_whose_middle_the_process_ends_is_named_at_the_next_start() -> None:
    job = simulation([[("a", 3, 0)], [("b", 4, 0)]])
    warning = ("warning", "a start has ended in the middle of this batch, which is computed again")

    while (Step.INTENDED, 0) not in job.steps:
        job.run(len(job.steps))
    assert (job.logged.count(warning), job.last_words) == (0, [])
    job.run(kill_at=1)  # after it took over, in the batch again
    assert job.logged.count(warning) == 1
    (words,) = job.last_words
    assert "ended 2 times in the middle of batch 0, which reads events queue [0, 1)" in words
    assert job.run()
    assert job.logged.count(warning) == 2
    assert "ended 3 times in the middle of batch 0" in job.last_words[1]
    assert job.last_words[2] == ""  # the batch is done


AGES = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: simulated}
spec:
  trigger: availableNow
  sources: [{name: events, queue: {}, schema: {key: VARCHAR}}]
  pipeline:
  - {name: kept, sql: "SELECT key, count(*) AS n FROM events GROUP BY key", ttl: 1h}
  - {name: recent, sql: "SELECT key, count(*) AS n FROM events WHERE batch_time > now() - INTERVAL 1 HOUR GROUP BY key"}
  sinks: [{from: kept, mode: complete, queue: {}}, {from: recent, mode: complete, queue: {}}]
"""


def test_a_run_without_new_rows_ends_what_time_has_ended() -> None:
    run = Simulation(job_of(AGES), [])
    run.inputs["events"].put([{"key": "a"}])
    assert run.run()
    for minutes, left in ((30, 1), (31, 0)):
        run.clock.advance(60 * minutes)
        assert run.run()
        assert {name: queue.batches()[-1][1].num_rows for name, queue in run.outputs.items()} == {
            "kept.queue": left,
            "recent.queue": left,
        }
