"""Parquet: columns with their types, compressed by zstd."""

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streamjob_runtime.errors import JobError
from streamjob_runtime.excerpts import Excerpt, Words, said
from streamjob_runtime.formats import names, times
from streamjob_runtime.formats.base import BadFile, BadRecord, TooLarge
from streamjob_runtime.formats.casts import cast, leaves
from streamjob_runtime.formats.json_lines import JsonEncoder
from streamjob_runtime.formats.sifted import Misfits, Sifted, sifted

_ROWS = 1 << 16  # that are decoded at a time
_DICTIONARIES = ("RLE_DICTIONARY", "PLAIN_DICTIONARY")


def read_schema(data: bytes) -> pa.Schema:
    """The columns that a file names. Raises `BadRecord`, as `ParquetDecoder` does."""
    with _opened(data) as file:
        schema = file.schema_arrow
    # SQL tells no names apart by upper and lower case.
    count = Counter(name.lower() for name in schema.names)
    for name in schema.names:
        if count[name.lower()] > 1:
            raise BadFile(f'it has more than one column of the name "{name}"', 0, "")
    return schema


@contextmanager
def _opened(data: bytes, **options: Any) -> Iterator[pq.ParquetFile]:
    try:
        # As microseconds: the nanoseconds of the old type INT96 end in 2262, and Arrow would not say so.
        with pq.ParquetFile(pa.BufferReader(data), **{"coerce_int96_timestamp_unit": "us", **options}) as file:
            yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as e:  # the last one of a column's name
        raise BadFile(f"it is not a whole Parquet file: {e}", 0, "") from None


class ParquetDecoder:
    """A file's columns by name, whatever its case, cast to the declared types.

    A column that the file does not have is NULL, one that is not declared is not read. A cast that would lose digits
    is a `BadRecord`, except that times are cut to the declared unit.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema

    def decode(self, data: bytes, most: int | None = None) -> pa.Table:
        """The rows of one file. Raises `BadRecord`, always with record 0: the file as a whole; and `TooLarge`."""
        return self._cast(*self._read(data, most))

    def sift(self, data: bytes, misfits: Misfits, most: int | None = None) -> Sifted:
        """See `Decoder`: a row with a value that does not fit is bad; its bytes are a JSON object of them."""
        table, there = self._read(data, most)
        wrong: dict[int, Words] = {}
        try:
            rows = self._cast(table, there)
        except BadRecord:
            for field in self._schema:
                if field.name in there:
                    wrong = {**_unfit(table.column(there[field.name]), field), **wrong}
            good = [i for i in range(table.num_rows) if i not in wrong]
            rows = self._cast(table.take(pa.array(good, pa.int64())), there)
        found = sifted(rows, misfits, wrong, lambda: [(i, None) for i in range(table.num_rows)])
        as_json = _as_json(table, [bad.record for bad in found.bad])
        bad = (replace(bad, raw=raw) for bad, raw in zip(found.bad, as_json, strict=True))
        return Sifted(found.rows, tuple(bad))

    def _read(self, data: bytes, most: int | None) -> tuple[pa.Table, dict[str, str]]:
        """The file's own columns, and the names that ours have there. Raises `BadFile` and `TooLarge`."""
        with _opened(data) as file:
            there = self._found(file.schema_arrow.names)
            wanted = sorted(set(there.values()))
            table = _read(data, file, wanted, most)
            if not wanted:
                table = pa.table({"": pa.nulls(file.metadata.num_rows)})  # a table without columns has no rows
            if old := [name for name in wanted if _is_int96(file, name)]:
                _check_int96(data, table, old)
        return table, there

    def _cast(self, table: pa.Table, there: Mapping[str, str]) -> pa.Table:
        columns: dict[str, Any] = {
            f.name: _fitted(table.column(there[f.name]), f) if f.name in there else pa.nulls(table.num_rows, f.type)
            for f in self._schema
        }
        return pa.table(columns, self._schema)

    def names(self, data: bytes) -> list[str]:
        """The columns that the file has."""
        with _opened(data) as file:
            return list(file.schema_arrow.names)

    def line_of(self, data: bytes, row: int) -> tuple[int, str]:
        """A row's number; what it looks like is not said."""
        return row, ""

    def _found(self, there: Sequence[str]) -> dict[str, str]:
        """Column -> its name in the file."""
        found = {}
        for name in self._schema.names:
            try:
                in_file = names.found(name, there)
            except names.Ambiguous as e:
                raise BadFile(f"of the file's columns {e}", 0, "") from None
            if in_file is not None:
                if list(there).count(in_file) > 1:
                    raise BadFile(f'it has more than one column of the name "{in_file}"', 0, "")
                found[name] = in_file
        return found


