"""Segments of received lines, kept until no checkpoint needs them."""

import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass

import pyarrow as pa

from streamjob_runtime.errors import AlreadyExists, Damaged, NotFound
from streamjob_runtime.formats.lines import count
from streamjob_runtime.stores.base import Store

_MAGIC = b"SJW1"
_HEADER = struct.Struct(">4sIQ")  # magic, CRC-32 of the lines, length of the lines


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One object: lines that were received together. Its name says all, so that a listing is enough."""

    start: int  # the number that its first line had for whoever wrote it
    epoch: int
    nonce: str
    lines: int

    @property
    def name(self) -> str:
        """The last part of its key; names sort by start and epoch."""
        return f"{self.start:020d}-{self.epoch:08d}-{self.nonce}-{self.lines}"

    @classmethod
    def parse(cls, name: str) -> "Segment":
        """The inverse of `name`. Raises ValueError."""
        start, epoch, nonce, lines = name.split("-")
        return cls(int(start), int(epoch), nonce, int(lines))


def is_segment(key: str) -> bool:
    """Whether a segment of some source may have that key of the job's store."""
    folder, _, rest = key.partition("/")
    source, _, name = rest.partition("/")
    try:
        return folder == "wal" and bool(source) and Segment.parse(name).name == name
    except ValueError:
        return False


class Wal:
    """The segments of one source, below `wal/<source>/` of the job's store. Any thread may call."""

    def __init__(self, store: Store, source: str) -> None:
        self._store = store
        self._prefix = f"wal/{source}/"

    def list(self) -> list[Segment]:
        """All segments, in order. Raises `Damaged` for a name that is none."""
        found = []
        for entry in self._store.list(self._prefix):
            try:
                found.append(Segment.parse(entry.key.removeprefix(self._prefix)))
            except ValueError:
                raise Damaged(f"{self._where(entry.key)} is no segment of received lines. Take it away.") from None
        return sorted(found)

    def write(self, segment: Segment, lines: bytes) -> None:
        """Create the segment; durable on return. May be called again when it was unclear whether it was created."""
        packed = pa.Codec("zstd", 1).compress(lines, asbytes=True)
        header = _HEADER.pack(_MAGIC, zlib.crc32(lines), len(lines))
        with suppress(AlreadyExists):  # nobody else has this name: there is a nonce in it
            self._store.create(self._prefix + segment.name, header + packed)

    def read(self, segment: Segment) -> bytes:
        """The segment's lines. Raises `Damaged`."""
        key = self._prefix + segment.name
        try:
            data = self._store.read(key)
        except NotFound:
            raise Damaged(f"{self._where(key)}, received lines that a batch needs, is missing. {_REMEDY}") from None
        try:
            magic, crc, length = _HEADER.unpack_from(data)
            lines: bytes = pa.Codec("zstd").decompress(data[_HEADER.size :], length, asbytes=True)
            whole = magic == _MAGIC and zlib.crc32(lines) == crc and count(lines) == segment.lines
        except (struct.error, pa.ArrowException, OSError, ValueError):
            whole = False
        if not whole:
            raise Damaged(f"{self._where(key)}, received lines that a batch needs, is damaged. {_REMEDY}")
        return lines

    def delete(self, segment: Segment) -> None:
        """Remove the segment."""
        self._store.delete(self._prefix + segment.name)

    def _where(self, key: str) -> str:
        return f"{self._store.url.rstrip('/')}/{key}"


_REMEDY = "Restore it from a backup, or start the job with a new checkpoint location."
