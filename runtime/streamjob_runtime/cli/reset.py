"""`streamjob checkpoints reset-watermark`: event time set back, after a wrong row has driven it ahead."""

import os
import random
import secrets as randomness
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from streamjob_runtime.checkpoint.identity import full_name
from streamjob_runtime.checkpoint.log import read_log
from streamjob_runtime.cli.exit import DONE, Ending
from streamjob_runtime.cli.load import load_job
from streamjob_runtime.cli.location import location_of
from streamjob_runtime.cli.log import Logger
from streamjob_runtime.clock import SystemClock, iso
from streamjob_runtime.engine.watermark_reset import describe, plan_reset, reset
from streamjob_runtime.printable import printable
from streamjob_runtime.stores.connections import Connections, Secrets
from streamjob_runtime.stores.open import open_store


def reset_watermark(
    file: Path,
    checkpoint: str | None,
    secrets: Path | None,
    replace: Sequence[Path],
    to: datetime | None,
    yes: bool,
) -> int:
    """Forget the event times that are later than `to` (None: now), after asking unless `yes`; the exit code."""
    clock = SystemClock()
    ending = Ending(Logger(sys.stderr, "text", clock), None)
    try:
        job, _ = load_job(file, replace)
        name = full_name(job.metadata.namespace, job.metadata.name)
        connections = Connections(job.spec.s3, Secrets(secrets, os.environ), job.spec.hdfs)
        store = open_store(location_of(job, file, checkpoint), connections)
        marked = job.spec.watermarks
        delays_ms = {source: w.delay // timedelta(milliseconds=1) for source, w in marked.items()}
        to_ms = clock.now_ms() if to is None else round(to.replace(tzinfo=to.tzinfo or UTC).timestamp() * 1000)
        planned = plan_reset(read_log(store), name, store.url, delays_ms, to_ms)
        if planned is None:
            _say(f"No event time of the job {name} is later than {iso(to_ms)}: there is nothing to set back.")
            return DONE
        if not yes and not click.confirm(f"{describe(planned)} {_WARNING} Do it?"):
            return DONE
        rng = random.Random(randomness.randbits(128))
        done = reset(store, name, delays_ms, to_ms, clock, lambda: f"{rng.getrandbits(64):016x}")
    except Exception as error:
        return ending.failed(error)
    _say(describe(done) if done else "The job has set it back itself meanwhile.")
    return DONE


_WARNING = (
    "Windows that were closed too early are opened again by the rows to come, and are written once more when they end."
)


def _say(text: str) -> None:
    print(printable(text))  # noqa: T201 - the command's output
