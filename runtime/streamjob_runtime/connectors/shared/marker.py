"""What a marker in a table means for a batch: written with the batch's rows at one stroke, it says which it has."""

from dataclasses import dataclass
from enum import Enum, auto


@dataclass(frozen=True, slots=True)
class Marker:
    """Which batch the table has."""

    batch_id: int
    epoch: int  # of the runtime that wrote it


class Verdict(Enum):
    """What is to be done with a batch."""

    WRITE = auto()
    THERE = auto()  # it was written before
    OVERTAKEN = auto()  # a later start of the job writes here
    AHEAD = auto()  # the table has later batches than the job: its log was put back to an older state
    SHARED = auto()  # this start has written the batch, but not by this sink
    LOST = auto()  # what this process has committed is gone: the database was put back to an older state


def judge(found: Marker | None, batch_id: int, epoch: int, tried: bool, last: int | None) -> Verdict:
    """What the marker means for a batch.

    `tried`: whether this process has tried to write this batch before; `last`: the newest batch that it has written.
    """
    if last is not None and last < batch_id and (found is None or found.batch_id < last):
        return Verdict.LOST
    if found is None:
        return Verdict.WRITE
    if found.epoch > epoch:
        return Verdict.OVERTAKEN
    if found.batch_id > batch_id:
        return Verdict.AHEAD
    if found.batch_id == batch_id:
        return Verdict.THERE if tried or found.epoch < epoch else Verdict.SHARED
    return Verdict.WRITE
