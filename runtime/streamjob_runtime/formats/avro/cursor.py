"""Where many records are being read at once: one position in each, all moved on by the same step."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streamjob_runtime.excerpts import Words, said
from streamjob_runtime.formats.avro import arrays
from streamjob_runtime.formats.avro.arrays import Array

Longs = npt.NDArray[np.int64]

PADDING = 16  # bytes behind the last record, so that the longest number may be read before its end is looked at
_ITEMS_OF_NOTHING = 1 << 16  # how many more items than bytes the lists of a record may have: some take none
# How many values may be looked at for all records together, more than bytes: a schema of a few lines may have types
# within types that double at each step and take no bytes.
_VALUES_OF_NOTHING = 1 << 18
_VALUES_A_BYTE = 64


class Misfit(Exception):
    """A record that does not fit its schema, or a value that does not fit its column; `path` leads to the value."""

    def __init__(self, record: int, reason: str | Words) -> None:
        self.reason = said(reason)
        super().__init__(self.reason.full)
        self.record = record
        self.path: list[str] = []


class Cursor:
    """Positions in `data`, one a record, in the order of the bytes. `numbers`: which records these are.

    `room`: how many items the lists of each of these may still have. It is by number, and all parts of a cursor share
    it: a block of items that take no bytes is followed by another, and lists stand in lists. `values`: how many values
    may still be looked at, shared likewise.
    """

    def __init__(
        self,
        data: npt.NDArray[np.uint8],
        at: Longs,
        end: Longs,
        numbers: Longs,
        room: Longs | None = None,
        values: list[int] | None = None,
    ) -> None:
        self.data = data
        self.at = at
        self.end = end
        self.numbers = numbers
        if room is None:
            room = np.zeros(int(numbers.max(initial=-1)) + 1, np.int64)
            room[numbers] = end - at + _ITEMS_OF_NOTHING
        self._room = room
        self._values = values or [_VALUES_OF_NOTHING + _VALUES_A_BYTE * int((end - at).sum())]

    def look(self) -> None:
        """One more value of each record is about to be read. Raises `Misfit` when there were too many."""
        self._values[0] -= 1
        if self._values[0] < 0:
            raise self.misfit(0, "its schema makes far more values of it than it has bytes")

    def __len__(self) -> int:
        return len(self.at)

    def part(self, which: npt.NDArray[np.intp]) -> "Cursor":
        """A cursor of its own in some of the records."""
        return Cursor(self.data, self.at[which], self.end[which], self.numbers[which], self._room, self._values)

    def misfit(self, i: Any, reason: str | Words) -> Misfit:
        """What is wrong with the i-th record."""
        return Misfit(int(self.numbers[int(i)]), reason)

    def refuse(self, wrong: npt.NDArray[np.bool_], reason: str) -> None:
        """Raise `Misfit` for the first that is wrong."""
        if wrong.any():
            raise self.misfit(np.argmax(wrong), reason)

    def longs(self) -> Longs:
        """A number each: in zigzag, seven bits a byte, the lowest first."""
        byte = self.data[self.at]
        value = (byte & 0x7F).astype(np.uint64)
        more = np.nonzero(byte & 0x80)[0]
        self.at = self.at + 1
        shift = 7
        while more.size:
            if shift > 63:
                raise self.misfit(more[0], "a number has more than ten bytes")
            byte = self.data[self.at[more]]
            value[more] |= (byte & 0x7F).astype(np.uint64) << np.uint64(shift)
            self.at[more] += 1
            more = more[byte >= 0x80]
            shift += 7
        self.refuse(self.at > self.end, "it ends in the middle of a value")
        return ((value >> np.uint64(1)) ^ (np.uint64(0) - (value & np.uint64(1)))).view(np.int64)

    def take(self, lengths: Longs | int) -> tuple[Longs, Longs]:
        """Pass over so many bytes; where they begin and end."""
        if not isinstance(lengths, int):
            self.refuse(lengths < 0, "a length is negative")
        # The difference, since a sum could be larger than a number may be.
        self.refuse(self.end - self.at < lengths, "it ends in the middle of a value")
        start = self.at
        self.at = start + lengths
        return start, self.at

    def matrix(self, size: int) -> npt.NDArray[np.uint8]:
        """The next bytes, `size` of each record, a row each."""
        start, _ = self.take(size)
        return np.ascontiguousarray(self.data[start[:, None] + np.arange(size)])

    def slices(self, start: Longs, end: Longs) -> Array:
        """The bytes between these positions."""
        if not len(start):
            return pa.array([], pa.binary())
        # Every second item of an array whose items lie in the data one behind the other, a value and a gap in turn.
        offsets = np.stack([start, end], axis=1).reshape(-1)
        spread = arrays.binary(offsets, self.data, len(offsets) - 1)
        return arrays.taken(spread, np.arange(0, len(offsets), 2))

    def items(self) -> Iterator[npt.NDArray[np.intp]]:
        """Go through lists that come in blocks: the records that have one more item, which the caller then reads."""
        left = self._blocks(np.arange(len(self)), np.zeros(len(self), np.int64))
        while (active := np.nonzero(left)[0]).size:
            yield active
            left[active] -= 1
            left = self._blocks(active[left[active] == 0], left)

    def _blocks(self, which: npt.NDArray[np.intp], left: Longs) -> Longs:
        """Read how many items these lists have in their next block; 0: no more."""
        part = self.part(which)
        count = part.longs()
        if (sized := np.nonzero(count < 0)[0]).size:
            sizes = part.part(sized)
            sizes.longs()
            part.at[sized] = sizes.at
            count[sized] = -count[sized]
        part.refuse((count < 0) | (count > self._room[part.numbers]), "a list is longer than its record")
        self._room[part.numbers] -= count
        left[which] = count
        self.at[which] = part.at
        return left
