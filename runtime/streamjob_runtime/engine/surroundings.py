"""All that a job's run depends on besides its manifest: time, randomness and the outside are passed in."""

import random
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

from streamjob_runtime.clock import Clock
from streamjob_runtime.connectors.shared.decoding import Decoding, unnamed
from streamjob_runtime.connectors.shared.input_queue import InputQueue
from streamjob_runtime.connectors.shared.output_queue import OutputQueue
from streamjob_runtime.connectors.sink_context import Printer
from streamjob_runtime.engine.progress import Progress
from streamjob_runtime.engine.steps import StepHook, no_hook
from streamjob_runtime.stores.connections import Connections


@dataclass(frozen=True)
class Surroundings:
    """What whoever starts a job gives it."""

    connections: Connections
    base_dir: Path  # where relative paths of the manifest begin
    clock: Clock
    rng: random.Random
    executor: Executor  # for uploads; one thread
    stop: threading.Event  # finish the batch, take a checkpoint, return
    give_up: threading.Event  # wait for no system outside any longer
    progress: Progress
    print_rows: Printer
    say: Callable[..., None]  # the runtime's log: (level, message, **fields)
    scratch: Path  # for what does not fit into memory
    inputs: Mapping[str, InputQueue] = field(default_factory=dict)
    outputs: Mapping[str, OutputQueue] = field(default_factory=dict)
    hook: StepHook = no_hook
    # For whoever finds the process dead: what is to be said of the batch ("": nothing), and what is decoded meanwhile.
    last_words: Callable[[str], None] = lambda text: None
    decoding: Decoding = unnamed

    def nonce(self) -> str:
        """A text that no other record or file has."""
        return f"{self.rng.getrandbits(64):016x}"

    def resolve(self, path: str) -> str:
        """The path or URL, absolute; a slash at its end stays."""
        return path if "://" in path or path.startswith("/") else f"{self.base_dir}/{path}"
