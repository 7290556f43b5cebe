"""The records of a job's log: what each says, and how it is written down.

A record is one JSON object: `{format, version, seq, epoch, nonce, prev, crc, body}`. `version` is of the StreamJob that
wrote it; `prev` is the checksum of the record before it, so that the records form a chain; `crc` covers all the other
fields; `nonce` tells this record from the same record written by somebody else. The body's `kind` is one of FENCE,
INTENT, COMMIT, CHECKPOINT and BOUNDARY.
"""

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any, ClassVar

from pydantic import TypeAdapter, ValidationError

from streamjob_runtime.errors import Damaged, JobError

# Of a record and of all that lies beside it: what the ranges and states of our sources say, the columns of the
# operators' states, the tables' copies, the WAL. Whatever changes in any of these, a field more included, takes the
# next number, and what is older is still read (`_UPGRADES`).
FORMAT = 2


class UnknownFormat(JobError):
    """Another version of StreamJob wrote this, and this one cannot tell what it means."""


@dataclass(frozen=True, slots=True)
class Fence:
    """A runtime has started and taken over: records of lower epochs can follow no more."""

    kind: ClassVar[str] = "FENCE"
    job_id: str
    job_name: str
    time_ms: int
    fingerprints: Mapping[str, str]  # stateful part of the job -> what its state's meaning depends on
    starts: Mapping[str, Any] = field(
        default_factory=dict
    )  # source -> where it begins (`Source.begin`), before a batch


@dataclass(frozen=True, slots=True)
class Intent:
    """What a batch is made of, before anything of it is done: a replay of it gives the same rows."""

    kind: ClassVar[str] = "INTENT"
    batch: int
    time_ms: int
    watermark_ms: int | None
    late_before_ms: int | None
    ranges: Mapping[str, Any]  # source -> OffsetRange.to_json()
    tables: Mapping[str, str]  # static table -> the version that the batch joins with


@dataclass(frozen=True, slots=True)
class Commit:
    """The batch is in every sink."""

    kind: ClassVar[str] = "COMMIT"
    batch: int
    time_ms: int
    input_rows: int
    output_rows: int


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a checkpoint, with what tells whether it is whole."""

    key: str
    size: int
    crc: int
    rows: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A state snapshot counts from here on: a restart needs nothing of the batches up to `batch`."""

    kind: ClassVar[str] = "CHECKPOINT"
    batch: int
    time_ms: int  # the batch's time
    watermark_ms: int | None  # the batch's watermark
    event_times: Mapping[str, int]  # source -> the highest event time seen, milliseconds
    fingerprints: Mapping[str, str]
    engine: str  # that made the operators' states, with its version: "DuckDB 2.0.0"
    state: Mapping[str, StoredFile]  # stateful operator -> its snapshot
    sources: StoredFile  # the state of all sources, one JSON object

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """Every file that the checkpoint is made of."""
        return (*self.state.values(), self.sources)

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(f.size for f in self.files)


@dataclass(frozen=True, slots=True)
class Boundary:
    """Nothing before `first_seq` is needed for a restart: what still lies there is about to be deleted.

    But the FENCEs stay for good. The slot behind the last record of an epoch always holds the next FENCE: were it free
    again, a process of that epoch that wakes late could write there and believe that it is still the only one.
    """

    kind: ClassVar[str] = "BOUNDARY"
    job_id: str
    job_name: str
    first_seq: int
    fences: tuple[int, ...]  # the FENCEs that lie before it


Body = Fence | Intent | Commit | Checkpoint | Boundary
_BODIES: dict[str, type[Body]] = {b.kind: b for b in (Fence, Intent, Commit, Checkpoint, Boundary)}


@dataclass(frozen=True, slots=True)
class Record:
    """A body in its place in the log."""

    seq: int
    epoch: int
    nonce: str
    prev: int  # crc of the record before; 0 for the first
    version: str  # of the StreamJob that wrote it
    body: Body
    crc: int = field(default=0)


def log_key(seq: int) -> str:
    """Where the record of that number lies in the store."""
    return f"log/{seq:012d}"


