"""A batch in whose middle the process has ended: named at the next start, which computes it again."""

from collections.abc import Sequence
from dataclasses import dataclass

from streamjob_runtime.checkpoint.records import Fence, Intent, Record
from streamjob_runtime.connectors.source import OffsetRange

_SHOWN = 5  # partitions of a source


@dataclass(frozen=True, slots=True)
class Ended:
    """How often starts have ended in a batch, and what it reads."""

    batch: int
    times: int
    reads: str

    @property
    def last_words(self) -> str:
        """What is to be said if the process ends there once more: by then it can say nothing itself."""
        return (
            f"The process has ended {self.times + 1} times in the middle of batch {self.batch}, which reads "
            f"{self.reads}, without a word of its own: it was killed, or a library fails on one of these records. "
            "The pod's log may say more."
        )


def ended_in(before: Sequence[Record], unfinished: Intent) -> Ended:
    """`before`: the log as this start found it."""
    at = max(i for i, record in enumerate(before) if record.body == unfinished)
    starts = sum(isinstance(record.body, Fence) for record in before[at:])
    reads = "; ".join(f"{name} {_range(value)}" for name, value in unfinished.ranges.items()) or "nothing"
    return Ended(unfinished.batch, starts + 1, reads)


def _range(value: object) -> str:
    partitions = OffsetRange.from_json(value).partitions  # type: ignore[arg-type]  # the log's JSON
    shown = [f"{name} [{start}, {end})" for name, (start, end) in list(partitions.items())[:_SHOWN]]
    return ", ".join(shown) + (f" and {len(partitions) - _SHOWN} more" if len(partitions) > _SHOWN else "")
