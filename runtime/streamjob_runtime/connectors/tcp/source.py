"""Lines that a TCP server sends."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pyarrow as pa

from streamjob_runtime.clock import Clock
from streamjob_runtime.connectors.shared.bad_records import BadRecords
from streamjob_runtime.connectors.shared.long_lines import end_of_lines, sift_around
from streamjob_runtime.connectors.shared.wal import Segment, Wal
from streamjob_runtime.connectors.source import OffsetRange, SourceStatus
from streamjob_runtime.connectors.source_context import SourceContext, SourceSpec
from streamjob_runtime.connectors.tcp.line_buffer import LONGEST, MAX_LINE, LineBuffer
from streamjob_runtime.connectors.tcp.receiver import Receiver, cannot_connect, connect, no_host_name
from streamjob_runtime.errors import JobError, StreamJobError, Unavailable
from streamjob_runtime.formats.base import BadRecord, Decoder
from streamjob_runtime.formats.columns import NO_RECORD, Columns
from streamjob_runtime.formats.lines import excerpt
from streamjob_runtime.formats.open import make_decoder
from streamjob_runtime.formats.sifted import Sifted, with_all
from streamjob_runtime.stores.base import Store

MAX_BUFFER = 64 << 20  # bytes
_PARTITION = "lines"


class TcpSource:
    """A client that receives lines; each is a record, and offsets count them.

    A server cannot be asked again, so lines are written to the job's store (the WAL) before a range names them: from
    then on they are read exactly once. What was received and not yet written is lost when the process is killed; a
    process that is stopped writes it. What a server sends while no job is connected, or behind the last newline
    before the connection breaks, never arrives. An end of the connection ends the last line.

    `snapshot` is `{"offset", "moved", "cut"}`: the next line's number; the first number of segments that were adopted
    under another one than their name says; the segment that was begun, and how many of its lines were taken.
    """

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        wal: Store,
        decoder: Decoder,
        schema: pa.Schema,
        epoch: int,
        rng: random.Random,
        clock: Clock,
        max_buffer_bytes: int = MAX_BUFFER,
        columns: Columns | None = None,
        say: Callable[..., None] = lambda level, message, **fields: None,
        bad_records: BadRecords | None = None,
    ) -> None:
        self._name = name
        self._wal = Wal(wal, name)
        self._decoder = decoder
        self._columns = columns or Columns(schema.names)
        self._say = say
        self._schema = schema
        self._epoch = epoch
        self._rng = rng
        self._bad_records = bad_records or BadRecords()
        self._misfits = with_all((self._columns.lacking, self._bad_records.misfits))
        self._buffer = LineBuffer(max_buffer_bytes, self._bad_records.lenient)
        self._address = (host, port)
        self._receiver = Receiver(host, port, self._buffer, clock, rng)
        self._offset = 0
        self._unlogged: tuple[tuple[Segment, int], ...] = ()  # in order, with how many lines of it a range named
        self._unwritten: tuple[Segment, bytes] | None = None  # taken out of the buffer
        self._fresh: dict[Segment, bytes] = {}  # what was written and not read yet
        self._left: int | None = None  # lines to take out of the buffer, once limit_to_available was called
        # `release` comes from another thread than the rest.
        self._lock = threading.Lock()
        self._kept: set[Segment] = set()
        self._moved: dict[Segment, int] = {}

    @classmethod
    def from_manifest(cls, source: SourceSpec, schema: pa.Schema, context: SourceContext) -> "TcpSource":
        """See `open_source`."""
        decoder = make_decoder(str(source.format), schema, header=source.csv_header, escape=source.csv_escape)
        config = source.config
        return cls(
            source.name,
            config.host,
            config.port,
            context.log_store,
            decoder,
            schema,
            context.epoch,
            context.random,
            context.clock,
            columns=Columns(schema.names, source.required),
            say=context.say,
            bad_records=context.bad_records,
        )

    def check(self) -> str:
        """See `Source`: connects, and hangs up at once. A server that is down raises `Unavailable`."""
        host, port = self._address
        try:
            connect(self._address).close()
        except UnicodeError:
            raise JobError(f'Source "{self._name}": {no_host_name(host)}') from None
        except OSError as e:
            raise Unavailable(f'Source "{self._name}": {cannot_connect(host, port, e)}. Start its server.') from e
        return f"{host}:{port} takes connections"

    def begin(self, earlier: Any) -> Any:
        """See `Source`. With what comes once it is connected."""
        return None

    def open(self, state: Any) -> None:
        """See `Source`. Segments that were written but that no range names are read before anything new."""
        segments = self._wal.list()
        cut: Segment | None = None
        taken = 0
        if state is not None:
            self._offset = int(state["offset"])
            self._moved = {Segment.parse(name): int(start) for name, start in state["moved"].items()}
            if state["cut"]:
                cut, taken = Segment.parse(state["cut"][0]), int(state["cut"][1])
        self._kept = set(segments)
        # Older ones are of batches before the state, or of a process that was replaced and did not know it.
        self._unlogged = tuple((s, taken if s == cut else 0) for s in segments if s == cut or s.start >= self._offset)
        self._receiver.start()

    def limit_to_available(self) -> None:
        """See `Source`."""
        self._left = self._buffer.lines

    @property
    def exhausted(self) -> bool:
        """See `Source`."""
        return self._left == 0 and not self._unlogged

    def poll(self, limit: int | None, now_ms: int) -> OffsetRange | None:
        """See `Source`. Writes at most one segment; none while there are segments that no range names."""
        if not self._unlogged:
            self._write(limit)
        if not self._unlogged and self._receiver.failure:
            raise JobError(f'Source "{self._name}": {self._receiver.failure}')
        detail = []
        total = 0
        for segment, taken in self._unlogged:
            count = segment.lines - taken if limit is None else min(segment.lines - taken, limit - total)
            if count == 0:
                break
            detail.append([segment.name, taken, taken + count])
            total += count
        return OffsetRange({_PARTITION: (self._offset, self._offset + total)}, detail) if detail else None

    def _write(self, limit: int | None) -> None:
        """Take lines out of the buffer and make them durable."""
        if self._unwritten is None:
            if self._left is not None:
                limit = self._left if limit is None else min(limit, self._left)
            lines, count = self._buffer.take(limit)
            if count == 0:
                return
            nonce = f"{self._rng.getrandbits(64):016x}"
            self._unwritten = Segment(self._offset + self._waiting, self._epoch, nonce, count), lines
        segment, lines = self._unwritten
        self._wal.write(segment, lines)
        self._unwritten = None
        if self._left is not None:
            self._left -= segment.lines
        self._fresh[segment] = lines
        self._unlogged = (*self._unlogged, (segment, 0))
        with self._lock:
            self._kept.add(segment)

    @property
    def _waiting(self) -> int:
        """How many durable lines no range names."""
        return sum(segment.lines - taken for segment, taken in self._unlogged)

    def advance(self, offsets: OffsetRange) -> None:
        """See `Source`."""
        position = offsets.partitions[_PARTITION][0]
        for segment, first, last in pieces(offsets):
            start = position - first
            position += last - first
            rest = ((segment, last),) if last < segment.lines else ()
            self._unlogged = (*rest, *(entry for entry in self._unlogged if entry[0] != segment))
            if start != segment.start:
                with self._lock:
                    self._moved[segment] = start
        self._offset = position

    def read(self, offsets: OffsetRange) -> pa.Table:
        """See `Source`."""
        position = offsets.partitions[_PARTITION][0]
        tables = [self._schema.empty_table()]
        for segment, first, last in pieces(offsets):
            lines = self._fresh.get(segment)
            if lines is None:
                lines = self._wal.read(segment)
            if last < segment.lines:
                self._fresh[segment] = lines  # the rest of it comes next
            else:
                self._fresh.pop(segment, None)
            try:
                if last - first < segment.lines:
                    lines = lines[end_of_lines(lines, first) : end_of_lines(lines, last)]
                found = self._sift(lines)
            except BadRecord as e:
                remedy = e.remedy or "Declare the column VARCHAR, or take format text"
                raise JobError(
                    f'Source "{self._name}", line {position + e.record}, counted from 0: ',
                    e.reason,
                    ".",
                    e.begins(),
                    " What was received cannot be taken back: write onBadRecord: drop or deadLetter and start the job "
                    f"again, which goes on with this batch. If such lines will come again: {remedy}.",
                ) from None
            tables.append(found.rows)
            host, port = self._address
            self._bad_records.put(f"{host}:{port}", found.bad, lambda bad, position=position: position + bad.line)  # type: ignore[misc]
            position += last - first
        for column in self._columns.missing():
            self._say("warning", NO_RECORD, source=self._name, **column.fields)
        return pa.concat_tables(tables)

    def _sift(self, lines: bytes) -> Sifted:
        """What became of whole lines. Raises `BadRecord` for the first bad one, unless these are put aside."""
        found = sift_around(lines, LONGEST, self._sift_short, MAX_LINE)
        if found.bad and not self._bad_records.lenient:  # a line that was cut while they were
            bad = found.bad[0]
            raise BadRecord(bad.reason, bad.line, excerpt(bad.raw or b""), "Let the peer send shorter ones")
        return found

    def _sift_short(self, lines: bytes) -> Sifted:
        if self._bad_records.lenient:
            found = self._decoder.sift(lines, self._misfits)
        else:
            found = Sifted(self._decoder.decode(lines))
        self._columns.look(
            found.rows, lambda: self._decoder.names(lines), lambda row: self._decoder.line_of(lines, row)
        )
        return found

    def acknowledge(self, offsets: OffsetRange) -> None:
        """See `Source`. Nobody asks."""

    def snapshot(self) -> Any:
        """See `Source`."""
        cut = next(([segment.name, taken] for segment, taken in self._unlogged if taken > 0), None)
        with self._lock:
            moved = {segment.name: start for segment, start in self._moved.items()}
        return {"offset": self._offset, "moved": moved, "cut": cut}

    def release(self, state: Any) -> None:
        """See `Source`. Deletes the segments that end at or before the state's offset."""
        offset = int(state["offset"])
        with self._lock:
            done = sorted(s for s in self._kept if self._moved.get(s, s.start) + s.lines <= offset)
        for segment in done:
            self._wal.delete(segment)
            with self._lock:
                self._kept.discard(segment)
                self._moved.pop(segment, None)

    def survey(self, now_ms: int) -> None:
        """See `Source`. What has come is here; what the server has more, nobody knows."""

    def status(self) -> SourceStatus:
        """See `Source`."""
        notes = [self._receiver.trouble] if self._receiver.trouble else []
        if self._buffer.dropped:
            notes.append(f"{self._buffer.dropped} unfinished lines were dropped when a connection broke")
        unwritten = self._unwritten[0].lines if self._unwritten else 0
        latest = self._offset + self._waiting + unwritten + self._buffer.lines
        return SourceStatus(
            {_PARTITION: latest},
            not self._receiver.trouble,
            "; ".join(notes),
            {_PARTITION: self._offset},
            self._receiver.attempts,
        )

    def close(self) -> None:
        """See `Source`. Lines that were received are written, for the next start, if the store can be written."""
        self._receiver.stop()
        if self._receiver.started:
            self._left = None
            # Whatever is wrong with the store, the job's own error counts.
            with suppress(StreamJobError):
                if self._unwritten:
                    self._write(None)
                self._write(None)


def pieces(offsets: OffsetRange) -> Iterator[tuple[Segment, int, int]]:
    """The segments that a range names, each with the lines `[first, last)` of it."""
    for name, first, last in offsets.detail:
        yield Segment.parse(name), int(first), int(last)
