"""The rules between fields as the API server holds them: each mirrors one of `rules`, `rules_across` or `rules_pods`.

Who adds a rule adds it twice: there, where it finds every mistake of a manifest and says its line, and here, so that
`kubectl apply` refuses it. `tests/e2e/manifests/wrong.yaml` has a wrong manifest for each, and tests prove that both
refuse it.

The API server reckons beforehand what a rule may cost at worst: sizes of lists and texts (bounds of the models) times
what is done with each. A rule over its budget makes it refuse the whole CRD. What is left out here for that reason is
found by the operator, which says it in a condition. Only what Kubernetes 1.30 knows is used.
"""

from dataclasses import dataclass
from typing import Any

from streamjob_api.texts import LABEL_KEY


@dataclass(frozen=True, slots=True)
class CelRule:
    """One rule. Its texts are CEL, but for `message`."""

    at: str  # where it stands: `spec.sources[]`; empty: the whole resource
    rule: str  # true where all is well; `self` is what stands there
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
    "(has(self.tcp) || (has(self.files) && has(self.files.header) && !self.files.header))"
)
_BARE_CSV_TABLE = "self.format == 'csv' && has(self.files.header) && !self.files.header"

_JOB = (
    CelRule(
        "",
        "self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')",
        "metadata.name must be a DNS label: at most 63 lower-case letters, digits and -",
    ),
)

_SOURCE = (
    CelRule(
        "spec.sources[]",
        "[has(self.tcp), has(self.files), has(self.rate), has(self.queue)].exists_one(given, given)",
        "a source is of one kind; give exactly one of tcp, files, rate, queue",
    ),
    CelRule(
        "spec.sources[]",
        "!has(self.tcp) || (has(self.format) && self.format != 'parquet')",
        "a tcp source needs a format; take one of text, json, csv, raw",
        field="format",
    ),
    CelRule(
        "spec.sources[]",
        "!has(self.files) || has(self.format)",
        "a files source needs a format; take one of text, json, csv, parquet, raw",
        field="format",
    ),
    CelRule(
        "spec.sources[]",
        "!(has(self.rate) || has(self.queue)) || !has(self.format)",
        "a rate or queue source has no format; leave it out",
        field="format",
    ),
    CelRule(
        "spec.sources[]",
        "!(has(self.queue) || (has(self.format) && self.format in ['json', 'csv', 'parquet'])) || has(self.schema)",
        "json, csv, parquet and queue need a schema; list the columns: {id: BIGINT, name: VARCHAR}",
        field="schema",
    ),
    CelRule(
        "spec.sources[]",
        "!(has(self.rate) || (has(self.format) && self.format in ['text', 'raw'])) || !has(self.schema)",
        "text, raw and rate have a schema of their own; leave it out",
        field="schema",
    ),
    CelRule(
        "spec.sources[]",
        "!has(self.files) || !has(self.files.header) || !has(self.format) || self.format == 'csv'",
        "only csv files have a header; leave it out",
        says="self.format + ' files have no header; leave it out: it is for csv'",
        field="files.header",
    ),
    CelRule(
        "spec.sources[]",
        f"!({_BARE_CSV_SOURCE}) || has(self.columns)",
        "csv without a header line needs the order of its fields; write columns: [id, name]",
        field="columns",
    ),
    CelRule(
        "spec.sources[]",
        f"!has(self.columns) || ({_BARE_CSV_SOURCE})",
        "is for csv without a header line; leave it out",
        field="columns",
    ),
    CelRule(
        "spec.sources[]",
        "!has(self.watermark) || !has(self.rate) || self.watermark.column.lowerAscii() == 'timestamp'",
        "take the column of type TIMESTAMP: timestamp",
        field="watermark.column",
    ),
    CelRule(
        "spec.sources[]",
        "!has(self.watermark) || !has(self.format) || !(self.format in ['text', 'raw'])",
        "text and raw have no column of type TIMESTAMP",
        field="watermark.column",
    ),
    CelRule(
        "spec.sources[]",
        "!has(self.watermark) || !has(self.schema) || "
        "self.schema.exists(name, name.lowerAscii() == self.watermark.column.lowerAscii())",
        "there is no such column in the schema",
        says="'there is no column \"' + self.watermark.column + '\" in the schema'",
        field="watermark.column",
    ),
    CelRule(
        "spec.sources[]",
        "!has(self.watermark) || !has(self.schema) || !(self.watermark.column in self.schema) || "
        "self.schema[self.watermark.column].matches('^(?i:TIMESTAMP|DATETIME)')",
        "is of another type; take a column of type TIMESTAMP",
        says="'\"' + self.watermark.column + '\" is of type ' + self.schema[self.watermark.column] + "
        "'; take a column of type TIMESTAMP'",
        field="watermark.column",
    ),
)

