"""Lines of bytes: finding them, counting them, and saying which one is not UTF-8."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streamjob_runtime.excerpts import Words, said
from streamjob_runtime.formats.base import BadRecord

EXCERPT = 200  # characters of a bad record that an error shows
PIECE = 1 << 30  # bytes that one Arrow array may hold are twice as many
_COUNTED = 1 << 17
_NEWLINE = 10
_NO_UTF8 = "it is not UTF-8: byte 0x{:02x} cannot stand there; convert it, or use format raw"
BOM = b"\xef\xbb\xbf"


def excerpt(record: bytes) -> str:
    """The first characters of a record, for an error message."""
    text = record[: 4 * EXCERPT].decode("utf-8", "replace")
    return text if len(text) <= EXCERPT else text[: EXCERPT - 1] + "…"


def line_at(data: bytes, position: int) -> tuple[int, bytes]:
    """The number, from 0, and the bytes of the line that the position lies in."""
    start = data.rfind(b"\n", 0, position) + 1
    end = data.find(b"\n", position)
    return data.count(b"\n", 0, position), data[start : end if end >= 0 else len(data)]


def pieces(data: bytes, size: int) -> list[bytes]:
    """Cut the data behind newlines, each piece at most `size` long unless a single line is longer."""
    found = []
    start = 0
    while start < len(data):
        end = start + size
        if end < len(data):
            end = data.rfind(b"\n", start, end) + 1 or data.find(b"\n", end) + 1 or len(data)
        found.append(data[start:end])
        start = end
    return found


def check_utf8(data: bytes) -> None:
    """Raise `BadRecord` for the first line that is not UTF-8."""
    if data.isascii():
        return
    offsets = pa.array([0, len(data)], pa.int64()).buffers()[1]
    try:
        # Arrow checks at 10 GB/s, Python's own decoder at 2.
        pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, pa.py_buffer(data)]).validate(full=True)
        return
    except pa.ArrowInvalid:
        pass
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as e:
        number, line = line_at(data, e.start)
        raise BadRecord(_NO_UTF8.format(data[e.start]), number, excerpt(line)) from None


def no_utf8(record: bytes) -> Words | None:
    """Why a record is not UTF-8; None: it is."""
    try:
        record.decode("utf-8")
    except UnicodeDecodeError as e:
        return said(_NO_UTF8.format(record[e.start]))
    return None


def each(data: bytes) -> list[bytes]:
    """The lines, without their newlines; what follows the last newline is one if it is not empty."""
    return data.removesuffix(b"\n").split(b"\n") if data else []


def count(data: bytes) -> int:
    """How many newlines there are; `bytes.count` takes three times as long."""
    return sum(int(np.count_nonzero(block == _NEWLINE)) for block in _blocks(data, 0))


def count_all_beginning(data: bytes, byte: bytes) -> int | None:
    """How many lines there are, if every one begins with that byte; else None. Looking at each would be slow."""
    newlines, beginnings = 0, int(data.startswith(byte))
    for block in _blocks(data, 1):
        mask = block[:-1] == _NEWLINE
        newlines += int(np.count_nonzero(mask))
        beginnings += int(np.count_nonzero(mask & (block[1:] == byte[0])))
    return beginnings if beginnings == newlines + 1 else None


def _blocks(data: bytes, overlap: int) -> Iterator["np.ndarray[Any, np.dtype[np.uint8]]"]:
    """The data in blocks whose masks stay in the processor's cache."""
    array = np.frombuffer(data, np.uint8)
    for i in range(0, len(data), _COUNTED):
        yield array[i : i + _COUNTED + overlap]


def split(data: bytes) -> "pa.ChunkedArray[Any]":
    """The lines, without their newlines, as an Arrow column of bytes."""
    return pa.chunked_array([_split(piece) for piece in pieces(data, PIECE)], pa.binary())


def _split(data: bytes) -> "pa.Array[Any]":
    whole = pa.array([data.removesuffix(b"\n")], pa.binary())
    return pc.split_pattern(whole, "\n").values


def reader(data: bytes) -> Any:
    """The bytes as a file that Arrow reads without copying and without Python's lock."""
    return pa.BufferReader(data)
