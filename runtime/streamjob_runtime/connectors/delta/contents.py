"""A Delta table whose rows are read as a whole."""

import hashlib
from collections.abc import Callable

import pyarrow as pa
from deltalake import DeltaTable

from streamjob_runtime.connectors.delta.errors import translate
from streamjob_runtime.connectors.delta.place import Place, place_of
from streamjob_runtime.connectors.delta.table import arrow_schema, find_table, read_rows
from streamjob_runtime.connectors.shared.decoding import Decoding, unnamed
from streamjob_runtime.connectors.table import TableContext, TableSpec
from streamjob_runtime.errors import JobError
from streamjob_runtime.patience import Caller


class DeltaContents:
    """The rows of the newest version of a Delta table. Each read sees one version, whoever writes meanwhile."""

    def __init__(self, name: str, place: Place, caller: Caller, decoding: Decoding = unnamed) -> None:
        self._name = name
        self._place = place
        self._caller = caller
        self._decoding = decoding
        self._schema: pa.Schema | None = None  # as at the start: the query is planned with it

    @property
    def left_out(self) -> int:
        """See `Contents`: none is bad."""
        return 0

    @classmethod
    def from_manifest(cls, table: TableSpec, context: TableContext) -> "DeltaContents":
        """The Delta table of a manifest's table."""
        place = place_of(context.resolve(table.config.path), context.connections)
        return cls(table.name, place, context.patience(f"the static table {table.name}"), context.decoding)

    def schema(self) -> pa.Schema:
        """Its columns. Raises `JobError` if there is no such table."""
        self._schema = self._caller.call(lambda: arrow_schema(self._find()))
        return self._schema

    def take_columns(self, columns: pa.Schema) -> None:
        """See `Contents`: the table names its own."""

    def check(self) -> str:
        """Look whether the table is there; its version, for people."""
        table = self._caller.call(self._find)
        return f"version {table.version()} at {self._place.url}"

    def newest(self, in_use: Callable[[str], bool]) -> tuple[str, pa.Table] | None:
        """The rows, with a text that says of which table and version they are; None: that version is in use."""
        return self._caller.call(lambda: self._newest(in_use), self._probe)

    def _probe(self) -> None:
        """Whether the table's store answers, while a large table is read."""
        self._find()

    def _newest(self, in_use: Callable[[str], bool]) -> tuple[str, pa.Table] | None:
        table = self._find()
        with translate(self._place):
            text = f"{table.metadata().id}\0{table.version()}"
            version = hashlib.sha256(text.encode()).hexdigest()[:16]
            if in_use(version):
                return None
            self._check_columns(table)
            with self._decoding(f"the static table {self._name!r}: version {table.version()} at {self._place.url}"):
                return version, read_rows(table)

    def _find(self) -> DeltaTable:
        table = find_table(self._place)
        if table is None:
            raise JobError(
                f"The static table {self._name!r}: there is no Delta table at {self._place.url}. Make it, or correct "
                "the path."
            )
        return table

    def _check_columns(self, table: DeltaTable) -> None:
        found = arrow_schema(table)
        if self._schema is not None and found != self._schema:
            raise JobError(
                f"The static table {self._name!r}: the columns of the Delta table at {self._place.url} have changed "
                f"(from {_named(self._schema)} to {_named(found)}). Start the job again, so that it is planned with "
                "them."
            )


def _named(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)
