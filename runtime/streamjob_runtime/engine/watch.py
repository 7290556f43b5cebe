"""What sources say of themselves, at any moment: whether they are connected, and how far the job is behind them."""

import re
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

from streamjob_runtime.clock import Clock
from streamjob_runtime.connectors.source import Source, SourceStatus
from streamjob_runtime.engine.progress import Progress, SourceNow, Status
from streamjob_runtime.engine.trouble import with_troubles
from streamjob_runtime.errors import StreamJobError
from streamjob_runtime.patience import Trouble

SURVEY_S = 5.0  # how often a source is asked how much is there, while the loop does not ask it
_SIGHTS = 1000  # of a partition's end, that are remembered


class Waiting:
    """Since when the oldest record that is not read is known to be there, from looks at where a partition ends."""

    def __init__(self) -> None:
        self._sights: dict[str, deque[tuple[int, int]]] = {}  # partition -> (when it was seen, its end), ends ascending

    def see(self, latest: Mapping[str, int], position: Mapping[str, int], now_ms: int) -> None:
        """What is there now, and what was read of it."""
        for partition in self._sights.keys() - latest.keys():
            del self._sights[partition]
        for partition, end in latest.items():
            sights = self._sights.setdefault(partition, deque())
            while sights and (sights[-1][1] > end or sights[0][1] <= position.get(partition, 0)):
                if sights[-1][1] > end:
                    sights.pop()  # it was made again, and is shorter
                else:
                    sights.popleft()
            if end > position.get(partition, 0) and (not sights or sights[-1][1] < end):
                if len(sights) == _SIGHTS:
                    sights = self._sights[partition] = deque(list(sights)[::2])
                sights.append((now_ms, end))

    def since_ms(self) -> int | None:
        """When the oldest record that was not read at the last look was first seen; None: there is none."""
        return min((sights[0][0] for sights in self._sights.values() if sights), default=None)


class SourceWatch:
    """Shows how sources stand whenever somebody asks, and tells the log what is news. Thread-safe."""

    def __init__(self, progress: Progress, clock: Clock, say: Callable[..., None]) -> None:
        self._clock = clock
        self._say = say
        self._sources: Mapping[str, Source] = {}
        self._polled = clock.monotonic()  # when the loop last asked the sources itself
        self._waiting: dict[str, Waiting] = {}
        self._since: dict[str, int] = {}  # source -> when it was first seen not connected
        self._last: dict[str, str] = {}
        self._waits: dict[str, bool] = {}
        self._said: set[tuple[str, str]] = set()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        progress.observe(self._observe)

    def follow(self, sources: Mapping[str, Source]) -> None:
        """Watch these sources, which are open, until `close`; ask them how much is there when the loop does not."""
        with self._lock:
            self._sources = dict(sources)
            self._waiting = {name: Waiting() for name in sources}
        for name, source in sources.items():
            # A daemon: one that waits for its system must not keep the process from ending.
            thread = threading.Thread(target=self._survey, args=(source,), name=f"survey-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Ask the sources no more: they are about to be closed."""
        self._stop.set()
        with self._lock:
            self._sources = {}

    def tell(self) -> None:
        """The loop has asked the sources: tell the log what is new. To be called after every tick."""
        self._polled = self._clock.monotonic()
        for name, status in self._look().items():
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
                # Where nothing has ever been, a path or a name may be wrong.
                level = "warning" if status.warns or not any(status.latest.values()) else "info"
                self._say(level, "the source says", source=name, what=status.message)

    def _survey(self, source: Source) -> None:
        while not self._stop.wait(SURVEY_S):
            if self._clock.monotonic() - self._polled >= SURVEY_S:
                try:
                    source.survey(self._clock.now_ms())
                except StreamJobError:
                    pass  # the loop meets it too, and says it
                except Exception:
                    if not self._stop.is_set():  # or else the source was closed meanwhile
                        raise
                self._look()

    def _look(self) -> dict[str, SourceStatus]:
        """How each source stands, remembered."""
        now_ms = self._clock.now_ms()
        with self._lock:
            statuses = {name: source.status() for name, source in self._sources.items()}
            for name, status in statuses.items():
                self._waiting[name].see(status.latest, status.position, now_ms)
                if status.connected or status.attempts == 0:
                    self._since.pop(name, None)
                else:
                    self._since.setdefault(name, now_ms)
        return statuses

    def _observe(self, status: Status) -> Status:
        statuses, now_ms = self._look(), self._clock.now_ms()
        if not statuses:
            return status
        troubles = [
            Trouble(f'source "{name}"', found.message, self._since.get(name, now_ms), found.attempts)
            for name, found in statuses.items()
            if not found.connected and found.attempts > 0
        ]
        now = tuple(self._now(name, found, now_ms) for name, found in statuses.items())
        return with_troubles(replace(status, sources=now), troubles)

    def _now(self, name: str, status: SourceStatus, now_ms: int) -> SourceNow:
        if not status.latest:
            return SourceNow(name, status.connected, status.message)
        lag = sum(max(0, end - status.position.get(p, 0)) for p, end in status.latest.items())
        since_ms = status.oldest_ms if status.oldest_ms is not None else self._waiting[name].since_ms()
        lag_ms = 0 if lag == 0 else max(0, now_ms - (since_ms if since_ms is not None else now_ms))
        return SourceNow(name, status.connected, status.message, lag, lag_ms)