def _read(data: bytes, file: pq.ParquetFile, wanted: list[str], most: int | None) -> pa.Table:
    """The columns. Raises `TooLarge` before so many bytes are in memory."""
    if most is None:
        return file.read(wanted)
    # A text that many rows share stands in the file once, and in memory as often as there are rows.
    with _opened(data, read_dictionary=_dictionaries(file, wanted)) as packed:
        parts, size = [], 0
        for batch in packed.iter_batches(_ROWS, columns=wanted):
            size += sum(_decoded_size(leaf) for column in batch.columns for leaf in leaves(column))
            if size > most:
                raise TooLarge(most)
            parts.append(batch)
        table = pa.Table.from_batches(parts, pa.schema([packed.schema_arrow.field(name) for name in wanted]))
    plain = pa.schema([file.schema_arrow.field(name) for name in wanted])
    return pa.table([cast(table.column(f.name), f.type) for f in plain], schema=plain)


def _dictionaries(file: pq.ParquetFile, wanted: list[str]) -> list[str]:
    """The texts and bytes among the columns that come by way of dictionaries, by their paths."""
    leaves = [file.schema.column(i) for i in range(len(file.schema))]
    texts = {i: top for i, c in enumerate(leaves) if c.physical_type == "BYTE_ARRAY" and (top := _top(file, c.path))}
    texts = {i: top for i, top in texts.items() if top in wanted}
    found = set()
    for number in range(file.metadata.num_row_groups if texts else 0):
        # The reader says what is damaged in the part of the footer that is looked at next; to look there first can
        # end the process.
        next(file.iter_batches(1, row_groups=[number], columns=sorted(set(texts.values()))), None)
        group = file.metadata.row_group(number)
        found |= {leaves[i].path for i in texts if set(group.column(i).encodings) & set(_DICTIONARIES)}
    return sorted(found)


def _top(file: pq.ParquetFile, path: str) -> str:
    """The column that a path within it belongs to; names may hold dots."""
    return next((name for name in file.schema_arrow.names if path == name or path.startswith(f"{name}.")), "")


def _decoded_size(leaf: Any) -> int:
    """What the values take in memory."""
    if not pa.types.is_dictionary(leaf.type):
        return int(leaf.nbytes)
    lengths = np.asarray(pc.binary_length(leaf.dictionary).fill_null(0))
    return int(lengths[np.asarray(leaf.indices.drop_null())].sum()) + 4 * len(leaf)


def _is_int96(file: pq.ParquetFile, name: str) -> bool:
    columns = (file.schema.column(i) for i in range(len(file.schema)))
    return any(c.physical_type == "INT96" and _top(file, c.path) == name for c in columns)


def _check_int96(data: bytes, table: pa.Table, old: list[str]) -> None:
    """Raise `BadRecord` for a time that microseconds do not reach: whole seconds always do."""
    with _opened(data, coerce_int96_timestamp_unit="s") as file:
        seconds = file.read(old)
    for name in old:
        for coarse, fine in zip(
            leaves(seconds.column(name)), leaves(table.column(name).combine_chunks()), strict=False
        ):
            if pa.types.is_timestamp(fine.type) and not coarse.equals(cast(fine, coarse.type)):
                raise BadFile(f'column "{name}" holds a time further from 1970 than microseconds reach', 0, "")


def _fitted(column: "pa.ChunkedArray[Any]", field: "pa.Field[Any]") -> Any:
    try:
        return cast(column, field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as e:
        types = f'column "{field.name}" is {column.type} in the file and {field.type} as declared'
        reason = said(types, Excerpt(f": {e}", ", and not every value fits"))
        raise BadRecord(reason, 0, "") from None


def _unfit(column: "pa.ChunkedArray[Any]", field: "pa.Field[Any]") -> dict[int, Words]:
    """The rows whose value does not fit, found by halves."""
    whole: Any = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    found: dict[int, Words] = {}
    todo = [(0, len(whole))]
    while todo:
        first, last = todo.pop()
        try:
            cast(whole.slice(first, last - first), field.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as e:
            if last - first > 1:
                todo += [(first, (first + last) // 2), ((first + last) // 2, last)]
            else:
                types = f'column "{field.name}" is {column.type} in the file and {field.type} as declared'
                found[first] = said(types, Excerpt(f": {e}", ", and the value does not fit"))
    return found


def _as_json(table: pa.Table, numbers: Sequence[int]) -> list[bytes | None]:
    """These rows as JSON objects; None where a column is of a type that JSON has not."""
    if not numbers:
        return []
    try:
        # An object holds no newline: in texts it is written with a backslash.
        return [*JsonEncoder().encode(table.take(pa.array(numbers, pa.int64()))).removesuffix(b"\n").split(b"\n")]
    except (JobError, pa.ArrowException):
        return [None] * len(numbers)


class ParquetEncoder:
    """One row group a million rows, zstd."""

    suffix = ".parquet"

    def encode(self, rows: pa.Table) -> bytes:
        """The bytes of one file; the same rows give the same bytes. Raises `JobError` for what Parquet has not."""
        for name, column in zip(rows.column_names, rows.columns, strict=True):
            if what := times.no_number(column) or times.too_far(column):
                raise JobError(times.refusal(name, what, "Parquet"))
        out = io.BytesIO()
        # Chunks must not show in the bytes; what Arrow keeps of its own types in the metadata, readers do not need.
        pq.write_table(rows.combine_chunks(), out, compression="zstd", row_group_size=1 << 20)
        return out.getvalue()
