"""What is asked of decoded rows: that the required columns have a value, and that each column is in some record."""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from streamjob_runtime.excerpts import Words, said
from streamjob_runtime.formats import names
from streamjob_runtime.formats.base import BadRecord

# The names that stand in the data; None: it names no columns.
Names = Callable[[], Iterable[str] | None]


@dataclass(frozen=True, slots=True)
class Missing:
    """A column that no record has had, what is there in its place, and what of that is spelt much like it."""

    column: str
    there: tuple[str, ...]
    similar: str

    @property
    def fields(self) -> dict[str, str]:
        """What the log says of it."""
        said = {"column": self.column, "there": ", ".join(self.there[:_SHOWN])}
        return {**said, "similar": self.similar} if self.similar else said


_SHOWN = 30
NO_RECORD = "no record has this column, it is NULL in all rows"


class Columns:
    """The declared columns of one source or table. May be asked by several threads."""

    def __init__(self, declared: Iterable[str], required: Sequence[str] = ()) -> None:
        self._required = tuple(required)
        self._lock = threading.Lock()
        self._unseen = dict.fromkeys(declared)  # that no record has had yet
        self._new: dict[str, tuple[str, ...]] = {}  # of these those that are to be told, with what is there
        self._told: set[str] = set()

    def look(self, rows: pa.Table, there: Names, line_of: Callable[[int], tuple[int, str]]) -> None:
        """Look at the rows of a file or of some records. Raises `BadRecord` for one without a required value.

        `line_of`: the number and the beginning of the record that became a row.
        """
        self._require(rows, line_of)
        unseen = [name for name in self._unseen if name in rows.schema.names]
        if not unseen or not rows.num_rows:
            return
        present = {name for name in unseen if rows.column(name).null_count < rows.num_rows}
        others = [name for name in unseen if name not in present and name not in self._told]
        found = tuple(there() or ()) if others else ()
        if found:  # records without any name, such as those that mark a key as deleted, miss none of them
            present |= {name for name in others if _is_among(name, found)}
        with self._lock:
            for name in present:
                self._unseen.pop(name, None)
                self._new.pop(name, None)
            if found:
                self._new |= {name: found for name in others if name not in present and name in self._unseen}

    def missing(self) -> list[Missing]:
        """The columns that no record has had until now, each once."""
        with self._lock:
            new, self._new = self._new, {}
            self._told |= set(new)
        return [Missing(name, there, _similar(name, there)) for name, there in new.items()]

    def lacking(self, rows: pa.Table) -> dict[int, Words]:
        """The rows without a required value, and what they lack: `Misfits`."""
        found: dict[int, Words] = {}
        compute: Any = pc
        for name in self._required:
            if rows.column(name).null_count:
                empty = compute.indices_nonzero(compute.is_null(rows.column(name))).to_pylist()
                found = {**dict.fromkeys(empty, said(_lacks(name))), **found}
        return found

    def _require(self, rows: pa.Table, line_of: Callable[[int], tuple[int, str]]) -> None:
        empty = {name: _first_null(rows.column(name)) for name in self._required if rows.column(name).null_count}
        if empty:
            name = min(empty, key=lambda n: empty[n])
            record, excerpt = line_of(empty[name])
            raise BadRecord(_lacks(name), record, excerpt, _REMEDY)


_REMEDY = "Correct it, take the column out of required, or say by onBadRecord what becomes of such records"


def _lacks(name: str) -> str:
    return f'it has no "{name}", which is required'


def _first_null(column: Any) -> int:
    found: int = pc.index(pc.is_null(column), pa.scalar(True)).as_py()
    return found


def _is_among(name: str, there: Sequence[str]) -> bool:
    try:
        return names.found(name, there) is not None
    except names.Ambiguous:
        return True


def _similar(name: str, there: Sequence[str]) -> str:
    by_folded = {names.folded(n): n for n in there}
    near = get_close_matches(names.folded(name), by_folded, n=1)
    return by_folded[near[0]] if near else ""
