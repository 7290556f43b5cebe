"""Lines that are appended to growing and rotated files of a local folder."""

import zlib
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from streamjob_runtime.connectors.files.paths import missing_place
from streamjob_runtime.connectors.files.tails import Place, Seen, Tail, match, read_range, signature
from streamjob_runtime.connectors.shared.bad_records import BadRecords
from streamjob_runtime.connectors.shared.decoding import Decoding, unnamed
from streamjob_runtime.connectors.shared.long_lines import beginnings, end_of_lines, sift_around
from streamjob_runtime.connectors.source import OffsetRange, SourceStatus
from streamjob_runtime.errors import Damaged, JobError
from streamjob_runtime.formats import lines
from streamjob_runtime.formats.base import BadRecord, Decoder
from streamjob_runtime.formats.columns import NO_RECORD, Columns
from streamjob_runtime.formats.sifted import Bad, Sifted, with_all
from streamjob_runtime.patience import Caller
from streamjob_runtime.stores.local import Links
from streamjob_runtime.stores.os_errors import translate

MAX_BYTES = 64 << 20  # of a batch without a limit
MAX_LINE = 16 << 20  # bytes

T = TypeVar("T")


class FollowSource:
    """Each line once, from the moment it ends with a newline; offsets are bytes of a file that is told by its inode.

    A file goes on under its new name when it was renamed. One that was cut off (copytruncate) begins anew, and a copy
    beside it is read from where the original was read to. Compressed files are passed over: what is in them was read.
    A range names inode, bytes and their checksum, and a replay reads these bytes wherever they are now.

    `snapshot` is `{"tails"}`: how far each file was read.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        pattern: str | None,
        decoder: Decoder,
        schema: pa.Schema,
        caller: Caller,
        say: Callable[..., None] = lambda level, message, **fields: None,
        available_now: bool = False,
        columns: Columns | None = None,
        links: Links | None = None,
        decoding: Decoding = unnamed,
        bad_records: BadRecords | None = None,
    ) -> None:
        self._name = name
        self._bad_records = bad_records or BadRecords()
        self._root = root
        self._pattern = pattern
        self._place = Place(root, pattern, links)
        self._decoding = decoding
        self._decoder = decoder
        self._schema = schema
        self._caller = caller
        self._say = say
        self._available_now = available_now
        self._columns = columns or Columns(())
        self._misfits = with_all((self._columns.lacking, self._bad_records.misfits))
        self._tails: Mapping[int, Tail] = {}  # as the log knows them, but for what `match` has made of them
        self._logged: dict[int, int] = {}  # inode -> offset, as the log has it
        self._found: Mapping[int, Seen] = {}  # by the last look
        self._there: Mapping[int, Seen] | None = None  # by that, or by a survey since
        self._waiting: tuple[str, ...] = ()
        self._until: dict[int, int] | None = None
        self._loaded: dict[tuple[int, int, int, int], _Records] = {}  # inode, start, end, checksum
        self._unended: set[str] = set()  # files whose last line has no end

    def check(self) -> str:
        """See `Source`: looks for the files."""
        missing = missing_place(str(self._root), self._pattern)
        if missing and self._available_now:
            raise JobError(
                f'Source "{self._name}": {missing}, and a job with trigger availableNow does not wait for it.'
            )
        count = sum(self._place.means(seen.key) for seen in self._ask(self._place.look).values())
        said = f"{count} {'file' if count == 1 else 'files'} to follow at {self._where}"
        return said if count else f"warning: {said}{f' ({missing})' if missing else ''}; is the path right?"

    def begin(self, earlier: Any) -> Any:
        """See `Source`. With the first line of all files that are there."""
        return None

    def open(self, state: Any) -> None:
        """See `Source`."""
        if state is not None:
            self._tails = {tail.inode: tail for tail in map(Tail.from_json, state["tails"])}
            self._logged = {inode: tail.offset for inode, tail in self._tails.items()}

    def limit_to_available(self) -> None:
        """See `Source`."""
        missing = missing_place(str(self._root), self._pattern)
        if missing:
            raise JobError(
                f'Source "{self._name}": {missing}, and a job with trigger availableNow does not wait for it.'
            )
        self._ask(self._look)
        self._until = self._ask(lambda: {inode: self._end_of_lines(inode) for inode in self._tails})

    @property
    def exhausted(self) -> bool:
        """See `Source`."""
        return self._until is not None and all(
            self._tails[i].offset >= end for i, end in self._until.items() if i in self._tails
        )

    def poll(self, limit: int | None, now_ms: int) -> OffsetRange | None:
        """See `Source`. Raises `JobError` for a line that cannot be decoded: no range names it yet."""
        self._ask(self._look)
        parts = self._ask(lambda: list(self._take(limit)))
        if not parts:
            return None
        partitions = {_partition(p["tail"][0]): (p["start"], p["tail"][2]) for p in parts}
        return OffsetRange(partitions, [*parts, *self._taken_over({p["tail"][0] for p in parts})])

    def _taken_over(self, named: Container[int]) -> Iterator[dict[str, Any]]:
        """Copies that go on where a file was cut off: once the log names new bytes of that, it alone knows of them."""
        for inode, tail in self._tails.items():
            if inode not in named and tail.offset != self._logged.get(inode, 0):
                yield {"tail": tail.to_json(), "start": tail.offset, "crc": 0}

    def advance(self, offsets: OffsetRange) -> None:
        """See `Source`."""
        tails = dict(self._tails)
        for part in offsets.detail:
            tail = Tail.from_json(part["tail"])
            tails[tail.inode] = tail
            self._logged[tail.inode] = tail.offset
        self._tails = tails

    def read(self, offsets: OffsetRange) -> pa.Table:
        """See `Source`. Raises `Damaged` where the bytes are nowhere any more."""
        tables = [self._schema.empty_table()]
        wanted = {}
        for part in offsets.detail:
            tail = Tail.from_json(part["tail"])
            if tail.offset == part["start"]:
                continue
            # The checksum, too: a file that was cut off has other bytes in the same place.
            at = tail.inode, int(part["start"]), tail.offset, int(part["crc"])
            found = self._loaded.get(at)
            if found is None:
                found = self._decode(*self._find(part, tail), tail.key, at[1])
            wanted[at] = found
            tables.append(found.sifted.rows)
            self._bad_records.put(str(self._place.path(tail.key)), found.sifted.bad, found.place_of)
        for column in self._columns.missing():
            self._say("warning", NO_RECORD, source=self._name, **column.fields)
        self._loaded = wanted  # the same range may be asked for again
        return pa.concat_tables(tables)

    def acknowledge(self, offsets: OffsetRange) -> None:
        """See `Source`. Nobody asks."""

    def snapshot(self) -> Any:
        """See `Source`."""
        return {"tails": [tail.to_json() for _, tail in sorted(self._tails.items()) if tail.offset]}

    def release(self, state: Any) -> None:
        """See `Source`. Files are not ours to delete."""

    def survey(self, now_ms: int) -> None:
        """See `Source`: looks how large the files are."""
        with translate(self._root):
            self._there = self._place.look()

    def status(self) -> SourceStatus:
        """See `Source`."""
        tails, found = self._tails, self._there
        if found is None:
            return SourceStatus()
        known = {
            i: s for i, s in found.items() if i in tails or (self._place.means(s.key) and s.key not in self._waiting)
        }
        latest = {_partition(i): max(s.size, tails[i].offset if i in tails else 0) for i, s in known.items()}
        position = {_partition(i): tails[i].offset if i in tails else 0 for i in known}
        notes = []
        if not known:
            notes.append(f"there is no file to follow at {self._where} yet")
        if self._waiting:
            notes.append(f"taken for copies of files that are read, and not read: {', '.join(self._waiting[:3])}")
        if self._unended:
            notes.append(f"a last line without an end is waited for in {', '.join(sorted(self._unended)[:3])}")
        return SourceStatus(latest, message="; ".join(notes), position=position)

    def close(self) -> None:
        """See `Source`."""

    @property
    def _where(self) -> str:
        return f"{self._root}/{self._pattern or ''}"

    def _ask(self, question: Callable[[], T]) -> T:
        def attempt() -> T:
            with translate(self._root):
                return question()

        return self._caller.call(attempt)

    def _look(self) -> None:
        """See which files are there, and which of those that were read they are."""
        found = self._place.look()
        matched = match(self._place, self._tails, self._found, found)
        for what in matched.news:
            self._say("warning", "a followed file is not what it was", source=self._name, what=what)
        for inode in list(self._until or ()):
            # What is cut off meanwhile, and comes behind that, is not of this run.
            if inode not in matched.tails or matched.tails[inode].offset < self._tails[inode].offset:
                del self._until[inode]  # type: ignore[union-attr]
        self._tails, self._waiting, self._found = matched.tails, matched.waiting, found
        self._there = found

    def _take(self, limit: int | None) -> Iterator[dict[str, Any]]:
        """The parts of the next range, each with its rows in `_loaded`, by the time that their files were written."""
        self._unended = set()
        room = MAX_BYTES
        for seen in sorted(self._found.values(), key=lambda s: (s.modified_ns, s.key)):
            tail = self._tails.get(seen.inode)
            if tail is None or room <= 0 or limit == 0:
                continue
            path = self._place.path(seen.key)
            end = seen.size if self._until is None else self._until.get(seen.inode, 0)
            data = read_range(path, tail.offset, min(end, tail.offset + max(room, MAX_LINE + 1)), seen.inode)
            cut = data.rfind(b"\n") + 1
            if cut == 0 and len(data) > MAX_LINE:
                if not self._bad_records.lenient:
                    raise JobError(
                        f'Source "{self._name}": {path} has {MAX_LINE >> 20} MiB without a newline behind byte '
                        f"{tail.offset}, and a line is a record. Leave the file out of the path, or write onBadRecord: "
                        "drop or deadLetter."
                    )
                cut = len(data)  # the rest of the line comes later, and is passed over
            if cut < len(data):
                self._unended.add(seen.key)
            data = data[:cut]
            count = lines.count(data)
            if limit is not None and count > limit:
                data, count = _first(data, limit), limit
            if not data:
                continue
            yield self._part(path, tail, data)
            room -= len(data)
            limit = None if limit is None else limit - count

    def _part(self, path: Path, tail: Tail, data: bytes) -> dict[str, Any]:
        start, end = tail.offset, tail.offset + len(data)
        crc = zlib.crc32(data)
        before = read_range(path, max(0, start - 1), start, tail.inode)
        self._loaded[tail.inode, start, end, crc] = self._decode(data, _is_within(before), tail.key, start)
        now = Tail(tail.inode, tail.key, end, *signature(path, end))
        return {"tail": now.to_json(), "start": start, "crc": crc}

    def _end_of_lines(self, inode: int) -> int:
        """Where the last whole line of the file ends."""
        tail, seen = self._tails[inode], self._found.get(inode)
        if seen is None:
            return tail.offset
        end = seen.size
        while end > tail.offset:
            start = max(tail.offset, end - (1 << 20))
            data = read_range(self._place.path(seen.key), start, end)
            newline = data.rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
        return tail.offset

    def _find(self, part: Any, tail: Tail) -> tuple[bytes, bool]:
        """The bytes of a part that the log names: of the file itself, renamed or not, or of a copy.

        And whether they begin within a line, whose beginning was too long for one.
        """
        found = self._ask(self._place.look)
        own = [s for i, s in found.items() if i == tail.inode]
        start, size = int(part["start"]), tail.offset - int(part["start"])
        for seen in (*own, *(s for i, s in found.items() if i != tail.inode and s.size >= tail.offset)):
            path = self._place.path(seen.key)
            read = self._ask(lambda path=path: read_range(path, max(0, start - 1), tail.offset))  # type: ignore[misc]
            before, data = read[: min(1, start)], read[min(1, start) :]
            if len(data) == size and zlib.crc32(data) == part["crc"]:
                return data, _is_within(before)
        raise Damaged(
            f'Source "{self._name}": the bytes {part["start"]} to {tail.offset} of {self._place.path(tail.key)} (inode '
            f"{tail.inode}), which a batch needs again, are in no file there any more. Put the file back (unpacked, "
            "where it was compressed), and keep rotated files for longer than from one checkpoint to the next."
        )

    def _decode(self, data: bytes, within: bool, key: str, start: int) -> "_Records":
        """What became of the lines. `within`: they begin with the rest of one, which is passed over."""
        passed = (data.find(b"\n") + 1 or len(data)) if within else 0
        start, data = start + passed, data[passed:]
        try:
            with self._decoding(f'source "{self._name}": {self._place.path(key)} from byte {start} on'):
                if self._bad_records.lenient:
                    found = sift_around(data, MAX_LINE, self._sift, MAX_LINE)
                else:
                    found = Sifted(self._decoder.decode(data))
            self._columns.look(
                found.rows, lambda: self._decoder.names(data), lambda row: self._decoder.line_of(data, row)
            )
        except BadRecord as bad:
            remedy = (
                bad.remedy or "Correct it, declare the column VARCHAR, or say by onBadRecord what becomes of such lines"
            )
            raise JobError(
                f'Source "{self._name}": the line {bad.record + 1} behind byte {start} of {self._place.path(key)} '
                "cannot be decoded: ",
                bad.reason,
                ".",
                bad.begins(),
                f" {remedy}.",
            ) from None
        begins = beginnings(data, [bad.line for bad in found.bad])
        return _Records(found, {bad.line: start + at for bad, at in zip(found.bad, begins, strict=True)})

    def _sift(self, data: bytes) -> Sifted:
        return self._decoder.sift(data, self._misfits)


@dataclass(frozen=True, slots=True)
class _Records:
    """What became of some lines of a file."""

    sifted: Sifted
    places: Mapping[int, int]  # the number of a line that is bad -> where it begins in the file

    def place_of(self, bad: Bad) -> int:
        """Where the record begins in the file."""
        return self.places[bad.line]


def _is_within(before: bytes) -> bool:
    """Whether what follows this byte, or the file's beginning, is the rest of a line."""
    return before not in (b"", b"\n")


def _partition(inode: int) -> str:
    return f"inode {inode}"


def _first(data: bytes, count: int) -> bytes:
    """The first so many lines."""
    return data[: end_of_lines(data, count)]
