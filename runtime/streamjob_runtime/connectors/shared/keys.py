"""Rows that are told apart by a key."""

from collections.abc import Sequence

import pyarrow as pa


def last_of_each(rows: pa.Table, key: Sequence[str]) -> pa.Table:
    """The rows of which none behind them has the same key, in their order."""
    place = "place of a row"  # no column has the name of a sentence, and if one had, Arrow would keep both apart
    numbered = rows.select(list(key)).append_column(place, pa.array(range(rows.num_rows), pa.int64()))
    last = numbered.group_by(list(key), use_threads=False).aggregate([(place, "max")]).column(f"{place}_max")
    return rows if len(last) == rows.num_rows else rows.take(last.combine_chunks().sort())
