"""What every source is made from: what the manifest says of it, and what the job gives it."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from streamjob_runtime.clock import Clock
from streamjob_runtime.connectors.shared.bad_records import BadRecords
from streamjob_runtime.connectors.shared.decoding import Decoding, unnamed
from streamjob_runtime.connectors.shared.input_queue import InputQueue
from streamjob_runtime.patience import Caller, Impatient
from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.connections import Connections
from streamjob_runtime.stores.open import open_store


class SourceSpec(Protocol):
    """What this package reads of a manifest's source."""

    @property
    def name(self) -> str:
        """The stream's name in SQL."""
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
        """How bytes become rows; None where the source gives rows."""
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
    def required(self) -> tuple[str, ...]:
        """The columns that have a value in every record."""
        ...


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What sources are made with, besides the manifest."""

    connections: Connections
    log_store: Store  # the job's checkpoint location
    epoch: int  # which start of the runtime this is
    clock: Clock
    random: random.Random
    queues: Mapping[str, InputQueue] = field(default_factory=dict)  # source name -> its queue
    wrap_store: Callable[[Store, str], Store] = lambda store, whose: store  # gives a store its retries
    patience: Callable[[str], Caller] = lambda whose: Impatient()  # waits for a system; the text says which
    job_name: str = "job"  # the full name
    say: Callable[..., None] = lambda level, message, **fields: None  # the runtime's log
    base_dir: Path = Path()  # where relative paths begin: the manifest's folder
    decoding: Decoding = unnamed  # around what may end the process: names it
    available_now: bool = False  # the job reads what is there and ends: nothing comes later
    bad_records: BadRecords = field(default_factory=BadRecords)  # of the one source that is made with it

    def resolve(self, path: str) -> str:
        """The path or URL, absolute; a slash at its end stays."""
        return path if "://" in path or path.startswith("/") else f"{self.base_dir}/{path}"

    def open_store(self, url: str, whose: str) -> Store:
        """The store at a URL, with its retries."""
        return self.wrap_store(open_store(url, self.connections), whose)
