"""From a source, sink or static table of the manifest to what reads or writes it, found by its kind.

A package adds a kind by an entry point, named like the kind, in one of the groups below: a class with the class method
`from_manifest` that is described at the function of its group.
"""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

import pyarrow as pa

from streamjob_runtime.connectors.sink import Sink
from streamjob_runtime.connectors.sink_context import SinkContext, SinkSpec
from streamjob_runtime.connectors.source import Source
from streamjob_runtime.connectors.source_context import SourceContext, SourceSpec
from streamjob_runtime.connectors.table import Contents, TableContext, TableSpec
from streamjob_runtime.errors import JobError

SOURCES = "streamjob.sources"
SINKS = "streamjob.sinks"
TABLES = "streamjob.tables"


def open_source(source: SourceSpec, schema: pa.Schema, context: SourceContext) -> Source:
    """The source that the manifest describes, not opened yet; it gives the columns of `schema`. Raises `JobError`.

    Made by `from_manifest(source, schema, context)` of an entry point of the group `streamjob.sources`.
    """
    kind = _find(SOURCES, source.kind, f'Source "{source.name}"', "source")
    return cast(Source, kind.from_manifest(source, schema, context))


def open_sink(sink: SinkSpec, name: str, schema: pa.Schema | None, context: SinkContext) -> Sink:
    """The sink that the manifest describes, not opened yet. Raises `JobError`.

    `schema`: the columns it will get, where they are known before the first batch. Made by
    `from_manifest(sink, name, schema, context)` of an entry point of the group `streamjob.sinks`.
    """
    kind = _find(SINKS, sink.kind, f'Sink "{name}"', "sink")
    return cast(Sink, kind.from_manifest(sink, name, schema, context))


def open_table(table: TableSpec, context: TableContext) -> Contents:
    """The contents of the static table that the manifest describes. Raises `JobError`.

    Made by `from_manifest(table, context)` of an entry point of the group `streamjob.tables`.
    """
    kind = _find(TABLES, table.kind, f'Static table "{table.name}"', "static table")
    return cast(Contents, kind.from_manifest(table, context))


@cache
def _kinds(group: str) -> Mapping[str, EntryPoint]:
    """What is installed, as it was when somebody asked first: a look reads the metadata of every package there is."""
    return {e.name: e for e in entry_points(group=group)}


def _find(group: str, kind: str, whose: str, what: str) -> Any:
    found = _kinds(group)
    if kind not in found:
        raise JobError(
            f'{whose}: no {what} of kind "{kind}" is installed; there are {", ".join(sorted(found))}. A package that '
            f'brings another has an entry point in the group "{group}".'
        )
    try:
        return found[kind].load()
    except ModuleNotFoundError as err:
        raise JobError(
            f"{whose}: a {kind} {what} needs the package {err.name}, which is not installed: "
            f'pip install "streamjob[{kind}]".'
        ) from err
