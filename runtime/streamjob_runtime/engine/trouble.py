"""What the job waits for just now: every system outside that fails or does not answer, as long as it does."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace

from streamjob_runtime.clock import Clock
from streamjob_runtime.engine.progress import Progress, Status
from streamjob_runtime.patience import Patient, Trouble


class TroubleBoard:
    """Takes the news of all calls that are tried again, and shows every trouble. Thread-safe."""

    def __init__(self, progress: Progress, clock: Clock, say: Callable[..., None]) -> None:
        self._progress = progress
        self._clock = clock
        self._say = say
        self._now: dict[str, Trouble] = {}
        self._said: dict[str, int] = {}  # the attempts that the log has heard of
        self._patients: list[Patient] = []
        self._lock = threading.Lock()
        progress.observe(self._observe)

    def listener(self, what: str) -> Callable[[Trouble | None], None]:
        """What `Patient` calls for the system of that name."""

        def hear(trouble: Trouble | None) -> None:
            if trouble:
                self._failed(what, trouble)
            else:
                self._ended(what)

        return hear

    def watch(self, patient: Patient) -> None:
        """Show the calls of this one also while they have no answer."""
        self._patients.append(patient)

    def _failed(self, what: str, trouble: Trouble) -> None:
        with self._lock:
            self._now[what] = trouble
            self._moves()
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
            self._moves()
        if trouble:
            waited_s = (self._clock.now_ms() - trouble.since_ms) / 1000
            self._say("info", "the system outside answers again", what=what, after_seconds=round(waited_s, 1))

    def _moves(self) -> None:
        # A loop that waits for a system outside moves: killing it would mend nothing.
        self._progress.update(moved=self._clock.monotonic())

    def _observe(self, status: Status) -> Status:
        with self._lock:
            failing = dict(self._now)
        for patient in list(self._patients):
            silent = patient.silent()
            if silent is not None:
                failing.setdefault(silent.what, silent)
        return with_troubles(status, failing.values()) if failing else status


def with_troubles(status: Status, more: Iterable[Trouble]) -> Status:
    """The status with these troubles, too; the oldest comes first."""
    return replace(status, troubles=tuple(sorted((*status.troubles, *more), key=lambda t: (t.since_ms, t.what))))
