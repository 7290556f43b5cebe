"""What may be deleted: nothing that a retained checkpoint needs."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from streamjob_runtime.checkpoint.records import Boundary, Checkpoint, Fence, Intent, Record, log_key, log_seq
from streamjob_runtime.checkpoint.recovery import checkpoints
from streamjob_runtime.stores.base import Store


@dataclass(frozen=True, slots=True)
class Retention:
    """What stays."""

    oldest: Checkpoint  # the oldest checkpoint that stays
    first_seq: int  # the first log record that it needs
    fences: tuple[int, ...]  # the FENCEs before that one: they stay, too (`Boundary` says why)
    files: frozenset[str]  # keys below state/ that stay
    tables: frozenset[str]  # keys below tables/ that stay


def table_key(name: str, version: str) -> str:
    """Where the copy of that version of a static table lies."""
    return f"tables/{name}/{version}.parquet"


def retain(records: Sequence[Record], retained: int, damaged: Collection[int] = ()) -> Retention | None:
    """What `retained` checkpoints need; None while there are fewer. Those of the batches `damaged` do not count."""
    kept = [c for c in checkpoints(records) if c.batch not in damaged][:retained]
    if len(kept) < retained:
        return None
    oldest = kept[-1]
    needed = [
        r
        for r in records
        if r.body == oldest or (isinstance(r.body, Intent) and r.body.batch > oldest.batch) or r is records[-1]
    ]
    first_seq = min(r.seq for r in needed)
    tables = {
        table_key(name, version)
        for r in records
        if r.seq >= first_seq and isinstance(r.body, Intent)
        for name, version in r.body.tables.items()
    }
    files = frozenset(f.key for c in kept for f in c.files)
    return Retention(oldest, first_seq, fences_before(records, first_seq), files, frozenset(tables))


def fences_before(records: Sequence[Record], seq: int) -> tuple[int, ...]:
    """Where the FENCEs before a record lie; `records` has a boundary, or begins with the first record of the log."""
    known = {r.seq for r in records if isinstance(r.body, Fence)}
    for record in records:
        if isinstance(record.body, Boundary):
            known.update(record.body.fences)
    return tuple(sorted(f for f in known if f < seq))


def named(records: Sequence[Record]) -> list[str]:
    """Every key that the records stand at or name."""
    keys = [log_key(r.seq) for r in records]
    for record in records:
        if isinstance(record.body, Checkpoint):
            keys += [f.key for f in record.body.files]
        elif isinstance(record.body, Intent):
            keys += [table_key(name, version) for name, version in record.body.tables.items()]
    return keys


def superfluous(keys: Iterable[str], keep: Retention, epoch: int, newest_batch: int) -> list[str]:
    """Those of the keys that may go, log records in ascending order.

    A state file that no retained checkpoint names may be an upload that is still under way, if this epoch writes it
    for a newer batch: that one stays.
    """
    gone: set[str] = set()
    for key in keys:
        if (seq := log_seq(key)) is not None:
            if seq < keep.first_seq and seq not in keep.fences:
                gone.add(key)
        elif key.startswith("state/") and key not in keep.files:
            batch, writer = (int(part) for part in key.rsplit("/", 1)[1].split("-")[:2])
            if writer < epoch or batch <= newest_batch:
                gone.add(key)
        elif key.startswith("tables/") and key not in keep.tables:
            gone.add(key)
    return sorted(gone)


def listed(store: Store) -> list[str]:
    """Every key that clean-up may ever delete, as the store lists them."""
    return [e.key for prefix in ("log/", "state/", "tables/") for e in store.list(prefix)]


def delete_all(store: Store, keys: Iterable[str]) -> None:
    """Delete the keys, in order. Safe to repeat, and to break off anywhere."""
    for key in keys:
        store.delete(key)
