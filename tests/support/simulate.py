"""Whole runs of a job in simulated time, killed wherever a test likes.

A run has a store, input queues and output queues that outlive it, as a real job's systems outlive its process. Time
moves only when the loop waits, and at every wait the next rows of the script arrive.
"""

import random
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from streamjob_api.manifest import parse_manifest
from streamjob_api.models import StreamJob
from streamjob_runtime.clock import ManualClock
from streamjob_runtime.connectors.shared.input_queue import InputQueue
from streamjob_runtime.connectors.shared.output_queue import OutputQueue
from streamjob_runtime.engine.build import build
from streamjob_runtime.engine.progress import Progress
from streamjob_runtime.engine.steps import Step
from streamjob_runtime.engine.surroundings import Surroundings
from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.connections import Connections, Secrets
from support.memory import MemoryStore

T = TypeVar("T")

BEGIN_MS = 1_800_000_000_000  # in 2027: behind all event times of the tests, of which none is of the future by chance


class Killed(BaseException):
    """The process ends here, with no chance to do anything more."""


class Inline(Executor):
    """Runs everything at once, in the caller's thread."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def job_of(text: str) -> StreamJob:
    """The job of a manifest that has no mistakes."""
    loaded = parse_manifest(text, "job.yaml")
    assert loaded.job is not None, [str(p) for p in loaded.problems]
    return loaded.job


@dataclass
class Simulation:
    """A job with the world around it. `script`: what arrives at each wait of the loop: source -> rows."""

    job: StreamJob
    script: Sequence[Mapping[str, list[dict[str, Any]]]]
    store: Store = field(default_factory=MemoryStore)
    seed: int = 0
    base_dir: Path | None = None  # where relative paths of the manifest begin
    begin_ms: int = BEGIN_MS
    logged: list[tuple[str, str]] = field(default_factory=list)
    last_words: list[str] = field(default_factory=list)  # that a start left, for whoever found it dead

    def __post_init__(self) -> None:
        self.clock = _ScriptedClock(self)
        self.inputs = {s.name: InputQueue() for s in self.job.spec.sources if s.kind == "queue"}
        self.outputs = {name: OutputQueue() for name in self.job.spec.sink_names}
        self.progress = Progress()
        self.steps: list[tuple[Step, int]] = []
        self.still_s: dict[Step, float] = {}  # at each step, how long the loop seemed not to have moved, at most
        self._at = 0
        self.stop = threading.Event()
        self._starts = 0

    def run(self, kill_at: int | None = None) -> bool:
        """Start a runtime; False if it was killed at its `kill_at`-th step (from 0), True if it came to its end."""
        self._starts += 1
        self.stop = threading.Event()
        self.progress = Progress()
        count = 0

        def hook(step: Step, batch: int) -> None:
            nonlocal count
            self.steps.append((step, batch))
            self.still_s[step] = max(self.still_s.get(step, 0), self.clock.monotonic() - self.progress.status.moved)
            if count == kill_at:
                raise Killed
            count += 1

        with tempfile.TemporaryDirectory() as scratch:
            around = Surroundings(
                connections=Connections(None, Secrets(None, {})),
                base_dir=self.base_dir or Path(scratch),
                clock=self.clock,
                rng=random.Random(f"{self.seed} {self._starts}"),
                executor=Inline(),
                stop=self.stop,
                give_up=threading.Event(),
                progress=self.progress,
                print_rows=lambda *_: None,
                say=lambda level, message, **fields: self.logged.append((level, message)),
                scratch=Path(scratch),
                inputs=self.inputs,
                outputs=self.outputs,
                hook=hook,
                last_words=self.last_words.append,
            )
            try:
                build(self.job, self.store, around).run()
            except Killed:
                return False
            return True

    def arrive(self) -> None:
        """The next part of the script, or its end."""
        if self._at == len(self.script):
            self.stop.set()
            return
        for source, rows in self.script[self._at].items():
            self.inputs[source].put(rows)
        self._at += 1


class _ScriptedClock(ManualClock):
    """A clock at whose waits for the next batch something arrives."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation.begin_ms)
        self._simulation = simulation

    def wait(self, seconds: float, wake: threading.Event) -> bool:
        super().wait(seconds, wake)
        if wake is self._simulation.stop and not wake.is_set():
            self._simulation.arrive()
        return wake.is_set()
