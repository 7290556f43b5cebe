"""Bad records among many, found by decoding halves."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import pyarrow as pa

from streamjob_runtime.excerpts import Words, said
from streamjob_runtime.formats.base import BadRecord

_R = TypeVar("_R")
_FEW = 8  # records that are decoded one by one when they cannot be all at once


def sift_by_halves(
    records: Sequence[_R], decode: Callable[[Sequence[_R]], pa.Table]
) -> tuple[pa.Table, dict[int, Words]]:
    """The rows of the good ones, in their order, and of each bad one why it is bad.

    `decode` gives one row a record, also of none, or raises `BadRecord`. Whether it takes a record must not depend on
    the others.
    """
    tables: list[pa.Table] = [decode(records[:0])]
    wrong: dict[int, Words] = {}
    todo = [(0, len(records))]
    while todo:
        first, last = todo.pop()
        reason = None
        try:
            rows = decode(records[first:last])
            if rows.num_rows == last - first:
                tables.append(rows)
                continue
        except BadRecord as bad:
            reason = bad.reason
        if last - first == 1:
            wrong[first] = reason or said(f"it holds {rows.num_rows} records, and one is expected")
        elif last - first <= _FEW:
            todo += [(i, i + 1) for i in range(last - 1, first - 1, -1)]
        else:
            middle = (first + last) // 2
            todo += [(middle, last), (first, middle)]
    return pa.concat_tables(tables), wrong
