"""The fields of a struct's values."""

from typing import Any

import pyarrow.types as pt

Array = Any  # of Arrow: what stands in a column is known at run time


def fields_of(column: Array) -> list[Array]:
    """The values of each field; of a struct that is NULL they are NULL too, except those of a union.

    A union has no NULLs of its own, and pyarrow 26 ends the process where it is to get those of the struct.
    """
    if any(pt.is_union(field.type) for field in column.type):
        return [column.field(i) for i in range(column.type.num_fields)]
    return list(column.flatten())
