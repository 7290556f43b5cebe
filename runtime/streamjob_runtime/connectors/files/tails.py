"""Files that grow and are rotated: which one is which, by its inode and by the bytes that were read of it."""

import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamjob_runtime.connectors.files.paths import matches_glob
from streamjob_runtime.formats.compression import is_compressed
from streamjob_runtime.stores.local import Links

SIGNED = 4096  # bytes at the beginning, and as many before the offset, tell whether a file is the one that was read

# How rotation names what it puts aside: access.log.1, access.log-20261130, access-1.log …
_BESIDE = ".-_"


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as it is now."""

    inode: int
    key: str  # its path below the root
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Tail:
    """How far a file was read."""

    inode: int
    key: str  # the path that it had then
    offset: int  # bytes
    head: int  # crc32 of its first bytes, at most `SIGNED` and none behind the offset
    last: int  # crc32 of the bytes before the offset, at most `SIGNED`

    def to_json(self) -> list[Any]:
        """The form that checkpoints and the log keep."""
        return [self.inode, self.key, self.offset, self.head, self.last]

    @classmethod
    def from_json(cls, value: Any) -> "Tail":
        """The inverse of `to_json`."""
        inode, key, offset, head, last = value
        return cls(int(inode), str(key), int(offset), int(head), int(last))

    def is_of(self, path: Path, size: int) -> bool:
        """Whether the file there holds what was read of this one."""
        if size < self.offset:
            return False
        if self.offset == 0:
            return True
        return signature(path, self.offset) == (self.head, self.last)


def signature(path: Path, offset: int) -> tuple[int, int]:
    """What tells a file by its first `offset` bytes: `Tail.head` and `Tail.last`. Raises `OSError`."""
    many = min(SIGNED, offset)
    return zlib.crc32(read_range(path, 0, many)), zlib.crc32(read_range(path, offset - many, offset))


def read_range(path: Path, start: int, end: int, inode: int | None = None) -> bytes:
    """The bytes `[start, end)`, or fewer where the file ends before; none if another file than `inode` is there now.

    Raises `OSError`.
    """
    try:
        with path.open("rb") as file:
            if inode is not None and os.fstat(file.fileno()).st_ino != inode:
                return b""  # it was renamed since the folder was looked at
            return _read(file.fileno(), start, end)
    except FileNotFoundError:
        return b""


def _read(descriptor: int, start: int, end: int) -> bytes:
    pieces = []
    while start < end and (piece := os.pread(descriptor, end - start, start)):
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces)


class Place:
    """A local folder with the files that a path means, and those beside them, as which they may come back.

    `root` and `pattern`: of `split_glob`. Without `links`, symbolic links to files are followed.
    """

    def __init__(self, root: Path, pattern: str | None, links: Links | None = None) -> None:
        self._root = root
        self._links = links
        self._pattern = pattern

    def path(self, key: str) -> Path:
        """Where a file is."""
        return self._root / key

    def look(self) -> dict[int, Seen]:
        """Inode -> file, of all that are there, as long as none is compressed. Raises `OSError`."""
        found: dict[int, Seen] = {}
        for seen in self._walk(self._root, ""):
            # Of two names of one file the one counts that the path means.
            if seen.inode not in found or (self.means(seen.key) and not self.means(found[seen.inode].key)):
                found[seen.inode] = seen
        return found

    def means(self, key: str) -> bool:
        """Whether the path of the manifest means that file."""
        return matches_glob(self._pattern, key)

    def _walk(self, folder: Path, prefix: str) -> Iterator[Seen]:
        deep = self._pattern is None or (self._root / self._pattern).is_dir()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except FileNotFoundError:
            return
        for entry in entries:
            with suppress(FileNotFoundError):  # gone since the folder was read
                if self._is_folder(prefix + entry.name, entry):
                    if deep and not entry.name.startswith("."):
                        yield from self._walk(folder / entry.name, f"{prefix}{entry.name}/")
                elif entry.is_file() and not is_compressed(entry.name):
                    if self._links is not None and entry.is_symlink():
                        self._links.check(prefix + entry.name)
                    now = entry.stat()
                    yield Seen(now.st_ino, prefix + entry.name, now.st_size, now.st_mtime_ns)

    def _is_folder(self, key: str, entry: "os.DirEntry[str]") -> bool:
        if entry.is_symlink():
            return self._links is not None and entry.is_dir() and self._links.enters(key)
        return entry.is_dir()


def is_beside(original: str, key: str) -> bool:
    """Whether rotation may have given a file of the one name the other: `access.log` and `access.log.1`."""
    folder, _, name = original.rpartition("/")
    other_folder, _, other = key.rpartition("/")
    if folder != other_folder or name == other:
        return folder == other_folder
    stem, dot, end = name.rpartition(".")
    begins = other.startswith(name) and other[len(name)] in _BESIDE
    within = bool(dot) and other.startswith(stem) and other.endswith(dot + end) and other[len(stem)] in _BESIDE
    return begins or within


@dataclass(frozen=True, slots=True)
class Match:
    """What the files that are there mean for what was read."""

    tails: Mapping[int, Tail]  # inode -> where to go on
    waiting: tuple[str, ...]  # files that begin as one that is read: copies of it, most likely, and not read
    news: tuple[str, ...]  # what a user should know


def match(place: Place, tails: Mapping[int, Tail], before: Mapping[int, Seen], found: Mapping[int, Seen]) -> Match:
    """Tell files that grew from those that were cut off, replaced, renamed or copied. Raises `OSError`.

    `before`: what the last look has found.
    """
    now, lost, news = dict[int, Tail](), list[Tail](), list[str]()
    for inode, tail in tails.items():
        seen, earlier = found.get(inode), before.get(inode)
        if seen is not None and _is_same(place, tail, earlier, seen):
            now[inode] = Tail(inode, seen.key, tail.offset, tail.head, tail.last)
        else:
            lost.append(tail)
            if seen is not None and place.means(seen.key):
                now[inode] = Tail(inode, seen.key, 0, 0, 0)  # cut off, or another file with the inode of the old one
    waiting = []
    for seen in sorted(found.values(), key=lambda s: (s.modified_ns, s.key)):
        if seen.inode in now:
            continue
        heir = next((t for t in lost if t.offset and _continues(place, t, seen)), None)
        if heir is not None:
            now[seen.inode] = Tail(seen.inode, seen.key, heir.offset, heir.head, heir.last)
            lost.remove(heir)
        elif place.means(seen.key):
            if any(t.offset and t.key != seen.key and _continues(place, t, seen) for t in now.values()):
                waiting.append(seen.key)
            else:
                now[seen.inode] = Tail(seen.inode, seen.key, 0, 0, 0)
    for tail in lost:
        others = [t for t in now.values() if t.inode != tail.inode and t.offset >= tail.offset > 0]
        if not any(_continues(place, tail, found[t.inode]) for t in others):
            news.append(_news(tail, before.get(tail.inode), tail.inode in found))
    return Match(now, tuple(waiting), tuple(filter(None, news)))


def _is_same(place: Place, tail: Tail, earlier: Seen | None, seen: Seen) -> bool:
    """Whether the file is the one that was read so far, and may have grown."""
    if earlier is not None and seen.size < earlier.size:
        return False
    untouched = earlier is not None and (earlier.size, earlier.modified_ns) == (seen.size, seen.modified_ns)
    return untouched or tail.is_of(place.path(seen.key), seen.size)


def _news(tail: Tail, before: Seen | None, there: bool) -> str:
    """What is said of a file whose rest is nowhere; nothing of one that was read to its end and then deleted."""
    what = f"{tail.key} {'was cut off or replaced, and is read from its beginning' if there else 'is gone'}"
    if before is None:
        if not tail.offset:
            return ""
        return f"{what}; whether lines came behind byte {tail.offset} before that, nobody knows"
    if before.size > tail.offset:
        return f"{what}; the lines behind byte {tail.offset}, {before.size - tail.offset} bytes, are lost"
    return what if there else ""


def _continues(place: Place, tail: Tail, seen: Seen) -> bool:
    return is_beside(tail.key, seen.key) and tail.is_of(place.path(seen.key), seen.size)
