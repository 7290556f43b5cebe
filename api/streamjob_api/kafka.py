"""Kafka: how a cluster is reached, what is read from it, what is written to it."""

from typing import Annotated, Literal

from pydantic import Field

from streamjob_api.base import NameRef, Part
from streamjob_api.texts import ColumnName, Instant, KafkaGroup, KafkaPartition, KafkaServers, KafkaTopic, RegistryUrl
from streamjob_api.trees import MAX_KAFKA_PARTITIONS

# The API server takes bounds for floats: 2**63 - 1 would be rounded up, and become negative.
_MOST_OFFSETS = 2**53
StartOffsets = Annotated[
    dict[KafkaPartition, Annotated[int, Field(strict=True, ge=0, le=_MOST_OFFSETS)]],
    Field(min_length=1, max_length=MAX_KAFKA_PARTITIONS),
]
MetadataColumn = Literal["_key", "_raw_key", "_headers", "_topic", "_partition", "_offset", "_timestamp"]


class KafkaTls(Part):
    """How the connection is encrypted, and who must have signed the servers' certificates."""

    certificates_secret_ref: NameRef | None = Field(
        None,
        description="The Secret with the key `ca.crt`, the authorities that sign the servers' certificates, and, where "
        "the servers want one, the job's own certificate, `tls.crt` and `tls.key`; all in PEM. Left out: the public "
        "authorities, and no certificate of the job's own.",
    )


class SchemaRegistry(Part):
    """How a schema registry is reached that has Confluent's REST API."""

    url: RegistryUrl = Field(description="Its address; where it serves several APIs, with the path of Confluent's.")
    auth_secret_ref: NameRef | None = Field(
        None,
        description="The Secret with the keys `username` and `password`. On a laptop without a folder of Secrets: the "
        "variables `SCHEMA_REGISTRY_USERNAME` and `SCHEMA_REGISTRY_PASSWORD`. Left out: it asks for no password.",
    )
    certificates_secret_ref: NameRef | None = Field(
        None,
        description="The Secret with the key `ca.crt`, the authorities that sign its certificate, in PEM. Left out: "
        "the public authorities.",
    )


class KafkaConnection(Part):
    """How a Kafka cluster is reached."""

    bootstrap_servers: KafkaServers = Field(
        description="Some of the cluster's servers, as `host:port`, separated by commas."
    )
    auth_secret_ref: NameRef | None = Field(
        None,
        description="The Secret with the keys `username` and `password`, for SASL. On a laptop without a folder of "
        "Secrets: the variables `KAFKA_USERNAME` and `KAFKA_PASSWORD`. Left out: the servers ask for no password.",
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        None, description="How the password is given to the servers. Left out: `SCRAM-SHA-512`."
    )
    tls: KafkaTls | None = Field(
        None, description="Encrypts the connection: `tls: {}` where a public authority signs the servers' certificates."
    )
    schema_registry: SchemaRegistry | None = Field(
        None, description="With format `avro`: where the schemas of the records are."
    )


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


class KafkaSink(KafkaConnection):
    """Writes a record a row to a topic."""

    topic: KafkaTopic = Field(description="The topic. It must be there.")
    key: tuple[ColumnName, ...] = Field(
        (),
        max_length=16,
        description="The columns of the record's key: of one its text, or its bytes; of several a JSON object. Left "
        "out: no key.",
    )
    value: tuple[ColumnName, ...] = Field(
        (), max_length=1000, description="The columns of the record's value. Left out: all of them."
    )
    delivery: Literal["exactlyOnce", "atLeastOnce"] = Field(
        "exactlyOnce",
        description="`exactlyOnce`: a transaction a batch, so that readers with `read_committed` see each row once; "
        "`atLeastOnce`: without transactions, so that a batch that is written again after a crash is there twice.",
    )
