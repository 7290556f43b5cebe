"""`streamjob check`: whether the job could start now, without starting it."""

import os
import random
import secrets
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from streamjob_api.manifest import LoadedManifest
from streamjob_api.models import StreamJob
from streamjob_runtime.cli.bounded import LIMITS, Limits
from streamjob_runtime.cli.exit import Ending
from streamjob_runtime.cli.last_words import LastWords
from streamjob_runtime.cli.load import load_planned
from streamjob_runtime.cli.location import location_of, open_checkpoints
from streamjob_runtime.cli.log import Logger, Style
from streamjob_runtime.cli.problems import placed
from streamjob_runtime.cli.signals import end_on_signals, patience
from streamjob_runtime.clock import SystemClock
from streamjob_runtime.engine.check import check
from streamjob_runtime.engine.progress import Progress
from streamjob_runtime.engine.surroundings import Surroundings
from streamjob_runtime.errors import Unavailable
from streamjob_runtime.printable import printable
from streamjob_runtime.stores.connections import Connections, Secrets

# How long all systems outside together are waited for, seconds.
PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What the command line says."""

    file: Path
    checkpoint: str | None = None
    secrets: Path | None = None
    log_format: str = "text"
    termination_log: Path | None = None
    replace: tuple[Path, ...] = ()  # files with parts that take the places of those of `file`


def check_job(options: CheckOptions, patience_s: float = PATIENCE_S, limits: Limits = LIMITS) -> int:
    """Check the job, print a line for each thing that is in order, and give the exit code.

    `limits`: what its SQL may take before anything of it is computed here.
    """
    words = LastWords(options.termination_log)
    log = Logger(sys.stderr, cast(Style, options.log_format), SystemClock())
    ending = Ending(log, options.termination_log, over=words.over)
    try:
        job, loaded = load_planned(options.file, options.replace, limits)
        ending = replace(ending, excerpts=job.spec.excerpts_in_status)
        _check(options, patience_s, job, loaded, ending, words)
    except Exception as error:
        return ending.failed(error)
    return ending.done("The job could start.")


def _check(
    options: CheckOptions, patience_s: float, job: StreamJob, loaded: LoadedManifest, ending: Ending, words: LastWords
) -> None:
    location = location_of(job, options.file, options.checkpoint)
    give_up = threading.Event()
    progress = Progress()
    asked = str(options.file)

    def abandon() -> int:
        trouble = progress.status.trouble
        error = f" ({trouble.error})" if trouble else ""
        return ending.failed(Unavailable(f"{asked} did not answer within {patience_s:g} seconds{error}. Try again."))

    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="streamjob-", ignore_cleanup_errors=True))
        executor = stack.enter_context(ThreadPoolExecutor(1))
        stack.enter_context(patience(patience_s, give_up, abandon))()
        stack.enter_context(end_on_signals(give_up))
        connections = Connections(job.spec.s3, Secrets(options.secrets, os.environ), job.spec.hdfs)
        around = Surroundings(
            connections=connections,
            base_dir=options.file.parent,
            clock=SystemClock(),
            rng=random.Random(secrets.randbits(128)),
            executor=executor,
            stop=threading.Event(),
            give_up=give_up,
            progress=progress,
            print_rows=lambda *_: None,
            say=ending.log.log_event,
            scratch=Path(scratch),
            decoding=words.decoding,
        )
        with placed(loaded), closing(check(job, open_checkpoints(location, connections), around)) as looks:
            for asked, look in looks:
                _tell(ending.log, asked, look())


def _tell(log: Logger, what: str, found: str) -> None:
    if log.style == "json":
        log.log_event("info", "checked", what=what, found=found)
    else:
        print(printable(f"{what}: {found}"), flush=True)  # noqa: T201 - the command's output
