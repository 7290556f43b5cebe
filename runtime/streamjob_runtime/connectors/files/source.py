"""New files in a folder, or below an S3 prefix."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import pyarrow as pa

from streamjob_runtime.clock import Clock
from streamjob_runtime.connectors.files.decoding import FileDecoder
from streamjob_runtime.connectors.files.folders import Folders
from streamjob_runtime.connectors.files.follow import FollowSource
from streamjob_runtime.connectors.files.links import LinkRule, open_files
from streamjob_runtime.connectors.files.new_files import NewFiles
from streamjob_runtime.connectors.files.parts import FilePart, FileReader, FileUnusable
from streamjob_runtime.connectors.files.paths import list_files, local_folder, missing_place, split_glob
from streamjob_runtime.connectors.files.seen import SeenFiles
from streamjob_runtime.connectors.shared.bad_records import BadRecords
from streamjob_runtime.connectors.shared.decoding import Decoding, unnamed
from streamjob_runtime.connectors.source import OffsetRange, Source, SourceStatus
from streamjob_runtime.connectors.source_context import SourceContext, SourceSpec
from streamjob_runtime.errors import JobError
from streamjob_runtime.formats.columns import NO_RECORD, Columns
from streamjob_runtime.formats.open import make_decoder
from streamjob_runtime.formats.sifted import Sifted
from streamjob_runtime.memory import for_one_file
from streamjob_runtime.stores.base import Entry, Store

SETTLE_MS = 1000
_PARTITION = "files"
_THREADS = 8

_T = TypeVar("_T")


class FilesSource:
    """Files, each read once, by modification time and name.

    A file is known by its key: one that is replaced later is not read again. It is read once it was left alone for
    `settle_ms`; writers that take longer should write under a name that begins with "." or "_" and rename. A file
    whose time is seven days before the newest that was read is passed over.

    The partition "files" counts files that were read to their end. Where `limit` cuts a file, a partition "files/<key>"
    counts its records, bad ones too. A file is decoded before its range is logged, so that one that cannot be decoded
    stands in no log, and can be corrected or taken away.
    """

    def __init__(
        self,
        name: str,
        store: Store,
        decoder: FileDecoder,
        schema: pa.Schema,
        max_files: int,
        clock: Clock,
        pattern: str | None = None,
        settle_ms: int = SETTLE_MS,
        most: int = 1 << 40,
        say: Callable[..., None] = lambda level, message, **fields: None,
        missing: Callable[[], str] = lambda: "",  # what is not there, where files would have to be
        available_now: bool = False,
        decoding: Decoding = unnamed,
        bad_records: BadRecords | None = None,
    ) -> None:
        self._name = name
        self._bad_records = bad_records or BadRecords()
        self._schema = schema
        self._max_files = max_files
        self._store = store
        self._clock = clock
        self._reader = FileReader(f'Source "{name}"', store, decoder, most, decoding)
        self._decoder = decoder
        self._most = most  # bytes that one file may become, and all together that are read ahead
        self._say = say
        self._new = NewFiles(store, pattern, clock, settle_ms, SeenFiles())
        self._pattern = pattern
        self._missing = missing
        self._available_now = available_now
        self._settle_ms = settle_ms
        self._pool = ThreadPoolExecutor(_THREADS, f"files-{name}")
        self._count = 0  # files that were read to their end
        self._current: FilePart | None = None  # what was read of a file that was not read to its end
        self._loaded: dict[Entry, Sifted] = {}
        self._status = SourceStatus()
        self._surveyed: tuple[float, int, int | None] = (float("-inf"), 0, None)
        self._told_at = float("-inf")

    @classmethod
    def from_manifest(cls, source: SourceSpec, schema: pa.Schema, context: SourceContext) -> Source:
        """See `open_source`: new files, or with `follow` the lines that are appended to files."""
        root, pattern = split_glob(context.resolve(source.config.path))
        if source.config.follow:
            return FollowSource(
                source.name,
                local_folder(root),
                pattern,
                make_decoder(str(source.format), schema, header=False, escape=source.csv_escape),
                schema,
                context.patience(f'source "{source.name}" ({root})'),
                context.say,
                context.available_now,
                Columns(schema.names, source.required),
                LinkRule(f'Source "{source.name}"', local_folder(root), pattern, source.config.follow_links),
                context.decoding,
                context.bad_records,
            )
        # An object in S3 appears as a whole; a local file grows under its reader's eyes.
        settle_ms = 0 if root.startswith("s3://") else SETTLE_MS
        decoder = FileDecoder(
            make_decoder(str(source.format), schema, header=source.csv_header, escape=source.csv_escape),
            Columns(schema.names, source.required),
            Folders(root),
            packs=source.format == "parquet",
            lenient=context.bad_records.lenient,
            misfits=context.bad_records.misfits,
        )
        links = source.config.follow_links
        store = open_files(root, pattern, links, f'source "{source.name}"', f'Source "{source.name}"', context)
        files = source.config.max_files_per_batch
        most, missing = for_one_file(), partial(missing_place, root, pattern)
        return cls(
            source.name,
            store,
            decoder,
            schema,
            files,
            context.clock,
            pattern,
            settle_ms,
            most,
            context.say,
            missing,
            context.available_now,
            context.decoding,
            context.bad_records,
        )

    def check(self) -> str:
        """See `Source`: lists the files. Raises `JobError` where none can be, of a job that waits for none."""
        self._require_place()
        count = sum(1 for _ in list_files(self._store, self._pattern))
        said = f"{count} {'file' if count == 1 else 'files'} at {self._place}"
        missing = self._missing()
        if missing:
            return f"warning: {missing}. Its files are read once it is there; correct the path if it is a mistake"
        return said if count else f"warning: {said}; is the path right?"

    def _require_place(self) -> None:
        missing = self._missing() if self._available_now else ""
        if missing:
            raise JobError(
                f'Source "{self._name}": {missing}, and a job with trigger availableNow does not wait for one. '
                "Correct the path."
            )

    def begin(self, earlier: Any) -> Any:
        """See `Source`. With all files that are there."""
        return None

    def open(self, state: Any) -> None:
        """See `Source`."""
        seen = SeenFiles(None if state is None else state["seen"])
        self._new = NewFiles(self._store, self._pattern, self._clock, self._settle_ms, seen)
        if state is not None:
            self._count = int(state["count"])
            if state["current"]:
                self._current = FilePart.from_json(state["current"])
                self._new.begun(self._current.file)

    def limit_to_available(self) -> None:
        """See `Source`. Raises `JobError` for a place where nothing can be."""
        self._require_place()
        self._new.limit_to_available()

    @property
    def exhausted(self) -> bool:
        """See `Source`."""
        return self._new.exhausted and self._current is None

    def poll(self, limit: int | None, now_ms: int) -> OffsetRange | None:
        """See `Source`. Raises `JobError` for a file that cannot be decoded."""
        self._new.find(now_ms)
        parts = list(self._take(limit, now_ms))
        self._tell()
        if not parts:
            return None
        partitions = {_PARTITION: (self._count, self._count + sum(part.is_last for part in parts))}
        if partitions[_PARTITION][0] == partitions[_PARTITION][1]:
            partitions.clear()
        partitions |= {f"{_PARTITION}/{part.file.key}": (part.first, part.last) for part in parts if not part.is_whole}
        return OffsetRange(partitions, [part.to_json() for part in parts])

    def _take(self, limit: int | None, now_ms: int) -> Iterator[FilePart]:
        """The parts of the next range."""
        files = 0
        if self._current is not None:
            part = self._current.following(limit)
            yield part
            files, limit = 1, None if limit is None else limit - part.rows
        candidates = self._new.first(self._max_files - files)
        # With a limit, or where nobody knows what they become, no more files are read ahead than there are threads.
        packed = any(self._decoder.may_grow(file.key) for file in candidates)
        step = len(candidates) if limit is None and not packed else _THREADS
        for i in range(0, len(candidates), max(1, step)):
            if limit == 0 or (i and sum(found.nbytes for found in self._loaded.values()) > self._most):
                return
            for file, found in self._load(candidates[i : i + step], now_ms):
                if limit == 0:
                    return
                part = FilePart.of(file, found.total, limit)
                yield part
                limit = None if limit is None else limit - part.rows

    def _load(self, files: list[Entry], now_ms: int) -> list[tuple[Entry, Sifted]]:
        """Those of the files that are still as they were listed, with their records."""
        missing = [file for file in files if file not in self._loaded]
        for file, found in zip(missing, self._records(missing), strict=True):
            if isinstance(found, FileUnusable):  # replaced or deleted since it was listed: no range names it yet
                self._new.put_back(file, now_ms)
            else:
                self._loaded[file] = found
        return [(file, self._loaded[file]) for file in files if file in self._loaded]

    def _records(self, files: list[Entry]) -> list[Sifted | FileUnusable]:
        """The records of files that are read side by side; those that become large are read again, each alone."""
        beside = min(len(files), _THREADS)
        found = self._map(lambda file: _unless_unusable(lambda: self._reader.read_beside(file, beside)), files)
        return [
            _unless_unusable(lambda file=file: self._reader.read(file)) if each is None else each  # type: ignore[misc]
            for file, each in zip(files, found, strict=True)
        ]

    def advance(self, offsets: OffsetRange) -> None:
        """See `Source`."""
        for part in map(FilePart.from_json, offsets.detail):
            if part.is_last:
                self._count += 1
                self._current = None
                self._new.done(part.file)
            else:
                self._current = part
                self._new.begun(part.file)
        self._tell()

    def read(self, offsets: OffsetRange) -> pa.Table:
        """See `Source`."""
        parts = [FilePart.from_json(part) for part in offsets.detail]
        missing = [part.file for part in parts if part.file not in self._loaded]
        for file, found in zip(missing, self._records(missing), strict=True):
            if isinstance(found, FileUnusable):
                raise found
            self._loaded[file] = found
        for column in self._decoder.columns.missing():
            self._say("warning", NO_RECORD, source=self._name, **column.fields)
        tables = [self._schema.empty_table()]
        for part in parts:
            records = self._loaded[part.file].slice(part.first, part.last)
            tables.append(records.rows)
            self._bad_records.put(self._reader.place(part.file), records.bad, lambda bad: bad.line + 1)
            if part.is_last:
                del self._loaded[part.file]
        return pa.concat_tables(tables)

    def _map(self, function: Callable[[Entry], _T], files: list[Entry]) -> list[_T]:
        # One file is read sooner than a thread is woken.
        return list((map if len(files) == 1 else self._pool.map)(function, files))

    def acknowledge(self, offsets: OffsetRange) -> None:
        """See `Source`. Nobody asks."""

    def snapshot(self) -> Any:
        """See `Source`."""
        current = self._current.to_json() if self._current else None
        return {"count": self._count, "current": current, "seen": self._new.seen.to_json()}

    def release(self, state: Any) -> None:
        """See `Source`. Files are not ours to delete."""

    def survey(self, now_ms: int) -> None:
        """See `Source`: lists the files."""
        asked = self._clock.monotonic()
        unread, oldest_ms = self._new.count()
        self._surveyed = (asked, unread, oldest_ms)

    def status(self) -> SourceStatus:
        """See `Source`."""
        told, (surveyed_at, unread, oldest_ms) = self._status, self._surveyed
        if surveyed_at <= self._told_at:
            return told
        return replace(told, latest={_PARTITION: self._count + unread}, oldest_ms=oldest_ms)

    @property
    def _place(self) -> str:
        return f"{self._store.url}/{self._pattern or ''}"

    @property
    def _nothing(self) -> str:
        missing = self._missing()
        return f"there is no file to read at {self._place} yet" + (f": {missing}" if missing else "")

    def _tell(self) -> None:
        latest = self._count + self._new.known + (self._current is not None)
        message = self._new.message if latest else self._nothing
        oldest_ms = self._new.oldest_ms
        if self._current is not None:
            oldest_ms = min(self._current.file.modified_ms, oldest_ms or self._current.file.modified_ms)
        self._told_at = self._clock.monotonic()
        self._status = SourceStatus(
            {_PARTITION: latest},
            message=message,
            position={_PARTITION: self._count},
            warns=self._new.has_changed,
            oldest_ms=oldest_ms,
        )

    def close(self) -> None:
        """See `Source`."""
        self._pool.shutdown(cancel_futures=True)
        self._store.close()


def _unless_unusable(read: Callable[[], _T]) -> _T | FileUnusable:
    try:
        return read()
    except FileUnusable as unusable:
        return unusable
