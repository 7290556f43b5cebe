"""One wrong manifest a rule, and exactly what a user is told. The base is good; each case changes it in one place."""

from copy import deepcopy
from typing import Any

import pytest
import yaml

from streamjob_api.manifest import parse_manifest

GOOD: dict[str, Any] = {
    "apiVersion": "streamjob.dev/v1alpha1",
    "kind": "StreamJob",
    "metadata": {"name": "job"},
    "spec": {
        "sources": [
            {
                "name": "events",
                "files": {"path": "in"},
                "format": "json",
                "schema": {"id": "BIGINT", "at": "TIMESTAMP"},
                "watermark": {"column": "at", "delay": "10s"},
            },
            {"name": "lines", "tcp": {"host": "localhost", "port": 9999}, "format": "text"},
            {
                "name": "bare",
                "tcp": {"host": "localhost", "port": 9998},
                "format": "csv",
                "schema": {"a": "BIGINT", "b": "BIGINT"},
                "columns": ["b", "a"],
            },
            {"name": "ticks", "rate": {"rowsPerSecond": 5}, "watermark": {"column": "timestamp", "delay": "0s"}},
        ],
        "tables": [{"name": "ads", "files": {"path": "ads.parquet"}, "format": "parquet", "refresh": "1h"}],
        "pipeline": [{"name": "views", "sql": "SELECT 1"}],
        "sinks": [
            {"from": "views", "files": {"path": "out", "partitionBy": ["id"]}, "format": "json"},
            {"from": "lines", "mode": "complete", "console": {}},
        ],
        "checkpoint": {"interval": "10s", "location": "s3://checkpoints/job", "retained": 5},
        "s3": {"endpoint": "http://minio:9000", "region": "eu", "credentialsSecretRef": {"name": "minio"}},
    },
}
GONE = object()

DNS_LABEL = "is not a DNS label: lower-case letters, digits and -, beginning and ending with a letter or digit"
SQL_NAME = "is not a name in SQL: lower-case letters, digits and _, not beginning with a digit"
LOCATION = "is not a path (relative to the manifest's folder, or absolute), s3://bucket/prefix or hdfs://host:port/path"
ADDRESS = "is not http://host:port or https://host:port, without a path and without credentials"

SOURCE_0, SOURCE_1, SOURCE_2, SOURCE_3 = (f"spec.sources[{i}]" for i in range(4))

