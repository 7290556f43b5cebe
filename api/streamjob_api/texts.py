"""The kinds of text that a manifest holds, each with its pattern and the words for it.

Those that only one system has stand with its fields.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import StringConstraints


@dataclass(frozen=True, kw_only=True)
class Text(StringConstraints):
    """A kind of text that has a pattern."""

    name: str  # what it is called, in the reference
    words: str  # what it must be, in messages
    # Whether the API server lets a variable pass in it, because environments differ in it: what the variable becomes is
    # looked at when it is filled.
    varies: bool = False


Identifier = Annotated[
    str,
    Text(
        pattern=r"^[a-z_][a-z0-9_]*$",
        max_length=63,
        name="SQL name",
        words="a name in SQL: lower-case letters, digits and _, not beginning with a digit",
    ),
]
DnsLabel = Annotated[
    str,
    Text(
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        max_length=63,
        name="DNS label",
        words="a DNS label: lower-case letters, digits and -, beginning and ending with a letter or digit",
    ),
]
DnsName = Annotated[
    str,
    Text(
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        max_length=253,
        name="Kubernetes name",
        words="a name as Kubernetes has them: lower-case letters, digits, - and .",
    ),
]
Host = Annotated[
    str,
    Text(
        pattern=r"^[A-Za-z0-9._:-]+$",
        max_length=253,
        name="host",
        words="a host name or an IP address, without a port",
        varies=True,
    ),
]
ColumnName = Annotated[
    str,
    Text(
        pattern=r"^[^\x00-\x1f\x7f]+$",
        max_length=128,
        name="column",
        words="a column's name, without control characters",
    ),
]
SqlType = Annotated[
    str,
    Text(
        pattern=r'^[A-Za-z_][A-Za-z0-9_ ,()\[\]"]*$',
        max_length=1024,
        name="SQL type",
        words="a SQL type, such as VARCHAR, BIGINT, DOUBLE, TIMESTAMP, DECIMAL(18, 2) or VARCHAR[]",
    ),
]
Location = Annotated[
    str,
    Text(
        pattern=r"^(hdfs://([A-Za-z0-9._-]+(:[0-9]{1,5})?(/[^\x00-\x1f\x7f]*)?|/[^\x00-\x1f\x7f]*)|s3://[a-z0-9][a-z0-9.-]+(/[^\x00-\x1f\x7f]*)?|file:///[^\x00-\x1f\x7f]*|([^\x00-\x1f\x7f:]|:[^/\x00-\x1f\x7f])+:?)$",
        max_length=1024,
        name="location",
        words="a path (relative to the manifest's folder, or absolute), s3://bucket/prefix or hdfs://host:port/path",
        varies=True,
    ),
]
Endpoint = Annotated[
    str,
    Text(
        pattern=r"^https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?/?$",
        max_length=253,
        name="address",
        words="http://host:port or https://host:port, without a path and without credentials",
        varies=True,
    ),
]
EnvName = Annotated[
    str,
    Text(
        pattern=r"^[-._A-Za-z][-._A-Za-z0-9]*$",
        max_length=253,
        name="variable",
        words="a variable's name: letters, digits, -, _ and ., not beginning with a digit",
    ),
]
Instant = Annotated[
    str,
    Text(
        pattern=r"^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,3})?Z$",
        max_length=24,
        name="instant",
        words="a time in UTC, such as 2026-11-21T09:00:00Z",
        varies=True,
    ),
]
LABEL_KEY = r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
LabelKey = Annotated[
    str, Text(pattern=LABEL_KEY, max_length=317, name="label", words="a label's name, such as team or example.com/team")
]
LabelValue = Annotated[
    str,
    Text(
        pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
        max_length=63,
        name="label value",
        words="a label's value: letters, digits, -, _ and ., beginning and ending with no sign",
    ),
]
ImageName = Annotated[
    str,
    Text(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$",
        max_length=512,
        name="image",
        words="a container image, such as registry.example.com/team/runtime:1.0",
        varies=True,
    ),
]
Sql = Annotated[str, StringConstraints(min_length=1, max_length=65536)]
