"""What every sink is made from: what the manifest says of it, and what the job gives it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from streamjob_runtime.connectors.shared.output_queue import OutputQueue
from streamjob_runtime.connectors.sink import SinkBatch
from streamjob_runtime.patience import Caller, Impatient
from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.connections import Connections

# Shows one batch of one sink: the batch, the sink's name, and those of the batch's rows that are to be shown.
Printer = Callable[[SinkBatch, str, pa.Table], None]


class SinkSpec(Protocol):
    """What this package reads of a manifest's sink."""

    @property
    def kind(self) -> str:
        """The system: an entry point's name."""
        ...

    @property
    def config(self) -> Any:
        """The kind's own fields."""
        ...

    @property
    def mode(self) -> str:
        """`append`, `update` or `complete`."""
        ...

    @property
    def format(self) -> str | None:
        """What files hold: json, csv or parquet."""
        ...


@dataclass(frozen=True, slots=True)
class SinkContext:
    """What sinks are made with, besides the manifest."""

    connections: Connections
    wrap_store: Callable[[Store, str], Store]  # gives a store its retries; the text says whose store it is
    base_dir: Path  # where relative paths begin: the manifest's folder
    print_rows: Printer
    queues: Mapping[str, OutputQueue] = field(default_factory=dict)  # sink name -> its queue
    patience: Callable[[str], Caller] = lambda whose: Impatient()  # waits for a system; the text says which
    moves: Callable[[], None] = lambda: None  # to be told now and then while a write takes long and goes on
    deletions: bool = False  # whether the sink will be told of rows that are no longer in the result

    def resolve(self, path: str) -> str:
        """The path or URL, absolute."""
        return path if "://" in path else str(self.base_dir / path)
