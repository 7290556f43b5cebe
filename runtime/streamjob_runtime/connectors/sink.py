"""What a sink is, and what it promises."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import pyarrow as pa


class Delivery(Enum):
    """What a reader of the sink may rely on when the job was killed and went on."""

    EXACTLY_ONCE = "exactly once"
    AT_LEAST_ONCE = "at least once"


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes: the job, and which start of its runtime."""

    job_id: str  # the random one of the job's first start: two jobs of one name differ in it
    epoch: int  # grows with each start: a higher one has taken over
    check_still_writer: Callable[[], None]  # raises Fenced if another process runs the job now
    begun: bool = False  # whether the job's log names a batch already, which an earlier start has written or tried to


@dataclass(frozen=True, slots=True)
class SinkBatch:
    """The rows that one batch gives to one sink."""

    batch_id: int
    batch_time_ms: int
    rows: pa.Table  # append: new and final rows; update: rows that changed; complete: the whole result
    mode: str  # append | update | complete
    writer: Writer
    again: bool = False  # an earlier process had begun with it, and may have written it, its rows in another order
    # update: the rows that are no longer in the result, as they were; none of `rows` has the key of one. None: this
    # sink is never told of any.
    deleted: pa.Table | None = None

    @property
    def count(self) -> int:
        """How many changes there are."""
        return self.rows.num_rows + (self.deleted.num_rows if self.deleted is not None else 0)


class Sink(Protocol):
    """Where results go. Every call comes from one thread."""

    delivery: Delivery

    def check(self) -> str:
        """Reach the system once, and say for people what is there; instead of `open`, and nothing changes for anybody.

        Raises what a run would meet there.
        """
        ...

    def open(self, writer: Writer) -> None:
        """Reach the system and check that it can take the rows; called once, before the first batch."""
        ...

    def write(self, batch: SinkBatch) -> None:
        """Write the batch; durable on return.

        The batch that was under way when the process died is written again under the same id with the same rows, though
        not in the same order: a second write of a batch id must change nothing (`Delivery.EXACTLY_ONCE`) or is what the
        sink's docs admit.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
