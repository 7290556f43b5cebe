"""Whether a job can go on from a log: it is the job's own, and its state means what the job takes it to mean."""

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from streamjob_runtime.checkpoint.identity import identify
from streamjob_runtime.checkpoint.records import Checkpoint, Fence, Intent, Record
from streamjob_runtime.checkpoint.recovery import checkpoints
from streamjob_runtime.errors import JobError


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a job takes a state to mean."""

    fingerprints: Mapping[str, str]  # stateful part of the job -> what its state's meaning depends on
    engine: str = ""  # that makes the operators' states, with its version
    tied: Mapping[str, Sequence[str]] = field(
        default_factory=dict
    )  # operator -> aggregates that not every engine reads
    readable: Set[str] = frozenset()  # the engines whose states of these this engine reads


def check_fits(records: Sequence[Record], job_name: str, meaning: Meaning, url: str) -> None:
    """Raise `JobError` if the log is another job's, or its state would be read with another meaning than it has."""
    identify(records, job_name, url)
    fences = [r.body for r in records if isinstance(r.body, Fence)]
    newest = next(iter(checkpoints(records)), None)
    has_batches = any(isinstance(r.body, Intent | Checkpoint) for r in records)
    there = fences[-1].fingerprints if fences else newest.fingerprints if newest else {}
    changed = list(differences(there, meaning.fingerprints))
    if has_batches and changed:
        with_ = f" with {newest.engine}" if newest else ""
        raise JobError(
            f"The state at {url}, written by StreamJob {records[-1].version}{with_}, does not fit this job: "
            f"{'; '.join(changed)}. Undo the change, or give the job a new checkpoint location, where it starts from "
            "the beginning."
        )
    for record in records:
        if isinstance(record.body, Checkpoint):
            _check_engine(record.body, record.version, meaning, url)


def differences(there: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """What of a job's parts is another than in the fingerprints that were written."""
    for name in sorted({*there, *now}):
        if name not in there:
            yield f"{name} is new, and the batches before would be missing in it"
        elif name not in now:
            yield f"{name} is gone"
        elif there[name].split(" ")[0] != now[name].split(" ")[0]:
            yield f"{name} changed{_of(there[name], now[name])}"


def _of(there: str, now: str) -> str:
    """Which parts changed, where the fingerprints say what they are of: those of a hash alone do not."""
    old, new = _parts(there), _parts(now)
    if not new:
        return f" from {there} to {now}"
    if not old:
        return ""
    said = []
    for kind in dict.fromkeys(kind for kind, _ in [*old, *new]):
        was, is_now = ([text for k, text in parts if k == kind] for parts in (old, new))
        gone, added = [t for t in was if t not in is_now], [t for t in is_now if t not in was]
        if len(gone) == len(added):
            said += [f"its {kind} {a} is now {b}" for a, b in zip(gone, added, strict=True)]
        else:
            said += [f"its {kind} {text} is gone" for text in gone]
            said += [f"its {kind} {text} is new" for text in added]
        if not gone and not added and was != is_now:
            said.append(f"its {kind}s stand in another order: {', '.join(was)} before")
    return f": {', '.join(said)}" if said else " in how its state is kept"


def _parts(fingerprint: str) -> list[tuple[str, str]]:
    try:
        return [(str(kind), str(text)) for kind, text in json.loads(fingerprint.partition(" ")[2] or "[]")]
    except (ValueError, TypeError):
        return []  # as another version writes it: only its hash is compared


def _check_engine(checkpoint: Checkpoint, version: str, meaning: Meaning, url: str) -> None:
    """Raise `JobError` if the checkpoint holds a state that only another engine reads as what it is."""
    if checkpoint.engine == meaning.engine or checkpoint.engine in meaning.readable:
        return
    tied = [f"{', '.join(names)} in {operator}" for operator, names in sorted(meaning.tied.items()) if names]
    if tied:
        raise JobError(
            f"The state at {url} was made by {checkpoint.engine}, and this is {meaning.engine}, which may take it for "
            f"something else: {'; '.join(tied)}. Run StreamJob {version}, which wrote it, or give the job a new "
            "checkpoint location, where it starts from the beginning."
        )
