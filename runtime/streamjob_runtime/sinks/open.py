"""From a sink of the manifest to the sink that writes: found by its kind among the entry points."""

from importlib.metadata import entry_points
from typing import cast

import pyarrow as pa

from streamjob_runtime.errors import JobError
from streamjob_runtime.sinks.base import Sink
from streamjob_runtime.sinks.context import SinkContext, SinkSpec

GROUP = "streamjob.sinks"


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
    try:
        kind = found[sink.kind].load()
    except ModuleNotFoundError as err:
        raise JobError(
            f'sink "{name}": a {sink.kind} sink needs the package {err.name}, which is not installed: pip install '
            f'"streamjob[{sink.kind}]"'
        ) from err
    return cast(Sink, kind.from_manifest(sink, name, schema, context))
