"""`streamjob checkpoints`: a job's log and snapshots, for people."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from streamjob_api.models import StreamJob
from streamjob_runtime.checkpoint.copies import read_copy
from streamjob_runtime.checkpoint.log import read_log
from streamjob_runtime.checkpoint.records import (
    Boundary,
    Checkpoint,
    Commit,
    Fence,
    Intent,
    Record,
)
from streamjob_runtime.checkpoint.recovery import checkpoints, recover
from streamjob_runtime.checkpoint.snapshots import read_whole
from streamjob_runtime.cli.exit import exit_code
from streamjob_runtime.cli.invalid import InvalidManifest
from streamjob_runtime.cli.load import load_job
from streamjob_runtime.cli.location import location_of
from streamjob_runtime.cli.units import size
from streamjob_runtime.clock import iso
from streamjob_runtime.connectors.shared.wal import Wal
from streamjob_runtime.connectors.source import OffsetRange
from streamjob_runtime.connectors.tcp.source import pieces
from streamjob_runtime.errors import Damaged, StreamJobError
from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.connections import Connections, Secrets
from streamjob_runtime.stores.open import open_store

SHOWN_RECORDS = 40


def on_job_store(
    file: Path,
    checkpoint: str | None,
    secrets: Path | None,
    replace: Sequence[Path],
    command: Callable[[StreamJob, Store, Console], int],
) -> int:
    """Run a command on the store of the job in the file; give the exit code."""
    # What reads a pipe wants a record a line.
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 500)
    try:
        job, _ = load_job(file, replace)
        location = location_of(job, file, checkpoint)
        store = open_store(location, Connections(job.spec.s3, Secrets(secrets, os.environ), job.spec.hdfs))
        return command(job, store, console)
    except StreamJobError as error:
        prefix = "" if isinstance(error, InvalidManifest) else "streamjob: "
        print(f"{prefix}{error}", file=sys.stderr)  # noqa: T201 - the command's output
        return exit_code(error)


def list_checkpoints(job: StreamJob, store: Store, console: Console) -> int:
    """Each checkpoint with its size, and what a restart would do now."""
    records = read_log(store)
    if not records:
        console.print(
            f"There is no log at {store.url}: the job has not run with this checkpoint location.", soft_wrap=True
        )
        return 0
    table = Table("AFTER BATCH", "OF", "WATERMARK", "STATE", "SIZE", "WHAT IT IS FOR", box=None, pad_edge=False)
    for i, found in enumerate(checkpoints(records)):
        rows = _count(sum(f.rows for f in found.state.values()), "row", "rows")
        use = "a start goes on from here" if i == 0 else "in reserve: should the newer ones be damaged"
        mark = "none" if found.watermark_ms is None else iso(found.watermark_ms)
        table.add_row(str(found.batch), iso(found.time_ms), mark, rows, size(found.size), use)
    if table.row_count:
        console.print(table)
    else:
        console.print("No checkpoint yet.")
    console.print(_restart(records), soft_wrap=True)
    return 0


def show_log(job: StreamJob, store: Store, console: Console) -> int:
    """The last records, one a line."""
    records = read_log(store)
    table = Table("SEQ", "EPOCH", "RECORD", "WHAT IT SAYS", box=None, pad_edge=False)
    for record in records[-SHOWN_RECORDS:]:
        table.add_row(str(record.seq), str(record.epoch), record.body.kind, describe(record))
    console.print(table)
    if len(records) > SHOWN_RECORDS:
        console.print(f"({len(records) - SHOWN_RECORDS} older records are not shown)")
    console.print(_restart(records), soft_wrap=True)
    return 0


def verify_all(job: StreamJob, store: Store, console: Console) -> int:
    """Everything that a restart may need is read and checked; damage is named. 1 if there is some."""
    try:
        records = read_log(store)
    except Damaged as error:
        console.print(f"damaged: {error}", soft_wrap=True)
        return 1
    damage = [d for c in checkpoints(records) for d in _damage(store, c)]
    damage += _damaged_copies(store, records)
    damage += _damaged_wal(job, store, records)
    if records:
        try:
            recover(records, next(iter(checkpoints(records)), None))
        except Damaged as error:
            damage.append(str(error))
    for text in damage:
        console.print(f"damaged: {text}", soft_wrap=True)
    files = sum(len(c.files) for c in checkpoints(records))
    console.print(
        f"{_count(len(records), 'log record', 'log records')} and {_count(files, 'snapshot file', 'snapshot files')} "
        f"read at {store.url}: " + (f"{len(damage)} damaged" if damage else "all whole"),
        soft_wrap=True,
    )
    return 1 if damage else 0


def describe(record: Record) -> str:
    """One line about a record."""
    match body := record.body:
        case Fence():
            return (
                f"streamjob {record.version} took over the job {body.job_name} ({body.job_id}) at {iso(body.time_ms)}"
            )
        case Intent():
            parts = [f"batch {body.batch} at {iso(body.time_ms)}"]
            for source, offsets in body.ranges.items():
                spans = ", ".join(f"{p}[{start}, {end})" for p, (start, end) in offsets["partitions"].items())
                parts.append(f"{source}: {spans}")
            if body.watermark_ms is not None:
                parts.append(f"watermark {iso(body.watermark_ms)}")
            parts += [f"table {name} version {version}" for name, version in body.tables.items()]
            return "; ".join(parts)
        case Commit():
            return f"batch {body.batch}: {_count(body.input_rows, 'row', 'rows')} in, {body.output_rows:,} out"
        case Checkpoint():
            return f"after batch {body.batch}: {_count(len(body.files), 'file', 'files')}, {size(body.size)}"
        case Boundary():
            return f"nothing before record {body.first_seq} is needed any more"


def _restart(records: Sequence[Record]) -> str:
    """What the next start would do, in one line."""
    newest = next(iter(checkpoints(records)), None)
    found = recover(records, newest)
    steps = [f"loads the checkpoint of batch {newest.batch}" if newest else "begins without a checkpoint"]
    if found.replay:
        first, last = found.replay[0].batch, found.replay[-1].batch
        which = f"the batches {first} to {last}" if first < last else f"batch {first}"
        steps.append(f"computes {which} again, whose results are written already")
    if found.unfinished:
        steps.append(f"finishes batch {found.unfinished.batch}, which was under way")
    return f"The next start {', '.join(steps)}, and goes on with batch {found.next_batch}."


def _damage(store: Store, checkpoint: Checkpoint) -> Iterator[str]:
    for file in checkpoint.files:
        try:
            read_whole(store, file)
        except Damaged as error:
            yield f"checkpoint of batch {checkpoint.batch}: {error}"


def _to_replay(records: Sequence[Record]) -> list[Intent]:
    newest = next(iter(checkpoints(records)), None)
    after = newest.batch if newest else -1
    return [r.body for r in records if isinstance(r.body, Intent) and r.body.batch > after]


def _damaged_wal(job: StreamJob, store: Store, records: Sequence[Record]) -> list[str]:
    """Received lines that a replay would read."""
    found = []
    for source in (s.name for s in job.spec.sources if s.kind == "tcp"):
        wal = Wal(store, source)
        for intent in _to_replay(records):
            if source in intent.ranges:
                for segment, _, _ in pieces(OffsetRange.from_json(intent.ranges[source])):
                    try:
                        wal.read(segment)
                    except Damaged as error:
                        found.append(f"batch {intent.batch}: {error}")
    return found


def _damaged_copies(store: Store, records: Sequence[Record]) -> list[str]:
    """Copies of static tables that a replay would join with."""
    needed = {(name, version): i.batch for i in _to_replay(records) for name, version in i.tables.items()}
    found = []
    for (name, version), batch in needed.items():
        try:
            read_copy(store, name, version)
        except Damaged as error:
            found.append(f"batch {batch}: {error}")
    return found


def _count(n: int, one: str, many: str) -> str:
    return f"{n:,} {one if n == 1 else many}"
