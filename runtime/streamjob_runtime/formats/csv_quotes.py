"""Quotes in CSV: whether they say clearly where each field ends. Arrow's reader takes what does not as best it can."""

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from streamjob_runtime.formats.base import BadRecord
from streamjob_runtime.formats.lines import excerpt

Places = npt.NDArray[np.int64]

_QUOTE, _BACKSLASH = 34, 92
_ENDS = np.zeros(256, np.bool_)  # what may stand on the outer side of a field's quote
_ENDS[[44, 13, 10]] = True
_BARE = r'(?:[^",\r\n][^,\r\n]*)?'  # a quote within it is text
_CLEAR = r'(?:"(?:[^"]|"")*"|' + _BARE + ")"
_RECORD = rf"{_CLEAR}(?:,{_CLEAR})*"
_CLOSED = {'"': re.compile(rb'"(?:[^"]++|"")*+"'), "\\": re.compile(rb'"(?:[^"\\]++|\\(?s:.))*+"')}
_BARE_FIELD = {'"': re.compile(_BARE.encode()), "\\": re.compile(rb'[^",\r\n]*')}
_LINE = re.compile(rb"[^\r\n]*")
_ESCAPED = re.compile(rb"\\([\"\\])")


def cleared(data: bytes, escape: str) -> bytes:
    r"""The data with doubled quotes, if it had escaped ones.

    Escaped by a backslash (`escape`), as Spark writes them: within a quoted field `\"` is a quote and `\\` a backslash;
    before anything else a backslash is one, as in a field without quotes. Raises `BadRecord` for the first line in
    which a quoted field is not closed, or is followed by text.
    """
    if b'"' not in data:
        return data
    if escape == '"':
        if not _is_clear(data):
            raise _blame(data, escape)
        return data
    array = np.frombuffer(data, np.uint8)
    backslashes = _places(array, _BACKSLASH)
    quotes = _places(array, _QUOTE)
    quotes = quotes[~_escaped(quotes, backslashes)]
    if not _alternate(array, quotes):
        raise _blame(data, escape)
    return _doubled(data, quotes, backslashes)


def records(data: bytes, escape: str) -> list[tuple[int, bytes]]:
    """The line and the bytes of each record that is not empty, without its end.

    Quoted fields may hold the ends of lines. Where quotes do not say clearly where a record ends, it ends with its
    first line, and what follows is taken for the next one.
    """
    if b'"' not in data:
        return [(i, line) for i, line in enumerate(data.splitlines()) if line]
    found: list[tuple[int, bytes]] = []
    at = number = 0
    while at < len(data):
        end = _end_of_record(data, at, escape)
        if end is None:
            line = _LINE.match(data, at)
            assert line is not None
            end = line.end()
        if end > at:
            found.append((number, data[at:end]))
            number += len(data[at:end].splitlines()) - 1
        number += 1
        at = end + 1 + (data[end : end + 2] == b"\r\n")
    return found


def _end_of_record(data: bytes, at: int, escape: str) -> int | None:
    """Where the record that begins there ends; None: its quotes do not say clearly."""
    while True:
        quoted = data[at : at + 1] == b'"'
        field = (_CLOSED if quoted else _BARE_FIELD)[escape].match(data, at)
        if field is None or data[field.end() : field.end() + 1] not in (b"", b",", b"\r", b"\n"):
            return None
        if data[field.end() : field.end() + 1] != b",":
            return field.end()
        at = field.end() + 1


def _places(array: "npt.NDArray[np.uint8]", byte: int) -> Places:
    return np.flatnonzero(array == byte).astype(np.int64)


def _alternate(array: "npt.NDArray[np.uint8]", quotes: Places) -> bool:
    """Whether the quotes begin and end a field in turn."""
    if len(quotes) % 2:
        return False
    opening, closing = quotes[0::2], quotes[1::2]
    before = (opening == 0) | _ENDS[array[opening - 1]]
    after = (closing == len(array) - 1) | _ENDS[array[(closing + 1) % len(array)]]
    return bool(before.all() and after.all())


def _escaped(quotes: Places, backslashes: Places) -> "npt.NDArray[np.bool_]":
    """Which quotes stand behind an odd number of backslashes."""
    if not len(backslashes):
        return np.zeros(len(quotes), np.bool_)
    runs = backslashes[np.diff(backslashes, prepend=-2) != 1]  # where each run of them begins
    behind = backslashes[np.searchsorted(backslashes, quotes) - 1] == quotes - 1
    lengths = quotes - runs[np.searchsorted(runs, quotes) - 1]
    return np.asarray(behind & (lengths % 2 == 1))


def _doubled(data: bytes, quotes: Places, backslashes: Places) -> bytes:
    opening, closing = quotes[0::2], quotes[1::2]
    within = np.searchsorted(backslashes, closing) > np.searchsorted(backslashes, opening)
    parts, at = [], 0
    for begin, end in zip(opening[within].tolist(), closing[within].tolist(), strict=True):
        parts += [data[at : begin + 1], _ESCAPED.sub(_plain, data[begin + 1 : end])]
        at = end
    return b"".join([*parts, data[at:]]) if parts else data


def _plain(escaped: "re.Match[bytes]") -> bytes:
    return b'""' if escaped[1] == b'"' else b"\\"


def _is_clear(data: bytes) -> bool:
    # One pass, several times as quick as what reads the data afterwards.
    offsets = pa.array([0, len(data)], pa.int64()).buffers()[1]
    whole: Any = pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, pa.py_buffer(data)])
    pattern = rf"\A(?:{_RECORD}(?:\r\n|\r|\n))*{_RECORD}\z"
    return bool(pc.match_substring_regex(whole, pattern)[0].as_py())


def _blame(data: bytes, escape: str) -> BadRecord:
    """What is wrong, found field by field."""
    at = line_start = 0
    field = None
    while at < len(data):
        quoted = data[at : at + 1] == b'"'
        field = (_CLOSED if quoted else _BARE_FIELD)[escape].match(data, at)
        end = field.end() if field else len(data)
        if field is None or data[end : end + 1] not in (b"", b",", b"\r", b"\n"):
            break
        at = end + 1
        if data[end : end + 1] in (b"\r", b"\n"):
            at += data[end : end + 2] == b"\r\n"
            line_start = at
    begin = max(data.rfind(b"\n", 0, at) + 1, line_start)
    number = len(data[:begin].splitlines())
    line = data[begin:].split(b"\n", 1)[0]
    if field is None:
        reason = "a quote is opened and never closed"
    elif data[field.start() : field.start() + 1] == b'"':
        reason = "text stands behind the quote that ends a field"
    else:
        reason = "a quote stands within a field that has none around it"
    if escape == '"':
        reason += '; within a quoted field a quote is written twice, ""'
        if b'\\"' in line:
            reason += r". If whoever wrote it puts a backslash before it, as Spark does, write escape: '\'"
    else:
        reason += r"; with escape: \ a quote within a quoted field is written \""
    return BadRecord(reason, number, excerpt(line))
