"""A job's log: reading it at a start, taking it over, appending to it.

The log is the create-once sequence `log/<seq>`. Whoever creates the next slot has written the next record; nobody can
change or remove one that others rest on. That alone keeps two runtimes of one job apart: no lease and no clock does.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from streamjob_runtime.checkpoint.identity import identify
from streamjob_runtime.checkpoint.records import (
    Body,
    Boundary,
    Fence,
    Record,
    UnknownFormat,
    decode,
    encode,
    log_key,
    log_seq,
)
from streamjob_runtime.errors import AlreadyExists, Damaged, Fenced, NotFound
from streamjob_runtime.stores.base import Store


def read_log(store: Store) -> tuple[Record, ...]:
    """The log's records that count, in order, proven whole; empty where there is none.

    Raises `Damaged` when a record is missing, is not what was written or does not follow on the one before it.
    """
    records = _read_listed(store)
    while True:
        try:
            return whole(records)
        except Damaged:
            # The job may be running, and have deleted what we were about to read behind a newer boundary.
            again = _read_listed(store)
            if not again or not records or again[-1].seq == records[-1].seq:
                raise
            records = again


def _read_listed(store: Store) -> list[Record]:
    """The newest boundary, all from where it says on, and what has come since the listing."""
    seqs = sorted(seq for entry in store.list("log/") if (seq := log_seq(entry.key)) is not None)
    records: list[Record] = []
    first = 0
    for seq in reversed(seqs):
        if seq < first:
            break
        record = _try_read(store, seq)
        if record is not None:
            records.insert(0, record)
            if isinstance(record.body, Boundary):
                first = max(first, record.body.first_seq)
    # A listing may be older than the newest records: look on until a slot is free.
    probe = seqs[-1] + 1 if seqs else 0
    while (found := _try_read(store, probe)) is not None:
        records.append(found)
        probe += 1
    return records


def whole(records: Sequence[Record]) -> tuple[Record, ...]:
    """The records from the newest boundary on, if they form one chain. Raises `Damaged` otherwise."""
    first = max((r.body.first_seq for r in records if isinstance(r.body, Boundary)), default=0)
    chain = [r for r in records if r.seq >= first]
    expected = first
    for before, record in zip([None, *chain], chain, strict=False):
        if record.seq != expected:
            raise Damaged(
                f"The log has no record {log_key(expected)}, but it has {log_key(record.seq)}. Put the object back "
                "from a copy, or give the job a new checkpoint location, where it starts from the beginning."
            )
        if before is not None and (record.prev != before.crc or record.epoch < before.epoch):
            raise Damaged(f"The log record {log_key(record.seq)} does not follow on {log_key(before.seq)}.")
        expected += 1
    return tuple(chain)


class Log:
    """The log as the one process that may append to it sees it. Used by one thread.

    `job_name` is a full name (`identity`); `nonce` gives a text that no other record has.
    """

    def __init__(self, store: Store, job_name: str, nonce: Callable[[], str]) -> None:
        self._store = store
        self.job_name = job_name
        self._nonce = nonce
        self._last: Record | None = None
        self._version = ""
        self.epoch = 0
        self.job_id = ""

    def take_over(
        self,
        time_ms: int,
        version: str,
        fingerprints: dict[str, str],
        accept: Callable[[Sequence[Record]], None] = lambda records: None,
        begin: Callable[[Sequence[Record]], Mapping[str, Any]] = lambda records: {},
    ) -> tuple[Record, ...]:
        """Read the log and put a FENCE behind it: from now on this process is the only writer.

        Gives the records before the fence. Raises `Fenced` if another start was quicker, `JobError` if the log is
        another job's. `accept` may raise as well: a job that does not fit its log leaves no trace there, and does not
        disturb one that runs. `begin` says where the sources begin, as the FENCE is to have it.
        """
        self._version = version
        records = list(read_log(self._store))
        accept(records)
        self.epoch = max((r.epoch for r in records), default=0) + 1
        begins = begin(records)
        while True:
            known = identify(records, self.job_name, self._store.url)
            self.job_id, self.job_name = known or (self._nonce(), self.job_name)
            fence = Fence(self.job_id, self.job_name, time_ms, fingerprints, begins)
            self._last = records[-1] if records else None
            try:
                fenced = self.append(fence)
                self._check_in_place(fenced)
                return tuple(records)
            except AlreadyExists:
                # Somebody of a lower epoch was still writing: what it wrote before the fence counts.
                records.append(_read(self._store, self._next_seq))

    def _check_in_place(self, fence: Record) -> None:
        """Undo a FENCE that came so late that its slot had been used and cleaned up: the log is far ahead of it."""
        if not any((log_seq(entry.key) or 0) > fence.seq for entry in self._store.list("log/")):
            return
        boundaries = [r.body for r in _read_listed(self._store) if isinstance(r.body, Boundary)]
        if any(fence.seq < b.first_seq and fence.seq not in b.fences for b in boundaries):
            self._store.delete(log_key(fence.seq))
        raise Fenced(
            f"While this process started, another one has taken over the job {self.job_name!r} at {self._store.url}. "
            "This one stops."
        )

    def append(self, body: Body) -> Record:
        """Write the next record, durably. Raises `Fenced` if another process runs this job now."""
        prev = self._last.crc if self._last else 0
        record, data = encode(Record(self._next_seq, self.epoch, self._nonce(), prev, self._version, body))
        try:
            self._store.create(log_key(record.seq), data)
        except AlreadyExists as error:
            self._raise_if_fenced(self._written_first(record.seq), error)
            raise
        self._last = record
        return record

    def check_still_writer(self) -> None:
        """Raise `Fenced` if another process has taken over. One look at the store."""
        try:
            self._raise_if_fenced(self._written_first(self._next_seq), None)
        except NotFound:
            return

    @property
    def last(self) -> Record:
        """The newest record. There is one from `take_over` on."""
        assert self._last is not None
        return self._last

    @property
    def _next_seq(self) -> int:
        return self._last.seq + 1 if self._last else 0

    def _written_first(self, seq: int) -> Record:
        """The record in a slot that would be ours. Raises `NotFound`, `Fenced` if a newer version has written it."""
        try:
            return _read(self._store, seq)
        except UnknownFormat as error:
            raise Fenced(
                f"Another version of StreamJob runs the job {self.job_name!r} at {self._store.url} now. This one stops."
            ) from error

    def _raise_if_fenced(self, there: Record, cause: Exception | None) -> None:
        if there.epoch >= self.epoch:
            raise Fenced(
                f"Another process runs the job {self.job_name!r} at {self._store.url} now (its epoch is "
                f"{there.epoch}, ours {self.epoch}). This one stops."
            ) from cause


def _read(store: Store, seq: int) -> Record:
    key = log_key(seq)
    record = decode(store.read(key), key)
    if record.seq != seq:
        raise Damaged(f"The log record {key} says that it is number {record.seq}.")
    return record


def _try_read(store: Store, seq: int) -> Record | None:
    try:
        return _read(store, seq)
    except NotFound:
        return None
