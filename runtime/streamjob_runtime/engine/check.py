"""What a start would meet, looked at beforehand: nothing is taken over, and nothing that is written stays."""

from collections.abc import Callable, Generator
from functools import partial

from streamjob_api.models import StreamJob
from streamjob_runtime.checkpoint.fit import check_fits
from streamjob_runtime.checkpoint.log import read_log
from streamjob_runtime.checkpoint.records import Checkpoint
from streamjob_runtime.checkpoint.recovery import Recovery, newest_whole
from streamjob_runtime.checkpoint.snapshots import check_there
from streamjob_runtime.engine.build import assemble
from streamjob_runtime.engine.loop import LoopSettings
from streamjob_runtime.engine.surroundings import Surroundings
from streamjob_runtime.errors import Damaged
from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.proof import prove_atomic_create


def check(job: StreamJob, store: Store, around: Surroundings) -> Generator[tuple[str, Callable[[], str]]]:
    """Each thing that a start of the job needs: what it is, and a look at it, which says what was found, for people.

    A look raises what the start would raise: `JobError`; `Unavailable` where it would wait, once `around.give_up` is
    set. The job may be running meanwhile. What only a retry can mend comes last.
    """
    settings, parts = assemble(job, store, around)
    sources = parts.sources(0)
    try:
        yield "its form and its SQL", lambda: "in order"
        yield f"the checkpoint location {store.url}", partial(_prove, parts.store, around)
        yield "the log there", partial(_look_at_log, settings, parts.store, around)
        for name, look in parts.tables.checks().items():
            yield f"the static table {name}", look
        for named in parts.sinks:
            yield f'sink "{named.name}"', named.sink.check
        for name, source in sources.items():
            yield f'source "{name}"', source.check
    finally:
        for source in sources.values():
            source.close()
        for named in parts.sinks:
            named.sink.close()
        parts.query.close()
        parts.store.close()


def _prove(store: Store, around: Surroundings) -> str:
    prove_atomic_create(store, around.rng)
    return "one of many creates at once wins"


def _look_at_log(settings: LoopSettings, store: Store, around: Surroundings) -> str:
    records = read_log(store)
    while True:
        check_fits(records, settings.job_name, settings.meaning, store.url)
        try:
            recovery, _ = newest_whole(records, partial(check_there, store), partial(_unusable, around))
            return _outlook(recovery) if records else "there is none: the job starts from the beginning"
        except Damaged:
            # A job that runs may have deleted what we were about to look at, behind newer checkpoints.
            again = read_log(store)
            if again == records:
                raise
            records = again


def _unusable(around: Surroundings, checkpoint: Checkpoint, damage: Damaged) -> None:
    around.say("warning", "checkpoint unusable", batch=checkpoint.batch, error=str(damage))


def _outlook(recovery: Recovery) -> str:
    begin = f"the checkpoint of batch {recovery.checkpoint.batch}" if recovery.checkpoint else "the beginning"
    again = len(recovery.replay) + (recovery.unfinished is not None)
    return f"fits; a start goes on from {begin} and computes {again} {'batch' if again == 1 else 'batches'} again"
