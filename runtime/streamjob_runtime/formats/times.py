"""Dates, times of a day and timestamps as text: also those that Arrow has no text for, or that of another time.

DuckDB's infinity is the largest number of the type, and the same below zero; its day ends at 24:00:00. The text is
DuckDB's own but for the T that may stand between date and time: `2024-01-05`, `40000-01-01 00:00:00`,
`0044-03-15 (BC)`, `infinity`.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from streamjob_runtime.formats.casts import leaves

_UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_DAY_S = 86_400
_FIRST, _LAST = -719_162, 2_932_896  # days from 1970 to 0001-01-01 and to 9999-12-31


def is_time(kind: Any) -> bool:
    """Whether values of that type are dates, times of a day or timestamps."""
    return bool(pt.is_date32(kind) or pt.is_time(kind) or pt.is_timestamp(kind))


def text(column: Any, between: str = " ", postgres: bool = False) -> Any:
    """The text of each value; NULL stays. `postgres`: a year before 1 is told at the end, by `BC`."""
    odd = _odd(column)
    said = column.cast(pa.string()) if odd is None else _text_of_odd(column, odd, postgres)
    if between == " " or not pt.is_timestamp(column.type):
        return said
    # The only blank is that one, but for the one before (BC).
    return pc.replace_substring_regex(said, r" ([0-9])", between + r"\1")


def is_plain(column: Any) -> bool:
    """Whether Arrow's own text of each value is the right one."""
    return _odd(column) is None


def no_number(column: Any) -> str | None:
    """What the column, or something within it, holds that is a time to DuckDB alone: `infinity` or `24:00:00`."""
    for leaf in filter(lambda leaf: is_time(leaf.type), leaves(column)):
        numbers = _numbers(leaf)
        if pt.is_time(leaf.type):
            if _among(numbers, _UNITS[leaf.type.unit] * _DAY_S):
                return "24:00:00"
        elif _among(numbers, _largest(leaf.type)) or _among(numbers, -_largest(leaf.type)):
            return "infinity"
    return None


def too_far(column: Any) -> str | None:
    """A time that microseconds do not reach, which the column, or something within it, holds."""
    for leaf in filter(lambda leaf: pt.is_timestamp(leaf.type), leaves(column)):
        most = (2**63 - 1) // (_UNITS["us"] // _UNITS[leaf.type.unit] or 1)
        ends: Any = pc.min_max(_numbers(leaf)).as_py()
        if ends["min"] is not None and (ends["min"] < -most or ends["max"] > most):
            return "a time further from 1970 than microseconds reach"
    return None


def refusal(column: str, what: str, where: str) -> str:
    """What is said of a column that holds such a time."""
    remedy = _REMEDIES.get(what)
    return (
        f'the column "{column}" holds {what}, which {where} has no number for: readers would see another time. '
        f"{f'Let it be NULL in the pipeline, {remedy}, or cast' if remedy else 'Cast'} it to VARCHAR."
    )


_REMEDIES = {
    "infinity": "CASE WHEN isfinite(x) THEN x END",
    "24:00:00": "CASE WHEN x < TIME '24:00:00' THEN x END",
}


def _among(numbers: Any, number: int) -> bool:
    return number in (pc.max(numbers).as_py(), pc.min(numbers).as_py())


def _numbers(column: Any) -> Any:
    kind = column.type
    return column.cast(pa.int32() if pt.is_date32(kind) or pt.is_time32(kind) else pa.int64()).cast(pa.int64())


def _largest(kind: Any) -> int:
    return 2**31 - 1 if pt.is_date32(kind) else 2**63 - 1


def _odd(column: Any) -> Any:
    """A mask of the values whose text Arrow does not know; None: there are none."""
    kind = column.type
    numbers = _numbers(column)
    if pt.is_time(kind):
        low, high = 0, _UNITS[kind.unit] * _DAY_S - 1
    else:
        a_day = 1 if pt.is_date32(kind) else _DAY_S * _UNITS[kind.unit]
        largest = _largest(kind)
        # Infinity is of no year, and nanoseconds do not reach the first and the last.
        low, high = max(_FIRST * a_day, 1 - largest), min((_LAST + 1) * a_day - 1, largest - 1)
    ends: Any = pc.min_max(numbers).as_py()
    if ends["min"] is None or (ends["min"] >= low and ends["max"] <= high):
        return None
    bounds: Any = (pa.scalar(low, pa.int64()), pa.scalar(high, pa.int64()))
    return pc.or_(pc.less(numbers, bounds[0]), pc.greater(numbers, bounds[1])).fill_null(False)


def _text_of_odd(column: Any, odd: Any, postgres: bool) -> Any:
    kind = column.type
    known: Any = pc.if_else(odd, pa.scalar(None, kind), column)
    said = np.asarray(known.cast(pa.string()).to_pylist(), dtype=object)
    for i in np.nonzero(np.asarray(odd))[0]:
        said[i] = _one(_numbers(column.slice(int(i), 1))[0].as_py(), kind, postgres)
    return pa.array(said, pa.string())


def _one(number: int, kind: Any, postgres: bool) -> str:
    if pt.is_time(kind):
        return "24:00:00"
    if abs(number) == _largest(kind):
        return "infinity" if number > 0 else "-infinity"
    if pt.is_date32(kind):
        days, clock = number, ""
    else:
        days, rest = divmod(number, _DAY_S * _UNITS[kind.unit])
        clock = _clock(rest, kind.unit) + ("Z" if kind.tz else "")
    year, month, day = _civil(days)
    date = f"{year if year > 0 else 1 - year:04}-{month:02}-{day:02}"
    if postgres:
        return " ".join(part for part in (date, clock, "" if year > 0 else "BC") if part)
    return " ".join(part for part in (date + ("" if year > 0 else " (BC)"), clock) if part)


def _clock(rest: int, unit: str) -> str:
    seconds, fraction = divmod(rest, _UNITS[unit])
    digits = len(str(_UNITS[unit])) - 1
    behind = f".{fraction:0{digits}}" if digits else ""
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{behind}"


def _civil(days: int) -> tuple[int, int, int]:
    """Year (0 is 1 BC), month and day of a number of days since 1970, in a calendar that is Gregorian throughout."""
    # Counted from the first of March of year 0: a leap day is then the last of its year.
    era, in_era = divmod(days + 719_468, 146_097)
    year = (in_era - in_era // 1_460 + in_era // 36_524 - in_era // 146_096) // 365
    in_year = in_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * in_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year + era * 400 + (month <= 2), month, in_year - (153 * shifted + 2) // 5 + 1
