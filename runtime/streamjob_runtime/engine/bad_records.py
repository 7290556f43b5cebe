"""What a batch does with the bad records that its sources have put aside."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from streamjob_api.bad_records import BadRecordLimit
from streamjob_runtime.connectors.shared.bad_records import BadRecord, BadRecords
from streamjob_runtime.errors import JobError
from streamjob_runtime.formats.lines import excerpt

_COLUMNS: list["pa.Field[Any]"] = [
    pa.field("time", pa.timestamp("us", "UTC")),
    pa.field("source", pa.string()),
    pa.field("origin", pa.string()),
    pa.field("position", pa.int64()),
    pa.field("error", pa.string()),
    pa.field("size", pa.int64()),
    pa.field("raw", pa.binary()),
]
DEAD_LETTERS = pa.schema(_COLUMNS)


@dataclass(frozen=True, slots=True)
class BadRecordRule:
    """What the manifest says of one source's bad records."""

    limit: BadRecordLimit | None = None  # how many of a batch's records may be bad; None: all
    dead_letters: str | None = None  # the stream that they become rows of


@dataclass(frozen=True, slots=True)
class PutAside:
    """The bad records of one batch."""

    counts: Mapping[str, int]  # source -> how many, where there are any
    rows: Mapping[str, pa.Table]  # stream of dead letters -> its rows


@dataclass(frozen=True)
class Aside:
    """Where the sources put bad records, and what is said of each."""

    of: Mapping[str, BadRecords] = field(default_factory=dict)  # source -> its own
    rules: Mapping[str, BadRecordRule] = field(default_factory=dict)
    say: Callable[..., None] = lambda level, message, **fields: None  # the runtime's log

    def take(self, batch: int, time_ms: int, rows: Mapping[str, pa.Table], silent: bool) -> PutAside:
        """Those of the batch that was just read. `rows`: the good ones of each source.

        Unless `silent`, the log tells of them. Raises `JobError` where a batch that was not committed before has more
        than the limit.
        """
        counts: dict[str, int] = {}
        letters: dict[str, pa.Table] = {}
        for name in rows:
            found = self.of[name].take() if name in self.of else ()
            if not found:
                continue
            rule = self.rules.get(name, BadRecordRule())
            counts[name] = len(found)
            if not silent:
                self._tell(name, batch, found, rule, len(found) + rows[name].num_rows)
            if rule.dead_letters is not None:
                letters[rule.dead_letters] = _letters(time_ms, name, found)
        return PutAside(counts, letters)

    def _tell(self, name: str, batch: int, found: Sequence[BadRecord], rule: BadRecordRule, records: int) -> None:
        first = found[0]
        begins = f" It begins: {excerpt(first.raw)}" if first.raw else ""
        where = f"{first.origin}, {first.position}"
        if rule.limit is not None and rule.limit.is_exceeded(len(found), records):
            raise JobError(
                f'Source "{name}": {len(found)} of the {records} records of batch {batch} are bad, and maxBadRecords '
                f"is {rule.limit.text}. The first stands at {where}: ",
                first.error,
                ". Correct the source or its schema, or allow more, and start the job again: it goes on with this "
                "batch.",
            )
        self.say(
            "warning",
            "bad records",
            source=name,
            batch=batch,
            bad=len(found),
            records=records,
            become="dropped" if rule.dead_letters is None else rule.dead_letters,
            first=f"{where}: {first.error.full}.{begins}",
        )


def _letters(time_ms: int, source: str, found: Sequence[BadRecord]) -> pa.Table:
    count = len(found)
    columns: list[Any] = [
        pa.array([time_ms * 1000] * count, pa.int64()).cast(pa.timestamp("us", "UTC")),
        pa.array([source] * count, pa.string()),
        pa.array([bad.origin for bad in found], pa.string()),
        pa.array([bad.position for bad in found], pa.int64()),
        pa.array([bad.error.full for bad in found], pa.string()),
        pa.array([bad.size for bad in found], pa.int64()),
        pa.array([bad.raw for bad in found], pa.binary()),
    ]
    return pa.Table.from_arrays(columns, schema=DEAD_LETTERS)
