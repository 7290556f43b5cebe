"""From a sink of the manifest to the sink that writes: found by its kind among the entry points."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, cast

import pyarrow as pa

from streamjob_runtime.errors import JobError
from streamjob_runtime.sinks.base import Sink
from streamjob_runtime.sinks.console import Printer
from streamjob_runtime.sinks.queue import OutputQueue
from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.connections import Connections

GROUP = "streamjob.sinks"


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

    def resolve(self, path: str) -> str:
        """The path or URL, absolute."""
        return path if "://" in path else str(self.base_dir / path)


def open_sink(sink: SinkSpec, name: str, schema: pa.Schema | None, context: SinkContext) -> Sink:
    """The sink that the manifest describes, not opened yet.

    `schema`: the columns it will get, where they are known before the first batch. Raises `JobError`.
    """
    found = {e.name: e for e in entry_points(group=GROUP)}
    if sink.kind not in found:
        raise JobError(
            f'sink "{name}": no sink of kind "{sink.kind}" is installed; there are {", ".join(sorted(found))}, and a '
            f'package that brings another registers it as an entry point in the group "{GROUP}"'
        )
    return cast(Sink, found[sink.kind].load().from_manifest(sink, name, schema, context))
