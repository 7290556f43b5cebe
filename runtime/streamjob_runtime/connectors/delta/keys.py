"""Rows that are told apart by a key, as Delta's MERGE does it."""

from collections.abc import Sequence
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc


def last_of_each(rows: pa.Table, key: Sequence[str]) -> pa.Table:
    """The rows of which none behind them has the same key, in their order.

    For MERGE 0.0 equals -0.0, and a NaN only one of the same bits: so the keys have one zero and one NaN.
    """
    for name in key:
        rows = rows.set_column(
            rows.schema.get_field_index(name), rows.schema.field(name), _in_one_form(rows.column(name))
        )
    place = "place of a row"  # no column has the name of a sentence, and if one had, Arrow would keep both apart
    numbered = rows.select(list(key)).append_column(place, pa.array(range(rows.num_rows), pa.int64()))
    last = numbered.group_by(list(key), use_threads=False).aggregate([(place, "max")]).column(f"{place}_max")
    return rows if len(last) == rows.num_rows else rows.take(last.combine_chunks().sort())


def _in_one_form(values: "pa.ChunkedArray[Any]") -> "pa.ChunkedArray[Any]":
    if not pa.types.is_floating(values.type):
        return values
    compute: Any = pc  # its stubs know no scalar but their own
    positive = compute.add(values, pa.scalar(0.0, values.type))  # -0.0 + 0.0 is 0.0
    one = compute.if_else(compute.is_nan(positive), pa.scalar(float("nan"), values.type), positive)
    return cast("pa.ChunkedArray[Any]", one)
