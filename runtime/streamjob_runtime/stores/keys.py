"""What may be a key: the same rule in every store, so that a job can move from one to another."""

import re

from streamjob_runtime.errors import JobError

RESERVED = ".tmp"  # where local stores, this one or one within it, keep half-written files
MAX_BYTES = 900  # S3 ends at 1,024, and the location's own prefix counts there too


def check_key(key: str) -> None:
    """Raise `JobError` unless the key is a relative path that stays below its root."""
    parts = key.split("/")
    if not all(parts):
        raise JobError(f"{key!r} cannot name an object: keys are relative paths, with no empty part.")
    if "." in parts or ".." in parts:
        raise JobError(f"{key!r} cannot name an object: '.' and '..' could lead out of the store.")
    if RESERVED in parts:
        raise JobError(f"{key!r} cannot name an object: {RESERVED!r} is for half-written files.")
    if "\0" in key:
        raise JobError(f"{key!r} cannot name an object: it holds a NUL character.")
    try:
        size = len(key.encode())
    except UnicodeEncodeError as err:
        raise JobError(f"{key!r} cannot name an object: it is not valid UTF-8. Rename the file.") from err
    if size > MAX_BYTES:
        raise JobError(f"{key[:80]!r}… cannot name an object: it has {size} bytes, at most {MAX_BYTES} are allowed.")


def check_prefix(prefix: str) -> None:
    """Raise `JobError` unless keys may begin so."""
    if prefix:
        check_key(prefix.removesuffix("/"))


def check_replaced(location: str) -> None:
    """Raise `JobError` if the name of a variable stands in a path or URL that its writer took for its value."""
    unset = re.search(r"\$\{[^}]*\}|\$\(\w+\)", location)
    if unset:
        raise JobError(
            f"{location}: {unset[0]} stands there as it is, and nothing puts a value in its place. Write the path "
            "itself, or replace it before the job starts (envsubst)."
        )
