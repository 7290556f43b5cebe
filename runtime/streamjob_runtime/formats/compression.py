"""Compression, told by a file's name."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Mapping
from typing import Literal

import pyarrow as pa

from streamjob_runtime.formats.base import BadRecord


def is_compressed(name: str) -> bool:
    """Whether `decompress` takes a file of that name apart."""
    return name[name.rfind(".") :] in _BY_SUFFIX


def decompress(name: str, data: bytes) -> bytes:
    """The content of a file of that name: .gz, .zst, .bz2, .xz and .lz4 are taken apart, others given back as they are.

    Raises `BadRecord` (record 0) if the file is cut off or damaged.
    """
    suffix = name[name.rfind(".") :]
    if suffix not in _BY_SUFFIX:
        return data
    try:
        if not data:
            raise EOFError("the file is empty")
        return _BY_SUFFIX[suffix](data)
    except (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError, pa.ArrowException) as e:
        raise BadRecord(f"the {suffix} compression is cut off or damaged ({e})", 0, "") from None


def _by_arrow(codec: Literal["zstd", "lz4"]) -> Callable[[bytes], bytes]:
    def run(data: bytes) -> bytes:
        with pa.CompressedInputStream(pa.BufferReader(data), codec) as stream:
            return bytes(stream.read())

    return run


_BY_SUFFIX: Mapping[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".zst": _by_arrow("zstd"),
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
    ".lz4": _by_arrow("lz4"),
}
