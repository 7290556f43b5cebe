"""The rules between fields as the API server holds them: each mirrors one of `rules`, `rules_across` or `rules_pods`.

Who adds a rule adds it twice: there, where it finds every mistake of a manifest and says its line, and here, so that
`kubectl apply` refuses it. `tests/e2e/manifests/wrong.yaml` has a wrong manifest for each, and tests prove that both
refuse it.

The API server reckons beforehand what a rule may cost at worst: sizes of lists and texts (bounds of the models) times
what is done with each. A rule over its budget makes it refuse the whole CRD. What is left out here for that reason is
found by the operator, which says it in a condition. Only what Kubernetes 1.30 knows is used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streamjob_api.rules_pods import VOLUMES
from streamjob_api.texts import KAFKA_PARTITION, LABEL_KEY


@dataclass(frozen=True, slots=True)
class CelRule:
    """One rule. Its texts are CEL, but for `message`."""

    rule: str  # true where all is well; `self` is what stands at its place
    message: str
    says: str = ""  # an expression for a message that names what is wrong; where it fails, `message` is said
    field: str = ""  # the field, from there, that the message is about

    def as_validation(self) -> dict[str, Any]:
        """An entry of `x-kubernetes-validations`."""
        entry = {"rule": self.rule, "message": self.message}
        if self.says:
            entry["messageExpression"] = self.says
        return entry | ({"fieldPath": f".{self.field}"} if self.field else {})


_BARE_CSV_SOURCE = (
    "has(self.format) && self.format == 'csv' && "
    "(has(self.tcp) || has(self.kafka) || (has(self.files) && has(self.files.header) && !self.files.header))"
)
_BARE_CSV_TABLE = (
    "has(self.files) && has(self.format) && self.format == 'csv' && has(self.files.header) && !self.files.header"
)

_OF_METADATA = (
    "(has(self.kafka) && has(self.kafka.metadata) && '_timestamp' in self.kafka.metadata && "
    "self.watermark.column.lowerAscii() == '_timestamp')"
)

_JOB = (
    CelRule(
        "self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')",
        "metadata.name must be a DNS label: at most 63 lower-case letters, digits and -",
    ),
)

_SOURCE = (
    CelRule(
        "[has(self.kafka), has(self.tcp), has(self.files), has(self.rate), has(self.queue)].exists_one(given, given)",
        "a source is of one kind; give exactly one of kafka, tcp, files, rate, queue",
    ),
    CelRule(
        "!(has(self.kafka) || has(self.tcp)) || (has(self.format) && self.format != 'parquet')",
        "a kafka or tcp source needs a format; take one of text, json, csv, raw, and of kafka avro",
        field="format",
    ),
    CelRule(
        "has(self.kafka) || !has(self.format) || self.format != 'avro'",
        "avro can be read from kafka only; take another format",
        field="format",
    ),
    CelRule(
        "!has(self.files) || has(self.format)",
        "a files source needs a format; take one of text, json, csv, parquet, raw",
        field="format",
    ),
    CelRule(
        "!(has(self.rate) || has(self.queue)) || !has(self.format)",
        "a rate or queue source has no format; leave it out",
        field="format",
    ),
    CelRule(
        "!(has(self.queue) || (has(self.format) && self.format in ['json', 'csv', 'avro', 'parquet'])) || "
        "has(self.schema)",
        "json, csv, avro, parquet and queue need a schema; list the columns: {id: BIGINT, name: VARCHAR}",
        field="schema",
    ),
    CelRule(
        "!(has(self.rate) || (has(self.format) && self.format in ['text', 'raw'])) || !has(self.schema)",
        "text, raw and rate have a schema of their own; leave it out",
        field="schema",
    ),
    CelRule(
        "!has(self.files) || !has(self.files.header) || !has(self.format) || self.format == 'csv'",
        "only csv files have a header; leave it out",
        says="self.format + ' files have no header; leave it out: it is for csv'",
        field="files.header",
    ),
    CelRule(
        f"!({_BARE_CSV_SOURCE}) || has(self.columns)",
        "csv without a header line needs the order of its fields; write columns: [id, name]",
        field="columns",
    ),
    CelRule(
        f"!has(self.columns) || ({_BARE_CSV_SOURCE})",
        "is for csv without a header line; leave it out",
        field="columns",
    ),
    CelRule(
        "!has(self.watermark) || !has(self.rate) || self.watermark.column.lowerAscii() == 'timestamp'",
        "take the column of type TIMESTAMP: timestamp",
        field="watermark.column",
    ),
    CelRule(
        f"!has(self.watermark) || !has(self.format) || !(self.format in ['text', 'raw']) || {_OF_METADATA}",
        "text and raw have no column of type TIMESTAMP",
        field="watermark.column",
    ),
    CelRule(
        "!has(self.watermark) || !has(self.schema) || "
        f"self.schema.exists(name, name.lowerAscii() == self.watermark.column.lowerAscii()) || {_OF_METADATA}",
        "there is no such column in the schema",
        says="'there is no column \"' + self.watermark.column + '\" in the schema'",
        field="watermark.column",
    ),
    # Where the column is written in another case than in the schema, this is over the budget.
    CelRule(
        "!has(self.watermark) || !has(self.schema) || !(self.watermark.column in self.schema) || "
        "self.schema[self.watermark.column].matches('^(?i:TIMESTAMP|DATETIME)')",
        "is of another type; take a column of type TIMESTAMP",
        says="'\"' + self.watermark.column + '\" is of type ' + self.schema[self.watermark.column] + "
        "'; take a column of type TIMESTAMP'",
        field="watermark.column",
    ),
)

_OF_KAFKA = (
    CelRule(
        "!has(self.kafka) || !has(self.kafka.metadata) || !has(self.schema) || "
        "self.kafka.metadata.all(name, !(name in self.schema))",
        "kafka.metadata adds a column of that name; rename one in the value",
        field="schema",
    ),
)

_KAFKA_SOURCE = (
    CelRule(
        "[has(self.topic), has(self.topics), has(self.topicPattern)].exists_one(given, given)",
        "give exactly one of topic, topics, topicPattern",
    ),
    CelRule(
        "(self.startFrom == 'timestamp') == has(self.startTimestamp)",
        "goes with startFrom: timestamp, which needs it; write startTimestamp: 2026-11-21T09:00:00Z",
        field="startTimestamp",
    ),
    CelRule(
        "(self.startFrom == 'offsets') == has(self.startOffsets)",
        "goes with startFrom: offsets, which needs it; write startOffsets: {events/0: 120}",
        field="startOffsets",
    ),
    CelRule(
        "!has(self.metadata) || self.metadata.all(name, self.metadata.exists_one(other, other == name))",
        "names a column twice; name each column once",
        field="metadata",
    ),
)

_KAFKA_CONNECTION = (
    CelRule(
        "!has(self.saslMechanism) || has(self.authSecretRef)",
        "needs a user name and a password; name their Secret: authSecretRef: {name: kafka}",
        field="saslMechanism",
    ),
)

_OF_REGISTRY = (
    CelRule(
        "!has(self.kafka) || !has(self.format) || has(self.kafka.schemaRegistry) == (self.format == 'avro')",
        "goes with format avro, which needs it; write schemaRegistry: {url: 'http://registry:8081'}, or take another "
        "format",
        field="kafka.schemaRegistry",
    ),
)

_START_OFFSETS = (
    CelRule(
        f"self.all(name, name.matches('{KAFKA_PARTITION}'))",
        "each name must be topic/partition, such as events/0",
    ),
)

_SCHEMA = (
    CelRule(
        "!self.exists(name, name.lowerAscii() == 'batch_time')",
        "batch_time is a column that every source has; give this one another name",
    ),
    # To compare each with each is over the budget: this finds ID beside id, but not Id beside iD.
    CelRule(
        "!self.exists(name, name != name.lowerAscii() && name.lowerAscii() in self)",
        "two names differ only in case, which SQL ignores; rename one of them",
    ),
    CelRule(
        r"self.all(name, name.matches('^[^\\x00-\\x1f\\x7f]{1,128}$'))",
        "the names of columns have 1 to 128 characters, and no control characters",
    ),
)

_COLUMNS = (
    CelRule(
        "!has(self.columns) || !has(self.schema) || self.columns.all(name, name in self.schema)",
        "names a column that is not in the schema",
        field="columns",
    ),
    # That none stands twice is over the budget too: what has as many names as the schema may still lack one.
    CelRule(
        "!has(self.columns) || !has(self.schema) || self.columns.size() == self.schema.size()",
        "name every column of the schema once, in the order of a line's fields",
        field="columns",
    ),
)

_TABLE = (
    CelRule(
        "has(self.files) != has(self.delta)",
        "a table is of one kind; give exactly one of files, delta",
    ),
    CelRule(
        "has(self.delta) != has(self.format)",
        "files need a format, one of json, csv, parquet, and a delta table has its own",
        field="format",
    ),
    CelRule(
        "!has(self.delta) || !has(self.schema)",
        "a delta table has its own schema; leave it out",
        field="schema",
    ),
    CelRule(
        "!has(self.format) || self.format == 'parquet' || has(self.schema)",
        "json and csv need a schema; list the columns: {id: BIGINT, name: VARCHAR}",
        field="schema",
    ),
    CelRule(
        "!has(self.files) || !has(self.files.header) || !has(self.format) || self.format == 'csv'",
        "only csv files have a header; leave it out",
        says="self.format + ' files have no header; leave it out: it is for csv'",
        field="files.header",
    ),
    CelRule(
        f"!({_BARE_CSV_TABLE}) || has(self.columns)",
        "csv without a header line needs the order of its fields; write columns: [id, name]",
        field="columns",
    ),
    CelRule(
        f"!has(self.columns) || ({_BARE_CSV_TABLE})",
        "is for csv without a header line; leave it out",
        field="columns",
    ),
)

_SINK = (
    CelRule(
        "[has(self.kafka), has(self.postgres), has(self.delta), has(self.console), has(self.files), has(self.queue)]"
        ".exists_one(given, given)",
        "a sink is of one kind; give exactly one of kafka, postgres, delta, console, files, queue",
    ),
    CelRule(
        "!has(self.files) || (has(self.format) && self.format in ['json', 'csv', 'parquet'])",
        "a files sink needs a format; take one of json, csv, parquet",
        field="format",
    ),
    CelRule(
        "!has(self.kafka) || (has(self.format) && self.format in ['json', 'avro', 'text', 'raw'])",
        "a kafka sink needs a format; take one of json, avro, text, raw",
        field="format",
    ),
    CelRule(
        "!has(self.kafka) || !has(self.kafka.value) || self.kafka.value.size() < 2 || !has(self.format) || "
        "self.format in ['json', 'avro']",
        "text and raw are the value of one column; name one, or take format json",
        field="kafka.value",
    ),
    CelRule(
        "has(self.kafka) || has(self.files) || !has(self.format)",
        "only a kafka or files sink has a format; leave it out",
        field="format",
    ),
    CelRule(
        "!has(self.files) || self.mode != 'update'",
        "a files sink cannot update rows in files that are written; "
        "take append (new and final rows) or complete (one file, replaced by each batch)",
        field="mode",
    ),
    CelRule(
        "!has(self.files) || !has(self.files.partitionBy) || self.files.partitionBy.size() == 0 || "
        "self.mode != 'complete'",
        "complete mode writes one file; leave partitionBy out, or take mode append",
        field="files.partitionBy",
    ),
)

_OF_POSTGRES = (
    CelRule(
        "!has(self.postgres) || self.mode != 'update' || has(self.postgres.key)",
        "mode update needs the columns that tell which row is to be replaced; "
        "write key: [id], with the columns that the rows are grouped by",
        field="postgres.key",
    ),
    CelRule(
        "!has(self.postgres) || self.mode == 'update' || !has(self.postgres.key)",
        "is for mode update; leave it out, or take mode update",
        field="postgres.key",
    ),
)

_OF_DELTA = tuple(
    CelRule(rule.rule.replace("postgres", "delta"), rule.message, field=rule.field.replace("postgres", "delta"))
    for rule in _OF_POSTGRES
)

_KEY = (
    CelRule(
        "!has(self.key) || self.key.all(column, self.key.exists_one(other, other.lowerAscii() == column.lowerAscii()))",
        "names a column twice; name each column once",
        field="key",
    ),
)

_PARTITIONS = (
    CelRule(
        "!has(self.partitionBy) || self.partitionBy.all(column, "
        "self.partitionBy.exists_one(other, other.lowerAscii() == column.lowerAscii()))",
        "names a column twice; name each column once",
        field="partitionBy",
    ),
)

_ACROSS = (
    CelRule(
        "!has(self.tables) || self.tables.all(table, !self.sources.exists(source, source.name == table.name))",
        "a table has the name of a source; give each source, table and step its own",
        field="tables",
    ),
    CelRule(
        "!has(self.pipeline) || self.pipeline.all(step, !self.sources.exists(source, source.name == step.name))",
        "a step has the name of a source; give each source, table and step its own",
        field="pipeline",
    ),
    CelRule(
        "!has(self.pipeline) || !has(self.tables) || "
        "self.pipeline.all(step, !self.tables.exists(table, table.name == step.name))",
        "a step has the name of a table; give each source, table and step its own",
        field="pipeline",
    ),
    CelRule(
        "self.sinks.all(sink, self.sources.exists(source, source.name == sink.from) || "
        "(has(self.pipeline) && self.pipeline.exists(step, step.name == sink.from)))",
        "a sink's from names no pipeline step or source",
        field="sinks",
    ),
    CelRule(
        "self.sinks.all(sink, !has(sink.files) || self.sinks.exists_one(other, "
        "has(other.files) && other.files.path.find('^.*[^/]') == sink.files.path.find('^.*[^/]')))",
        "two sinks write to the same folder; give each sink a folder of its own",
        field="sinks",
    ),
    CelRule(
        "self.sinks.all(sink, !has(sink.postgres) || self.sinks.exists_one(other, has(other.postgres) && "
        "other.postgres.table == sink.postgres.table && other.postgres.dsnSecretRef == sink.postgres.dsnSecretRef && "
        "has(other.postgres.schema) == has(sink.postgres.schema) && "
        "(!has(sink.postgres.schema) || other.postgres.schema == sink.postgres.schema)))",
        "two sinks write the same table; give each sink a table of its own",
        field="sinks",
    ),
    CelRule(
        "self.sinks.all(sink, !has(sink.delta) || self.sinks.exists_one(other, "
        "has(other.delta) && other.delta.path.find('^.*[^/]') == sink.delta.path.find('^.*[^/]')))",
        "two sinks write the same Delta table; give each sink a table of its own",
        field="sinks",
    ),
    CelRule(
        "self.trigger != 'availableNow' || self.sources.all(source, !has(source.tcp) && !has(source.rate))",
        "a tcp or rate source never ends, so the trigger availableNow cannot be kept; "
        "take the trigger processingTime, or a files source",
        field="trigger",
    ),
    CelRule(
        "!has(self.checkpoint) || !has(self.checkpoint.interval) || "
        "duration(self.checkpoint.interval).getMilliseconds() in [5, 6, 7, 8, 9, 10].map(times, "
        "times * duration(self.batchInterval).getMilliseconds())",
        "must be a whole multiple of batchInterval, 5 to 10 times as long; or leave it out",
        says="self.checkpoint.interval + ' must be a whole multiple of the batchInterval of ' + self.batchInterval + "
        "', 5 to 10 times; or leave it out'",
        field="checkpoint.interval",
    ),
)

_RESOURCES = tuple(
    CelRule(
        f"!has(self.requests) || !has(self.limits) || !has(self.requests.{name}) || !has(self.limits.{name}) || "
        f"!quantity(string(self.requests.{name})).isGreaterThan(quantity(string(self.limits.{name})))",
        f"more {label} is requested than the limit allows; ask for less, or raise limits.{label}",
        field=f"requests['{label}']",
    )
    for name, label in (("cpu", "cpu"), ("memory", "memory"), ("ephemeral__dash__storage", "ephemeral-storage"))
)

_BACKOFF = (
    CelRule(
        "duration(self.initial) <= duration(self.max)",
        "is longer than max; take less, or raise max",
        says="self.initial + ' is longer than max, ' + self.max + '; take less, or raise max'",
        field="initial",
    ),
)

_POD_LABELS = (
    CelRule(
        "!self.exists(name, name.startsWith('streamjob.dev/') || name in "
        "['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/managed-by'])",
        "names a label that the operator sets itself; leave it out",
    ),
)

_LABEL_NAMES = (
    CelRule(
        f"self.all(name, name.matches('{LABEL_KEY}'))",
        "each name must be as Kubernetes has them, such as team or example.com/team",
    ),
)

_HDFS = (
    CelRule(
        "!has(self.user) || !has(self.kerberos)",
        "with kerberos the principal says who the job is; leave it out",
        field="user",
    ),
)

_ENV = (
    CelRule(
        "!has(self.value) || !has(self.valueFrom)",
        "a variable has a value or a valueFrom, and this has both; keep one of them",
        field="valueFrom",
    ),
)

_VOLUME = (
    CelRule(
        f"[{', '.join(f'has(self.{kind})' for kind in VOLUMES)}].exists_one(given, given)",
        f"a volume is of one kind; give exactly one of {', '.join(VOLUMES)}",
    ),
)

# Where rules stand; empty: the whole resource.
RULES: Mapping[str, tuple[CelRule, ...]] = {
    "": _JOB,
    "spec": _ACROSS,
    "spec.sources[]": _SOURCE + _OF_KAFKA + _OF_REGISTRY + _COLUMNS,
    "spec.sources[].kafka": _KAFKA_SOURCE + _KAFKA_CONNECTION,
    "spec.sources[].kafka.startOffsets": _START_OFFSETS,
    "spec.sources[].schema": _SCHEMA,
    "spec.tables[]": _TABLE + _COLUMNS,
    "spec.tables[].schema": _SCHEMA,
    "spec.sinks[]": _SINK + _OF_REGISTRY + _OF_POSTGRES + _OF_DELTA,
    "spec.sinks[].files": _PARTITIONS,
    "spec.sinks[].postgres": _KEY,
    "spec.sinks[].delta": _KEY + _PARTITIONS,
    "spec.sinks[].kafka": _KEY + _KAFKA_CONNECTION,
    "spec.hdfs": _HDFS,
    "spec.resources": _RESOURCES,
    "spec.restart.backoff": _BACKOFF,
    "spec.podTemplate.labels": _POD_LABELS + _LABEL_NAMES,
    "spec.podTemplate.annotations": _LABEL_NAMES,
    "spec.podTemplate.nodeSelector": _LABEL_NAMES,
    "spec.podTemplate.env[]": _ENV,
    "spec.podTemplate.volumes[]": _VOLUME,
}
