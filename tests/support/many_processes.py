"""Several processes of one job at a time, led by one seed: they start, freeze, die and wake, and the store fails.

Each process is a thread that runs the job's loop. One of them runs at a time, and whose turn it is next is decided at
every step of the protocol, every call of the store and every wait: so a seed always gives the same run. What another
process may see of all that, it sees here too.
"""

import random
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from streamjob_api.models import StreamJob
from streamjob_runtime.checkpoint.log import read_log
from streamjob_runtime.clock import ManualClock
from streamjob_runtime.connectors.shared.input_queue import InputQueue
from streamjob_runtime.connectors.shared.output_queue import OutputQueue
from streamjob_runtime.engine.build import build
from streamjob_runtime.engine.progress import Progress
from streamjob_runtime.engine.steps import Step
from streamjob_runtime.engine.surroundings import Surroundings
from streamjob_runtime.errors import Fenced, StreamJobError, Unavailable
from streamjob_runtime.stores.base import Entry
from streamjob_runtime.stores.connections import Connections, Secrets
from support.memory import MemoryStore
from support.simulate import BEGIN_MS, Killed

T = TypeVar("T")
Rows = Mapping[str, list[dict[str, Any]]]

_MOST_TURNS = 20_000  # of a run: one that needs more goes round in circles


@dataclass(frozen=True)
class Odds:
    """How often what happens at a turn, as shares of one."""

    kill: float = 0.01
    freeze: float = 0.02
    wake: float = 0.05
    store_before: float = 0.01
    store_after: float = 0.01
    slow: float = 0.05
    faults: int = 8  # kills and freezes of a run, at most
    alive: int = 3  # processes at a time, at most


CALM = Odds(kill=0, freeze=0, store_before=0, store_after=0, slow=0)


@dataclass
class World:
    """A job and all that outlives its processes. `script`: what arrives at each wait for the next batch."""

    job: StreamJob
    script: Sequence[Rows]
    seed: int
    odds: Odds = field(default_factory=Odds)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.clock = _Clock(self)
        self.store = MemoryStore(self.clock)
        self.inputs = {s.name: InputQueue() for s in self.job.spec.sources}
        self.outputs = {name: AuditedQueue(name) for name in self.job.spec.sink_names}
        self.stop = threading.Event()
        self.happened: list[str] = []  # in words, for whoever looks into a seed
        self._at = 0
        self._processes: list[_Process] = []
        self._faults = 0
        self._turns = 0
        self._calm = False
        self._over = threading.Event()

    def run(self) -> None:
        """Run the job to the end of its script, and then once more without faults. Raises what a process raised."""
        while self._at < len(self.script):
            self._lead()
        self._bury()
        self._calm = True
        self.stop.clear()
        self._lead()
        check_log(read_log(self.store))

    @contextmanager
    def told(self) -> Iterator[None]:
        """What is wrong in the block is told with the seed, and with what happened in it."""
        try:
            yield
        except BaseException as error:
            error.add_note(f"SEED={self.seed}\n" + "\n".join(self.happened))
            raise

    # --- whose turn it is

    def _lead(self) -> None:
        """Start a process, and hand turns to processes until none is left that could take one."""
        self._start()
        while not self.stop.is_set() or self._calm:
            ready = [p for p in self._processes if not p.ended and not p.frozen]
            if not ready:
                frozen = [p for p in self._processes if not p.ended]
                if not frozen or self.rng.random() < 0.5:
                    break
                frozen[0].frozen = False
                continue
            self._turns += 1
            assert self._turns < _MOST_TURNS, "it goes round in circles"
            process = self.rng.choice(ready)
            process.take_turn()
            if process.error is not None:
                raise process.error
            self._happen()

    def _happen(self) -> None:
        """What befalls the processes between two turns."""
        if self._calm:
            return
        for process in self._processes:
            if process.frozen and not process.ended and self.rng.random() < self.odds.wake:
                process.frozen = False
                self.happened.append(f"{process.name} wakes")
        ready = [p for p in self._processes if not p.ended and not p.frozen]
        if not ready or self._faults >= self.odds.faults:
            return
        process, chance = self.rng.choice(ready), self.rng.random()
        if chance < self.odds.kill:
            self._faults += 1
            self.happened.append(f"{process.name} dies at {process.place}")
            process.kill()
        elif chance < self.odds.kill + self.odds.freeze:
            self._faults += 1
            self.happened.append(f"{process.name} freezes at {process.place}")
            process.frozen = True
            if len([p for p in self._processes if not p.ended]) < self.odds.alive:
                self._start()

    def _start(self) -> None:
        process = _Process(self, f"process {len(self._processes)}")
        self._processes.append(process)
        process.start()

    def _bury(self) -> None:
        for process in self._processes:
            process.kill()

    def arrive(self) -> None:
        """The next part of the script, or its end."""
        if self._at < len(self.script):
            for source, rows in self.script[self._at].items():
                self.inputs[source].put(rows)
        self._at += 1
        # The last process waits a few times more, for what time alone ends.
        if self._at == len(self.script) if not self._calm else self._at > len(self.script) + 3:
            self.stop.set()

    def fault(self, what: str) -> str:
        """What happens to a call of the store: "before", "after" or nothing."""
        if self._calm:
            return ""
        if self.rng.random() < self.odds.slow:
            self.clock.advance(self.rng.random() * 3)
        chance = self.rng.random()
        if chance < self.odds.store_before:
            self.happened.append(f"{what} fails")
            return "before"
        if chance < self.odds.store_before + self.odds.store_after:
            self.happened.append(f"the answer to {what} is lost")
            return "after"
        return ""


