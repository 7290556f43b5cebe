"""What a static table is read from, and what it is made with."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from streamjob_runtime.connectors.shared.decoding import Decoding, unnamed
from streamjob_runtime.patience import Caller, Impatient
from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.connections import Connections
from streamjob_runtime.stores.open import open_store


class Contents(Protocol):
    """What a static table is made of."""

    def schema(self) -> pa.Schema:
        """The columns that it names itself."""
        ...

    def take_columns(self, columns: pa.Schema) -> None:
        """The columns, in their declared types: called once, before `check` or `newest`."""
        ...

    @property
    def left_out(self) -> int:
        """How many bad records the last `newest` has left out."""
        ...

    def check(self) -> str:
        """Look at it; what was found, for people. Raises as `newest`."""
        ...

    def newest(self, in_use: Callable[[str], bool]) -> tuple[str, pa.Table] | None:
        """The rows as they are now, with a text of 16 hexadecimal digits that differs whenever they do.

        None: `in_use` says that the rows of that text are the ones in use. Raises `JobError` if they cannot be read.
        """
        ...


class TableSpec(Protocol):
    """What this package reads of a manifest's static table."""

    @property
    def name(self) -> str:
        """The table's name in SQL."""
        ...

    @property
    def kind(self) -> str:
        """The system: an entry point's name."""
        ...

    @property
    def config(self) -> Any:
        """The kind's own fields."""
        ...

    @property
    def format(self) -> str | None:
        """How bytes become rows; None where the table gives rows."""
        ...

    @property
    def csv_header(self) -> bool:
        """Whether the first line of what is read as CSV names the columns."""
        ...

    @property
    def csv_escape(self) -> str:
        """What stands before a quote within a quoted field of CSV: a quote or a backslash."""
        ...

    @property
    def on_bad_record(self) -> str | None:
        """`fail`, or None for the same, or `drop`."""
        ...

    @property
    def required(self) -> tuple[str, ...]:
        """The columns that have a value in every record."""
        ...


@dataclass(frozen=True, slots=True)
class TableContext:
    """What static tables are made with, besides the manifest."""

    connections: Connections
    wrap_store: Callable[[Store, str], Store] = lambda store, whose: store  # gives a store its retries
    patience: Callable[[str], Caller] = lambda whose: Impatient()  # waits for a system; the text says which
    base_dir: Path = Path()  # where relative paths begin: the manifest's folder
    decoding: Decoding = unnamed  # around what may end the process: names it
    say: Callable[..., None] = lambda level, message, **fields: None  # the runtime's log

    def resolve(self, path: str) -> str:
        """The path or URL, absolute; a slash at its end stays."""
        return path if "://" in path or path.startswith("/") else f"{self.base_dir}/{path}"

    def open_store(self, url: str, whose: str) -> Store:
        """The store at a URL, with its retries."""
        return self.wrap_store(open_store(url, self.connections), whose)