# where to change the good manifest, what to put there, what is said
CASES: list[tuple[str, Any, str]] = [
    ("apiVersion", GONE, "apiVersion: is missing; give the version of this resource"),
    (
        "apiVersion",
        "streamjob.dev/v1",
        'apiVersion: must be streamjob.dev/v1alpha1, and is "streamjob.dev/v1"; did you mean "streamjob.dev/v1alpha1"?',
    ),
    ("kind", "Streamjob", 'kind: must be StreamJob, and is "Streamjob"; did you mean "StreamJob"?'),
    ("kind", "Job", 'kind: must be StreamJob, and is "Job"; take StreamJob'),
    ("metadata.name", GONE, "metadata.name: is missing; give the job's name"),
    ("metadata.name", "My_Job", f'metadata.name: "My_Job" {DNS_LABEL}'),
    ("metadata.name", "a" * 64, "metadata.name: has 64 characters; take at most 63"),
    ("metadata.name", 5, "metadata.name: must be a text, and is the number 5; put it in quotes"),
    ("metadata.labels", {"a": True}, "metadata.labels.a: must be a text, and is true; put it in quotes"),
    ("spec", GONE, "spec: is missing; give what the job does"),
    (
        "spec",
        [],
        "spec: must be an object, and is a list; its fields are engine, batchInterval, trigger, backpressure, sources, "
        "tables, pipeline, sinks, checkpoint, s3, hdfs, variablesFrom, suspend, excerptsInStatus, image, resources, "
        "restart, nodeLoss, deletion, podTemplate",
    ),
    ("spec.engine", "spark", 'spec.engine: must be embedded, and is "spark"; take embedded'),
    ("spec.sinkz", [], 'spec.sinkz: unknown field; did you mean "sinks"?'),
    ("spec.interval", "10s", 'spec.interval: unknown field; did you mean "checkpoint.interval"?'),
    ("spec.batch_interval", "2s", 'spec.batch_interval: unknown field; did you mean "batchInterval"?'),
    (
        "spec.batchInterval",
        2,
        "spec.batchInterval: must be a duration, and is the number 2; write numbers with units: 500ms, 2s, 1h30m",
    ),
    (
        "spec.batchInterval",
        "2 sec",
        'spec.batchInterval: must be a duration, and is the text "2 sec"; write numbers with units: 500ms, 2s, 1h30m',
    ),
    (
        "spec.trigger",
        "availableNow",
        "spec.sources[1].tcp: a tcp source never ends, so the trigger availableNow cannot be kept; "
        "take the trigger processingTime, or a files source",
    ),
    (
        "spec.trigger",
        "once",
        'spec.trigger: must be one of processingTime, availableNow, and is "once"',
    ),
    ("spec.sinks", GONE, "spec.sinks: is missing; give where the results go"),
    ("spec.sinks", None, "spec.sinks: has no value; give where the results go"),
    ("spec.sinks", [], "spec.sinks: is empty; give at least one item"),
    ("spec.pipeline", None, "spec.pipeline: has no value; leave it out, or give the steps, in order"),
    ("spec.tables", {}, 'spec.tables: must be a list, and is an object; begin each item with "- "'),
    (f"{SOURCE_0}.name", "Events", f'spec.sources[0].name: "Events" {SQL_NAME}'),
    (
        "spec.sources[3].name",
        "lines",
        'spec.sources[3].name: "lines" is the name of spec.sources[1] already; '
        "give each source, table and step its own",
    ),
    (f"{SOURCE_1}.tcp", GONE, "spec.sources[1]: a source needs a kind; give one of kafka, tcp, files, rate, queue"),
    (f"{SOURCE_1}.tcp", None, "spec.sources[1].tcp: has no value; write tcp: {} or its fields"),
    (
        f"{SOURCE_1}.files",
        {"path": "in"},
        "spec.sources[1].files: a source is of one kind, and this has tcp and files; keep one of them",
    ),
    (f"{SOURCE_1}.port", 1, 'spec.sources[1].port: unknown field; did you mean "tcp.port"?'),
    (f"{SOURCE_1}.tcp.prot", 1, 'spec.sources[1].tcp.prot: unknown field; did you mean "port"?'),
    (f"{SOURCE_1}.tcp.zzz", 1, "spec.sources[1].tcp.zzz: unknown field; the fields here are host, port"),
    (f"{SOURCE_1}.tcp.port", 65536, "spec.sources[1].tcp.port: 65536 is too large; take 1 to 65535"),
    (f"{SOURCE_1}.tcp.port", 0, "spec.sources[1].tcp.port: 0 is too small; take 1 to 65535"),
    (
        f"{SOURCE_1}.tcp.port",
        "9999",
        'spec.sources[1].tcp.port: must be a whole number, and is the text "9999"; leave the quotes out',
    ),
    (
        f"{SOURCE_1}.tcp.port",
        1.5,
        "spec.sources[1].tcp.port: must be a whole number, and is the number 1.5; write digits only",
    ),
    (
        f"{SOURCE_1}.tcp.host",
        "a b",
        'spec.sources[1].tcp.host: "a b" is not a host name or an IP address, without a port',
    ),
    (
        f"{SOURCE_1}.format",
        GONE,
        "spec.sources[1].format: a tcp source needs a format; take one of text, json, csv, raw",
    ),
    (
        f"{SOURCE_0}.format",
        "jsonl",
        'spec.sources[0].format: must be one of text, json, csv, avro, parquet, raw, and is "jsonl"; '
        'did you mean "json"?',
    ),
    (f"{SOURCE_3}.format", "json", "spec.sources[3].format: a rate source has no format; leave it out"),
    (
        f"{SOURCE_0}.schema",
        {},
        "spec.sources[0].schema: is empty; give at least one item",
    ),
    (
        f"{SOURCE_1}.schema",
        {"a": "BIGINT"},
        "spec.sources[1].schema: text has a schema of its own: value VARCHAR; leave it out",
    ),
    (
        f"{SOURCE_3}.schema",
        {"timestamp": "TIMESTAMP"},
        "spec.sources[3].schema: a rate source has a schema of its own: value BIGINT and timestamp TIMESTAMP; "
        "leave it out",
    ),
    (
        f"{SOURCE_0}.schema.Batch_Time",
        "TIMESTAMP",
        "spec.sources[0].schema.Batch_Time: batch_time is a column that every source has; give this one another name",
    ),
    (
        f"{SOURCE_0}.schema.ID",
        "BIGINT",
        'spec.sources[0].schema.ID: "ID" and "id" are one name in SQL, which ignores case; rename one of them',
    ),
    (
        f"{SOURCE_0}.schema.id",
        "BIGINT; DROP",
        'spec.sources[0].schema.id: "BIGINT; DROP" is not a SQL type, such as VARCHAR, BIGINT, DOUBLE, TIMESTAMP, '
        "DECIMAL(18, 2) or VARCHAR[]",
    ),
    (
        f"{SOURCE_0}.watermark.column",
        "att",
        'spec.sources[0].watermark.column: there is no column "att"; did you mean "at"?',
    ),
    (
        f"{SOURCE_0}.watermark.column",
        "id",
        'spec.sources[0].watermark.column: "id" is of type BIGINT; take a column of type TIMESTAMP or '
        "TIMESTAMP WITH TIME ZONE, or a new name and an expression, such as epoch_ms(sent)",
    ),
    (
        f"{SOURCE_0}.watermark.delay",
        GONE,
        "spec.sources[0].watermark.delay: is missing; give how late a row may be, seen from the newest one",
    ),
    (
        f"{SOURCE_0}.files.header",
        True,
        "spec.sources[0].files.header: json files have no header; leave it out: it is for csv",
    ),
    (
        f"{SOURCE_0}.files.header",
        "no",
        'spec.sources[0].files.header: must be true or false, and is the text "no"; '
        "write true or false, without quotes",
    ),
    (f"{SOURCE_0}.files.path", "gs://x", f"spec.sources[0].files.path: {LOCATION}"),
    (f"{SOURCE_0}.maxRecordsPerBatch", 0, "spec.sources[0].maxRecordsPerBatch: 0 is too small; take 1 to 1000000000"),
    (
        f"{SOURCE_2}.columns",
        GONE,
        "spec.sources[2].columns: csv without a header line needs the order of its fields; write columns: [a, b]",
    ),
    (f"{SOURCE_2}.columns", [], "spec.sources[2].columns: is empty; give at least one item"),
    (
        f"{SOURCE_2}.columns",
        ["b"],
        'spec.sources[2].columns: "a" of the schema is missing; '
        "name every column once, in the order of a line's fields",
    ),
    (
        f"{SOURCE_2}.columns",
        ["b", "a", "bb"],
        'spec.sources[2].columns[2]: there is no column "bb" in the schema; did you mean "b"?',
    ),
    (f"{SOURCE_2}.columns", ["b", "a", "b"], 'spec.sources[2].columns[2]: "b" stands twice; name each column once'),
    (f"{SOURCE_0}.columns", ["at", "id"], "spec.sources[0].columns: is for csv without a header line; leave it out"),
    (
        "spec.tables[0]",
        {"name": "ads", "files": {"path": "in"}, "format": "csv", "schema": {"a": "INT"}, "columns": ["a"]},
        "spec.tables[0].columns: is for csv without a header line; leave it out, or write files.header: false",
    ),
    (
        "spec.tables[0]",
        {"name": "ads", "files": {"path": "in", "header": False}, "format": "csv", "schema": {"b": "INT", "a": "INT"}},
        "spec.tables[0].columns: csv without a header line needs the order of its fields; write columns: [b, a]",
    ),
    (
        "spec.tables[0].format",
        "csv",
        "spec.tables[0].schema: csv needs a schema; list the columns: {id: BIGINT, name: VARCHAR}",
    ),
    ("spec.tables[0].refresh", "1ms", "spec.tables[0].refresh: 1ms is too small; take 1s to 8760h"),
    ("spec.pipeline[0].sql", "", "spec.pipeline[0].sql: is empty; write a text"),
    (
        "spec.sinks[0].from",
        "view",
        'spec.sinks[0].from: there is no pipeline step or source "view"; did you mean "views"?',
    ),
    (
        "spec.sinks[0].from",
        "ads",
        'spec.sinks[0].from: "ads" is a static table; name a pipeline step or a source instead',
    ),
    ("spec.sinks[0].format", GONE, "spec.sinks[0].format: a files sink needs a format; take one of json, csv, parquet"),
    ("spec.sinks[1].format", "json", "spec.sinks[1].format: a console sink has no format; leave it out"),
    ("spec.sinks[1].console", None, "spec.sinks[1].console: has no value; write console: {} or its fields"),
    (
        "spec.sinks[0].mode",
        "update",
        "spec.sinks[0].mode: a files sink cannot update rows in files that are written; "
        "take append (new and final rows) or complete (one file, replaced by each batch)",
    ),
    (
        "spec.sinks[0].mode",
        "complete",
        "spec.sinks[0].files.partitionBy: complete mode writes one file; leave partitionBy out, or take mode append",
    ),
    (
        "spec.sinks[0].files.partitionBy",
        ["id", "ID"],
        'spec.sinks[0].files.partitionBy[1]: "ID" stands twice; name each column once',
    ),
    (
        "spec.sinks[1]",
        {"from": "views", "files": {"path": "out/"}, "format": "csv"},
        "spec.sinks[1].files.path: spec.sinks[0] writes there already; give each sink a folder of its own",
    ),
    (
        "spec.checkpoint.interval",
        "8s",
        "spec.checkpoint.interval: 8s is 4 times the batchInterval of 2s; it must be a whole multiple, 5 to 10 times; "
        "take 10s, or leave it out",
    ),
    (
        "spec.checkpoint.interval",
        "1m",
        "spec.checkpoint.interval: 1m is 30 times the batchInterval of 2s; it must be a whole multiple, 5 to 10 times; "
        "take 20s, or leave it out",
    ),
    (
        "spec.checkpoint.interval",
        "13s",
        "spec.checkpoint.interval: 13s is 6.5 times the batchInterval of 2s; "
        "it must be a whole multiple, 5 to 10 times; take 12s, or leave it out",
    ),
    ("spec.checkpoint.retained", 101, "spec.checkpoint.retained: 101 is too large; take 1 to 100"),
    ("spec.checkpoint.retained", 10**400, "spec.checkpoint.retained: beyond all bounds is too large; take 1 to 100"),
    ("spec.s3.endpoint", "http://me:pa55@minio:9000", f"spec.s3.endpoint: {ADDRESS}"),
]


