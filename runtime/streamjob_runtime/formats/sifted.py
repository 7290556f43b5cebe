"""Good records and bad ones, told apart."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from streamjob_runtime.excerpts import Words

# Of decoded rows those that cannot be used, such as by a text that is no time where one is declared: row -> why not.
Misfits = Callable[[pa.Table], Mapping[int, Words]]


def no_misfits(rows: pa.Table) -> Mapping[int, Words]:
    """All rows can be used."""
    del rows
    return {}


@dataclass(frozen=True, slots=True)
class Bad:
    """A bad record: its number among all records of its data, from 0, and its place there.

    `line`: from 0; where the data has no lines, the record's number. `raw`: its bytes; None: it has none of its own.
    """

    record: int
    line: int
    reason: Words
    raw: bytes | None


@dataclass(frozen=True, slots=True)
class Sifted:
    """What became of some data's records: rows, in their order, or bad ones."""

    rows: pa.Table
    bad: tuple[Bad, ...] = ()  # in their order

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return self.rows.nbytes + sum(len(bad.raw or b"") for bad in self.bad)

    @property
    def total(self) -> int:
        """How many records there were."""
        return self.rows.num_rows + len(self.bad)

    def slice(self, first: int, last: int) -> "Sifted":
        """What became of the records `[first, last)`."""
        numbers = [bad.record for bad in self.bad]
        low, high = bisect_left(numbers, first), bisect_left(numbers, last)
        return Sifted(self.rows.slice(first - low, (last - high) - (first - low)), self.bad[low:high])


def sifted(
    rows: pa.Table,
    misfits: Misfits,
    wrong: Mapping[int, Words],
    records: Callable[[], Sequence[tuple[int, bytes | None]]],
) -> Sifted:
    """What became of records of which those in `wrong` (record -> why) were bad, and `rows` the others.

    `records`: the line and the bytes of every record; asked for only if one is bad.
    """
    unfit = misfits(rows)
    if not wrong and not unfit:
        return Sifted(rows)
    there = records()
    good = [i for i in range(len(there)) if i not in wrong]
    if len(good) != rows.num_rows:
        raise AssertionError(f"{len(good)} good records have become {rows.num_rows} rows")
    if unfit:
        rows = rows.take(pa.array([i for i in range(len(good)) if i not in unfit], pa.int64()))
    why = {**wrong, **{good[row]: reason for row, reason in unfit.items()}}
    return Sifted(rows, tuple(Bad(i, there[i][0], why[i], there[i][1]) for i in sorted(why)))


def joined(parts: Iterable[tuple[Sifted, int]]) -> Sifted:
    """What became of data that was sifted in parts, each with its number of lines."""
    tables: list[pa.Table] = []
    bad: list[Bad] = []
    record = line = 0
    for part, lines in parts:
        tables.append(part.rows)
        bad += [replace(each, record=record + each.record, line=line + each.line) for each in part.bad]
        record += part.total
        line += lines
    return Sifted(pa.concat_tables(tables), tuple(bad))


def with_all(misfits: Iterable[Misfits]) -> Misfits:
    """Those that any of them finds; the first says why."""
    every = tuple(misfits)

    def look(rows: pa.Table) -> Mapping[int, Words]:
        found: dict[int, Words] = {}
        for each in every:
            found = {**each(rows), **found}
        return found

    return look
