"""A Delta table as it stands, for who writes it and who reads it."""

from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import TableNotFoundError

from streamjob_runtime.connectors.delta.errors import says_there_is_none, translate
from streamjob_runtime.connectors.delta.place import Place


def find_table(place: Place) -> DeltaTable | None:
    """The newest version of the table; None: there is no table. Raises `JobError` and `Unavailable`."""
    with translate(place):
        try:
            return DeltaTable(place.url, storage_options=dict(place.options))
        except TableNotFoundError as err:
            if not says_there_is_none(err):
                raise
            return None


def arrow_schema(table: DeltaTable) -> pa.Schema:
    """Its columns, with Arrow's types for those of Delta."""
    exported: Any = table.schema().to_arrow()
    return pa.schema(exported)


def read_rows(table: DeltaTable) -> pa.Table:
    """All rows of that version. Call it within `translate`."""
    found: Any = QueryBuilder().register("t", table).execute("SELECT * FROM t")
    # The client's own read_all would hold Python's lock as long as it waits for the store.
    return pa.RecordBatchReader.from_stream(found).read_all().cast(arrow_schema(table))
