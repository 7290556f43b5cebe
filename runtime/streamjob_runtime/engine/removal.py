"""Deleting all that a job keeps under its checkpoint location."""

from collections.abc import Callable, Iterator
from importlib.metadata import version

from streamjob_runtime.checkpoint.removal import check_still_last, fence_off, is_ours
from streamjob_runtime.clock import Clock
from streamjob_runtime.connectors.shared.wal import is_segment
from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.proof import is_proof

# The log goes last: as long as anything is left, it says whose that is, and keeps other processes from writing.
_FOLDERS = ("proof/", "state/", "tables/", "wal/", "log/")


def remove(store: Store, job_name: str, clock: Clock, nonce: Callable[[], str]) -> int:
    """Delete the job's log and everything that it names; how many objects that were. Safe to break off and to repeat.

    A process that still runs the job is fenced off first. What the job did not write stays. Raises `JobError`, with
    nothing deleted, if the log is another job's; `Fenced` if somebody starts the job meanwhile.
    """
    fence = fence_off(store, job_name, clock.now_ms(), version("streamjob"), nonce)
    count = 0
    for folder in _FOLDERS:
        if folder == "log/" and fence is not None:
            check_still_last(store, fence)
        count += _delete(store, _ours(store, folder))
    # A process that was fenced off may have had a snapshot on its way.
    return count + sum(_delete(store, _ours(store, folder)) for folder in _FOLDERS[:-1])


def _ours(store: Store, folder: str) -> Iterator[str]:
    """The keys there that only a job can have written, in order: a log's last record comes last."""
    for entry in list(store.list(folder)):
        if is_ours(entry.key) or is_segment(entry.key) or is_proof(entry.key):
            yield entry.key


def _delete(store: Store, keys: Iterator[str]) -> int:
    count = 0
    for key in keys:
        store.delete(key)
        count += 1
    return count
