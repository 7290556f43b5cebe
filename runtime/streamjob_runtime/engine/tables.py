"""Static tables: read at the start and by `refresh`, and kept as copies, so that a replay joins with what was there."""

import hashlib
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from streamjob_runtime.checkpoint.copies import is_of_files, read_copy, write_copy
from streamjob_runtime.errors import JobError
from streamjob_runtime.formats.base import BadRecord, Decoder
from streamjob_runtime.formats.compression import decompress
from streamjob_runtime.sources.paths import list_files
from streamjob_runtime.stores.base import Entry, Store

_TRIES = 10  # to read files that nobody changes meanwhile


@dataclass
class StaticTable:
    """One table of the manifest: its files, and the version that is in use."""

    name: str
    store: Store  # rooted where the files are
    pattern: str | None  # which of its keys are files of the table, as `split_glob` gives it
    refresh_ms: int | None
    decoder: Decoder | None = None  # set once the columns are known
    version: str = ""  # of what the query joins with now
    checked_ms: int | None = None  # when the files were last looked at

    def files(self) -> list[Entry]:
        """The files as they are now. Raises `JobError` if there is none."""
        found = list(list_files(self.store, self.pattern))
        if not found:
            raise JobError(
                f"The static table {self.name!r} has no file at {self.store.url} "
                f"(looked for: {self.pattern or 'any file'}). Put its files there, or correct the table's path."
            )
        return found

    def schema_of_files(self) -> pa.Schema:
        """The columns that Parquet files name themselves."""
        first = self.files()[0]
        return pq.read_schema(io.BytesIO(self.store.read(first.key)))

    def check(self) -> str:
        """Find the files and decode the smallest of them; what was found, for people. Raises as `files` and `read`."""
        files = self.files()
        self.read([min(files, key=lambda e: e.size)])
        return f"{len(files)} {'file' if len(files) == 1 else 'files'} at {self.store.url}"

    def read(self, files: Iterable[Entry]) -> pa.Table:
        """The rows of those files. Raises `JobError` if one of them cannot be decoded."""
        return pa.concat_tables([self._decode(e.key) for e in files])

    def _decode(self, key: str) -> pa.Table:
        assert self.decoder is not None
        try:
            return self.decoder.decode(decompress(key, self.store.read(key)))
        except BadRecord as bad:
            raise JobError(
                f"The static table {self.name!r}: record {bad.record} of the file {key} at {self.store.url} cannot be "
                f"decoded: {bad.reason}. It begins: {bad.excerpt!r}. Mend the file."
            ) from None


def version_of(files: Iterable[Entry]) -> str:
    """A text that differs whenever a file was added, removed or replaced."""
    digest = hashlib.sha256("\n".join(f"{e.key}\0{e.size}\0{e.version}" for e in files).encode())
    return digest.hexdigest()[:16]


class StaticTables:
    """All static tables of a job. Used by the loop's thread."""

    def __init__(
        self,
        tables: Iterable[StaticTable],
        copies: Store,
        use: Callable[[str, pa.Table], None],
        say: Callable[..., None],
    ) -> None:
        self._tables = {t.name: t for t in tables}
        self._copies = copies  # the job's checkpoint store
        self._use = use
        self._say = say

    def checks(self) -> dict[str, Callable[[], str]]:
        """Table -> its `check`."""
        return {name: table.check for name, table in self._tables.items()}

    @property
    def versions(self) -> dict[str, str]:
        """Table -> the version in use."""
        return {name: t.version for name, t in self._tables.items()}

    def refresh(self, now_ms: int) -> dict[str, str]:
        """Read what is due to be read (again); give the versions that a batch of this time joins with.

        Raises `JobError` if a table cannot be read at all. One that was read before, and cannot be now, stays as it is.
        """
        for table in self._tables.values():
            due = table.checked_ms is None or (
                table.refresh_ms is not None and now_ms >= table.checked_ms + table.refresh_ms
            )
            if due:
                self._load(table)
                table.checked_ms = now_ms
        return self.versions

    def use(self, versions: Mapping[str, str]) -> None:
        """Take up exactly these versions, from their copies: what a replayed batch joined with."""
        for name, version in versions.items():
            table = self._tables.get(name)
            if table is not None and table.version != version:
                self._use(name, read_copy(self._copies, name, version))
                table.version = version

    def _load(self, table: StaticTable) -> None:
        try:
            self._load_newest(table)
        except JobError as error:
            if not table.version:
                raise
            self._say("warning", "static table not refreshed, the old rows stay", table=table.name, error=str(error))

    def _load_newest(self, table: StaticTable) -> None:
        files = table.files()
        for _ in range(_TRIES):
            if is_of_files(table.version, version_of(files)):
                return
            rows = table.read(files)
            # A file that was replaced while we read it may have given half of each: then look again.
            before, files = version_of(files), table.files()
            if version_of(files) == before:
                table.version = write_copy(self._copies, table.name, before, rows)
                self._use(table.name, rows)
                return
        raise JobError(
            f"The files of the static table {table.name!r} at {table.store.url} changed each time they were read. "
            "Write each file under another name and rename it when it is whole."
        )
