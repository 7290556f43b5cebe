"""How far the topics of a Kafka source reach, asked beside it while a batch is under way or waits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from streamjob_runtime.clock import Clock
from streamjob_runtime.connectors.kafka.topics import Start, Topics
from streamjob_runtime.errors import Refused, Unavailable
from streamjob_runtime.patience import NO_ANSWER, SILENT_S


@dataclass(frozen=True, slots=True)
class Answer:
    """What Kafka has said of the partitions, or why it has not."""

    at: float = float("-inf")  # when it was asked, monotonic
    ends: Mapping[str, int] = field(default_factory=dict)
    begins: Mapping[str, int] = field(default_factory=dict)  # of partitions that the job has not seen yet
    trouble: str = ""
    attempts: int = 0  # that failed in a row


class Waiting:
    """Since when an answer is waited for; asked by any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: float | None = None

    def __enter__(self) -> float:
        """A question is asked; when."""
        self._since = now = self._clock.monotonic()
        return now

    def __exit__(self, *_: object) -> None:
        self._since = None

    @property
    def trouble(self) -> str:
        """What is said of a question that has had no answer for long."""
        since = self._since
        return NO_ANSWER if since is not None and self._clock.monotonic() - since >= SILENT_S else ""


class Survey:
    """Asks with clients of its own: of another thread than the source. `newest` and `waiting` are for any thread."""

    def __init__(self, topics: Topics, start: Start, clock: Clock) -> None:
        self._topics = topics
        self._start = start
        self.newest = Answer()
        self.waiting = Waiting(clock)

    def ask(self, knows: Callable[[str], bool], begun: bool) -> None:
        """Ask for all partitions. `knows`: whether the source knows where it is in one; else it begins there."""
        with self.waiting as asked:
            try:
                partitions = [p for topic in self._topics.look().values() for p in topic.partitions]
                unknown = [p for p in partitions if not knows(p)]
                # Whatever appears later than the job is read as a whole.
                begins = self._topics.starts(unknown, Start() if begun else self._start) if unknown else {}
                self.newest = Answer(asked, self._topics.ends(partitions), begins)
            except (Unavailable, Refused) as error:
                attempts = self.newest.attempts + 1
                self.newest = replace(self.newest, at=asked, trouble=str(error), attempts=attempts)

    def close(self) -> None:
        """Let go of the connections."""
        self._topics.close()
