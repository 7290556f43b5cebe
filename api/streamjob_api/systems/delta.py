"""Delta tables: what is written to them, and what is read from them as a whole."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from streamjob_api.base import Part
from streamjob_api.cel import CelRule
from streamjob_api.systems.kinds import Alone, SinkKind, TableKind, path_of
from streamjob_api.systems.named_columns import each_once, each_once_cel, key_of_mode, key_of_mode_cel
from streamjob_api.texts import ColumnName, Location
from streamjob_api.trees import Broken, Tree


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


def _sink(item: Tree) -> Iterator[Broken]:
    yield from key_of_mode(item, "delta")
    yield from each_once(item, "delta", "key")
    yield from each_once(item, "delta", "partitionBy")


_ALONE = Alone(
    field="path",
    place=path_of,
    message="writes this table already",
    hint="give each sink a table of its own, or bring the rows together by UNION ALL in a step",
    cel=CelRule(
        "self.sinks.all(sink, !has(sink.delta) || self.sinks.exists_one(other, "
        "has(other.delta) && other.delta.path.find('^.*[^/]') == sink.delta.path.find('^.*[^/]')))",
        "two sinks write the same Delta table; give each sink a table of its own",
        field="sinks",
    ),
)

TABLE = TableKind(model=DeltaTable)
SINK = SinkKind(
    model=DeltaSink,
    columns=("key", "partitionBy"),
    written="Delta tables",
    tells_deletions=True,
    by_key="the Delta table",
    less_types=frozenset({"TIME", "TIMESTAMP_NS", "TIMESTAMPTZ_NS"}),
    alone=_ALONE,
    rules=_sink,
    cel={"": key_of_mode_cel("delta"), "delta": (each_once_cel("key"), each_once_cel("partitionBy"))},
)
