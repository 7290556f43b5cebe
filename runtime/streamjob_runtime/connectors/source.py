"""What a source is, and what the loop promises it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """What a batch reads from one source: `[start, end)` of every partition that has something new.

    It stands in the batch's INTENT record, and reading it again gives the same rows: that is what a replay rests on.
    """

    partitions: Mapping[str, tuple[int, int]]  # partition -> (start, end), in records unless the source says otherwise
    detail: Any = None  # JSON: what else the source needs to read the range again (file names, WAL segments)

    def to_json(self) -> dict[str, Any]:
        """The form that the log keeps."""
        return {"partitions": {p: list(r) for p, r in self.partitions.items()}, "detail": self.detail}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "OffsetRange":
        """The inverse of `to_json`."""
        return cls({p: (int(s), int(e)) for p, (s, e) in value["partitions"].items()}, value["detail"])


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """What a source can say of itself, for progress and metrics."""

    latest: Mapping[str, int] = field(default_factory=dict)  # partition -> the end of what is known to be there
    connected: bool = True
    message: str = ""  # why not connected, or what else a user should know
    position: Mapping[str, int] = field(default_factory=dict)  # partition -> what comes next, also where nothing is new
    attempts: int = 1  # how often it has failed in a row, while not connected; 0: it has only begun
    warns: bool = False  # whether the message is of something that may be wrong
    oldest_ms: int | None = None  # when the oldest record came that is there and not read, if the source can tell


class Source(Protocol):
    """Where rows come from.

    The order of calls is: `check` alone; or `begin`, of a new job alone, then `open` once, and then, for each batch,
    `poll` → (the range is logged) → `advance` → `read` → (the batch is committed) → `acknowledge`. At a restart the
    logged ranges since the checkpoint come again as `advance` → `read`, before the first `poll`. All calls come from
    one thread, except `status` and `release`, which any thread may call at any time, and `survey`, which a thread of
    its own calls.
    """

    def check(self) -> str:
        """Reach the system once, and say for people what is there; instead of `open`, and nothing changes for anybody.

        Raises what a run would meet there: `JobError`, or `Unavailable` where a run would wait.
        """
        ...

    def begin(self, earlier: Any) -> Any:
        """Where a new job begins, if that depends on the moment: a state (JSON) for `open`, which the log is to have.

        None: it does not, and `open` takes None. Called before `open`. `earlier`: what a start that made no batch has
        logged (None: nothing); to be given again, if it is of the same manifest.
        """
        ...

    def open(self, state: Any) -> None:
        """Begin after `state`, as an earlier `snapshot` or `begin` gave it; None: a new job.

        Raises `JobError` for what a retry cannot mend (a wrong host name is not one of these: it may come up later).
        """
        ...

    def limit_to_available(self) -> None:
        """Read no further than what is there now (trigger `availableNow`): after that `poll` gives None for good."""
        ...

    @property
    def exhausted(self) -> bool:
        """Whether `limit_to_available` was called and all that was there then was advanced over.

        `poll` may give None before that: a file that is still being written is waited for.
        """
        ...

    def poll(self, limit: int | None, now_ms: int) -> OffsetRange | None:
        """The next range behind all that was advanced over, of at most `limit` records; None: nothing new.

        Called again without `advance`, it may give more. Nothing of the source's position changes, but what cannot be
        read twice must be durable when this returns (TCP writes its WAL here).
        """
        ...

    def advance(self, offsets: OffsetRange) -> None:
        """The range is in the log: go on behind it."""
        ...

    def read(self, offsets: OffsetRange) -> pa.Table:
        """The rows of the range, in the columns that the source was made with. The same range gives the same rows.

        Where the `bad_records` of the source's context are lenient, bad ones are put there, in the same order whenever
        the range is read; otherwise the first of them raises `JobError`. So does what is gone or has changed.
        """
        ...

    def acknowledge(self, offsets: OffsetRange) -> None:
        """The batch of this range is committed: tell the system, if that tells others how far the job has come.

        The job does not rely on it: this neither waits long nor fails, and a batch that is replayed does not call it.
        """
        ...

    def snapshot(self) -> Any:
        """The state (JSON) after all that was advanced over: what `open` takes."""
        ...

    def release(self, state: Any) -> None:
        """No retained checkpoint is older than `state`: what the source keeps for replays before it may go."""
        ...

    def survey(self, now_ms: int) -> None:
        """Ask the system how much is there, for `status`: nobody calls `poll` just now, as a batch takes long or waits.

        Between `open` and `close`, at any time: nothing that the other calls rest on changes. May raise
        `StreamJobError`, which the job's next call meets as well.
        """
        ...

    def status(self) -> SourceStatus:
        """How the source stands now. Asks nobody, and does not wait."""
        ...

    def close(self) -> None:
        """Let go of connections and threads."""
        ...
