"""The kinds of text that a manifest holds, each with its pattern and the words for it."""

from typing import Annotated

from pydantic import StringConstraints

_IDENTIFIER = r"^[a-z_][a-z0-9_]*$"
_DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_DNS_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_HOST = r"^[A-Za-z0-9._:-]+$"
_COLUMN = r"^[^\x00-\x1f\x7f]+$"
_SQL_TYPE = r'^[A-Za-z_][A-Za-z0-9_ ,()\[\]"]*$'
_LOCATION = r"^(hdfs://([A-Za-z0-9._-]+(:[0-9]{1,5})?(/[^\x00-\x1f\x7f]*)?|/[^\x00-\x1f\x7f]*)|s3://[a-z0-9][a-z0-9.-]+(/[^\x00-\x1f\x7f]*)?|file:///[^\x00-\x1f\x7f]*|([^\x00-\x1f\x7f:]|:[^/\x00-\x1f\x7f])+:?)$"
_ENDPOINT = r"^https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?/?$"
_REGISTRY_URL = r"^https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$"
_POSTGRES_NAME = r'^[^\x00-\x1f\x7f".]+$'
_ENV_NAME = r"^[-._A-Za-z][-._A-Za-z0-9]*$"
_SERVER = r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}"
_KAFKA_SERVERS = rf"^{_SERVER}( *, *{_SERVER})*$"
_KAFKA_TOPIC = r"^[A-Za-z0-9._-]+$"
KAFKA_PARTITION = r"^[A-Za-z0-9._-]+/[0-9]{1,9}$"
_PRINCIPAL = r"^[^\x00-\x20\x7f@/]+(/[^\x00-\x20\x7f@/]+)?@[A-Za-z0-9._-]+$"
_INSTANT = r"^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,3})?Z$"
LABEL_KEY = r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
_LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"
_IMAGE = r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$"

# Pattern -> what such a text is called, and what it must be: for the reference and for messages.
KINDS = {
    _IDENTIFIER: ("SQL name", "a name in SQL: lower-case letters, digits and _, not beginning with a digit"),
    _DNS_LABEL: (
        "DNS label",
        "a DNS label: lower-case letters, digits and -, beginning and ending with a letter or digit",
    ),
    _DNS_NAME: ("Kubernetes name", "a name as Kubernetes has them: lower-case letters, digits, - and ."),
    _HOST: ("host", "a host name or an IP address, without a port"),
    _COLUMN: ("column", "a column's name, without control characters"),
    _SQL_TYPE: ("SQL type", "a SQL type, such as VARCHAR, BIGINT, DOUBLE, TIMESTAMP, DECIMAL(18, 2) or VARCHAR[]"),
    _LOCATION: (
        "location",
        "a path (relative to the manifest's folder, or absolute), s3://bucket/prefix or hdfs://host:port/path",
    ),
    _POSTGRES_NAME: (
        "PostgreSQL name",
        "a name in PostgreSQL, without quotes and points; where it lies is said by schema: public",
    ),
    _ENV_NAME: ("variable", "a variable's name: letters, digits, -, _ and ., not beginning with a digit"),
    LABEL_KEY: ("label", "a label's name, such as team or example.com/team"),
    _LABEL_VALUE: ("label value", "a label's value: letters, digits, -, _ and ., beginning and ending with no sign"),
    _IMAGE: ("image", "a container image, such as registry.example.com/team/runtime:1.0"),
    _KAFKA_SERVERS: ("servers", "host:port, several separated by commas, without credentials"),
    _KAFKA_TOPIC: ("topic", "a topic's name: letters, digits, ., _ and -"),
    KAFKA_PARTITION: ("partition", "topic/partition, such as events/0"),
    _PRINCIPAL: ("principal", "a principal with its realm, such as etl@EXAMPLE.COM or etl/host@EXAMPLE.COM"),
    _INSTANT: ("instant", "a time in UTC, such as 2026-11-21T09:00:00Z"),
    _REGISTRY_URL: ("address", "http://host:port or https://host:port, perhaps with a path, without credentials"),
    _ENDPOINT: ("address", "http://host:port or https://host:port, without a path and without credentials"),
}

Identifier = Annotated[str, StringConstraints(pattern=_IDENTIFIER, max_length=63)]
DnsLabel = Annotated[str, StringConstraints(pattern=_DNS_LABEL, max_length=63)]
DnsName = Annotated[str, StringConstraints(pattern=_DNS_NAME, max_length=253)]
Host = Annotated[str, StringConstraints(pattern=_HOST, max_length=253)]
ColumnName = Annotated[str, StringConstraints(pattern=_COLUMN, max_length=128)]
SqlType = Annotated[str, StringConstraints(pattern=_SQL_TYPE, max_length=1024)]
Location = Annotated[str, StringConstraints(pattern=_LOCATION, max_length=1024)]
Endpoint = Annotated[str, StringConstraints(pattern=_ENDPOINT, max_length=253)]
RegistryUrl = Annotated[str, StringConstraints(pattern=_REGISTRY_URL, max_length=1024)]
PostgresName = Annotated[str, StringConstraints(pattern=_POSTGRES_NAME, max_length=63)]
EnvName = Annotated[str, StringConstraints(pattern=_ENV_NAME, max_length=253)]
KafkaServers = Annotated[str, StringConstraints(pattern=_KAFKA_SERVERS, max_length=2048)]
KafkaTopic = Annotated[str, StringConstraints(pattern=_KAFKA_TOPIC, max_length=249)]
KafkaPartition = Annotated[str, StringConstraints(pattern=KAFKA_PARTITION, max_length=259)]
KafkaGroup = Annotated[str, StringConstraints(min_length=1, max_length=249)]
KerberosPrincipal = Annotated[str, StringConstraints(pattern=_PRINCIPAL, max_length=253)]
Instant = Annotated[str, StringConstraints(pattern=_INSTANT, max_length=24)]
LabelKey = Annotated[str, StringConstraints(pattern=LABEL_KEY, max_length=317)]
LabelValue = Annotated[str, StringConstraints(pattern=_LABEL_VALUE, max_length=63)]
ImageName = Annotated[str, StringConstraints(pattern=_IMAGE, max_length=512)]
Sql = Annotated[str, StringConstraints(min_length=1, max_length=65536)]
