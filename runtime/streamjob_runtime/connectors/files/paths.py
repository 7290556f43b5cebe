"""Which files a path of the manifest means."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import unquote

from streamjob_runtime.errors import JobError, NotFound
from streamjob_runtime.stores.base import Entry, Store
from streamjob_runtime.stores.keys import check_replaced

_WILDCARDS = frozenset("*?[")
_UNFINISHED = (".tmp", ".part", ".inprogress", "._COPYING_")


def split_glob(path: str) -> tuple[str, str | None]:
    """The root of the store that holds the files of a path or URL, and a pattern for `matches_glob`.

    `in/` is all below that folder (no pattern); `in/*.json` the files there whose names match; `in/a` the file of that
    name, or all below the folder of that name. Raises `JobError` for wildcards before the last part.
    """
    check_replaced(path)
    scheme, mark, rest = path.rpartition("://")
    folder, slash, name = rest.rpartition("/")
    if _WILDCARDS & set(folder):
        raise JobError(
            f"{path}: only the last part of a path may hold *, ? or [. Name the folder, or use a source each."
        )
    if not name or (mark and not slash):  # a bucket alone is a folder
        return path, None
    return f"{scheme}{mark}{folder}{slash}" or ".", name


def local_folder(root: str) -> Path:
    """The folder of a path or a `file://` URL."""
    return Path(unquote(root.removeprefix("file://")) if root.startswith("file://") else root)


def is_pattern(name: str) -> bool:
    """Whether the last part of a path means several names."""
    return bool(_WILDCARDS & set(name))


def missing_place(root: str, pattern: str | None) -> str:
    """What is not there of a local path, where a file would have to be; empty: nothing, or it is in no local folder.

    `split_glob` gives both. S3 knows no folders: a prefix is there when an object is.
    """
    if "://" in root and not root.startswith("file://"):
        return ""
    folder = local_folder(root)
    if not folder.is_dir():
        return f"there is no folder {folder.absolute()}"
    if pattern is not None and not is_pattern(pattern) and not (folder / pattern).exists():
        return f"there is no file or folder {folder.absolute() / pattern}"
    return ""


def matches_glob(pattern: str | None, key: str) -> bool:
    """Whether the key is one that the pattern means, and of a file that readers are to see.

    Passed over are files whose name, or that of a folder above them, begins with "." or "_", and those that end in
    .tmp, .part, .inprogress or ._COPYING_: by custom these are half-written, or notes of the writer. A folder `_a=1` is
    of a column `_a`, as in Spark.
    """
    *folders, name = key.split("/")
    if any(part[:1] in (".", "") or (part[0] == "_" and "=" not in part) for part in folders):
        return False
    if name[:1] in (".", "_", "") or name.endswith(_UNFINISHED):
        return False
    if pattern is None:
        return True
    if is_pattern(pattern):
        return "/" not in key and fnmatchcase(key, pattern)
    return key == pattern or key.startswith(f"{pattern}/")


def list_files(store: Store, pattern: str | None) -> Iterator[Entry]:
    """The entries that match, with no more of the store listed than is needed. `split_glob` gives both."""
    if pattern is None:
        found: Iterator[Entry] = iter(store.list())
    elif is_pattern(pattern):
        begin = pattern[: min(pattern.index(c) for c in _WILDCARDS & set(pattern))]
        found = iter(store.list(begin, recursive=False))
    else:
        found = _file_or_folder(store, pattern)
    return (entry for entry in found if matches_glob(pattern, entry.key))


def _file_or_folder(store: Store, name: str) -> Iterator[Entry]:
    try:
        yield store.stat(name)
    except NotFound:
        yield from store.list(f"{name}/")