_SCHEMAS = tuple(
    rule
    for at in ("spec.sources[]", "spec.tables[]")
    for rule in (
        CelRule(
            f"{at}.schema",
            "!self.exists(name, name.lowerAscii() == 'batch_time')",
            "batch_time is a column that every source has; give this one another name",
        ),
        # To compare each with each is over the budget: this finds ID beside id, but not Id beside iD.
        CelRule(
            f"{at}.schema",
            "!self.exists(name, name != name.lowerAscii() && name.lowerAscii() in self)",
            "two names differ only in case, which SQL ignores; rename one of them",
        ),
        CelRule(
            f"{at}.schema",
            r"self.all(name, name.matches('^[^\\x00-\\x1f\\x7f]{1,128}$'))",
            "the names of columns have 1 to 128 characters, and no control characters",
        ),
        CelRule(
            at,
            "!has(self.columns) || !has(self.schema) || self.columns.all(name, name in self.schema)",
            "names a column that is not in the schema",
            field="columns",
        ),
        # That none stands twice is over the budget too: what has as many names as the schema may still lack one.
        CelRule(
            at,
            "!has(self.columns) || !has(self.schema) || self.columns.size() == self.schema.size()",
            "name every column of the schema once, in the order of a line's fields",
            field="columns",
        ),
    )
)

_TABLE = (
    CelRule(
        "spec.tables[]",
        "self.format == 'parquet' || has(self.schema)",
        "json and csv need a schema; list the columns: {id: BIGINT, name: VARCHAR}",
        field="schema",
    ),
    CelRule(
        "spec.tables[]",
        "!has(self.files.header) || self.format == 'csv'",
        "only csv files have a header; leave it out",
        says="self.format + ' files have no header; leave it out: it is for csv'",
        field="files.header",
    ),
    CelRule(
        "spec.tables[]",
        f"!({_BARE_CSV_TABLE}) || has(self.columns)",
        "csv without a header line needs the order of its fields; write columns: [id, name]",
        field="columns",
    ),
    CelRule(
        "spec.tables[]",
        f"!has(self.columns) || ({_BARE_CSV_TABLE})",
        "is for csv without a header line; leave it out",
        field="columns",
    ),
)

_SINK = (
    CelRule(
        "spec.sinks[]",
        "[has(self.console), has(self.files), has(self.queue)].exists_one(given, given)",
        "a sink is of one kind; give exactly one of console, files, queue",
    ),
    CelRule(
        "spec.sinks[]",
        "!has(self.files) || has(self.format)",
        "a files sink needs a format; take one of json, csv, parquet",
        field="format",
    ),
    CelRule(
        "spec.sinks[]",
        "has(self.files) || !has(self.format)",
        "only a files sink has a format; leave it out",
        field="format",
    ),
    CelRule(
        "spec.sinks[]",
        "!has(self.files) || self.mode != 'update'",
        "a files sink cannot update rows in files that are written; "
        "take append (new and final rows) or complete (one file, replaced by each batch)",
        field="mode",
    ),
    CelRule(
        "spec.sinks[]",
        "!has(self.files) || !has(self.files.partitionBy) || self.files.partitionBy.size() == 0 || "
        "self.mode != 'complete'",
        "complete mode writes one file; leave partitionBy out, or take mode append",
        field="files.partitionBy",
    ),
    CelRule(
        "spec.sinks[].files",
        "!has(self.partitionBy) || self.partitionBy.all(column, "
        "self.partitionBy.exists_one(other, other.lowerAscii() == column.lowerAscii()))",
        "names a column twice; name each column once",
        field="partitionBy",
    ),
)

