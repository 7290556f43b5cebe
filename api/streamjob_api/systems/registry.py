"""Every kind of source, table and sink, by its field's name; in the order in which messages list them.

The models have a field for each, `Source`, `StaticTable` and `Sink`; all else that is known of a kind is read here.
"""

from collections.abc import Mapping

from streamjob_api.systems import console, delta, files, postgres, queue, rate, tcp
from streamjob_api.systems.kafka import sink as kafka_sink
from streamjob_api.systems.kafka import source as kafka_source
from streamjob_api.systems.kinds import SinkKind, SourceKind, TableKind

SOURCES: Mapping[str, SourceKind] = {
    "kafka": kafka_source.SOURCE,
    "tcp": tcp.SOURCE,
    "files": files.SOURCE,
    "rate": rate.SOURCE,
    "queue": queue.SOURCE,
}
TABLES: Mapping[str, TableKind] = {
    "files": files.TABLE,
    "delta": delta.TABLE,
}
SINKS: Mapping[str, SinkKind] = {
    "kafka": kafka_sink.SINK,
    "postgres": postgres.SINK,
    "delta": delta.SINK,
    "console": console.SINK,
    "files": files.SINK,
    "queue": queue.SINK,
}
