"""Backpressure: Spark's PID estimator by its numbers, and what it makes of jobs that cannot keep up."""

import random
from typing import Any

import pyarrow as pa
import pytest

from streamjob_runtime.clock import SystemClock
from streamjob_runtime.connectors.shared.output_queue import OutputQueue
from streamjob_runtime.connectors.tcp.source import TcpSource
from streamjob_runtime.engine.backpressure import MIN_RATE, Backpressure, Estimate, next_estimate
from streamjob_runtime.engine.progress import Progress
from streamjob_runtime.engine.slow import MANY, SlowBatches
from streamjob_runtime.engine.steps import Step
from streamjob_runtime.formats.text import TextDecoder
from streamjob_runtime.server.progress_json import progress_json
from support.memory import MemoryStore
from support.simulate import Simulation, job_of
from support.sources import TEXT, LineServer, wait_until


def test_the_first_batch_with_records_only_measures() -> None:
    assert next_estimate(None, 1000, 0, 500, 0, 1000) is None
    first = next_estimate(None, 1000, 4000, 500, 0, 1000)
    assert first == Estimate(8000.0, 0.0, 1000, first=True)
    made = Backpressure(["a"], 1000)
    made.batch({"a": 4000}, 1000, 500, 0)
    assert made.rates == {}
    assert made.limits({"a": None}) == {"a": None}


# By Spark's formula with its defaults (1, 0.2, 0, 100): rate before, records, took ms, late ms, interval ms -> rate.
CASES = [
    (8000, 2000, 1000, 0, 1000, 2000),  # all of the error is taken back at once
    (2000, 2000, 500, 0, 1000, 4000),  # and all of the room
    (2000, 2000, 2000, 1000, 1000, 800),  # 1000 - 0.2 * 1000 * 1000 / 1000
    (2000, 2000, 2000, 500, 2000, 950),
    (200, 50, 1000, 0, 1000, MIN_RATE),
    (200, 150, 1000, 5000, 1000, MIN_RATE),  # 150 - 150
]


@pytest.mark.parametrize(("rate", "records", "took", "late", "interval", "expected"), CASES)
def test_rates_are_those_of_spark(
    rate: float, records: int, took: float, late: float, interval: int, expected: float
) -> None:
    before = Estimate(rate, 0.0, 1000, first=True)
    found = next_estimate(before, 3000, records, took, late, interval)
    assert found is not None and not found.first
    assert found.rate == pytest.approx(expected)
    assert found.error == pytest.approx(rate - records / took * 1000)


@pytest.mark.parametrize(("time_ms", "records", "took"), [(3000, 0, 500), (3000, 10, 0), (1000, 10, 500)])
def test_a_batch_that_shows_nothing_changes_nothing(time_ms: int, records: int, took: float) -> None:
    before = Estimate(2000, 3.0, 1000, first=False)
    assert next_estimate(before, time_ms, records, took, 0, 1000) is before


def test_a_limit_is_of_an_interval_and_never_above_the_manifests() -> None:
    made = Backpressure(["a", "b", "c"], 500)
    for time_ms in (1000, 2000):
        made.batch({"a": 1000, "b": 10_000}, time_ms, 1000, 0)
    assert made.rates == {"a": 1000.0, "b": 10_000.0}
    assert made.limits({"a": None, "b": 70, "c": 9}) == {"a": 500, "b": 70, "c": 9}
    slow = Backpressure(["a"], 1)  # an interval so short that a hundred a second are less than one
    for time_ms in (1000, 2000):
        slow.batch({"a": 1}, time_ms, 1000, 0)
    assert slow.limits({"a": None}) == {"a": 1}


JOB = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: slow}}
spec:
  batchInterval: 1s
  {more}
  sources:
  - {{name: events, queue: {{}}, schema: {{n: BIGINT}}{most}}}
  - {{name: others, queue: {{}}, schema: {{n: BIGINT}}}}
  sinks:
  - {{from: events, queue: {{}}}}
  - {{from: others, queue: {{}}}}
