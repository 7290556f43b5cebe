"""The records of a job's log: what each says, and how it is written down.

A record is one JSON object: `{format, seq, epoch, nonce, prev, crc, body}`. `prev` is the checksum of the record before
it, so that the records form a chain; `crc` covers all the other fields; `nonce` tells this record from the same record
written by somebody else. The body's `kind` is one of FENCE, INTENT, COMMIT, CHECKPOINT and BOUNDARY.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from streamjob_runtime.errors import Damaged, JobError

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Fence:
    """A runtime has started and taken over: records of lower epochs can follow no more."""

    kind: ClassVar[str] = "FENCE"
    job_id: str
    job_name: str
    time_ms: int
    version: str
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
    fields = {
        "format": FORMAT,
        "seq": record.seq,
        "epoch": record.epoch,
        "nonce": record.nonce,
        "prev": record.prev,
        "body": _fields(record.body),
    }
    crc = _checksum(fields)
    data = json.dumps({**fields, "crc": crc}, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    return Record(record.seq, record.epoch, record.nonce, record.prev, record.body, crc), data


def decode(data: bytes, key: str) -> Record:
    """The record in those bytes. Raises `Damaged` if they are not what `encode` wrote."""
    try:
        fields = json.loads(data)
        crc = fields.pop("crc")
        version = fields["format"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"The log record {key} cannot be read ({error}). {_WAY_OUT}") from error
    if version != FORMAT:
        raise JobError(
            f"The log record {key} has format {version}; this version of StreamJob reads format {FORMAT}. "
            "Run the version that wrote it, or a newer one."
        )
    if crc != _checksum(fields):
        raise Damaged(f"The log record {key} does not match its checksum. {_WAY_OUT}")
    return Record(fields["seq"], fields["epoch"], fields["nonce"], fields["prev"], _body(fields["body"]), crc)


_WAY_OUT = (
    "Put the object back from a copy, or give the job a new checkpoint location, where it starts from the beginning."
)


def _checksum(fields: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(fields, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode())


def _fields(body: Body) -> dict[str, Any]:
    fields = {"kind": body.kind, **asdict(body)}
    if not fields.get("starts", True):
        del fields["starts"]  # most FENCEs say nothing of it, and older versions of the runtime know nothing of it
    return fields


def _body(value: dict[str, Any]) -> Body:
    kind = value.pop("kind")
    if kind == Checkpoint.kind:
        value["state"] = {op: StoredFile(**f) for op, f in value["state"].items()}
        value["sources"] = StoredFile(**value["sources"])
    elif kind == Boundary.kind:
        value["fences"] = tuple(value["fences"])
    return _BODIES[kind](**value)
