"""From numpy's arrays to Arrow's."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Array = Any  # of Arrow or numpy: what stands in a column is known at run time


def binary(offsets: Array, data: Array, count: int) -> Array:
    """An array of bytes whose items lie in `data` one behind the other, each between two of the offsets."""
    buffers = [None, buffer(offsets.astype(np.int32)), data if isinstance(data, pa.Buffer) else buffer(data)]
    return pa.Array.from_buffers(pa.binary(), count, buffers)


def buffer(data: Array) -> pa.Buffer:
    """The bytes of an array of numpy."""
    return pa.py_buffer(np.ascontiguousarray(data))  # type: ignore[arg-type]  # it has the buffer protocol


def taken(values: Array, places: Array, missing: Array = None) -> Array:
    """The items, or rows, at these places; null where `missing`."""
    return values.take(pa.array(places, pa.int64(), mask=missing))


def joined(parts: Sequence[Array]) -> Array:
    """Arrays of bytes put together item by item; null counts as no bytes."""
    if len(parts) == 1:
        return parts[0]
    join: Any = pc.binary_join_element_wise
    return join(*parts, b"", null_handling="replace", null_replacement=b"")
