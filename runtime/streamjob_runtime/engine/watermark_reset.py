"""Setting a stopped job's watermark back, after a wrong event time has driven it ahead."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version

from streamjob_runtime.checkpoint.identity import identify
from streamjob_runtime.checkpoint.log import Log, read_log
from streamjob_runtime.checkpoint.records import Checkpoint, Fence, Record
from streamjob_runtime.checkpoint.recovery import checkpoints, recover
from streamjob_runtime.clock import Clock, iso
from streamjob_runtime.errors import JobError
from streamjob_runtime.stores.base import Store


@dataclass(frozen=True, slots=True)
class Reset:
    """A checkpoint as it is, and as it would be."""

    before: Checkpoint
    after: Checkpoint


def plan_reset(
    records: Sequence[Record], job_name: str, url: str, delays_ms: Mapping[str, int], to_ms: int
) -> Reset | None:
    """What a reset would change: event times later than `to_ms` are forgotten, and the watermark comes from the rest.

    None: there is nothing later. Raises `JobError` if the log is another job's, has no checkpoint, or has batches
    behind its newest one, which a start would compute again with the watermarks that they had.
    """
    identify(records, job_name, url)
    newest = next(iter(checkpoints(records)), None)
    if newest is None:
        raise JobError(f"There is no checkpoint at {url}, so that there is no watermark to set back.")
    found = recover(records, newest)
    if found.replay or found.unfinished:
        raise JobError(
            f"The job at {url} did not stop in good order: batches follow its newest checkpoint, each with the "
            "watermark that it had. Start the job and stop it (Ctrl-C, or spec.suspend: true), then do this again."
        )
    kept = {source: ms for source, ms in newest.event_times.items() if ms <= to_ms}
    marks = [ms - delays_ms.get(source, 0) for source, ms in kept.items()]
    whole = kept.keys() >= delays_ms.keys() and bool(marks)
    mark = min(marks) if whole else None
    if newest.event_times == kept and (newest.watermark_ms is None or newest.watermark_ms <= to_ms):
        return None
    return Reset(newest, replace(newest, event_times=kept, watermark_ms=mark))


def reset(
    store: Store, job_name: str, delays_ms: Mapping[str, int], to_ms: int, clock: Clock, nonce: Callable[[], str]
) -> Reset | None:
    """Take the log over and set the watermark back; a process that still runs the job can write no record more.

    What was changed; None: there was nothing to change, and nothing was written. Raises as `plan_reset`, and `Fenced`.
    """
    if plan_reset(read_log(store), job_name, store.url, delays_ms, to_ms) is None:
        return None
    log = Log(store, job_name, nonce)
    known = _fingerprints(read_log(store))
    records = log.take_over(clock.now_ms(), version("streamjob"), known)
    # A process that was still running may have written a batch before the FENCE.
    done = plan_reset(records, job_name, store.url, delays_ms, to_ms)
    if done is not None:
        log.append(done.after)
    return done


def describe(done: Reset) -> str:
    """What was changed, for people."""
    before, after = (_shown(c.watermark_ms) for c in (done.before, done.after))
    gone = sorted(done.before.event_times.keys() - done.after.event_times.keys())
    of = f"; the highest event time of {', '.join(gone)} is forgotten" if gone else ""
    return f"The watermark is set back from {before} to {after}{of}."


def _fingerprints(records: Sequence[Record]) -> dict[str, str]:
    """As the log has them: what the state means does not change."""
    bodies = [r.body for r in records if isinstance(r.body, Fence)] or checkpoints(records)[:1]
    return dict(bodies[-1].fingerprints) if bodies else {}


def _shown(mark: int | None) -> str:
    return "none" if mark is None else iso(mark)
