"""How much memory the process may have."""

import os
from pathlib import Path

# What a file may become, of all: the query's state has half, and rows lie there twice while they are taken over.
_SHARE = 4

_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")  # of control groups, version 2 and 1


def limit(cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """The machine's memory, or what its container has, in bytes."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in _LIMITS:
        try:
            limits.append(int((cgroups / name).read_text()))
        except (OSError, ValueError):  # there is no such file, or it says "max"
            continue
    return min(limits)


def for_one_file() -> int:
    """How many bytes a file that is compressed, or packed as Parquet is, may become."""
    return limit() // _SHARE
