"""Static tables: read at the start and by `refresh`, and kept as copies, so that a replay joins with what was there."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from streamjob_runtime.checkpoint.copies import is_of_files, read_copy, write_copy
from streamjob_runtime.connectors.table import Contents
from streamjob_runtime.errors import JobError
from streamjob_runtime.stores.base import Store


@dataclass
class StaticTable:
    """One table of the manifest."""

    name: str
    contents: Contents
    refresh_ms: int | None
    version: str = ""  # of what the query joins with now
    checked_ms: int | None = None  # when its contents were last looked at


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
        return {name: table.contents.check for name, table in self._tables.items()}

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
        found = table.contents.newest(lambda text: is_of_files(table.version, text))
        if found is not None:
            text, rows = found
            version = write_copy(self._copies, table.name, text, rows)
            self._use(table.name, rows)
            # Not before: a version that an INTENT names is one that a replay can take up.
            table.version = version
