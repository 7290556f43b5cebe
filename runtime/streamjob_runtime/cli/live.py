"""The live view of a job in a terminal: a pure `render`, and the shell that shows it four times a second."""

import textwrap
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

import pyarrow as pa
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from streamjob_runtime.cli.units import amount, size, span
from streamjob_runtime.clock import Clock
from streamjob_runtime.connectors.console import sink as console
from streamjob_runtime.connectors.sink import SinkBatch
from streamjob_runtime.engine.progress import BatchProgress, CheckpointProgress, Progress, Status
from streamjob_runtime.server.rates import rates

SPARKLINE_BATCHES = 60
TWO_COLUMNS = 80  # from this width on
TROUBLE_LINES = 3
LABEL = 12
_BARS = "▁▂▃▄▅▆▇█"
_PHASE_STYLES = {"Running": "bold green", "Waiting": "bold red", "Failed": "bold red"}


@dataclass(frozen=True, slots=True)
class ConsoleRows:
    """What a console sink showed last."""

    name: str
    batch_id: int
    batch_time_ms: int
    total: int  # rows of the batch, of which `rows` are the first
    rows: pa.Table


def render(
    status: Status,
    batches: Sequence[BatchProgress],
    console_rows: Sequence[ConsoleRows],
    now_ms: int,
    width: int,
    height: int,
) -> RenderableType:
    """One frame: at most `height` lines of at most `width` columns. `batches`: oldest first."""
    lines = [_headline(status, now_ms), *_trouble(status, now_ms, width)]
    lines += _figures(status, batches, now_ms, width)
    if batches:
        lines.append(_durations(status, batches, width))
    lines += _rows(console_rows, height - len(lines))
    for line in lines:
        line.no_wrap = True
        line.truncate(width, overflow="ellipsis")
    return Group(*lines[:height])


def _headline(status: Status, now_ms: int) -> Text:
    line = Text(console.cell(status.job_name or "StreamJob"), style="bold")
    phase = "Waiting" if status.troubles else status.phase
    line.append("  ").append(phase, style=_PHASE_STYLES.get(phase, "bold yellow"))
    if status.epoch:
        line.append(f"  start {status.epoch}, {span(max(0, now_ms - status.started_ms))} ago", style="not bold dim")
    return line


def _trouble(status: Status, now_ms: int, width: int) -> list[Text]:
    texts = [
        f"{t.what} fails for {span(max(0, now_ms - t.since_ms))} ({t.attempts} attempts): {t.error}"
        for t in status.troubles
    ]
    # What keeps a source from being connected stands among the troubles.
    texts += [f"source {s.name}: {s.message}" for s in status.sources if s.message and s.connected]
    return [
        Text(line, style="red")
        for text in texts
        for line in textwrap.wrap(console.cell(text, TROUBLE_LINES * width), width)[:TROUBLE_LINES]
    ]