"""


class SlowQueue(OutputQueue):
    """Takes a millisecond a row."""

    def __init__(self, run: Simulation) -> None:
        super().__init__()
        self._run = run

    def put(self, batch_id: int, rows: pa.Table, deleted: pa.Table | None = None) -> None:
        self._run.clock.advance(rows.num_rows / 1000)
        super().put(batch_id, rows, deleted)


BEHIND = [500, 1200, 9000, *[0] * 14]


def made(more: str, most: str, script: list[int]) -> Simulation:
    feed: list[dict[str, list[dict[str, Any]]]] = [{"events": [{"n": i} for i in range(count)]} for count in script]
    run = Simulation(job_of(JOB.format(more=more, most=most)), feed)
    run.outputs = {name: SlowQueue(run) for name in run.outputs}
    return run


def slow_run(more: str, most: str, script: list[int]) -> Simulation:
    run = made(more, most, script)
    assert run.run()
    return run


def sizes(run: Simulation) -> list[int]:
    return [rows.num_rows for _, rows in run.outputs["events.queue"].batches()]


def test_a_job_that_is_behind_reads_what_it_gets_done_in_an_interval() -> None:
    run = slow_run("backpressure: {enabled: true}", "", BEHIND)
    # As with Spark the first two have no limit: the first measures, and the second is the first to be compared.
    first, second, *rest = sizes(run)
    assert (first, second) == (500, 1200)
    assert len(rest) >= 9 and all(size <= 1000 for size in rest)
    assert sum(sizes(run)) == sum(BEHIND)
    shown = progress_json(run.progress.status, run.progress.recent(), 0)["recentProgress"]
    by_source = [{s["description"]: s["rateLimit"] for s in batch["sources"]} for batch in shown]
    assert by_source[0] == {"events": None, "others": None}
    assert all(700 <= limits["events"] <= 1000 and limits["others"] is None for limits in by_source[1:])


def test_what_the_manifest_sets_counts_beside_it() -> None:
    run = slow_run("backpressure: {enabled: true}", ", maxRecordsPerBatch: 300", [500, 2000, *[0] * 14])
    assert max(sizes(run)) == 300 and sum(sizes(run)) == 2500


@pytest.mark.parametrize("more", ["", "backpressure: {}", "backpressure: {enabled: false}"])
def test_without_it_a_batch_is_all_that_is_there(more: str) -> None:
    run = slow_run(more, "", [500, 9000, *[0] * 3])
    assert sizes(run) == [500, 9000]
    shown = progress_json(run.progress.status, run.progress.recent(), 0)["recentProgress"]
    assert all(s["rateLimit"] is None for batch in shown for s in batch["sources"])


def test_a_replay_reads_what_was_planned() -> None:
    whole = slow_run("backpressure: {enabled: true}", "", BEHIND)
    fifth = [at for at, (step, batch) in enumerate(whole.steps) if step is Step.INTENDED and batch == 4]
    run = made("backpressure: {enabled: true}", "", BEHIND)
    assert not run.run(kill_at=fifth[0])
    before = sizes(run)
    assert len(before) == 4
    assert run.run()
    assert sizes(run)[:5] == sizes(whole)[:5]
    assert sum(sizes(run)) == sum(BEHIND)


def test_slow_batches_in_a_row_are_told_once() -> None:
    progress, said = Progress(), []
    slow = SlowBatches(progress, lambda level, message, **fields: said.append((level, fields)), 1000)
    for took in [1001] * (MANY - 1) + [1000] + [2000] * (MANY - 1):
        slow.batch(took)
    assert progress.status.slow_batches == MANY - 1 and not said
    for _ in range(3):
        slow.batch(2000)
    assert progress.status.slow_batches == MANY + 2
    assert said == [("warning", {"in_a_row": MANY, "interval_ms": 1000, "last_ms": 2000})]
    slow.batch(0)
    assert progress.status.slow_batches == 0
    for _ in range(MANY):
        slow.batch(2000)
    assert len(said) == 2


def test_a_job_whose_batches_are_too_slow_says_so() -> None:
    run = slow_run("", ", maxRecordsPerBatch: 2000", [14_000])
    message = "batches take longer than the interval: the job does not keep up"
    assert run.logged.count(("warning", message)) == 1
    assert run.progress.status.slow_batches == 0  # by then it has caught up
    assert not slow_run("", ", maxRecordsPerBatch: 2000", [8000]).logged


def test_a_tcp_sender_is_held_back_by_its_socket_while_batches_are_small() -> None:
    """What a small limit leaves stays in the buffer, which is bounded, and then with the sender."""
    server, most = LineServer(), 100_000
    source = TcpSource(
        "t", "127.0.0.1", server.port, MemoryStore(), TextDecoder(), TEXT, 1, random.Random(0), SystemClock(), most
    )
    try:
        source.open(None)
        peer = server.peer()
        peer.setblocking(False)
        line, sent = b"x" * 999 + b"\n", 0
        blocked = 0
        while blocked < 50:  # what both ends' systems hold, and the buffer, is full
            try:
                sent += peer.send(line * 100)
                blocked = 0
            except BlockingIOError:
                blocked += 1
                wait_until(lambda: source.status().latest["lines"] >= most // 1000)
        there = source.status().latest["lines"]
        assert most // 1000 <= there <= (most + (1 << 20)) // 1000 + 1
        assert sent > there * 1000
        offsets = source.poll(7, 0)
        assert offsets is not None
        source.advance(offsets)
        assert source.read(offsets).num_rows == 7
    finally:
        source.close()
        server.stop()
