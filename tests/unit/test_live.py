"""The live view at the sizes that terminals have."""

import io

import pyarrow as pa
import pytest
from rich.cells import cell_len
from rich.console import Console

from streamjob_runtime.cli.live import ConsoleRows, LiveView, render
from streamjob_runtime.clock import ManualClock
from streamjob_runtime.connectors.sink import SinkBatch, Writer
from streamjob_runtime.engine.progress import Progress, SourceNow, Status
from support.board import NOW_MS, TROUBLE, board, finished_batch

WIDTHS = (20, 60, 80, 120)
WORDS = pa.table({"word": ["the", "日本語" * 30, "x\x1b[2J"], "n": [1204, 7, 1]})
SHOWN = (ConsoleRows("top.console", 99, NOW_MS - 2000, 134, WORDS),)


def frame(progress: Progress, width: int, height: int = 40, rows: tuple[ConsoleRows, ...] = SHOWN) -> list[str]:
    out = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    with out.capture() as capture:
        out.print(render(progress.status, progress.recent(), rows, NOW_MS, width, height))
    return capture.get().splitlines()


def test_a_frame_on_a_common_terminal() -> None:
    progress = board()
    progress.finished(finished_batch(100, duration_ms=2500))
    assert frame(progress, 80) == [
        "ad-views  Running  start 3, 5 min ago",
        "rows in     450/s                       rows out    189/s",
        "lag         25 waiting, 3.5 s           state       45,210 rows",
        "watermark   12 s behind now             checkpoint  8 s ago, batch 95, 3.2 MiB",
        "batch 100   2.5 s of 2 s  " + "▂" * 53 + "█",
        "",
        "top.console · batch 99 · 2025-12-31T23:59:58Z · 3 of 134 rows",
        "word                                     │    n",
        "─────────────────────────────────────────┼─────",
        "the                                      │ 1204",
        "日本語日本語日本語日本語日本語日本語日 … │    7",
        "x\\x1b[2J                                 │    1",
    ]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("height", [1, 5, 12, 40])
@pytest.mark.parametrize("troubled", [False, True])
def test_no_frame_is_larger_than_its_terminal(width: int, height: int, troubled: bool) -> None:
    progress = board()
    if troubled:
        progress.update(troubles=(TROUBLE,), job_name="日" * 63, sources=(SourceNow("lines", True, "no answer " * 40),))
    lines = frame(progress, width, height, SHOWN * 3)
    assert 0 < len(lines) <= height
    assert max(map(cell_len, lines)) <= width


@pytest.mark.parametrize("width", WIDTHS[1:])
def test_every_figure_is_seen_at_every_width(width: int) -> None:
    text = "\n".join(frame(board(), width))
    for figure in ("500/s", "210/s", "25 waiting, 3.5 s", "45,210 rows", "12 s behind", "8 s ago", "500 ms of 2 s"):
        assert figure in text


@pytest.mark.parametrize("width", WIDTHS[1:])
def test_trouble_is_told_at_once_and_in_full(width: int) -> None:
    progress = board()
    progress.update(troubles=(TROUBLE,), sources=(SourceNow("lines", True, "nc is not there"),))
    lines = frame(progress, width)
    assert lines[0].startswith("ad-views  Waiting")
    told = " ".join(lines[1:5])
    assert f"{TROUBLE.what} fails for 42 s (7 attempts): connection refused" in told
    assert "source lines: nc is not there" in told


def test_trouble_and_late_batches_are_red() -> None:
    progress = board(batches=2)
    progress.finished(finished_batch(100, duration_ms=2500))
    progress.update(troubles=(TROUBLE,))
    out = Console(file=io.StringIO(), width=80, height=40, force_terminal=True, color_system="standard")
    with out.capture() as capture:
        out.print(render(progress.status, progress.recent(), (), NOW_MS, 80, 40))
    red = [line for line in capture.get().splitlines() if "31m" in line]
    assert any("connection refused" in line for line in red)
    assert any("2.5 s of 2 s" in line for line in red)


def test_a_job_that_only_starts_has_a_frame_too() -> None:
    assert frame(Progress(Status("Starting")), 60, rows=()) == [
        "StreamJob  Starting",
        "rows in     0/s",
        "rows out    0/s",
        "lag         not known yet",
        "checkpoint  none yet",
    ]


def test_short_batches_still_show_how_they_differ() -> None:
    progress = board(batches=0)
    for batch_id, duration in enumerate((1.0, 4.0, 8.0), start=97):
        progress.finished(finished_batch(batch_id, duration))
    assert "8.0 ms of 2 s  ▂▅█" in "\n".join(frame(progress, 60))


def test_rows_share_the_height_and_the_titles_say_what_is_seen() -> None:
    rows = ConsoleRows("a.console", 1, NOW_MS, 50, pa.table({"n": list(range(20))}))
    lines = frame(board(), 80, 19, (rows, rows))
    assert len(lines) == 19
    assert [line for line in lines if "a.console" in line] == [
        "a.console · batch 1 · 2026-01-01T00:00:00Z · 3 of 50 rows"
    ] * 2


def test_the_view_gives_the_terminal_back_and_leaves_its_last_frame() -> None:
    out = io.StringIO()
    terminal = Console(file=out, width=80, height=24, force_terminal=True, color_system=None)
    view = LiveView(board(), ManualClock(NOW_MS), terminal)
    with pytest.raises(KeyboardInterrupt), view:
        view.print_rows(
            SinkBatch(7, NOW_MS, WORDS, "append", Writer("job", 1, lambda: None)), "top.console", WORDS.slice(0, 1)
        )
        raise KeyboardInterrupt
    view.stop()
    text = out.getvalue()
    begin, end = "\x1b[?1049h", "\x1b[?1049l"
    assert (text.count(begin), text.count(end)) == (1, 1)
    assert text.count("\x1b[?25h") == text.count("\x1b[?25l") == 1
    assert "top.console · batch 7 · 2026-01-01T00:00:00Z · 1 of 3 rows" in text.split(end)[1]