_ACROSS = (
    CelRule(
        "spec",
        "!has(self.tables) || self.tables.all(table, !self.sources.exists(source, source.name == table.name))",
        "a table has the name of a source; give each source, table and step its own",
        field="tables",
    ),
    CelRule(
        "spec",
        "!has(self.pipeline) || self.pipeline.all(step, !self.sources.exists(source, source.name == step.name))",
        "a step has the name of a source; give each source, table and step its own",
        field="pipeline",
    ),
    CelRule(
        "spec",
        "!has(self.pipeline) || !has(self.tables) || "
        "self.pipeline.all(step, !self.tables.exists(table, table.name == step.name))",
        "a step has the name of a table; give each source, table and step its own",
        field="pipeline",
    ),
    CelRule(
        "spec",
        "self.sinks.all(sink, self.sources.exists(source, source.name == sink.from) || "
        "(has(self.pipeline) && self.pipeline.exists(step, step.name == sink.from)))",
        "a sink's from names no pipeline step or source",
        field="sinks",
    ),
    CelRule(
        "spec",
        "self.sinks.all(sink, !has(sink.files) || self.sinks.exists_one(other, "
        "has(other.files) && other.files.path.find('^.*[^/]') == sink.files.path.find('^.*[^/]')))",
        "two sinks write to the same folder; give each sink a folder of its own",
        field="sinks",
    ),
    CelRule(
        "spec",
        "self.trigger != 'availableNow' || self.sources.all(source, !has(source.tcp) && !has(source.rate))",
        "a tcp or rate source never ends, so the trigger availableNow cannot be kept; "
        "take the trigger processingTime, or a files source",
        field="trigger",
    ),
    CelRule(
        "spec",
        "!has(self.checkpoint) || !has(self.checkpoint.interval) || "
        "duration(self.checkpoint.interval).getMilliseconds() in [5, 6, 7, 8, 9, 10].map(times, "
        "times * duration(self.batchInterval).getMilliseconds())",
        "must be a whole multiple of batchInterval, 5 to 10 times as long; or leave it out",
        says="self.checkpoint.interval + ' must be a whole multiple of the batchInterval of ' + self.batchInterval + "
        "', 5 to 10 times; or leave it out'",
        field="checkpoint.interval",
    ),
)

_PODS = (
    *(
        CelRule(
            "spec.resources",
            f"!has(self.requests) || !has(self.limits) || !has(self.requests.{name}) || !has(self.limits.{name}) || "
            f"!quantity(string(self.requests.{name})).isGreaterThan(quantity(string(self.limits.{name})))",
            f"more {label} is requested than the limit allows; ask for less, or raise limits.{label}",
            field=f"requests['{label}']",
        )
        for name, label in (("cpu", "cpu"), ("memory", "memory"), ("ephemeral__dash__storage", "ephemeral-storage"))
    ),
    CelRule(
        "spec.restart.backoff",
        "duration(self.initial) <= duration(self.max)",
        "is longer than max; take less, or raise max",
        says="self.initial + ' is longer than max, ' + self.max + '; take less, or raise max'",
        field="initial",
    ),
    CelRule(
        "spec.podTemplate",
        "!has(self.labels) || !self.labels.exists(name, name.startsWith('streamjob.dev/') || name in "
        "['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/managed-by'])",
        "names a label that the operator sets itself; leave it out",
        field="labels",
    ),
    *(
        CelRule(
            f"spec.podTemplate.{field}",
            f"self.all(name, name.matches('{LABEL_KEY}'))",
            f"names must be as {said} have them, such as team or example.com/team",
        )
        for field, said in (("labels", "labels"), ("annotations", "annotations"), ("nodeSelector", "labels"))
    ),
    CelRule(
        "spec.podTemplate.env[]",
        "!has(self.value) || !has(self.valueFrom)",
        "a variable has a value or a valueFrom, and this has both; keep one of them",
        field="valueFrom",
    ),
)

RULES = (*_JOB, *_SOURCE, *_SCHEMAS, *_TABLE, *_SINK, *_ACROSS, *_PODS)
