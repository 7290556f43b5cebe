"""The sources that need no system outside: made-up rows, and rows from the process."""

import random
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from streamjob_runtime.clock import ManualClock
from streamjob_runtime.connectors.open import open_source
from streamjob_runtime.connectors.queue.source import QueueSource
from streamjob_runtime.connectors.rate.source import RateSource
from streamjob_runtime.connectors.shared.input_queue import InputQueue, Rows
from streamjob_runtime.connectors.source import OffsetRange
from streamjob_runtime.connectors.source_context import SourceContext
from streamjob_runtime.errors import Damaged, JobError
from streamjob_runtime.stores.connections import Connections, Secrets
from support.memory import MemoryStore

SCHEMA = pa.schema([pa.field("n", pa.int64())]).append(pa.field("s", pa.string()))


def test_each_row_of_a_rate_is_due_at_its_time() -> None:
    source = RateSource("r", 3)
    source.open(None)
    first = source.poll(None, 1_000)
    assert first is not None
    assert dict(first.partitions) == {"rate": (0, 1)}
    source.advance(first)
    assert source.poll(None, 1_333) is None
    second = source.poll(None, 2_000)
    assert second is not None
    source.advance(second)
    rows = source.read(second).to_pylist()
    assert [row["value"] for row in rows] == [1, 2, 3]
    assert [row["timestamp"].isoformat() for row in rows] == [
        "1970-01-01T00:00:01.333333",
        "1970-01-01T00:00:01.666666",
        "1970-01-01T00:00:02",
    ]


def test_a_rate_goes_on_from_its_first_time_after_a_pause() -> None:
    source = RateSource("r", 10)
    source.open({"t0": 0, "offset": 5})
    offsets = source.poll(None, 60_000)
    assert offsets is not None
    assert dict(offsets.partitions) == {"rate": (5, 601)}


def test_a_rate_is_not_confused_by_a_clock_that_goes_back() -> None:
    source = RateSource("r", 10)
    source.open({"t0": 10_000, "offset": 5})
    assert source.poll(None, 9_000) is None


def test_a_rate_counts_exactly_for_centuries() -> None:
    source = RateSource("r", 3_000)
    start = 3_000 * 100 * 365 * 24 * 3600
    rows = source.read(OffsetRange({"rate": (start, start + 2)}, {"t0": 0})).to_pylist()
    assert [row["timestamp"].isoformat() for row in rows] == ["2069-12-07T00:00:00", "2069-12-07T00:00:00.000333"]


def context(**queues: InputQueue) -> SourceContext:
    connections = Connections(None, Secrets(None, {}))
    return SourceContext(connections, MemoryStore(), 1, ManualClock(), random.Random(0), queues)


def test_sources_without_a_system_come_from_the_manifest() -> None:
    rate = SimpleNamespace(
        name="r",
        kind="rate",
        config=SimpleNamespace(rows_per_second=7),
        format=None,
        csv_header=False,
        csv_escape='"',
        required=(),
    )
    assert isinstance(open_source(rate, SCHEMA, context()), RateSource)
    queue = SimpleNamespace(
        name="q", kind="queue", config=None, format=None, csv_header=False, csv_escape='"', required=()
    )
    assert isinstance(open_source(queue, SCHEMA, context(q=InputQueue())), QueueSource)
    with pytest.raises(JobError, match='Source "q" is a queue, which only a program that runs the job can fill'):
        open_source(queue, SCHEMA, context(other=InputQueue()))


def test_rows_of_a_queue_have_the_declared_columns() -> None:
    queue = InputQueue()
    source = QueueSource("q", queue, SCHEMA)
    source.open(None)
    rows: list[dict[str, Any]] = [{"n": 1}, {"s": "x", "more": 2}]
    queue.put(rows)
    rows.append({"n": 9})  # what was put in stays as it was
    queue.put(pa.table({"s": ["y"], "n": pa.array([3], pa.int8()), "more": [0]}))
    offsets = source.poll(None, 0)
    assert offsets is not None
    assert source.read(offsets).to_pylist() == [{"n": 1, "s": None}, {"n": None, "s": "x"}, {"n": 3, "s": "y"}]
    assert source.read(offsets).schema == SCHEMA


@pytest.mark.parametrize("rows", [[{"n": "x"}], pa.table({"n": ["x"]})])
def test_rows_that_do_not_fit_are_the_jobs_fault(rows: Rows) -> None:
    queue = InputQueue()
    source = QueueSource("q", queue, SCHEMA)
    source.open(None)
    queue.put(rows)
    with pytest.raises(JobError, match='Source "q": rows that were put into the queue do not fit'):
        source.read(OffsetRange({"queue": (0, 1)}))


def test_a_queue_keeps_rows_until_they_are_released() -> None:
    queue = InputQueue()
    source = QueueSource("q", queue, SCHEMA)
    for n in range(4):
        queue.put([{"n": 2 * n}, {"n": 2 * n + 1}])
    source.open({"offset": 6})
    source.release({"offset": 3})
    assert (queue.start, queue.end) == (2, 8)
    assert [row["n"] for row in source.read(OffsetRange({"queue": (3, 6)})).to_pylist()] == [3, 4, 5]
    with pytest.raises(Damaged, match="holds the rows 2 to 8, and the rows 1 to 3 were asked for"):
        source.read(OffsetRange({"queue": (1, 3)}))


def test_nothing_can_be_put_into_a_closed_queue() -> None:
    queue = InputQueue()
    queue.put([{"n": 1}])
    queue.close()
    with pytest.raises(ValueError, match="closed"):
        queue.put([{"n": 2}])
    source = QueueSource("q", queue, SCHEMA)
    source.open(None)
    source.limit_to_available()
    assert source.poll(None, 0) is not None
    assert source.status().message == "closed"
