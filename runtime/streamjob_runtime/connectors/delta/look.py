"""A look at the table before the start: whether the result's rows can go where the manifest says."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from deltalake import DeltaTable

from streamjob_runtime.connectors.delta.partitions import type_problems
from streamjob_runtime.connectors.delta.place import Place
from streamjob_runtime.connectors.delta.table import arrow_schema, find_table
from streamjob_runtime.connectors.delta.types import holds, name_of, type_for
from streamjob_runtime.errors import JobError

_UNSPEAKABLE = re.compile(r"[ ,;{}()\n\t=]")  # in a column's name, for Parquet as Delta's readers take it


@dataclass(frozen=True, slots=True)
class Wish:
    """What the manifest says."""

    sink: str  # its name, for messages
    step: str  # whose rows it gets
    place: Place
    mode: str  # append | update | complete
    key: tuple[str, ...] = ()
    partition_by: tuple[str, ...] = ()


def look(wish: Wish, rows: pa.Schema) -> DeltaTable | None:
    """The table; None: it is to be made. Raises `JobError` with all that keeps rows of this schema from going there."""
    table = find_table(wish.place)
    if table is None:
        parted = type_problems(wish.partition_by, schema_to_make(rows), is_there=False)
        _raise_for(wish, _names(wish, rows) + _unmakeable(rows) + parted)
    else:
        require_fit(table, wish, rows)
    return table


def require_fit(table: DeltaTable, wish: Wish, rows: pa.Schema) -> None:
    """Raises `JobError` with all that keeps rows of this schema from going to this version of the table."""
    _raise_for(wish, _names(wish, rows) + _misfits(table, wish, rows))


def columns_for(table: pa.Schema, rows: pa.Schema) -> Mapping[str, str]:
    """Each column of the table that the result has -> its name there. Upper and lower case do not count."""
    given = {name.lower(): name for name in rows.names}
    return {name: given[name.lower()] for name in table.names if name.lower() in given}


def schema_to_make(rows: pa.Schema) -> pa.Schema:
    """The columns of a table that is made for such rows."""
    kinds = {field.name: type_for(field.type) for field in rows}
    return pa.schema([(name, kind) for name, kind in kinds.items() if kind is not None])


def _raise_for(wish: Wish, problems: Sequence[str]) -> None:
    if problems:
        raise JobError(
            f'sink "{wish.sink}": the Delta table at {wish.place.url} cannot be written: {"; ".join(problems)}'
        )


def _names(wish: Wish, rows: pa.Schema) -> list[str]:
    names = {name.lower() for name in rows.names}
    found = [
        f'{field} names the column "{name}", which the result does not have; it has {", ".join(rows.names)}'
        for field, columns in (("key", wish.key), ("partitionBy", wish.partition_by))
        for name in columns
        if name.lower() not in names
    ]
    for name in (*wish.key, *wish.partition_by):
        kind = next((f.type for f in rows if f.name.lower() == name.lower()), None)
        if kind is not None and pa.types.is_nested(kind):
            found.append(f'the column "{name}" is a list or an object: take columns with single values')
    if wish.partition_by and len({name.lower() for name in wish.partition_by}) == len(names):
        found.append("partitionBy names every column, so that nothing is left for the files: leave at least one out")
    return found


def _unmakeable(rows: pa.Schema) -> list[str]:
    found = [
        f'its column "{field.name}" is of type {field.type}, for which Delta has none: cast it in the pipeline'
        for field in rows
        if type_for(field.type) is None
    ]
    found += [
        f'the column "{name}" has a name that Delta cannot take (no space and none of , ; {{ }} ( ) =): give it '
        "another one in the pipeline, with AS"
        for name in rows.names
        if _UNSPEAKABLE.search(name)
    ]
    return found


def _misfits(table: DeltaTable, wish: Wish, rows: pa.Schema) -> list[str]:
    schema = arrow_schema(table)
    there = {name.lower(): schema.field(name) for name in schema.names}
    found = []
    for field in rows:
        column = there.get(field.name.lower())
        if column is None:
            kind = type_for(field.type)
            wanted = f" {name_of(kind)}" if kind else ""
            found.append(
                f'it has no column "{field.name}", only {", ".join(schema.names)}: add it (ALTER TABLE … ADD COLUMNS '
                f"({field.name}{wanted})), leave it out of the result, or write to another path"
            )
        elif not holds(column.type, field.type):
            found.append(_wrong_type(column, field))
    found += _left_over(schema, columns_for(schema, rows), wish.mode)
    partitions = table.metadata().partition_columns
    if wish.partition_by and [name.lower() for name in wish.partition_by] != [name.lower() for name in partitions]:
        said = ", ".join(partitions) or "nothing"
        found.append(
            f"it is partitioned by {said}, and partitionBy says {', '.join(wish.partition_by)}: leave partitionBy out, "
            "or write to another path"
        )
    given = [name for name in partitions if name in columns_for(schema, rows)]
    return found + type_problems(given, schema, is_there=True)


def _left_over(schema: pa.Schema, given: Mapping[str, str], mode: str) -> Sequence[str]:
    """What is wrong with the table's columns that the result does not have."""
    left = [field for field in schema if field.name not in given]
    if mode == "complete":
        return [
            f'its column "{field.name}" is not in the result, which is to be the whole table: add it to the result, '
            "drop it from the table, or write to another path"
            for field in left
        ]
    return [
        f'its column "{field.name}" may not be NULL, and the result has no such column: add it to the result'
        for field in left
        if not field.nullable
    ]


def _wrong_type(column: "pa.Field[pa.DataType]", field: "pa.Field[pa.DataType]") -> str:
    wanted = type_for(field.type)
    if wanted is None:
        return f'its column "{column.name}" cannot take {field.type}: cast it in the pipeline'
    return (
        f'its column "{column.name}" is of type {name_of(column.type)}, which does not hold every {name_of(wanted)} of '
        "the result unchanged: cast the result in the pipeline, change the column's type, or write to another path"
    )
