"""Where lines end, and those that are longer than a record may be."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from streamjob_runtime.excerpts import said
from streamjob_runtime.formats.sifted import Bad, Sifted, joined

_NEWLINE = 10


def end_of_lines(data: bytes, count: int) -> int:
    """The position behind the first `count` newlines, of which the data has at least so many."""
    if count == 0:
        return 0
    return int(np.flatnonzero(np.frombuffer(data, np.uint8) == _NEWLINE)[count - 1]) + 1


def beginnings(data: bytes, numbers: Sequence[int]) -> list[int]:
    """Where the lines of these numbers, from 0, begin; the data has at least so many."""
    if not numbers:
        return []
    newlines = np.flatnonzero(np.frombuffer(data, np.uint8) == _NEWLINE)
    starts = np.concatenate([[0], newlines + 1])
    return [int(at) for at in starts[np.asarray(numbers)]]


def sift_around(data: bytes, longest: int, sift: Callable[[bytes], Sifted], limit: int) -> Sifted:
    """What became of lines of which those of more than `longest` bytes are bad, whatever they hold.

    `limit`: how long a line may be, for people.
    """
    if len(data) <= longest:
        return sift(data)
    reason = said(f"it is longer than {limit >> 20} MiB, and a line is a record")
    return joined(
        (Sifted(sift(b"").rows, (Bad(0, 0, reason, part.removesuffix(b"\n")),)), 1)
        if is_long
        else (sift(part), part.count(b"\n"))
        for part, is_long in _parts(data, longest)
    )


def _parts(data: bytes, longest: int) -> Iterator[tuple[bytes, bool]]:
    """The data in parts, each of which is a long line or has none."""
    newlines = np.flatnonzero(np.frombuffer(data, np.uint8) == _NEWLINE)
    ends = np.append(newlines, len(data))  # without their newlines; the last one may be no line, and empty
    starts = np.concatenate([[0], newlines + 1])
    at = 0
    for i in np.flatnonzero(ends - starts > longest).tolist():
        if starts[i] > at:
            yield data[at : starts[i]], False
        yield data[starts[i] : ends[i] + 1], True
        at = int(ends[i]) + 1
    if at < len(data):
        yield data[at:], False
