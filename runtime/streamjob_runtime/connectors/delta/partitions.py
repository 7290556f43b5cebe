"""What may part a table: a partition's value stands in the table's log as a text, and not every one comes back."""

from collections.abc import Sequence
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from streamjob_runtime.connectors.delta.types import name_of
from streamjob_runtime.connectors.shared.partitions import NULL_VALUE, too_long_value
from streamjob_runtime.errors import JobError

_TAKEN_FOR_NULL = ("", NULL_VALUE)  # the first by Delta's protocol, the second by its client


def type_problems(columns: Sequence[str], table: pa.Schema, is_there: bool) -> list[str]:
    """Why the table's columns of these names cannot part it; `is_there`: they do already. Empty: they can."""
    remedy = "cast it to VARCHAR in the pipeline" + (", and write to another path" if is_there else "")
    names = {name.lower(): name for name in table.names}
    fields = [table.field(names[column.lower()]) for column in columns if column.lower() in names]
    return [
        f'the column "{field.name}" is of type {name_of(field.type)}, whose values Delta\'s client writes wrongly in '
        f"partitionBy: {remedy}"
        for field in fields
        if pt.is_binary(field.type) or (pt.is_decimal(field.type) and field.type.scale)
    ]


def require_values(columns: Sequence[str], rows: pa.Table, sink: str, longest: int | None = None) -> None:
    """Raises `JobError` if a text of these columns would come back as NULL. Upper and lower case do not count.

    Also if its folder, in whose name Delta's client writes every byte but letters, digits and -._~ as %XX, would have a
    name of more than `longest` bytes.
    """
    wanted = {column.lower() for column in columns}
    for name in rows.schema.names:
        if name.lower() not in wanted:
            continue
        column = rows.column(name)
        if pt.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if not (pt.is_string(column.type) or pt.is_large_string(column.type)):
            continue
        for text in _TAKEN_FOR_NULL:
            if count := len(column.filter(pc.equal(column, pa.scalar(text, column.type)))):
                raise JobError(
                    f'sink "{sink}": the column "{name}" is {text!r} in {count} {"row" if count == 1 else "rows"}, and '
                    "as it parts the Delta table, that would be taken for NULL: write another text in the pipeline, "
                    f"or NULL: nullif({name}, {text!r})"
                )
        if longest is not None:
            for text in filter(None, pc.unique(column).to_pylist()):
                if (size := len(quote(name, safe="")) + 1 + len(quote(text, safe=""))) > longest:
                    raise too_long_value(name, text, size, sink)
