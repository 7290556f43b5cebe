"""Compression, told by a file's name."""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import pyarrow as pa

from streamjob_runtime.formats.base import BadFile, TooLarge

_PIECE = 1 << 20  # bytes that are taken apart, or given, at a time


def is_compressed(name: str) -> bool:
    """Whether a file of that name is taken apart."""
    return name[name.rfind(".") :] in _BY_SUFFIX


def decompress(name: str, data: bytes, most: int | None = None) -> bytes:
    """The content of a file of that name: .gz, .zst, .bz2, .xz and .lz4 are taken apart, others given back as they are.

    Raises `BadFile` if the file is cut off or damaged, and `TooLarge` once its content is of more than
    `most` bytes: no more are ever in memory.
    """
    suffix = name[name.rfind(".") :]
    if suffix not in _BY_SUFFIX:
        return data
    parts, size = [], 0
    try:
        if not data:
            raise EOFError("the file is empty")
        for part in _BY_SUFFIX[suffix](data):
            size += len(part)
            if most is not None and size > most:
                raise TooLarge(most)
            parts.append(part)
    except (EOFError, OSError, zlib.error, lzma.LZMAError, pa.ArrowException) as e:
        raise BadFile(f"the {suffix} compression is cut off or damaged ({e})", 0, "") from None
    return b"".join(parts)


def _by_arrow(codec: Literal["zstd", "lz4"]) -> Callable[[bytes], Iterator[bytes]]:
    def run(data: bytes) -> Iterator[bytes]:
        with pa.CompressedInputStream(pa.BufferReader(data), codec) as stream:
            while part := stream.read(_PIECE):
                yield part

    return run


def _members(new: Callable[[], Any]) -> Callable[[bytes], Iterator[bytes]]:
    """A file is one compressed stream after the other, as `cat` puts them together."""

    def run(data: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(data) and data[at:].strip(b"\0"):  # zeros may fill a file up
            stream = new()
            while not stream.eof:
                if at >= len(data):
                    raise EOFError("it ends too early")
                yield from _pieces(stream, data[at : at + _PIECE])
                at = min(at + _PIECE, len(data))
            at -= len(stream.unused_data)

    return run


def _pieces(stream: Any, data: bytes) -> Iterator[bytes]:
    """What the stream makes of the data, piece by piece."""
    while True:
        part = stream.decompress(data, _PIECE)
        yield part
        # zlib hands back what it has not taken yet, the others keep it.
        data = getattr(stream, "unconsumed_tail", b"")
        if stream.eof or (not data and getattr(stream, "needs_input", len(part) < _PIECE)):
            return


_BY_SUFFIX: Mapping[str, Callable[[bytes], Iterator[bytes]]] = {
    ".gz": _members(lambda: zlib.decompressobj(zlib.MAX_WBITS | 16)),
    ".zst": _by_arrow("zstd"),
    ".bz2": _members(bz2.BZ2Decompressor),
    ".xz": _members(lzma.LZMADecompressor),
    ".lz4": _by_arrow("lz4"),
}
