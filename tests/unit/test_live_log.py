"""The log lines that stand in for the live view where there is no terminal."""

import io
import json
from dataclasses import replace

from streamjob_runtime.cli.log import Logger, format_batch
from streamjob_runtime.cli.units import amount, size, span
from streamjob_runtime.clock import ManualClock
from streamjob_runtime.engine.progress import SinkProgress
from support.board import NOW_MS, finished_batch


def test_a_batch_is_one_aligned_line_that_begins_with_its_own_time() -> None:
    lines = [
        format_batch(NOW_MS, finished_batch(9, 4.2, rows=7), "text"),
        format_batch(NOW_MS, finished_batch(99, 2500.0, rows=120_000), "text"),
        format_batch(NOW_MS, replace(finished_batch(98), replayed=True), "text"),
    ]
    out, state = "out=views.files:400,views.console:20 ", "state=45210   late=2 watermark=2025-12-31T23:59:48.000Z"
    assert lines == [
        "2026-01-01T00:00:00.000Z INFO  batch=9      at=2025-12-31T23:56:58.000Z rows=7        "
        f"{out}duration=4.2ms   lag=25     {state}",
        "2026-01-01T00:00:00.000Z WARN  batch=99     at=2025-12-31T23:59:58.000Z rows=120000   "
        f"{out}duration=2.5s    lag=25     {state}",
        "2026-01-01T00:00:00.000Z INFO  batch=98     at=2025-12-31T23:59:56.000Z rows=1000     "
        f"{out}duration=500ms   lag=25     {state} replayed",
    ]


def test_what_a_batch_does_not_have_is_left_out_of_the_text() -> None:
    line = format_batch(NOW_MS, replace(finished_batch(9), operators=(), watermark_ms=None), "text")
    assert line.endswith("lag=25")


def test_of_one_sink_only_the_number_stands_there() -> None:
    line = format_batch(NOW_MS, replace(finished_batch(9), sinks=(SinkProgress("views.files", 7),)), "text")
    assert " out=7       duration=" in line


def test_json_has_the_same_keys_for_every_batch() -> None:
    full = json.loads(format_batch(NOW_MS, finished_batch(99), "json"))
    bare = json.loads(format_batch(NOW_MS, replace(finished_batch(99), operators=(), watermark_ms=None), "json"))
    assert list(full) == list(bare)
    assert full == {
        "time": "2026-01-01T00:00:00.000Z",
        "level": "info",
        "message": "batch",
        "batch": 99,
        "batchTime": "2025-12-31T23:59:58.000Z",
        "replayed": False,
        "rows": 1000,
        "badRecords": 0,
        "rowsOut": 420,
        "out": {"views.files": 400, "views.console": 20},
        "durationMs": 500.0,
        "lag": 25,
        "lateRows": 2,
        "aheadRows": 0,
        "stateRows": 45_210,
        "watermark": "2025-12-31T23:59:48.000Z",
        "stepsMs": {"poll": 1.25, "compute": 498.75},
    }


def test_events_carry_their_details_on_one_line() -> None:
    out = io.StringIO()
    log = Logger(out, "text", ManualClock(NOW_MS))
    log.log_event("warning", "waiting\nfor \x1b[31mthe store", error='no "answer"\n', attempts=3, batch=None, empty="")
    log.log_batch(finished_batch(1))
    first, second = out.getvalue().splitlines()
    assert first == (
        '2026-01-01T00:00:00.000Z WARN  waiting\\nfor \\x1b[31mthe store error="no \\"answer\\"\\n" attempts=3 empty=""'
    )
    assert "batch=1 " in second


def test_json_events_are_one_object_a_line() -> None:
    out = io.StringIO()
    Logger(out, "json", ManualClock(NOW_MS)).log_event("error", "stopped\nhere", code=78, batch=None)
    assert out.getvalue().count("\n") == 1
    assert json.loads(out.getvalue()) == {
        "time": "2026-01-01T00:00:00.000Z",
        "level": "error",
        "message": "stopped\nhere",
        "code": 78,
    }


def test_numbers_read_well() -> None:
    assert [amount(n) for n in (0, 0.25, 99.5, 100, 99_999, 123_456, 3_410_000, 2e9)] == [
        "0", "0.2", "99.5", "100", "99,999", "123 k", "3.41 M", "2.00 G",
    ]  # fmt: skip
    assert [span(ms) for ms in (0, 9.94, 528, 2000, 2500, 59_999, 120_000, 5_400_000)] == [
        "0.0 ms", "9.9 ms", "528 ms", "2 s", "2.5 s", "60 s", "2 min", "1.5 h",
    ]  # fmt: skip
    assert [size(n) for n in (0, 1023, 1024, 3_400_000, 2**31, 2**50)] == [
        "0 B", "1023 B", "1.0 KiB", "3.2 MiB", "2.0 GiB", "1024.0 TiB",
    ]  # fmt: skip
