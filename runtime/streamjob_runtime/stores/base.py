"""What a store is: named byte objects below one root, with an atomic create."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Entry:
    """An object as a listing shows it."""

    key: str  # relative to the store's root, parts joined by "/"
    size: int  # bytes
    modified_ms: int  # milliseconds since the epoch, UTC, by the store's own clock
    version: str  # differs whenever the content was replaced (S3: the ETag)


class Store(Protocol):
    """Named byte objects below one root: where logs, snapshots and files are kept.

    Keys are relative paths with "/" between their parts. Every method may raise `Unavailable` (the store failed or did
    not answer: a retry may mend it) or `JobError` (it refuses us: credentials, permission, a bucket that is not there).
    Methods may be called by several threads at once.
    """

    @property
    def url(self) -> str:
        """Where the root is, for messages; never with a credential in it."""
        ...

    def create(self, key: str, data: bytes) -> None:
        """Create the object, whole and durable, if there is none of that name.

        The one primitive that the protocol rests on: of many creates of one key exactly one succeeds, the others raise
        `AlreadyExists`, and a reader sees the whole object or none. An answer that leaves open whether the object was
        written is settled by reading it back: the same bytes count as ours, so callers put a nonce into what they
        must tell apart.
        """
        ...

    def read(self, key: str) -> bytes:
        """The object's bytes. Raises `NotFound`."""
        ...

    def stat(self, key: str) -> Entry:
        """The object's entry, without reading it. Raises `NotFound`."""
        ...

    def list(self, prefix: str = "", recursive: bool = True) -> Iterable[Entry]:
        """Every object whose key begins with `prefix`, by ascending key; not what has come or gone meanwhile.

        `recursive=False` leaves out the keys that have a "/" behind the prefix.
        """
        ...

    def replace(self, key: str, data: bytes, expected: str | None) -> str:
        """Put the object in place of the version `expected` (None: there must be none); give back its new version.

        Readers see the old or the new object, whole. Raises `AlreadyExists` when another version stands there. Where
        the store has no conditional replace (a local directory), the check and the replacement are two steps, and a
        writer that is suspended between them is not seen.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens when it is gone already."""
        ...

    def close(self) -> None:
        """Let go of connections. The store is not used afterwards."""
        ...
