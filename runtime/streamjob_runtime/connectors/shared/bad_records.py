"""Bad records: what a source does with them, and those of the range that it reads."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from streamjob_runtime.excerpts import Words
from streamjob_runtime.formats.sifted import Bad, Misfits, no_misfits

MOST_RAW = 512 << 10  # bytes of a record that are kept: what most systems take as one value


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that is no row, and where it was."""

    origin: str  # a file, a topic's partition, a server
    position: int  # within it: a line, an offset; docs/connectors.md says what for each source
    error: Words
    raw: bytes | None  # its first bytes, at most `MOST_RAW`; None: it has none of its own
    size: int | None  # of all its bytes


class BadRecords:
    """What is to be done with the bad records of one source, and those that it has found.

    `lenient`: they are put aside; otherwise the first of them ends the job. `misfits`: which rows, in the columns that
    the source gives, are bad ones because a value is none of its declared type; any thread may ask it.
    """

    def __init__(self, lenient: bool = False, misfits: Misfits = no_misfits) -> None:
        self.lenient = lenient
        self.misfits = misfits
        self._found: list[BadRecord] = []

    def put(self, origin: str, found: Iterable[Bad], position: Callable[[Bad], int]) -> None:
        """Add those of a part of the range that is being read. Called in the loop's thread, in their order."""
        for bad in found:
            size = None if bad.raw is None else len(bad.raw)
            raw = None if bad.raw is None else bad.raw[:MOST_RAW]
            self._found.append(BadRecord(origin, position(bad), bad.reason, raw, size))

    def take(self) -> tuple[BadRecord, ...]:
        """Those of the range that was read last."""
        found, self._found = tuple(self._found), []
        return found
