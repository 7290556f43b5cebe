"""`streamjob run`: one job in this process."""

import os
import random
import secrets
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from streamjob_api.manifest import LoadedManifest
from streamjob_api.models import StreamJob
from streamjob_runtime.cli.bounded import LIMITS, Limits
from streamjob_runtime.cli.exit import Ending, last_of
from streamjob_runtime.cli.last_words import LastWords
from streamjob_runtime.cli.live import LiveView
from streamjob_runtime.cli.load import load_planned
from streamjob_runtime.cli.location import location_of, open_checkpoints
from streamjob_runtime.cli.log import Level, Logger, Style
from streamjob_runtime.cli.problems import placed
from streamjob_runtime.cli.signals import GRACE_S, stop_on_signals
from streamjob_runtime.clock import Clock, SystemClock
from streamjob_runtime.connectors.console.sink import TextPrinter
from streamjob_runtime.connectors.sink_context import Printer
from streamjob_runtime.engine.build import build
from streamjob_runtime.engine.progress import Progress
from streamjob_runtime.engine.steps import StepHook, no_hook
from streamjob_runtime.engine.surroundings import Surroundings
from streamjob_runtime.errors import Unavailable
from streamjob_runtime.server.http import serve
from streamjob_runtime.stores.connections import Connections, Secrets


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line says."""

    file: Path
    checkpoint: str | None = None
    secrets: Path | None = None
    http_port: int | None = None
    http_host: str = "127.0.0.1"
    log_format: str = "text"
    termination_log: Path | None = None
    replace: tuple[Path, ...] = ()  # files with parts that take the places of those of `file`


def run_job(options: RunOptions, hook: StepHook = no_hook, grace_s: float = GRACE_S, limits: Limits = LIMITS) -> int:
    """Run the job until it is done or told to stop; give the exit code. Errors are printed, never raised.

    `grace_s`: how long a stop waits for a system outside, seconds. `limits`: what the job's SQL may take to be planned.
    """
    clock = SystemClock()
    progress = Progress()
    log = Logger(sys.stderr, cast(Style, options.log_format), clock)
    words = LastWords(options.termination_log)
    ending = Ending(log, options.termination_log, lambda: last_of(progress, clock.now_ms()), words.over)
    try:
        job, loaded = load_planned(options.file, options.replace, limits)
        ending = replace(ending, excerpts=job.spec.excerpts_in_status)
        stopped = _run(options, job, loaded, hook, grace_s, clock, progress, ending, words)
    except Exception as error:
        progress.update(phase="Failed")
        return ending.failed(error)
    if stopped:
        return ending.done("The job was asked to stop: the next start goes on from here.", "Stopped")
    return ending.done("The job is done.")


def _abandon(progress: Progress, ending: Ending, restore: Callable[[], None]) -> int:
    """Say that the job ends in the middle of a call to a system outside; give the exit code."""
    restore()
    trouble = progress.status.trouble
    what = f"{trouble.what} does not ({trouble.error})" if trouble else "one of its systems does not"
    return ending.failed(
        Unavailable(
            f"The job was asked to stop and waited for systems outside to answer, but {what}. "
            "Nothing is lost: the next start goes on from the last record of the log."
        )
    )


def _run(
    options: RunOptions,
    job: StreamJob,
    loaded: LoadedManifest,
    hook: StepHook,
    grace_s: float,
    clock: Clock,
    progress: Progress,
    ending: Ending,
    words: LastWords,
) -> bool:
    """Run the job; whether it was asked to stop, and so may not be done."""
    location = location_of(job, options.file, options.checkpoint)
    stop, give_up = threading.Event(), threading.Event()
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="streamjob-", ignore_cleanup_errors=True))
        executor = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="checkpoint"))
        stack.callback(give_up.set)  # after an error, let no upload wait for its store for ever
        printer, say, restore = stack.enter_context(_outputs(progress, clock, ending.log))
        abandon = partial(_abandon, progress, ending, restore)
        stack.enter_context(stop_on_signals(stop, give_up, say, restore, abandon, grace_s))
        if options.http_port is not None:
            server = serve(progress, clock, options.http_host, options.http_port)
            stack.callback(server.close)
            say("info", f"serving http://{options.http_host}:{server.port}/")
        connections = Connections(job.spec.s3, Secrets(options.secrets, os.environ), job.spec.hdfs)
        around = Surroundings(
            connections=connections,
            base_dir=options.file.parent,
            clock=clock,
            rng=random.Random(secrets.randbits(128)),
            executor=executor,
            stop=stop,
            give_up=give_up,
            progress=progress,
            print_rows=printer,
            say=say,
            scratch=Path(scratch),
            hook=hook,
            last_words=words.batch,
            decoding=words.decoding,
        )
        say("info", f"starting {job.metadata.name}", checkpoint=location)
        with placed(loaded):
            loop = build(job, open_checkpoints(location, connections), around)
        loop.run()
        say("info", f"stopped {job.metadata.name}: the next start goes on from here")
        return stop.is_set()


@contextmanager
def _outputs(
    progress: Progress, clock: Clock, log: Logger
) -> Iterator[tuple[Printer, Callable[..., None], Callable[[], None]]]:
    """Where console rows and the runtime's log go, and what leaves the terminal as it was.

    In a terminal a live view has the screen, and the log is shown when it is gone.
    """
    if not sys.stdout.isatty():
        progress.listen(log.log_batch)
        yield TextPrinter(sys.stdout), log.log_event, lambda: None
        return
    view = LiveView(progress, clock)
    kept: deque[tuple[Level, str, dict[str, Any]]] = deque(maxlen=20)

    def keep(level: Level, message: str, **fields: Any) -> None:
        kept.append((level, message, fields))

    try:
        with view:
            yield view.print_rows, keep, view.stop
    finally:
        for level, message, fields in kept:
            log.log_event(level, message, **fields)
