"""How a job reaches its stores: endpoints from the manifest, credentials from Secrets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from streamjob_runtime.errors import JobError


class Named(Protocol):
    """Names an object of Kubernetes."""

    @property
    def name(self) -> str:
        """The object's name."""
        ...


class SecretRef(Named, Protocol):
    """Names a Secret."""


class S3Connection(Protocol):
    """What the manifest's `s3` says."""

    @property
    def endpoint(self) -> str | None:
        """URL of the server; None: AWS_ENDPOINT_URL, or else Amazon's own."""
        ...

    @property
    def region(self) -> str | None:
        """The bucket's region; None: AWS_REGION, or else the server's usual one."""
        ...

    @property
    def credentials_secret_ref(self) -> SecretRef | None:
        """The Secret that holds the credentials; None: the environment does."""
        ...


class KeyRef(SecretRef, Protocol):
    """Names a key of a Secret."""

    @property
    def key(self) -> str:
        """The key's name."""
        ...


class Kerberos(Protocol):
    """What the manifest's `hdfs.kerberos` says."""

    @property
    def principal(self) -> str:
        """Who the job is, with the realm."""
        ...

    @property
    def keytab_secret_ref(self) -> KeyRef:
        """Where the principal's keytab is."""
        ...


class HdfsConnection(Protocol):
    """What the manifest's `hdfs` says."""

    @property
    def user(self) -> str | None:
        """Who the job is there; None: HADOOP_USER_NAME, or else the process's own user."""
        ...

    @property
    def config_map_ref(self) -> Named | None:
        """The ConfigMap with the site files; None: there may be some all the same."""
        ...

    @property
    def kerberos(self) -> Kerberos | None:
        """Who the job is where Kerberos says so; None: whoever has a ticket."""
        ...


@dataclass(frozen=True, slots=True)
class Secrets:
    """Secrets as Kubernetes mounts them, `<folder>/<secret>/<key>`; without a folder, the environment's variables."""

    folder: Path | None
    environ: Mapping[str, str] = field(repr=False)

    def get(self, secret: str | None, key: str, variable: str | None = None) -> str:
        """The value of `key` in `secret` (None: the environment's variable). Raises `JobError` when it is missing.

        `variable`: what the environment calls it; as the key, if None.
        """
        value = self.find(secret, key, variable)
        if value:
            return value
        if secret is None or self.folder is None:
            of = f" of Secret {secret!r}" if secret is not None else ""
            raise JobError(
                f"There is no {key}{of}: the environment has no variable {variable or key}. "
                "Set it, or give a folder with a folder for each Secret and a file for each key in it (--secrets DIR)."
            )
        place = self.folder / secret
        if not place.is_dir():
            raise JobError(f"There is no Secret {secret!r}: no folder {place}. Make it, with a file {key} in it.")
        raise JobError(f"Secret {secret!r} has no key {key!r}: no file {place / key}, or an empty one. Add it.")

    def file(self, secret: str, key: str) -> Path:
        """The file that holds the value of `key`, whatever is in it. Raises `JobError` when it is missing."""
        if self.folder is None:
            raise JobError(
                f"Secret {secret!r}, key {key!r}: there is no folder of Secrets. Give one with the file {secret}/{key} "
                "in it (--secrets DIR)."
            )
        path = self.folder / secret / key
        if not path.is_file():
            raise JobError(f"Secret {secret!r} has no key {key!r}: no file {path}. Add it.")
        return path

    def find(self, secret: str | None, key: str, variable: str | None = None) -> str | None:
        """As `get`, but None when it is missing."""
        if secret is None or self.folder is None:
            return self.environ.get(variable or key) or None
        path = self.folder / secret / key
        try:
            # Many write such files with an editor, which ends the last line; a mounted Secret has no such end.
            return path.read_text(encoding="utf-8").rstrip("\r\n") or None
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as err:
            reason = err.strerror if isinstance(err, OSError) else "it is not UTF-8 text"
            raise JobError(f"Secret {secret!r}, key {key!r}: {path} cannot be read ({reason}).") from None


@dataclass(frozen=True, slots=True)
class Connections:
    """All that stores are reached with."""

    s3: S3Connection | None
    secrets: Secrets
    hdfs: HdfsConnection | None = None
