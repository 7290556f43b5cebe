"""Records as a schema registry's clients write them: a zero byte, the number of the schema in four, then the record."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import pyarrow as pa

from streamjob_runtime.excerpts import Words, said
from streamjob_runtime.formats.avro import arrays
from streamjob_runtime.formats.avro.cursor import PADDING, Cursor, Misfit
from streamjob_runtime.formats.avro.decode import decode_columns
from streamjob_runtime.formats.avro.schema import BadSchema, Node
from streamjob_runtime.formats.base import BadRecord
from streamjob_runtime.formats.halves import sift_by_halves
from streamjob_runtime.formats.lines import excerpt

_HEAD = 5
_LAST_SCHEMA = (1 << 31) - 1
_REMEDY = "Declare the column in a type that takes it, or take format raw"
_MOST_BYTES = 1 << 30  # that are decoded at once


def head(schema_id: int) -> bytes:
    """What stands before a record of that schema."""
    return b"\x00" + schema_id.to_bytes(4, "big")


class AvroMessages:
    """Records by whatever schemas they were written, found by their numbers, to the columns of one schema.

    `find` gives the schema of a number. It raises `BadSchema` where there is none that can be used.
    """

    def __init__(self, schema: pa.Schema, find: Callable[[int], Node]) -> None:
        self._schema = schema
        self._find = find

    def decode(self, messages: Sequence[bytes | None]) -> pa.Table:
        """See `MessageDecoder`. A field that is missing is NULL, one that is not declared is passed over."""
        numbers = np.array([i for i, message in enumerate(messages) if message is not None], np.int64)
        present = [message for message in messages if message is not None]
        tables, place, count = [self._schema.empty_table()], np.zeros(len(messages), np.int64), 0
        for some in _pieces(present):
            for which, table in self._decode([present[i] for i in some], numbers[some]):
                tables.append(table)
                place[numbers[some][which]] = count + np.arange(len(which))
                count += len(which)
        if len(tables) == 2 and count == len(messages):
            return tables[1]
        missing = np.ones(len(messages), np.bool_)
        missing[numbers] = False
        return cast(pa.Table, arrays.taken(pa.concat_tables(tables), place, missing))

    def sift(self, messages: Sequence[bytes | None]) -> tuple[pa.Table, dict[int, Words]]:
        """See `MessageDecoder`."""
        return sift_by_halves(messages, self.decode)

    def names(self, messages: Sequence[bytes | None]) -> list[str] | None:
        """See `MessageDecoder`: the fields of all their schemas."""
        found: dict[str, None] = {}
        for number in {m[1:_HEAD] for m in messages if m is not None and m[:1] == b"\0" and len(m) >= _HEAD}:
            node = self._find(int.from_bytes(number, "big"))
            for record in node.branches or (node,):
                found |= dict.fromkeys(record.fields)
        return list(found)

    def _decode(self, messages: list[bytes], numbers: Any) -> list[tuple[Any, pa.Table]]:
        """The rows of each schema, and which messages they are."""
        size = np.fromiter(map(len, messages), np.int64, len(messages))
        data = np.frombuffer(b"".join(messages) + bytes(PADDING), np.uint8)
        end = np.cumsum(size)
        start = end - size
        whole = Cursor(data, start, end, numbers)
        try:
            whole.refuse(
                (size < _HEAD) | (data[start] != 0),
                "it does not begin with a zero byte and the number of its schema, as a schema registry's clients write",
            )
            ids = data[start[:, None] + np.arange(1, _HEAD)].astype(np.int64) @ (1 << np.array([24, 16, 8, 0]))
            whole.refuse(ids > _LAST_SCHEMA, f"no schema registry has a schema with a number above {_LAST_SCHEMA}")
            return [(which, self._rows(int(i), whole.part(which))) for i, which in _groups(ids)]
        except Misfit as misfit:
            place = int(np.searchsorted(numbers, misfit.record))
            column = f'"{".".join(misfit.path)}": ' if misfit.path else ""
            raise BadRecord(said(column, misfit.reason), misfit.record, excerpt(messages[place]), _REMEDY) from None

    def _rows(self, schema_id: int, cursor: Cursor) -> pa.Table:
        try:
            node = self._find(schema_id)
        except BadSchema as error:
            raise cursor.misfit(0, f"its schema, number {schema_id}, cannot be used: {error}") from None
        cursor.at = cursor.at + _HEAD
        return pa.Table.from_arrays(decode_columns(node, self._schema, cursor), schema=self._schema)


def _pieces(messages: list[bytes]) -> list[Any]:
    """The places of the messages, in runs that are not too large."""
    if not messages:
        return []
    run = np.cumsum(np.fromiter(map(len, messages), np.int64, len(messages))) // _MOST_BYTES
    return np.split(np.arange(len(messages)), np.nonzero(np.diff(run))[0] + 1)


def _groups(ids: Any) -> list[tuple[Any, Any]]:
    return [(each, np.nonzero(ids == each)[0]) for each in np.unique(ids)]
