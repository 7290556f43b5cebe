"""Columns that stand in the names of folders, `column=value/`, as Hive, Spark and our own sink write them."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from streamjob_runtime.connectors.shared.partitions import values_of
from streamjob_runtime.formats import names
from streamjob_runtime.formats.base import BadFile
from streamjob_runtime.formats.casts import cast


class Folders:
    """What the folders of a file say of its rows. `root`: the path that keys begin at, whose folders count too."""

    def __init__(self, root: str) -> None:
        self._root = root.rpartition("://")[2].rstrip("/") + "/"

    def names(self, key: str) -> list[str]:
        """The columns that the folders of the file name."""
        return list(values_of(self._root + key))

    def put(self, rows: pa.Table, key: str) -> pa.Table:
        """The rows with the values of those columns that they have. Raises `BadFile` where the two do not agree."""
        said = values_of(self._root + key)
        for i, field in enumerate(rows.schema):
            name = names.found(field.name, said)
            if name is not None:
                column = _column(field, said[name], rows.num_rows)
                _compare(field.name, rows.column(i), column, said)
                rows = rows.set_column(i, field, column)
        return rows


def _column(field: Any, text: str | None, count: int) -> Any:
    if text is None:
        return pa.chunked_array([pa.nulls(count, field.type)])
    try:
        value = cast(pa.array([text], pa.string()), field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        reason = f'its folder says {text!r} for the column "{field.name}", which is no {field.type}'
        raise BadFile(reason, 0, "") from None
    return pa.chunked_array([value.take(pa.array([0] * count, pa.int64()))], field.type)


def _compare(name: str, inside: Any, said: Any, folders: Mapping[str, str | None]) -> None:
    there = pc.is_valid(inside)
    if pc.any(there).as_py() and not inside.filter(there).equals(said.filter(there)):
        raise BadFile(f'its folder says {said[0].as_py()!r} for the column "{name}", and the file another value', 0, "")