class _Process(threading.Thread):
    """One process of the job."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._world = world
        self._go = threading.Semaphore(0)
        self._done = threading.Semaphore(0)
        self.frozen = False
        self.ended = False
        self.error: BaseException | None = None
        self.place = "its start"
        self._killed = False

    def take_turn(self) -> None:
        """Let it run until it comes to its next turn, or to its end."""
        self._go.release()
        self._done.acquire()

    def turn(self, place: str) -> None:
        """In the process: give the turn back, and wait for the next one. Raises `Killed`."""
        if self._killed:
            raise Killed  # on its way out it does nothing more
        self.place = place
        self._done.release()
        self._go.acquire()
        if self._killed:
            raise Killed

    def kill(self) -> None:
        """It does nothing more."""
        if not self.ended:
            self._killed = True
            self.take_turn()

    def run(self) -> None:
        """See `threading.Thread`."""
        self._go.acquire()
        try:
            if not self._killed:
                self._run_job()
        except (Killed, Fenced):
            pass
        except BaseException as error:
            self.error = error
        self.ended = True
        self._done.release()

    def _run_job(self) -> None:
        world = self._world
        with tempfile.TemporaryDirectory() as scratch:
            around = Surroundings(
                connections=Connections(None, Secrets(None, {})),
                base_dir=Path(scratch),
                clock=world.clock,
                rng=random.Random(f"{world.seed} {self.name}"),
                executor=_Later(world.rng),
                stop=world.stop,
                give_up=threading.Event(),
                progress=Progress(),
                print_rows=lambda *_: None,
                say=lambda *_, **__: None,
                scratch=Path(scratch),
                inputs=world.inputs,
                outputs=world.outputs,
                hook=self._hook,
            )
            build(world.job, _Store(world, world.store), around).run()

    def _hook(self, step: Step, batch: int) -> None:
        self.turn(f"{step.name} {batch}")


def _here() -> _Process | None:
    """The process whose thread this is; None: it is a helper of one."""
    thread = threading.current_thread()
    return thread if isinstance(thread, _Process) else None


class _Clock(ManualClock):
    """One clock for all. At a wait for the next batch something arrives."""

    def __init__(self, world: World) -> None:
        super().__init__(BEGIN_MS)
        self._world = world

    def wait(self, seconds: float, wake: threading.Event) -> bool:
        super().wait(seconds, wake)
        process = _here()
        if process is not None:
            process.turn("a wait")
        if wake is self._world.stop and not wake.is_set():
            self._world.arrive()
        return wake.is_set()


class _Store:
    """The store as a process has it: each call takes turns, and may fail before or after it is applied."""

    def __init__(self, world: World, inner: MemoryStore) -> None:
        self._world = world
        self._inner = inner

    @property
    def url(self) -> str:
        return self._inner.url

    def create(self, key: str, data: bytes) -> None:
        self._apply(f"create {key}", lambda: self._inner.create(key, data))

    def read(self, key: str) -> bytes:
        return self._apply(f"read {key}", lambda: self._inner.read(key))

    def stat(self, key: str) -> Entry:
        return self._apply(f"stat {key}", lambda: self._inner.stat(key))

    def list(self, prefix: str = "", recursive: bool = True) -> Iterator[Entry]:
        return iter(self._apply(f"list {prefix}", lambda: [*self._inner.list(prefix, recursive)]))

    def replace(self, key: str, data: bytes, expected: str | None) -> str:
        return self._apply(f"replace {key}", lambda: self._inner.replace(key, data, expected))

    def delete(self, key: str) -> None:
        self._apply(f"delete {key}", lambda: self._inner.delete(key))

    def close(self) -> None:
        pass

    def _apply(self, what: str, call: Callable[[], T]) -> T:
        process = _here()
        if process is None or what.partition(" ")[2].startswith("proof/"):
            return call()  # the proof of the store, which sixteen threads make
        process.turn(f"before {what}")
        fault = self._world.fault(what)
        if fault == "before":
            raise Unavailable(f"{what}: failed on purpose, before it was applied")
        if fault == "after":
            with suppress(StreamJobError):
                call()
        answer = None if fault else call()
        process.turn(f"after {what}")
        if fault:
            raise Unavailable(f"{what}: failed on purpose, after it was applied")
        return answer  # type: ignore[return-value]


class _Later(Executor):
    """Runs a task in the caller's thread: at once, or when somebody asks for it."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        return _Task(self._rng, lambda: fn(*args, **kwargs))


