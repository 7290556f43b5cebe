"""Static tables: read at the start and by `refresh`, and kept as copies, so that a replay joins with what was there."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from streamjob_api.bad_records import BadRecordLimit
from streamjob_runtime.checkpoint.copies import is_of_files, read_copy, write_copy
from streamjob_runtime.connectors.table import Contents
from streamjob_runtime.errors import JobError
from streamjob_runtime.formats.sifted import Misfits
from streamjob_runtime.stores.base import Store


@dataclass
class StaticTable:
    """One table of the manifest."""

    name: str
    contents: Contents
    refresh_ms: int | None
    misfits: Misfits | None = None  # which of its rows are left out as bad; None: one of these ends the job
    limit: BadRecordLimit | None = None  # how many of its records may be bad; None: all
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
            if table.misfits is not None:
                rows = self._without_bad(table, rows, table.misfits)
            version = write_copy(self._copies, table.name, text, rows)
            self._use(table.name, rows)
            # Not before: a version that an INTENT names is one that a replay can take up.
            table.version = version

    def _without_bad(self, table: StaticTable, rows: pa.Table, misfits: Misfits) -> pa.Table:
        """The rows that can be used. Raises `JobError` if too many records were bad."""
        unfit = misfits(rows)
        left_out = table.contents.left_out
        bad, records = left_out + len(unfit), left_out + rows.num_rows
        if table.limit is not None and table.limit.is_exceeded(bad, records):
            raise JobError(
                f"The static table {table.name!r}: {bad} of its {records} records are bad, and maxBadRecords is "
                f"{table.limit.text}. Correct its files, or allow more."
            )
        if bad:
            first = next((reason.full for _, reason in sorted(unfit.items())), "")
            self._say(
                "warning",
                "bad records of a static table are left out",
                table=table.name,
                bad=bad,
                records=records,
                **({"error": first} if first else {}),
            )
        if not unfit:
            return rows
        return rows.take(pa.array([i for i in range(rows.num_rows) if i not in unfit], pa.int64()))
