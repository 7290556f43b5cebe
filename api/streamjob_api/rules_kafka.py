"""The rules of a Kafka source or sink that need more than one of its fields."""

import re
from collections.abc import Iterator

from streamjob_api import trees
from streamjob_api.trees import KAFKA_METADATA, MAX_COLUMNS, Broken, Tree
from streamjob_api.words import shown

SINK_FORMATS = ("json", "avro", "text", "raw")

_TOPICS = ("topic", "topics", "topicPattern")
_STARTS = {"timestamp": ("startTimestamp", "2026-11-21T09:00:00Z"), "offsets": ("startOffsets", "{events/0: 120}")}


def source(tree: Tree) -> Iterator[Broken]:
    """The rules of one source; none, if it is not of Kafka."""
    kafka = trees.mapping(tree.get("kafka"))
    if not kafka:
        return
    yield from (broken.below("kafka") for broken in _topics(kafka))
    yield from (broken.below("kafka") for broken in _start(kafka))
    yield from (broken.below("kafka") for broken in _connection(kafka, tree.get("format")))
    names = [name for name in trees.items(kafka.get("metadata")) if isinstance(name, str)]
    for i, name in enumerate(names):
        if name in names[:i]:
            yield Broken(("kafka", "metadata", i), f'"{shown(name)}" stands twice', "name each column once")
    for column in trees.mapping(tree.get("schema")):
        if isinstance(column, str) and column.lower() in names:
            yield Broken(
                ("schema", column), f"{column.lower()} is a column that kafka.metadata adds", "rename one in the value"
            )


def sink(tree: Tree) -> Iterator[Broken]:
    """The rules of one sink; none, if it is not of Kafka."""
    kafka, given = trees.mapping(tree.get("kafka")), tree.get("format")
    if not kafka:
        return
    if given is None:
        yield Broken(("format",), "a kafka sink needs a format", f"take one of {', '.join(SINK_FORMATS)}")
    elif given in ("csv", "parquet"):
        message = f"{given} cannot be written to kafka"
        yield Broken(("format",), message, f"take one of {', '.join(SINK_FORMATS)}")
    yield from (broken.below("kafka") for broken in _connection(kafka, given))
    for field in ("key", "value"):
        names = [name for name in trees.items(kafka.get(field), MAX_COLUMNS) if isinstance(name, str)]
        seen: set[str] = set()
        for i, name in enumerate(names):
            if name.lower() in seen:
                yield Broken(("kafka", field, i), f'"{shown(name)}" stands twice', "name each column once")
            seen.add(name.lower())
        if field == "value" and given in ("text", "raw") and len(names) > 1:
            yield Broken(("kafka", "value"), f"{given} is the value of one column", "name one, or take format json")


def metadata(tree: Tree) -> Tree:
    """The columns that a source adds to those of the value, each with its type."""
    names = trees.items(trees.mapping(tree.get("kafka")).get("metadata"))
    return {name: KAFKA_METADATA[name] for name in names if isinstance(name, str) and name in KAFKA_METADATA}


def _topics(kafka: Tree) -> Iterator[Broken]:
    given = [field for field in _TOPICS if kafka.get(field) is not None]
    if len(given) > 1:
        yield Broken((given[1],), f"{' and '.join(given)} say twice what is read", "keep one of them")
    elif not given:
        yield Broken((), "a kafka source needs its topics", f"give one of {', '.join(_TOPICS)}")
    pattern = kafka.get("topicPattern")
    if isinstance(pattern, str):
        try:
            re.compile(pattern)
        except re.error as error:
            yield Broken(("topicPattern",), f"is no regular expression: {error}", "write one, such as events-.*")


def _start(kafka: Tree) -> Iterator[Broken]:
    start = kafka.get("startFrom") or "earliest"
    for value, (field, example) in _STARTS.items():
        if start == value and kafka.get(field) is None:
            yield Broken((field,), f"startFrom: {value} needs it", f"write {field}: {example}")
        elif start != value and isinstance(start, str) and kafka.get(field) is not None:
            yield Broken((field,), f"is for startFrom: {value}", f"leave it out, or write startFrom: {value}")


def _connection(kafka: Tree, format_: object) -> Iterator[Broken]:
    if format_ == "avro" and kafka.get("schemaRegistry") is None:
        yield Broken(
            ("schemaRegistry",),
            "format avro needs the registry of the schemas",
            'write schemaRegistry: {url: "http://registry:8081"}',
        )
    elif isinstance(format_, str) and format_ != "avro" and kafka.get("schemaRegistry") is not None:
        yield Broken(("schemaRegistry",), "is for format avro", "leave it out, or take format avro")
    if kafka.get("saslMechanism") is not None and kafka.get("authSecretRef") is None:
        yield Broken(
            ("saslMechanism",), "needs a user name and a password", "name their Secret: authSecretRef: {name: kafka}"
        )
