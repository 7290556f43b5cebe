"""What the job waits for just now: every system that fails, as long as it fails, and what sources have to say."""

import re
import threading
from collections.abc import Callable, Mapping

from streamjob_runtime.clock import Clock
from streamjob_runtime.connectors.source import Source
from streamjob_runtime.engine.progress import Progress, Trouble
from streamjob_runtime.patience import Trouble as Failing


class TroubleBoard:
    """Takes the news of all calls that are tried again and shows the oldest trouble. Thread-safe."""

    def __init__(self, progress: Progress, clock: Clock, say: Callable[..., None]) -> None:
        self._progress = progress
        self._clock = clock
        self._say = say
        self._now: dict[str, Failing] = {}
        self._said: dict[str, int] = {}  # the attempts that the log has heard of
        self._lock = threading.Lock()

    def listener(self, what: str) -> Callable[[Failing | None], None]:
        """What `Patient` calls for the system of that name."""

        def hear(trouble: Failing | None) -> None:
            if trouble:
                self._failed(what, trouble)
            else:
                self._ended(what)

        return hear

    def _failed(self, what: str, trouble: Failing) -> None:
        with self._lock:
            self._now[what] = trouble
            self._show()
            # Neither a long trouble nor one that many threads have floods the log: it hears of the 1st, 2nd, 4th …
            news = trouble.attempts >= max(1, 2 * self._said.get(what, 0))
            if news:
                self._said[what] = trouble.attempts
        if news:
            self._say("warning", "waiting for a system outside", what=what, error=trouble.error, n=trouble.attempts)

    def _ended(self, what: str) -> None:
        with self._lock:
            trouble = self._now.pop(what, None)
            self._said.pop(what, None)
            self._show()
        if trouble:
            waited_s = (self._clock.now_ms() - trouble.since_ms) / 1000
            self._say("info", "the system outside answers again", what=what, after_seconds=round(waited_s, 1))

    def _show(self) -> None:
        oldest = min(self._now.values(), key=lambda t: t.since_ms, default=None)
        # A loop that waits for a system outside moves: killing it would mend nothing.
        self._progress.update(
            trouble=Trouble(oldest.what, oldest.error, oldest.since_ms, oldest.attempts) if oldest else None,
            moved=self._clock.monotonic(),
        )


class SourceNews:
    """Tells what sources have to say: to the progress whenever it changes, to the log where it is news."""

    def __init__(self, progress: Progress, say: Callable[..., None]) -> None:
        self._progress = progress
        self._say = say
        self._last: dict[str, str] = {}
        self._waits: dict[str, bool] = {}
        self._said: set[tuple[str, str]] = set()

    def tell(self, sources: Mapping[str, Source]) -> None:
        """To be called after every tick."""
        statuses = {name: source.status() for name, source in sources.items()}
        for name, status in statuses.items():
            about = re.sub(r"\d+", "", status.message)  # a number that changes is no news
            if about == self._last.get(name, ""):
                continue
            waited = self._waits.get(name, False)
            self._last[name], self._waits[name] = about, not status.connected
            if waited and status.connected:
                self._say("info", "the source goes on", source=name)
            elif not status.connected:
                self._say("warning", "the source waits", source=name, why=status.message)
            elif about and (name, about) not in self._said:
                self._said.add((name, about))
                self._say("info", "the source says", source=name, what=status.message)
        self._progress.update(sources_message={n: s.message for n, s in statuses.items() if s.message})
