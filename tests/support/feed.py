"""What a job of the cluster tests reads, and what it must make of it, whatever happens to it meanwhile."""

import json
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

ROWS = 20
"""The rows of a file; a second of event time each."""

WINDOW_S = 10
_KINDS = "abc"
_START = datetime(2026, 1, 1)
_DAY_S = 86400

Row = dict[str, Any]


@dataclass(frozen=True)
class Output:
    """What stands in the sinks, in an order of its own. A row that was written twice is there twice."""

    rows: list[int] = field(default_factory=list)  # their ids
    windows: list[tuple[str, str, int, int]] = field(default_factory=list)  # kind, start, count, sum of ids
    totals: dict[str, tuple[int, int]] = field(default_factory=dict)  # kind -> count, sum of ids

    def differs_from(self, other: "Output") -> str:
        """The first few differences in words; "" where there is none."""
        said = [_difference("rows", self.rows, other.rows), _difference("windows", self.windows, other.windows)]
        if self.totals != other.totals:
            said.append(f"totals are {self.totals} instead of {other.totals}")
        return "; ".join(filter(None, said))


def file(number: int) -> bytes:
    """The input's file of that number, from 0. Times never go back, so no row is ever late."""
    return _encode(_rows(number))


def last_file(files: int) -> bytes:
    """What ends an input of so many files: one row, so late that every window before it is final."""
    return _encode([_last(files)])


def expected(files: int) -> Output:
    """What the sinks hold once so many files are read, and then the last one."""
    rows = list(chain.from_iterable(map(_rows, range(files))))
    windows: dict[tuple[str, str], list[int]] = defaultdict(list)
    totals: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        time = datetime.fromisoformat(row["t"])
        start = time - timedelta(seconds=time.second % WINDOW_S)
        windows[row["kind"], start.isoformat(timespec="microseconds")].append(row["id"])
    for row in [*rows, _last(files)]:
        totals[row["kind"]].append(row["id"])
    return Output(
        rows=[row["id"] for row in [*rows, _last(files)]],
        windows=sorted((kind, start, len(ids), sum(ids)) for (kind, start), ids in windows.items()),
        totals={kind: (len(ids), sum(ids)) for kind, ids in totals.items()},
    )


def ids(number: int) -> range:
    """The ids of a file's rows."""
    return range(number * ROWS, (number + 1) * ROWS)


def _difference(what: str, found: Sequence[Hashable], wanted: Sequence[Hashable]) -> str:
    if found == wanted:
        return ""
    has, should = Counter(found), Counter(wanted)
    return f"{what} are missing: {list(should - has)[:5]}, too many: {list(has - should)[:5]}"


def _rows(number: int) -> list[Row]:
    return [_row(i, i) for i in ids(number)]


def _last(files: int) -> Row:
    return _row(files * ROWS, files * ROWS + _DAY_S)


def _row(identity: int, seconds: int) -> Row:
    time = _START + timedelta(seconds=seconds)
    return {"id": identity, "kind": _KINDS[identity % len(_KINDS)], "t": time.isoformat()}


def _encode(rows: list[Row]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()
