"""The log of a job without a terminal: one structured line a batch, one an event."""

import threading
from typing import Any, Literal, TextIO

from streamjob_runtime.cli.units import span
from streamjob_runtime.clock import Clock, iso
from streamjob_runtime.engine.progress import BatchProgress
from streamjob_runtime.printable import json_text, printable

Style = Literal["text", "json"]
Level = Literal["info", "warning", "error"]

# Short names, so that the columns of the text form stand below each other.
_LEVELS = {"info": "INFO ", "warning": "WARN ", "error": "ERROR"}


class Logger:
    """Writes lines to `out`. Thread-safe; a line is written whole."""

    def __init__(self, out: TextIO, style: Style, clock: Clock) -> None:
        self._out = out
        self.style = style
        self._clock = clock
        self._lock = threading.Lock()

    def log_event(self, level: Level, message: str, **fields: Any) -> None:
        """One line: what happened, with details as `key=value`. A detail that is None is left out."""
        self._line(format_event(self._clock.now_ms(), level, message, fields, self.style))

    def log_batch(self, batch: BatchProgress) -> None:
        """One line: what a batch did. Fit for `Progress.listen`."""
        self._line(format_batch(self._clock.now_ms(), batch, self.style))

    def _line(self, line: str) -> None:
        with self._lock:
            self._out.write(line + "\n")
            self._out.flush()


def format_event(time_ms: int, level: Level, message: str, fields: dict[str, Any], style: Style) -> str:
    """The line of an event, without its end."""
    given = {k: v for k, v in fields.items() if v is not None}
    if style == "json":
        return json_text({"time": iso(time_ms), "level": level, "message": message, **given})
    return " ".join([iso(time_ms), _LEVELS[level], printable(message), *(f"{k}={_value(v)}" for k, v in given.items())])


def format_batch(time_ms: int, batch: BatchProgress, style: Style) -> str:
    """The line of a batch, without its end: the time of the line comes first, and the batch's time beside its number.

    A batch that took longer than the interval is a warning: the job does not keep up.
    """
    level: Level = "warning" if batch.batch_duration_ms > batch.interval_ms > 0 else "info"
    rows_out = sum(s.num_output_rows for s in batch.sinks)
    late = sum(o.num_rows_dropped_by_watermark for o in batch.operators)
    state = sum(o.num_rows_total for o in batch.operators)
    lag = sum(s.lag for s in batch.sources)
    watermark = None if batch.watermark_ms is None else iso(batch.watermark_ms)
    if style == "json":
        return json_text(
            {
                "time": iso(time_ms),
                "level": level,
                "message": "batch",
                "batch": batch.batch_id,
                "batchTime": iso(batch.timestamp_ms),
                "replayed": batch.replayed,
                "rows": batch.num_input_rows,
                "badRecords": batch.num_bad_records,
                "rowsOut": rows_out,
                "out": {s.name: s.num_output_rows for s in batch.sinks},
                "durationMs": round(batch.batch_duration_ms, 3),
                "lag": lag,
                "lateRows": late,
                "aheadRows": batch.rows_ahead,
                "stateRows": state,
                "watermark": watermark,
                "stepsMs": {step: round(ms, 3) for step, ms in batch.duration_ms.items()},
            }
        )
    words = [
        f"batch={batch.batch_id:<6}",
        f"at={iso(batch.timestamp_ms)}",
        f"rows={batch.num_input_rows:<8}",
        f"out={_out(batch):<7}",
        f"duration={span(batch.batch_duration_ms, space=''):<7}",
        f"lag={lag:<6}",
        f"state={state:<7}" if batch.operators else "",
        f"bad={batch.num_bad_records}" if batch.num_bad_records else "",
        f"late={late}" if late else "",
        f"ahead={batch.rows_ahead}" if batch.rows_ahead else "",
        f"watermark={watermark}" if watermark else "",
        "replayed" if batch.replayed else "",
    ]
    return " ".join([iso(time_ms), _LEVELS[level], *filter(None, words)]).rstrip()


def _out(batch: BatchProgress) -> str:
    """The rows that each sink got: a number, or `sink:number` where there are several."""
    if len(batch.sinks) == 1:
        return str(batch.sinks[0].num_output_rows)
    return ",".join(f"{s.name}:{s.num_output_rows}" for s in batch.sinks)


def _value(value: Any) -> str:
    """A detail in the text form: in quotes when it would not read as one word."""
    text = str(value)
    if text and text.isprintable() and not any(c in text for c in ' "='):
        return text
    return json_text(text)
