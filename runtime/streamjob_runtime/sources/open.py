"""From a source of the manifest to the source that reads: found by its kind among the entry points."""

from importlib.metadata import entry_points
from typing import cast

import pyarrow as pa

from streamjob_runtime.errors import JobError
from streamjob_runtime.sources.base import Source
from streamjob_runtime.sources.context import SourceContext, SourceSpec

GROUP = "streamjob.sources"  # the entry points' names are the kinds


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
