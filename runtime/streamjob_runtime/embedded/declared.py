"""From what a decoder gives to the declared type, in SQL.

DuckDB's own cast of a text to TIMESTAMP, DATE or TIME drops an offset without a word: one instant, written with three
offsets, would be three.
"""

import re
from collections.abc import Iterator
from typing import Any

import pyarrow.types as pt

from streamjob_runtime.plan.tree import literal, quoted

_TIMESTAMPS = {"s": "TIMESTAMP_S", "ms": "TIMESTAMP_MS", "us": "TIMESTAMP", "ns": "TIMESTAMP_NS"}
_NAMES = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\bTIMESTAMP(?:_S|_MS|_US)?\b(?! WITH)")
# An offset, a zone's name or Z stands behind the first colon, but for + nowhere else.
_OFFSET = "({0}[-1] NOT BETWEEN '0' AND '9' OR contains({0}, '+') OR contains(substr({0}, instr({0}, ':')), '-'))"


def declared(value: str, wire: Any, kind: str, arrow: Any) -> str:
    """The SQL of a value in its declared type.

    `value`: its SQL; `wire`: the Arrow type in which it comes; `kind`, `arrow`: the declared type, and what it is in
    Arrow. A TIMESTAMP with an offset is taken to UTC, and so is a DATE with a time and one; a TIME with an offset is no
    TIME.
    """
    if _is_text(wire) and pt.is_nested(arrow):
        # MAP and UNION come as the engine's own text.
        zoned = _NAMES.sub(lambda m: m[0] if m[0][0] in "'\"" else "TIMESTAMP WITH TIME ZONE", kind)
        return f"CAST({value if zoned == kind else f'CAST({value} AS {zoned})'} AS {kind})"
    leaf = _leaf(value, wire, arrow, "TIME WITH TIME ZONE" in kind, 0)
    return f"CAST({leaf or value} AS {kind})"


def _leaf(value: str, wire: Any, arrow: Any, time_zone: bool, depth: int) -> str | None:
    """The value with the texts within it read as times; None: there are none."""
    if _is_text(wire):
        return _time(value, arrow, time_zone)
    if pt.is_list(wire):
        item = f"item{depth}"
        inner = _leaf(item, wire.value_type, arrow.value_type, time_zone, depth + 1)
        return inner and f"list_transform({value}, lambda {item}: {inner})"
    if pt.is_struct(wire):
        fields = list(_fields(value, wire, arrow, time_zone, depth))
        if not any(inner for _, _, inner in fields):
            return None
        packed = ", ".join(f"{quoted(name)} := {inner or field}" for name, field, inner in fields)
        return f"CASE WHEN {value} IS NOT NULL THEN struct_pack({packed}) END"
    return None


def _fields(value: str, wire: Any, arrow: Any, time_zone: bool, depth: int) -> Iterator[tuple[str, str, str | None]]:
    for field, there in zip(wire, arrow, strict=True):
        sql = f"struct_extract({value}, {literal(field.name)})"
        yield field.name, sql, _leaf(sql, field.type, there.type, time_zone, depth)


def _time(text: str, arrow: Any, time_zone: bool) -> str | None:
    offset = _OFFSET.format(text)
    if pt.is_timestamp(arrow) and arrow.tz is None:
        kind = _TIMESTAMPS[arrow.unit]
        zoned = f"CAST({text} AS TIMESTAMP WITH TIME ZONE)"
        # Of infinity there are no microseconds; otherwise they are found sooner than the calendar of a zone.
        utc = f"coalesce(make_timestamp(epoch_us({zoned})), CAST({zoned} AS TIMESTAMP))"
        if arrow.unit == "ns":
            utc = f"CAST({text} AS TIMESTAMPTZ_NS)"
        return f"CASE WHEN {offset} THEN CAST({utc} AS {kind}) ELSE CAST({text} AS {kind}) END"
    if pt.is_date32(arrow):
        utc = f"CAST(CAST(CAST({text} AS TIMESTAMP WITH TIME ZONE) AS TIMESTAMP) AS DATE)"
        return f"CASE WHEN contains({text}, ':') AND {offset} THEN {utc} ELSE CAST({text} AS DATE) END"
    if pt.is_time(arrow) and not time_zone:
        kind = "TIME_NS" if arrow.unit == "ns" else "TIME"
        # Any letter but Z would be dropped too, as in 10:30 PM. In front of the text it makes it no time, and is seen.
        odd = f"regexp_matches({text}, ':.*[-+A-Ya-y]')"
        return f"CAST(CASE WHEN {odd} THEN concat('with more than a time: ', {text}) ELSE {text} END AS {kind})"
    return None


def _is_text(wire: Any) -> bool:
    return bool(pt.is_string(wire) or pt.is_large_string(wire))
