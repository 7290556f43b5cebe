"""What a restart has to do, decided from the log alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from streamjob_runtime.checkpoint.records import Checkpoint, Commit, Fence, Intent, Record
from streamjob_runtime.errors import Damaged

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Recovery:
    """Where to begin, and which batches to compute again."""

    checkpoint: Checkpoint | None  # None: from the beginning
    replay: tuple[Intent, ...]  # batches whose results every sink has: they only rebuild the state
    unfinished: Intent | None  # the batch that was under way: its sinks may lack it
    next_batch: int


def checkpoints(records: Sequence[Record]) -> tuple[Checkpoint, ...]:
    """The checkpoints that the log knows, newest first."""
    found = {r.body.batch: r.body for r in records if isinstance(r.body, Checkpoint)}
    return tuple(found[batch] for batch in sorted(found, reverse=True))


def starts(records: Sequence[Record]) -> Mapping[str, Any]:
    """Source -> where it begins, for a start without a checkpoint: what the last FENCE before the first batch says."""
    found: Mapping[str, Any] = {}
    for record in records:
        if isinstance(record.body, Intent):
            break
        if isinstance(record.body, Fence) and record.body.starts:
            found = record.body.starts
    return found


def recover(records: Sequence[Record], checkpoint: Checkpoint | None) -> Recovery:
    """What remains to be done on top of `checkpoint`. Raises `Damaged` if the log lacks a batch for that."""
    after = checkpoint.batch if checkpoint else -1
    intents = {r.body.batch: r.body for r in records if isinstance(r.body, Intent)}
    committed = {r.body.batch for r in records if isinstance(r.body, Commit)}
    newest = max([after, *intents, *committed])
    missing = [b for b in range(after + 1, newest + 1) if b not in intents]
    if missing:
        begin = f"the checkpoint of batch {after}" if checkpoint else "the beginning"
        raise Damaged(f"The log cannot be replayed from {begin}: it has no INTENT of batch {missing[0]}.")
    open_batches = [b for b in range(after + 1, newest + 1) if b not in committed]
    if open_batches not in ([], [newest]):
        raise Damaged(f"Batch {open_batches[0]} has no COMMIT, but batch {newest} follows it.")
    return Recovery(
        checkpoint,
        tuple(intents[b] for b in range(after + 1, newest + 1) if b in committed),
        intents[newest] if open_batches else None,
        newest + 1,
    )


def newest_whole(
    records: Sequence[Record], load: Callable[[Checkpoint], T], unusable: Callable[[Checkpoint, Damaged], None]
) -> tuple[Recovery, T | None]:
    """What remains to be done on top of the newest checkpoint that `load` finds whole, and what it gave.

    `unusable` hears of the newer ones. Raises `Damaged`, what the newest lacks, if not even a start from the beginning
    is left.
    """
    damage: Damaged | None = None
    for checkpoint in (*checkpoints(records), None):
        try:
            recovery = recover(records, checkpoint)
            return recovery, load(checkpoint) if checkpoint else None
        except Damaged as error:
            damage = damage or error
            if checkpoint:
                unusable(checkpoint, error)
    assert damage is not None
    raise damage
