"""From a source of the manifest to the source that reads: found by its kind among the entry points."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, cast

import pyarrow as pa

from streamjob_runtime.clock import Clock
from streamjob_runtime.errors import JobError
from streamjob_runtime.sources.base import Source
from streamjob_runtime.sources.queue import InputQueue
from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.connections import Connections
from streamjob_runtime.stores.open import open_store

GROUP = "streamjob.sources"  # the entry points' names are the kinds


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
    base_dir: Path = Path()  # where relative paths begin: the manifest's folder

    def resolve(self, path: str) -> str:
        """The path or URL, absolute; a slash at its end stays."""
        return path if "://" in path or path.startswith("/") else f"{self.base_dir}/{path}"

    def open_store(self, url: str, whose: str) -> Store:
        """The store at a URL, with its retries."""
        return self.wrap_store(open_store(url, self.connections), whose)


def open_source(source: SourceSpec, schema: pa.Schema, context: SourceContext) -> Source:
    """The source that the manifest describes, not opened yet; it gives the columns of `schema`. Raises `JobError`.

    A package adds a kind by an entry point of the group `streamjob.sources`: a class with a class method
    `from_manifest(source, schema, context)`.
    """
    found = {e.name: e for e in entry_points(group=GROUP)}
    if source.kind not in found:
        raise JobError(
            f'Source "{source.name}": no source of kind "{source.kind}" is installed; there are '
            f'{", ".join(sorted(found))}. A package that brings another has an entry point in the group "{GROUP}".'
        )
    return cast(Source, found[source.kind].load().from_manifest(source, schema, context))
