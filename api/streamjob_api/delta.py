"""Delta tables: what is written to them, and what is read from them as a whole."""

from typing import Annotated

from pydantic import Field

from streamjob_api.base import Part
from streamjob_api.texts import ColumnName, Location


class DeltaSink(Part):
    """Writes a Delta table, each batch in one commit. The table is made if there is none."""

    path: Location = Field(description="The table's folder, or `s3://bucket/prefix`.")
    key: Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=32)] | None = Field(
        None, description="With mode `update`: the columns that tell which row is to be replaced."
    )
    partition_by: tuple[ColumnName, ...] = Field(
        (), max_length=16, description="The columns that a table which is made here is partitioned by."
    )


class DeltaTable(Part):
    """A Delta table that is read as a whole. Its columns are its own."""

    path: Location = Field(description="The table's folder, or `s3://bucket/prefix`.")
