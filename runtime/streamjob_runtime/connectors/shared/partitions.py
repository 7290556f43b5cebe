"""Hive-style partitions of a table: which rows go below which `column=value/`, and what a folder says of its files."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from streamjob_runtime.errors import JobError
from streamjob_runtime.formats import plain_text

NULL_VALUE = "__HIVE_DEFAULT_PARTITION__"  # the name that every reader of Hive partitions takes for NULL
# What Hive and Spark escape, and no more: control characters, and what means something in paths and patterns.
_ESCAPED = re.compile(r"""[\x00-\x1f\x7f"#%'*/:=?\\{\[\]^]""")


def check_partition_by(columns: Sequence[str], schema: pa.Schema, sink: str) -> None:
    """Raise `JobError` if rows of this schema cannot be partitioned by these columns."""
    for column in columns:
        if column not in schema.names:
            raise JobError(
                f'sink "{sink}": partitionBy names the column "{column}", which the result does not have; it has '
                f"{', '.join(schema.names)}"
            )
        kind = schema.field(column).type
        if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            raise JobError(
                f'sink "{sink}": partitionBy cannot use the column "{column}" of type {kind}: a folder\'s name needs a '
                "single value that has a text; cast it to VARCHAR in the pipeline"
            )
    if columns and len(set(columns)) == len(schema.names):
        raise JobError(
            f'sink "{sink}": partitionBy names every column of the result ({", ".join(schema.names)}), so that nothing '
            "is left to write into the files; leave at least one out"
        )


def split(rows: pa.Table, columns: Sequence[str], sink: str) -> Iterator[tuple[str, pa.Table]]:
    """Each partition's folder (`a=1/b=x/`) with its rows in their order, without the partition columns.

    By ascending folder, so that equal rows give equal writes in an equal order. Raises `JobError` for a text that would
    be read as NULL.
    """
    if not columns:
        yield "", rows
        return
    codes, values = zip(*(_encode(rows.column(c)) for c in columns), strict=True)
    for column, (*texts, _) in zip(columns, values, strict=True):
        for text in ("", NULL_VALUE):
            if text in texts:
                raise JobError(
                    f'sink "{sink}": the column "{column}" of partitionBy has the value {text!r}, which readers '
                    "of such folders take for NULL, or for none; leave these rows out in the pipeline, write another "
                    f"value, or NULL: nullif({column}, {text!r})"
                )
    keys, group = np.unique(np.stack(codes, axis=1), axis=0, return_inverse=True)
    group = group.reshape(-1)
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group, minlength=len(keys)))
    ordered = rows.drop_columns(list(columns)).take(order)
    parts = []
    for key, start, end in zip(keys, [0, *ends], ends, strict=False):
        segments = [f"{escaped(c)}={v[code]}" for c, v, code in zip(columns, values, key, strict=True)]
        parts.append(("/".join(segments) + "/", ordered.slice(int(start), int(end - start))))
    yield from sorted(parts, key=lambda part: part[0])


def escaped(text: str) -> str:
    """A column's name or value in a folder's name."""
    return _ESCAPED.sub(lambda odd: f"%{ord(odd[0]):02X}", text)


def values_of(path: str) -> Mapping[str, str | None]:
    """Column -> its value, as the folders of a path name them; NULL is None. Of a name that comes twice the last."""
    pairs = (segment.partition("=") for segment in path.split("/")[:-1] if "=" in segment)
    found = {unescaped(name): unescaped(value) for name, _, value in pairs if name}
    return {name: None if value == NULL_VALUE else value for name, value in found.items()}


def unescaped(text: str) -> str:
    """What `escaped` was given. Others escape more than that, as UTF-8; what is no such escape stays as it is."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text


def _encode(column: "pa.ChunkedArray[Any]") -> tuple["np.ndarray[tuple[int], np.dtype[np.int64]]", list[str]]:
    """A number a row, and the folder text that each number stands for."""
    encoded: Any = plain_text.text(column.combine_chunks()).dictionary_encode()
    values = [escaped(v) for v in cast(list[str], encoded.dictionary.to_pylist())]
    codes = encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, [*values, NULL_VALUE]
