"""What the operating system says, in the runtime's own errors."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamjob_runtime.errors import JobError, StreamJobError, Unavailable

_REFUSED = {
    errno.EACCES: "give this user permission to read and write there",
    errno.EPERM: "choose a folder that this user may write to, on a file system that has hard links",
    errno.EOPNOTSUPP: "choose a folder on a file system that has hard links",
    errno.ENOSYS: "choose a folder on a file system that has hard links",
    errno.EMLINK: "choose a folder on a file system that has hard links",
    errno.EXDEV: "choose a folder that lies on one file system, with nothing mounted inside",
    errno.EROFS: "choose a folder on a file system that is not read-only",
    errno.ENOTDIR: "a file stands where a folder is needed: remove it, or choose another place",
    errno.EISDIR: "a folder stands where a file is needed: remove it, or choose another place",
    errno.EEXIST: "a file stands where a folder is needed: remove it, or choose another place",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.ELOOP: "the path's symbolic links go round in a circle: mend them",
    errno.EINVAL: "choose a path that this file system can name",
}
_FULL = (errno.ENOSPC, errno.EDQUOT)


def from_code(code: int, said: str, place: str) -> StreamJobError:
    """The error for a code such as `errno.ENOSPC`: `JobError`, or `Unavailable` where a later call may succeed."""
    remedy = _REFUSED.get(code)
    if remedy is not None:
        return JobError(f"{place} cannot be used ({said}): {remedy}.")
    remedy = "; make room there" if code in _FULL else ""
    return Unavailable(f"{place} cannot be reached now ({said}){remedy}.")


@contextmanager
def translate(path: Path) -> Iterator[None]:
    """Turn an `OSError` over `path` into what `from_code` gives."""
    try:
        yield
    except OSError as err:
        raise from_code(err.errno or 0, err.strerror or str(err), str(path)) from err
