"""The start-up proof of the one promise that the log rests on."""

import random
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from streamjob_runtime.errors import AlreadyExists, JobError, StreamJobError
from streamjob_runtime.stores.base import Store

PREFIX = "proof/"
_RIVALS = 16


def is_proof(key: str) -> bool:
    """Whether a proof that was broken off may have left that key."""
    return re.fullmatch(f"{PREFIX}[0-9a-f]{{16}}", key) is not None


def prove_atomic_create(store: Store, random: random.Random) -> None:
    """Create one fresh key below `proof/` many times at once, and raise `JobError` unless exactly one create wins.

    The object is deleted afterwards. `Unavailable` comes through, and the store's own `JobError` (credentials …) too,
    with the checkpoint location named.
    """
    key = f"{PREFIX}{random.getrandbits(64):016x}"
    contents = [f"{number} {random.getrandbits(64):016x}".encode() for number in range(_RIVALS)]

    def wins(content: bytes) -> bool:
        try:
            store.create(key, content)
        except AlreadyExists:
            return False
        except JobError as error:
            raise JobError(f"The checkpoint location {store.url} cannot hold a log: {error}") from error
        return True

    try:
        with ThreadPoolExecutor(_RIVALS) as rivals:
            won = [content for content, is_won in zip(contents, rivals.map(wins, contents), strict=True) if is_won]
        if len(won) != 1:
            raise _broken(store, f"of {_RIVALS} creates of one object at once, {len(won)} succeeded instead of one")
        if wins(b"too late"):
            raise _broken(store, "a create of an object that was there succeeded")
        if store.read(key) != won[0]:
            raise _broken(store, "an object was replaced by a create that failed")
    except JobError:
        with suppress(StreamJobError):  # what is wrong is said by the error at hand
            store.delete(key)
        raise
    store.delete(key)


def _broken(store: Store, what: str) -> JobError:
    return JobError(
        f"{store.url} must hold no checkpoint: {what}. Two runtimes of one job could both write there. "
        "Choose a store with an atomic create: a local disk, HDFS, Amazon S3, or another MinIO release (those of "
        "2025-09-06 and 2025-09-07 are known to fail)."
    )
