"""What the job waits for just now: every store that fails, as long as it fails."""

import threading
from collections.abc import Callable

from streamjob_runtime.clock import Clock
from streamjob_runtime.engine.progress import Progress, Trouble
from streamjob_runtime.stores.retrying import StoreTrouble


class TroubleBoard:
    """Takes the news of all retrying stores and shows the oldest trouble. Thread-safe."""

    def __init__(self, progress: Progress, clock: Clock, say: Callable[..., None]) -> None:
        self._progress = progress
        self._clock = clock
        self._say = say
        self._now: dict[str, StoreTrouble] = {}
        self._lock = threading.Lock()

    def listener(self, what: str) -> Callable[[StoreTrouble | None], None]:
        """What the retrying store of that name calls."""

        def hear(trouble: StoreTrouble | None) -> None:
            if trouble:
                self._failed(what, trouble)
            else:
                self._ended(what)

        return hear

    def _failed(self, what: str, trouble: StoreTrouble) -> None:
        with self._lock:
            self._now[what] = trouble
            self._show()
        if trouble.attempts & (trouble.attempts - 1) == 0:  # 1st, 2nd, 4th …: a long trouble does not flood the log
            self._say("warning", "waiting for a system outside", what=what, error=trouble.error, n=trouble.attempts)

    def _ended(self, what: str) -> None:
        with self._lock:
            trouble = self._now.pop(what, None)
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