def log_seq(key: str) -> int | None:
    """The number of the record at that key; None if the key is not one of a record."""
    name = key.removeprefix("log/")
    return int(name) if len(name) == 12 and name.isdigit() else None


def encode(record: Record) -> tuple[Record, bytes]:
    """The record with its checksum, and its bytes."""
    said = {
        "format": FORMAT,
        "version": record.version,
        "seq": record.seq,
        "epoch": record.epoch,
        "nonce": record.nonce,
        "prev": record.prev,
        "body": _fields(record.body),
    }
    crc = _checksum(said)
    data = json.dumps({**said, "crc": crc}, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    return replace(record, crc=crc), data


def decode(data: bytes, key: str) -> Record:
    """The record in those bytes, of this format or an older one.

    Raises `Damaged` if they are not what an `encode` wrote, `UnknownFormat` if it was one that is not known here.
    """
    try:
        said = json.loads(data)
        crc = said.pop("crc")
        number = said["format"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"The log record {key} cannot be read ({error}). {_WAY_OUT}") from error
    # In every format, so that damage is told from what is new.
    if crc != _checksum(said):
        raise Damaged(f"The log record {key} does not match its checksum. {_WAY_OUT}")
    if not isinstance(number, int) or not min(_UPGRADES) <= number <= FORMAT:
        raise _unknown(key, said, f"has format {number}")
    try:
        for older in range(number, FORMAT):
            said = _UPGRADES[older](said)
        body = _body(said.pop("body"))
        del said["format"]
        record = Record(**said, body=body, crc=crc)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # Whatever a field means that this version does not know, the record means something else without it.
        raise _unknown(key, said, f"has format {number}, but not its fields ({error})") from error
    _check_types(record, key)
    return record


def _check_types(record: Record, key: str) -> None:
    """Raise `Damaged` if a value is of another type than its field: whoever can write a checksum may write anything."""
    numbers = (record.seq, record.epoch, record.prev)
    if not all(type(n) is int for n in numbers) or not isinstance(record.nonce, str):
        raise Damaged(f"The log record {key} cannot be read (its number, epoch, nonce or prev). {_WAY_OUT}")
    try:
        _types(record.body.kind).validate_json(json.dumps(asdict(record.body)), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise Damaged(f"The log record {key} cannot be read ({where}: {first['msg']}). {_WAY_OUT}") from None


@cache
def _types(kind: str) -> TypeAdapter[Body]:
    return TypeAdapter(_BODIES[kind])


def _unknown(key: str, said: Mapping[str, Any], what: str) -> UnknownFormat:
    version = said.get("version", "of another version")
    return UnknownFormat(
        f"The log record {key} was written by StreamJob {version} and {what}; this StreamJob reads the formats "
        f"{min(_UPGRADES)} to {FORMAT}. Run that StreamJob or a newer one, or give the job a new checkpoint "
        "location, where it starts from the beginning."
    )


def _from_1(said: dict[str, Any]) -> dict[str, Any]:
    """Of builds before 0.2.0: only a FENCE said who wrote it, and no CHECKPOINT with which engine. There was one."""
    body = said["body"]
    version = body.pop("version", "0.1.0")
    return {**said, "version": version, "body": {**body, "engine": "DuckDB 2.0.0"} if "state" in body else body}


# Format -> what makes the next one of a record. Those of all releases since 0.2.0 stay here.
_UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1}

_WAY_OUT = (
    "Put the object back from a copy, or give the job a new checkpoint location, where it starts from the beginning."
)


def _checksum(said: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(said, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode())


def _fields(body: Body) -> dict[str, Any]:
    fields = {"kind": body.kind, **asdict(body)}
    if not fields.get("starts", True):
        del fields["starts"]  # most FENCEs say nothing of it, and older versions of the runtime know nothing of it
    return fields


def _body(value: dict[str, Any]) -> Body:
    value = dict(value)
    kind = value.pop("kind")
    if kind == Checkpoint.kind:
        value["state"] = {op: StoredFile(**f) for op, f in value["state"].items()}
        value["sources"] = StoredFile(**value["sources"])
    elif kind == Boundary.kind:
        value["fences"] = tuple(value["fences"])
    return _BODIES[kind](**value)
