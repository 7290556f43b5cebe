"""Kafka: how a cluster is reached, for source and sink."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from streamjob_api import trees
from streamjob_api.base import NameRef, Part
from streamjob_api.cel import CelRule, CelRules
from streamjob_api.texts import Text
from streamjob_api.trees import Broken, Tree

_SERVER = r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}"

KafkaServers = Annotated[
    str,
    Text(
        pattern=rf"^{_SERVER}( *, *{_SERVER})*$",
        max_length=2048,
        name="servers",
        words="host:port, several separated by commas, without credentials",
        varies=True,
    ),
]
KafkaTopic = Annotated[
    str,
    Text(
        pattern=r"^[A-Za-z0-9._-]+$",
        max_length=249,
        name="topic",
        words="a topic's name: letters, digits, ., _ and -",
        varies=True,
    ),
]
RegistryUrl = Annotated[
    str,
    Text(
        pattern=r"^https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$",
        max_length=1024,
        name="address",
        words="http://host:port or https://host:port, perhaps with a path, without credentials",
        varies=True,
    ),
]


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


def connection(item: Tree) -> Iterator[Broken]:
    """The rules of how the cluster of a source or sink is reached."""
    kafka, given = trees.mapping(item.get("kafka")), item.get("format")
    if given == "avro" and kafka.get("schemaRegistry") is None:
        yield Broken(
            ("kafka", "schemaRegistry"),
            "format avro needs the registry of the schemas",
            'write schemaRegistry: {url: "http://registry:8081"}',
        )
    elif isinstance(given, str) and given != "avro" and kafka.get("schemaRegistry") is not None:
        yield Broken(("kafka", "schemaRegistry"), "is for format avro", "leave it out, or take format avro")
    if kafka.get("saslMechanism") is not None and kafka.get("authSecretRef") is None:
        yield Broken(
            ("kafka", "saslMechanism"),
            "needs a user name and a password",
            "name their Secret: authSecretRef: {name: kafka}",
        )


CONNECTION_CEL: CelRules = {
    "": (
        CelRule(
            "!has(self.kafka) || !has(self.format) || has(self.kafka.schemaRegistry) == (self.format == 'avro')",
            "goes with format avro, which needs it; write schemaRegistry: {url: 'http://registry:8081'}, or take "
            "another format",
            field="kafka.schemaRegistry",
        ),
    ),
    "kafka": (
        CelRule(
            "!has(self.saslMechanism) || has(self.authSecretRef)",
            "needs a user name and a password; name their Secret: authSecretRef: {name: kafka}",
            field="saslMechanism",
        ),
    ),
}
