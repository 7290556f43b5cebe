"""Hive-style partitions of a table: which rows go below which `column=value/`, and what a folder says of its files."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from streamjob_runtime.errors import JobError
from streamjob_runtime.excerpts import Excerpt, Words
from streamjob_runtime.formats import plain_text
from streamjob_runtime.stores.keys import MAX_BYTES

LONGEST_NAME = 255  # bytes of a folder's name in local file systems and HDFS
_LONGEST_FOLDERS = MAX_BYTES - 60  # bytes of all of them together, so that a file's name has room behind them
_SHOWN = 40  # characters of a value
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


def split(
    rows: pa.Table, columns: Sequence[str], sink: str, longest: int | None = LONGEST_NAME
) -> Iterator[tuple[str, pa.Table]]:
    """Each partition's folder (`a=1/b=x/`) with its rows in their order, without the partition columns.

    By ascending folder, so that equal rows give equal writes in an equal order; but first those whose names not every
    system takes, so that nothing of a batch is written before one that is refused. Raises `JobError` for a text that
    would be read as NULL, and, before it gives anything, for a folder's name of more than `longest` bytes.
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
    for folder, _ in parts:
        if max(map(_size, folder.split("/"))) > (longest or _LONGEST_FOLDERS) or _size(folder) > _LONGEST_FOLDERS:
            raise too_long(folder, sink)
    yield from sorted(parts, key=lambda part: (is_short(part[0]), part[0]))


def is_short(folder: str) -> bool:
    """Whether every system can make a folder of that path."""
    return all(_size(name) <= LONGEST_NAME for name in folder.split("/"))


def too_long(folder: str, sink: str, said: Words | None = None) -> JobError:
    """The error for a path that cannot be made. `said`: what the system says of it."""
    name = max(folder.split("/"), key=_size)
    column, _, value = map(unescaped, name.partition("="))
    return too_long_value(column, value, _size(name), sink, said)


def too_long_value(column: str, value: str, size: int, sink: str, said: Words | None = None) -> JobError:
    """The same for a value, whose folder's name would have so many bytes."""
    return JobError(
        f'sink "{sink}": the column "{column}" of partitionBy has ',
        Excerpt(f"the value {value[:_SHOWN]!r}…", "a value"),
        f", whose folder would have a name of {size} bytes, more than can be written there",
        Excerpt(f" ({said.full})" if said else "", ""),  # the path in it ends with the value
        f". Shorten it in the pipeline, as left({column}, {_SHOWN}), write NULL in its place or leave such rows out. "
        "Then start the job again with the same checkpoint.location: nothing of this batch is written yet.",
    )


def _size(text: str) -> int:
    return len(text.encode())


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
