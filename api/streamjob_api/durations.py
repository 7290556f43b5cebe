"""Durations as a manifest writes them (`500ms`, `2s`, `1h30m`) and as `datetime.timedelta`."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

# Go and CEL read the same texts; the units stand once each, the largest first, so that a duration has few spellings.
PATTERN = r"^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,9}ms)?$"
_UNITS_MS = (3_600_000, 60_000, 1_000, 1)
_NAMES = ("h", "m", "s", "ms")


def parse_duration(text: str) -> timedelta:
    """The duration that the text writes. Raises ValueError when it writes none."""
    match = re.fullmatch(PATTERN[1:-1], text)
    if not text or match is None:
        raise ValueError(f"{text!r} is not a duration")
    parts = (int(part.rstrip("hms")) if part else 0 for part in match.groups())
    return timedelta(milliseconds=sum(n * unit for n, unit in zip(parts, _UNITS_MS, strict=True)))


def format_duration(duration: timedelta) -> str:
    """The shortest text for the duration; what is below a millisecond is cut off."""
    rest = duration // timedelta(milliseconds=1)
    text = ""
    for unit, name in zip(_UNITS_MS, _NAMES, strict=True):
        count, rest = divmod(rest, unit)
        text += f"{count}{name}" if count else ""
    return text or "0s"


def _read(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        try:
            return parse_duration(value)
        except ValueError:
            pass
    raise PydanticCustomError("duration", "is not a duration; write a number with its unit: 500ms, 2s, 1h30m")


Duration = Annotated[
    timedelta,
    BeforeValidator(_read),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": PATTERN, "minLength": 2, "maxLength": 32}),
]