def _figures(status: Status, batches: Sequence[BatchProgress], now_ms: int, width: int) -> list[Text]:
    """The job in numbers, one or two on a line."""
    rate_in, rate_out = rates(status, batches, now_ms)
    figures = [("rows in", f"{amount(rate_in)}/s"), ("rows out", f"{amount(rate_out)}/s")]
    figures.append(("lag", _lag(status)))
    if batches:
        last = batches[-1]
        figures.append(("state", f"{amount(sum(o.num_rows_total for o in last.operators))} rows"))
        behind = None if last.watermark_ms is None else span(max(0, now_ms - last.watermark_ms))
        figures.append(("watermark", f"{behind} behind now" if behind else "none"))
    figures.append(("checkpoint", _checkpoint(status.checkpoint, now_ms)))
    cells = [Text(f"{label:<{LABEL}}", style="dim").append(value, style="not dim") for label, value in figures]
    if width < TWO_COLUMNS:
        return cells
    lines = []
    for left, right in zip(cells[::2], [*cells[1::2], Text()], strict=False):
        left.truncate(width // 2 - 1, overflow="ellipsis", pad=True)
        lines.append(left.append(" ").append_text(right))
    return lines


def _lag(status: Status) -> str:
    """What waits in the sources, and for how long."""
    known = [(s.lag, s.lag_ms or 0) for s in status.sources if s.lag is not None]
    if not known:
        return "not known yet"
    records = sum(lag for lag, _ in known)
    return f"{amount(records)} waiting" + (f", {span(max(ms for _, ms in known))}" if records else "")


def _checkpoint(checkpoint: CheckpointProgress | None, now_ms: int) -> str:
    if checkpoint is None:
        return "none yet"
    age = span(max(0, now_ms - checkpoint.time_ms))
    return f"{age} ago, batch {checkpoint.batch_id}, {size(checkpoint.size_bytes)}"


def _durations(status: Status, batches: Sequence[BatchProgress], width: int) -> Text:
    """The last batch's duration against the interval, and a bar for each of the last batches."""
    last, interval = batches[-1], status.interval_ms
    line = Text(f"{f'batch {last.batch_id}':<{LABEL}}", style="dim")
    against = f" of {span(interval)}" if interval else ""
    line.append(f"{span(last.batch_duration_ms)}{against}  ", style="not dim" + _late(last, interval))
    room = max(0, min(SPARKLINE_BATCHES, width - line.cell_len))
    shown = batches[-room:] if room else ()
    # Against the interval, unless the bars would then all be the lowest: then against the longest of them.
    longest = max((b.batch_duration_ms for b in shown), default=0.0)
    top = max(longest, interval) if longest > interval / len(_BARS) else longest
    for batch in shown:
        level = min(len(_BARS) - 1, int(len(_BARS) * batch.batch_duration_ms / top)) if top else 0
        line.append(_BARS[level], style="not dim" + (_late(batch, interval) or " cyan"))
    return line


def _late(batch: BatchProgress, interval_ms: int) -> str:
    return " red" if batch.batch_duration_ms > interval_ms > 0 else ""


def _rows(console_rows: Sequence[ConsoleRows], height: int) -> list[Text]:
    """The newest rows of each console sink, each in an equal share of the height."""
    lines: list[Text] = []
    share = height // max(1, len(console_rows))
    for shown in console_rows:
        rows = shown.rows.slice(0, max(0, share - 4))  # an empty line, the title, the header and its rule
        heading = console.title(shown.name, shown.batch_id, shown.batch_time_ms, rows.num_rows, shown.total)
        table = [Text(line) for line in console.text_table(rows)]
        lines += [Text(), Text(heading, style="bold"), *table][: max(0, share)]
    return lines


class LiveView:
    """Shows the board in a terminal between `start` and `stop`, and takes the console sinks' rows (`print_rows`)."""

    def __init__(self, progress: Progress, clock: Clock, terminal: Console | None = None) -> None:
        self._progress = progress
        self._clock = clock
        self._terminal = terminal or Console()
        self._rows: dict[str, ConsoleRows] = {}
        self._lock = threading.Lock()
        self._live = Live(
            console=self._terminal,
            screen=True,
            auto_refresh=True,
            refresh_per_second=4,
            get_renderable=self._frame,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def print_rows(self, batch: SinkBatch, name: str, rows: pa.Table) -> None:
        """Show these rows as the sink's newest: a `Printer`."""
        newest = ConsoleRows(name, batch.batch_id, batch.batch_time_ms, batch.count, rows)
        with self._lock:
            self._rows[name] = newest

    def start(self) -> None:
        """Take over the terminal's screen."""
        self._live.start(refresh=True)

    def stop(self) -> None:
        """Give the terminal back as it was, with the last frame printed below what stood there."""
        if self._live.is_started:
            self._live.stop()
            self._terminal.print(self._frame())

    def __enter__(self) -> "LiveView":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _frame(self) -> RenderableType:
        with self._lock:
            rows = tuple(self._rows.values())
        terminal = self._terminal.size
        return render(
            self._progress.status, self._progress.recent(), rows, self._clock.now_ms(), terminal.width, terminal.height
        )
