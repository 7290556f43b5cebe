"""What the operating system says, in the runtime's own errors."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamjob_runtime.errors import JobError, Unavailable

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


@contextmanager
def translate(path: Path) -> Iterator[None]:
    """Turn an `OSError` over `path` into a `JobError`, or into `Unavailable` where a later call may succeed."""
    try:
        yield
    except OSError as err:
        remedy = _REFUSED.get(err.errno or 0)
        if remedy is not None:
            raise JobError(f"{path} cannot be used ({err.strerror}): {remedy}.") from err
        remedy = "; make room there" if err.errno in _FULL else ""
        raise Unavailable(f"{path} cannot be reached now ({err.strerror or err}){remedy}.") from err
