"""The numbered steps of the protocol (docs/protocol.md), as the loop takes them.

A hook that is called after each step is what lets the tests kill a runtime at any of them.
"""

from collections.abc import Callable
from enum import Enum


class Step(Enum):
    """A point after which a killed runtime must go on as if nothing had happened."""

    FENCED = 1  # a FENCE is in the log
    RECOVERED = 2  # the state is what it was after the last committed batch
    POLLED = 3  # the ranges are known; what cannot be read twice is in the WAL
    INTENDED = 4  # INTENT(N) is in the log
    COMPUTED = 5  # the state holds the batch, the results are in memory
    WRITTEN = 6  # one more sink has the batch
    COMMITTED = 7  # COMMIT(N) is in the log
    UPLOADED = 8  # a snapshot's files are in the store
    CHECKPOINTED = 9  # CHECKPOINT(N) is in the log
    BOUNDED = 10  # a BOUNDARY is in the log
    SWEPT = 11  # what no retained checkpoint needs is deleted


StepHook = Callable[[Step, int], None]  # called with the step and the batch id (-1: none)


def no_hook(step: Step, batch: int) -> None:
    """What users run with."""
