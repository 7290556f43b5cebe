"""The operator's log: a line an event, text or JSON, on standard error."""

import json
import logging
import sys
import traceback
from collections.abc import Callable
from typing import Any, TextIO

from streamjob_operator.times import to_text_ms


class Log:
    """Writes what happens. `say(level, message, **fields)`; a field that is None is left out."""

    def __init__(self, stream: TextIO, style: str, now: Callable[[], float]) -> None:
        self._stream = stream
        self._style = style
        self._now = now

    def say(self, level: str, message: str, fault: BaseException | None = None, **fields: Any) -> None:
        """One line; `fault`: with the traceback of an error that nobody foresaw."""
        known = {name: value for name, value in fields.items() if value is not None}
        if fault is not None:
            known["traceback"] = "".join(traceback.format_exception(fault))
        time = to_text_ms(self._now())
        if self._style == "json":
            line = json.dumps({"time": time, "level": level, "message": message, **known}, ensure_ascii=False)
        else:
            shown = "".join(f" {name}={value}" for name, value in known.items())
            line = f"{time} {level.upper():7} {message}{shown}"
        print(line, file=self._stream, flush=True)

    def take_over_logging(self) -> None:
        """Have the libraries' warnings in the same form."""
        handler = _Handler(self)
        logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


class _Handler(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning"
        fault = record.exc_info[1] if record.exc_info else None
        self._log.say(level, record.getMessage(), fault, logger=record.name)


def to_stderr(style: str, now: Callable[[], float]) -> Log:
    """The log of this process."""
    log = Log(sys.stderr, style, now)
    log.take_over_logging()
    return log
