"""`streamjob checkpoints delete`: the end of all that a job has kept."""

import os
import random
import secrets as randomness
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import click

from streamjob_runtime.checkpoint.identity import full_name
from streamjob_runtime.cli.exit import DONE, Ending
from streamjob_runtime.cli.load import load_job
from streamjob_runtime.cli.location import location_of
from streamjob_runtime.cli.log import Logger
from streamjob_runtime.cli.signals import end_on_signals
from streamjob_runtime.clock import Clock, SystemClock
from streamjob_runtime.engine.removal import remove
from streamjob_runtime.patience import Trouble
from streamjob_runtime.printable import printable
from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.connections import Connections, Secrets
from streamjob_runtime.stores.open import open_store
from streamjob_runtime.stores.retrying import RetryingStore

# How long a store that fails is tried again, seconds.
PATIENCE_S = 30.0


def delete_checkpoints(
    file: Path,
    checkpoint: str | None,
    secrets: Path | None,
    replace: Sequence[Path],
    yes: bool,
    termination_log: Path | None,
) -> int:
    """Delete them, after asking unless `yes`; the exit code."""
    clock = SystemClock()
    ending = Ending(Logger(sys.stderr, "text", clock), termination_log)
    give_up = threading.Event()
    try:
        with end_on_signals(give_up):
            job, _ = load_job(file, replace)
            name = full_name(job.metadata.namespace, job.metadata.name)
            bare = open_store(
                location_of(job, file, checkpoint),
                Connections(job.spec.s3, Secrets(secrets, os.environ), job.spec.hdfs),
            )
            if not yes and not click.confirm(f"Delete the log and the state of the job {name} at {bare.url}?"):
                return DONE
            rng = random.Random(randomness.randbits(128))
            store = _patient(bare, clock, rng, give_up)
            count = remove(store, name, clock, lambda: f"{rng.getrandbits(64):016x}")
    except Exception as error:
        return ending.failed(error)
    said = f"{count} {'object' if count == 1 else 'objects'} of the job {name} deleted at {bare.url}."
    print(printable(said if count else f"There is nothing of the job {name} at {bare.url}."))  # noqa: T201 - the command's output
    return ending.done(said)


def _patient(store: Store, clock: Clock, rng: random.Random, give_up: threading.Event) -> Store:
    def hear(trouble: Trouble | None) -> None:
        if trouble and clock.now_ms() - trouble.since_ms > PATIENCE_S * 1000:
            give_up.set()

    return RetryingStore(store, clock, rng, give_up, hear, store.url)
