"""Where a Delta table is, as the client library takes it."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from streamjob_runtime.errors import JobError
from streamjob_runtime.stores.connections import Connections
from streamjob_runtime.stores.open import open_store
from streamjob_runtime.stores.s3 import S3Access

# The client's own patience is short: the job's is longer, and says what it waits for.
_IMPATIENT = {"max_retries": "2", "retry_timeout": "10s", "connect_timeout": "5s", "timeout": "60s"}
_HDFS_IMPATIENT = {
    "dfs.client.failover.max.attempts": "4",
    "dfs.client.failover.sleep.base.millis": "100",
    "dfs.client.failover.sleep.max.millis": "1000",
    "dfs.client.socket-timeout": "20000",
}
_PLAIN = re.compile(r"hdfs://[A-Za-z0-9._:/=-]*")
_CONF_DIR = "HADOOP_CONF_DIR"
_SECRETS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")


@dataclass(frozen=True, slots=True)
class Place:
    """A table's folder."""

    url: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    def scrub(self, text: str) -> str:
        """The text without a credential."""
        for name in _SECRETS:
            if secret := self.options.get(name):
                text = text.replace(secret, "***")
        return text


def place_of(location: str, connections: Connections) -> Place:
    """The place at an absolute path, `file://…`, `s3://bucket/prefix` or `hdfs://…`. Nothing is asked yet.

    Raises `JobError` when the location or the credentials are wrong.
    """
    location = location.rstrip("/")
    if location.startswith("hdfs://") and not _PLAIN.fullmatch(location):
        raise JobError(
            f"{location}: in HDFS, Delta's client takes only letters without accents, digits and . _ - = in a path. "
            "Choose another folder."
        )
    if location.startswith("hdfs://") and connections.hdfs is not None and connections.hdfs.kerberos is not None:
        raise JobError(
            f"{location}: Delta's client cannot log in to HDFS with a keytab (hdfs.kerberos). Keep the table in S3, or "
            "write files to HDFS."
        )
    if location.startswith(("s3://", "hdfs://")):
        open_store(location, connections).close()  # says in words what is wrong with it, and sets the user of HDFS
        return _s3(location, connections) if location.startswith("s3://") else _hdfs(location, connections)
    path = unquote(location.removeprefix("file://")) if location.startswith("file://") else location
    if "%" in path:
        raise JobError(f"{path}: Delta's client cannot use a folder with a % in its path. Choose another folder.")
    return Place(str(Path(path).absolute()))


def _s3(location: str, connections: Connections) -> Place:
    access = S3Access.from_connections(connections)
    options = {
        "aws_access_key_id": access.access_key,
        "aws_secret_access_key": access.secret_key,
        "aws_region": access.region or "us-east-1",
        # A commit is a PUT with If-None-Match: *. What the environment says to the contrary is overruled.
        "aws_conditional_put": "etag",
        "AWS_S3_ALLOW_UNSAFE_RENAME": "false",
        "aws_allow_http": "true" if (access.endpoint or "").startswith("http://") else "false",
        **_IMPATIENT,
    }
    if access.endpoint:
        options["aws_endpoint"] = access.endpoint.rstrip("/")
    if access.session_token:
        options["aws_session_token"] = access.session_token
    return Place(location, options)


def _hdfs(location: str, connections: Connections) -> Place:
    if conf_dir := connections.secrets.environ.get(_CONF_DIR):
        os.environ[_CONF_DIR] = conf_dir  # the client takes it from nowhere else, and a process runs one job
    return Place(location, _HDFS_IMPATIENT)