def put(tree: Any, path: str, value: Any) -> None:
    *above, last = [int(p) if p.isdigit() else p for p in path.replace("[", ".").replace("]", "").split(".")]
    for part in above:
        tree = tree[part]
    if value is GONE:
        del tree[last]
    else:
        tree[last] = value


def told(tree: Any) -> list[str]:
    """What is said of the manifest, without its lines."""
    loaded = parse_manifest(yaml.safe_dump(tree, sort_keys=False), "job.yaml")
    return [str(problem).split(": ", 1)[1] for problem in loaded.problems]


def test_the_base_is_good() -> None:
    assert told(GOOD) == []


@pytest.mark.parametrize(("path", "value", "message"), CASES, ids=[f"{c[0]}={str(c[1])[:20]}" for c in CASES])
def test_one_mistake_is_told_once_and_in_these_words(path: str, value: Any, message: str) -> None:
    tree = deepcopy(GOOD)
    put(tree, path, value)
    said = told(tree)
    assert said[0] == message
    # With this trigger, three sources are wrong.
    assert len(said) == (3 if value == "availableNow" else 1)


def test_no_mistake_hides_another() -> None:
    tree = deepcopy(GOOD)
    wrong = {"metadata.name": "A", "spec.sinkz": 1, f"{SOURCE_1}.tcp.prot": 1, f"{SOURCE_0}.watermark.column": "id"}
    wrong |= {"spec.sinks[0].from": "x", "spec.checkpoint.interval": "1s", "spec.tables[0].format": "csv"}
    for path, value in wrong.items():
        put(tree, path, value)
    paths = {said.split(": ")[0] for said in told(tree)}
    assert paths == {*wrong, "spec.tables[0].schema"} - {"spec.tables[0].format"}


def test_a_secret_is_not_repeated() -> None:
    places = (
        "spec.s3.endpoint",
        "spec.checkpoint.location",
        f"{SOURCE_1}.tcp.host",
        "spec.s3.credentialsSecretRef",
        "spec.s3.credentialsSecretRef.name",
    )
    for path in places:
        tree = deepcopy(GOOD)
        put(tree, path, "hdfs://me:pa55@minio/x")
        assert told(tree)
        assert "pa55" not in "".join(told(tree))


@pytest.mark.parametrize("kind", ["hostPath", "projected", "image", "nfs"])
def test_a_volume_that_reaches_out_of_the_pod_is_refused_and_the_kinds_that_there_are_are_named(kind: str) -> None:
    job = deepcopy(GOOD)
    job["spec"]["podTemplate"] = {"volumes": [{"name": "v", kind: {}}]}
    said = [str(problem) for problem in parse_manifest(yaml.safe_dump(job), "job.yaml").problems]
    assert any(f"spec.podTemplate.volumes[0].{kind}: unknown field" in line for line in said)
    assert any("give exactly one of secret, configMap, emptyDir, persistentVolumeClaim, csi" in line for line in said)
