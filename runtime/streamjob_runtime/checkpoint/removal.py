"""The end of a log: one FENCE more, so that nobody writes behind it, even where the log is damaged or half deleted."""

import re
from collections.abc import Callable

from streamjob_runtime.checkpoint.identity import identify
from streamjob_runtime.checkpoint.records import Fence, Record, decode, encode, log_key, log_seq
from streamjob_runtime.errors import AlreadyExists, Damaged, Fenced, NotFound
from streamjob_runtime.stores.base import Store

_OURS = re.compile(
    r"log/\d{12}|state/[^/]+/\d{12,}-\d{6,}-[0-9a-f]{16}\.(parquet|json)|tables/[^/]+/[0-9a-f]{16}-[0-9a-f]{8}\.parquet"
)


def is_ours(key: str) -> bool:
    """Whether a log record, a snapshot's file or a table's copy may have that key."""
    return _OURS.fullmatch(key) is not None


def fence_off(store: Store, job_name: str, time_ms: int, version: str, nonce: Callable[[], str]) -> Record | None:
    """Put a FENCE behind the job's log: a process that still runs the job can write no record more.

    None where there is no log. Raises `JobError` if the log is another job's, `Damaged` if nothing that can be read
    says whose it is.
    """
    seqs = sorted(seq for entry in store.list("log/") if (seq := log_seq(entry.key)) is not None)
    if not seqs:
        return None
    read = [_try_read(store, seq) for seq in seqs]
    records = [record for record in read if record is not None]
    known = identify(records, job_name, store.url)
    if known is None:
        raise Damaged(f"No record of the log at {store.url} can be read, so that nobody knows whose it is.")
    job_id, name = known
    seq, last = seqs[-1], read[-1]
    epoch = max(r.epoch for r in records) + 1
    while True:
        seq += 1
        prev = last.crc if last else 0  # a log that was whole stays so
        fence, data = encode(Record(seq, epoch, nonce(), prev, version, Fence(job_id, name, time_ms, {})))
        try:
            store.create(log_key(seq), data)
            return fence
        except AlreadyExists:
            # The listing was older, or the job runs and was quicker.
            last = _try_read(store, seq)
            epoch = max(epoch, last.epoch + 1 if last else 0)


def check_still_last(store: Store, fence: Record) -> None:
    """Raise `Fenced` if somebody has started the job since."""
    if _try_read(store, fence.seq + 1) is not None:
        raise Fenced(
            f"The job was started at {store.url} while its checkpoints were being deleted. Stop it, then retry."
        )


def _try_read(store: Store, seq: int) -> Record | None:
    try:
        return decode(store.read(log_key(seq)), log_key(seq))
    except (NotFound, Damaged):
        return None
