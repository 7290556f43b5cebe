"""Static tables in files."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar, cast

import pyarrow as pa

from streamjob_runtime.connectors.files.decoding import FileDecoder
from streamjob_runtime.connectors.files.folders import Folders
from streamjob_runtime.connectors.files.links import open_files
from streamjob_runtime.connectors.files.paths import list_files, split_glob
from streamjob_runtime.connectors.shared.decoding import Decoding, unnamed
from streamjob_runtime.connectors.table import TableContext, TableSpec
from streamjob_runtime.errors import JobError, NotFound
from streamjob_runtime.formats import names
from streamjob_runtime.formats.base import BadRecord, TooLarge
from streamjob_runtime.formats.columns import NO_RECORD, Columns
from streamjob_runtime.formats.compression import decompress
from streamjob_runtime.formats.open import make_decoder
from streamjob_runtime.formats.parquet import read_schema
from streamjob_runtime.formats.wire import wire_schema
from streamjob_runtime.memory import for_one_file
from streamjob_runtime.stores.base import Entry, Store

T = TypeVar("T")

_TRIES = 10  # to read files that nobody changes meanwhile


@dataclass
class FileContents:
    """The rows of a static table's files."""

    name: str
    store: Store  # rooted where the files are
    pattern: str | None  # which of its keys are files of the table, as `split_glob` gives it
    decoder: FileDecoder | None = None  # set once the columns are known
    format: str | None = None  # of the manifest, with which the decoder is made
    header: bool = True
    escape: str = '"'
    required: tuple[str, ...] = ()
    folders: Folders = field(default_factory=lambda: Folders(""))
    most: int = 1 << 40  # bytes that a file may become
    say: Callable[..., None] = lambda level, message, **fields: None  # the runtime's log
    decoding: Decoding = unnamed
    lenient: bool = False  # whether bad records are left out
    left_out: int = 0

    @classmethod
    def from_manifest(cls, table: TableSpec, context: TableContext) -> "FileContents":
        """The files of a manifest's table."""
        root, pattern = split_glob(context.resolve(table.config.path))
        whose = f"the static table {table.name}"
        named = f"The static table {table.name!r}"
        store = open_files(root, pattern, table.config.follow_links, whose, named, context)
        return cls(
            table.name,
            store,
            pattern,
            None,
            table.format,
            table.csv_header,
            table.csv_escape,
            table.required,
            Folders(root),
            for_one_file(),
            context.say,
            context.decoding,
            table.on_bad_record == "drop",
        )

    def files(self) -> list[Entry]:
        """The files as they are now. Raises `JobError` if there is none."""
        found = list(list_files(self.store, self.pattern))
        if not found:
            raise JobError(
                f"The static table {self.name!r} has no file at {self.store.url} "
                f"(looked for: {self.pattern or 'any file'}). Put its files there, or correct the table's path."
            )
        return found

    def schema(self) -> pa.Schema:
        """See `Contents`: Parquet files name their columns, and folders more of them, which are texts."""

        def look(files: list[Entry]) -> pa.Schema:
            key = files[0].key
            inside = self._of_file(key, lambda data: read_schema(decompress(key, data, self.most)))
            there = {names.folded(name) for name in inside.names}
            folders = [n for n in self.folders.names(key) if names.folded(n) not in there]
            return pa.schema([*inside, *(pa.field(name, pa.string()) for name in folders)])

        return self._of_files(look)

    def take_columns(self, columns: pa.Schema) -> None:
        """See `Contents`."""
        if self.format is not None:
            wire = wire_schema(self.format, columns)
            decoder = make_decoder(self.format, wire, header=self.header, escape=self.escape)
            self.decoder = FileDecoder(decoder, Columns(wire.names, self.required), self.folders, lenient=self.lenient)

    def check(self) -> str:
        """See `Contents`: finds the files and decodes the smallest of them."""

        def look(files: list[Entry]) -> str:
            self.read([min(files, key=lambda e: e.size)])
            return f"{len(files)} {'file' if len(files) == 1 else 'files'} at {self.store.url}"

        return self._of_files(look)

    def newest(self, in_use: Callable[[str], bool]) -> tuple[str, pa.Table] | None:
        """See `Contents`."""

        def look(files: list[Entry]) -> tuple[str, pa.Table] | None:
            version = version_of(files)
            return None if in_use(version) else (version, self.read(files))

        return self._of_files(look)

    def _of_files(self, look: Callable[[list[Entry]], T]) -> T:
        """What `look` makes of the files; again if they change meanwhile, when it may have seen half of each state."""
        files = self.files()
        for _ in range(_TRIES):
            found = missing = None
            try:
                found = look(files)
            except NotFound as error:  # removed since they were listed
                missing = error
            before, files = version_of(files), self.files()
            if missing is None and version_of(files) == before:
                return cast(T, found)
        raise JobError(
            f"The files of the static table {self.name!r} at {self.store.url} changed each time they were read. "
            "Write each file under another name and rename it when it is whole."
        )

    def read(self, files: Iterable[Entry]) -> pa.Table:
        """The rows of those files. Raises `JobError` if one of them cannot be decoded."""
        decoder = self.decoder
        assert decoder is not None
        found = [self._of_file(e.key, lambda data, e=e: decoder.sift(e.key, data, self.most)) for e in files]  # type: ignore[misc]
        self.left_out = sum(len(each.bad) for each in found)
        first = next((bad for each in found for bad in each.bad), None)
        if first is not None:
            self.say("warning", "a record of a static table is bad", table=self.name, error=first.reason.full)
        for missing in decoder.columns.missing():
            self.say("warning", NO_RECORD, table=self.name, **missing.fields)
        return pa.concat_tables([each.rows for each in found])

    def _of_file(self, key: str, look: Callable[[bytes], T]) -> T:
        """What `look` makes of the file's content."""
        try:
            data = self.store.read(key)
            with self.decoding(f"the static table {self.name!r}: the file {key} at {self.store.url}"):
                return look(data)
        except TooLarge:
            raise JobError(
                f"The static table {self.name!r}: the file {key} at {self.store.url} becomes more than "
                f"{self.most >> 20} MiB when it is unpacked, which is what one file may of the job's memory. "
                "Write it in smaller files, or give the job more memory (spec.resources.limits.memory on a cluster)."
            ) from None
        except BadRecord as bad:
            raise JobError(
                f"The static table {self.name!r}: record {bad.record} of the file {key} at {self.store.url} cannot be "
                "decoded: ",
                bad.reason,
                ".",
                bad.begins(quoted=True),
                f" {bad.remedy or 'Mend the file'}.",
            ) from None


def version_of(files: Iterable[Entry]) -> str:
    """A text that differs whenever a file was added, removed or replaced."""
    digest = hashlib.sha256("\n".join(f"{e.key}\0{e.size}\0{e.version}" for e in files).encode())
    return digest.hexdigest()[:16]