class _Task(Future[T]):
    """A task that may take until its result is asked for."""

    def __init__(self, rng: random.Random, work: Callable[[], T]) -> None:
        super().__init__()
        self._rng = rng
        self._work = work

    def done(self) -> bool:
        if not super().done() and self._rng.random() < 0.5:
            self._do()
        return super().done()

    def result(self, timeout: float | None = None) -> T:
        if not super().done():
            self._do()
        return super().result(timeout)

    def _do(self) -> None:
        try:
            self.set_result(self._work())
        except Exception as error:
            self.set_exception(error)


class AuditedQueue(OutputQueue):
    """What a sink was given. A batch is the same whoever writes it, and however often."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._first: dict[int, tuple[Any, Any]] = {}

    def put(self, batch_id: int, rows: pa.Table, deleted: pa.Table | None = None) -> None:
        process = _here()
        if process is not None:
            process.turn(f"before {self._name} has batch {batch_id}")
        given = (in_order(rows), in_order(deleted))
        first = self._first.setdefault(batch_id, given)
        assert given == first, f"batch {batch_id} of {self._name} was {first} and is {given} when it is written again"
        super().put(batch_id, rows, deleted)


def held(world: World, keys: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What each sink holds in the end: all rows, or a table by its key, for those that have one in `keys`."""
    found: dict[str, Any] = {}
    for sink, output in world.outputs.items():
        key = keys.get(sink)
        if key is None:
            found[sink] = Counter(map(repr, output.rows().to_pylist()))
            continue
        table: dict[Any, Any] = {}
        deleted = dict(output.deleted())
        for batch, rows in output.batches():
            for row in deleted[batch].to_pylist() if batch in deleted else ():
                table.pop(tuple(row[c] for c in key))
            table |= {tuple(row[c] for c in key): row for row in rows.to_pylist()}
        found[sink] = table
    return found


def in_order(rows: pa.Table | None) -> list[str]:
    """Rows whose order says nothing."""
    return [] if rows is None else sorted(map(repr, rows.to_pylist()))


def check_log(records: Iterable[Any]) -> None:
    """The rules of the log: each batch is intended once, and committed at most once, in order."""
    intended: list[int] = []
    committed: list[int] = []
    epoch = 0
    for record in records:
        assert record.epoch >= epoch, f"record {record.seq} is of epoch {record.epoch} behind {epoch}"
        epoch = record.epoch
        kind = type(record.body).__name__
        if kind == "Intent":
            intended.append(record.body.batch)
        if kind == "Commit":
            assert record.body.batch in intended, f"batch {record.body.batch} is committed and was never intended"
            committed.append(record.body.batch)
    for batches in (intended, committed):
        assert batches == sorted(set(batches)), batches
