"""Kafka as a source: the records of topics."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from streamjob_api import trees
from streamjob_api.cel import CelRule, CelRules, placed
from streamjob_api.systems.kafka.connection import CONNECTION_CEL, KafkaConnection, KafkaTopic, connection
from streamjob_api.systems.kinds import SourceKind
from streamjob_api.texts import Instant, Text
from streamjob_api.trees import Broken, Tree

# The API server takes bounds for floats: 2**63 - 1 would be rounded up, and become negative.
_MOST_OFFSETS = 2**53
_MOST_PARTITIONS = 1000  # whose first offsets a manifest may name
_PARTITION = r"^[A-Za-z0-9._-]+/[0-9]{1,9}$"

KafkaPartition = Annotated[
    str, Text(pattern=_PARTITION, max_length=259, name="partition", words="topic/partition, such as events/0")
]
KafkaGroup = Annotated[str, StringConstraints(min_length=1, max_length=249)]
StartOffsets = Annotated[
    dict[KafkaPartition, Annotated[int, Field(strict=True, ge=0, le=_MOST_OFFSETS)]],
    Field(min_length=1, max_length=_MOST_PARTITIONS),
]
MetadataColumn = Literal["_key", "_raw_key", "_headers", "_topic", "_partition", "_offset", "_timestamp"]

# The columns that a row may have besides those of the record's value.
_METADATA = {
    "_key": "VARCHAR",
    "_raw_key": "BLOB",
    "_headers": "STRUCT(key VARCHAR, value BLOB)[]",
    "_topic": "VARCHAR",
    "_partition": "INTEGER",
    "_offset": "BIGINT",
    "_timestamp": "TIMESTAMP",
}


class KafkaSource(KafkaConnection):
    """The records of Kafka topics. Exactly one of `topic`, `topics` and `topicPattern` says of which."""

    topic: KafkaTopic | None = Field(None, description="The topic.")
    topics: Annotated[tuple[KafkaTopic, ...], Field(min_length=1, max_length=100)] | None = Field(
        None, description="Several topics."
    )
    topic_pattern: Annotated[str, Field(min_length=1, max_length=249)] | None = Field(
        None,
        description="Every topic whose whole name fits this regular expression, also one that is made later; Kafka's "
        "own topics, which begin with `__`, never do.",
    )
    start_from: Literal["earliest", "latest", "timestamp", "offsets"] = Field(
        "earliest",
        description="Where a new job begins. A job that has a checkpoint goes on from there, and partitions that are "
        "found later are read from their earliest record.",
    )
    start_timestamp: Instant | None = Field(
        None,
        description="With `startFrom: timestamp`: the first record of this time or later, such as "
        "`2026-11-21T09:00:00Z`.",
    )
    start_offsets: StartOffsets | None = Field(
        None,
        description="With `startFrom: offsets`: `topic/partition` and its first offset. Partitions that are not named "
        "are read from their earliest record.",
    )
    metadata: tuple[MetadataColumn, ...] = Field(
        (),
        max_length=7,
        description="Columns that a row gets besides those of the record's value: `_key` VARCHAR, `_raw_key` BLOB, "
        "`_headers` STRUCT(key VARCHAR, value BLOB)[], `_topic` VARCHAR, `_partition` INTEGER, `_offset` BIGINT, "
        "`_timestamp` TIMESTAMP in UTC.",
    )
    isolation_level: Literal["readCommitted", "readUncommitted"] = Field(
        "readCommitted",
        description="Whether records of transactions are read when they are committed, or also those that are open or "
        "were aborted.",
    )
    on_data_loss: Literal["fail", "skip"] = Field(
        "fail",
        description="What happens when records are gone that the job has not read yet, because the topic's retention "
        "was too short or the topic was deleted: `fail`, or `skip` them, and say so.",
    )
    group_id: KafkaGroup | None = Field(
        None,
        description="The consumer group to which the offsets of committed batches are committed too, for tools that "
        "show the lag; the job itself does not read them. Left out: the job's name.",
    )


_TOPICS = ("topic", "topics", "topicPattern")
_STARTS = {"timestamp": ("startTimestamp", "2026-11-21T09:00:00Z"), "offsets": ("startOffsets", "{events/0: 120}")}


def _source(item: Tree) -> Iterator[Broken]:
    kafka = trees.mapping(item.get("kafka"))
    yield from (broken.below("kafka") for broken in _topics(kafka))
    yield from (broken.below("kafka") for broken in _start(kafka))
    yield from connection(item)


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


_CEL: CelRules = {
    "kafka": (
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
    ),
    "kafka.startOffsets": (
        CelRule(
            f"self.all(name, name.matches('{_PARTITION}'))",
            "each name must be topic/partition, such as events/0",
        ),
    ),
}

SOURCE = SourceKind(
    model=KafkaSource,
    formats=("text", "json", "csv", "raw", "avro"),
    metadata=_METADATA,
    rules=_source,
    cel=placed(("", _CEL), ("", CONNECTION_CEL)),
)
