"""Checkpoints behind the loop's back: snapshots are uploaded, and old ones deleted, by another thread."""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace

from streamjob_runtime.checkpoint.cleanup import (
    delete_all,
    fences_before,
    listed,
    named,
    retain,
    superfluous,
    table_key,
)
from streamjob_runtime.checkpoint.fit import Meaning
from streamjob_runtime.checkpoint.log import Log
from streamjob_runtime.checkpoint.records import Boundary, Checkpoint, Record
from streamjob_runtime.checkpoint.snapshots import Snapshot, download_sources, upload
from streamjob_runtime.connectors.source import Source
from streamjob_runtime.engine.steps import Step
from streamjob_runtime.engine.surroundings import Surroundings
from streamjob_runtime.errors import Damaged
from streamjob_runtime.stores.base import Store


class Checkpointer:
    """Takes snapshots to the store, makes them count, and cleans up behind them.

    The loop's thread calls every method; only the upload and the deletions run on the executor, one at a time.
    `records` is the log from its boundary on, which the loop appends to.
    """

    def __init__(
        self,
        store: Store,
        log: Log,
        records: list[Record],
        meaning: Meaning,
        retained: int,
        around: Surroundings,
    ) -> None:
        self._store = store
        self._log = log
        self._records = records
        self._meaning = meaning
        self._retained = retained
        self._executor = around.executor
        self._nonce = around.nonce
        self._hook = around.hook
        self._upload: Future[Checkpoint] | None = None
        self._sweep: Future[None] | None = None
        self.damaged: set[int] = set()  # batches whose checkpoints are of no use: they do not count as retained

    @property
    def busy(self) -> bool:
        """Whether a snapshot is on its way: a second one waits for it."""
        return self._upload is not None

    def begin(self, snapshot: Snapshot) -> None:
        """Start to upload a snapshot."""
        nonce = self._nonce()
        self._upload = self._executor.submit(upload, self._store, snapshot, self._meaning, self._log.epoch, nonce)

    def settle(self, sources: Mapping[str, Source], tables: Mapping[str, str], wait: bool = False) -> Checkpoint | None:
        """Make an upload that is done count; give the new checkpoint. With `wait`, stay until it is done.

        Raises what the upload or the deletions raised.
        """
        if self._sweep is not None and (wait or self._sweep.done()):
            self._sweep.result()
            self._sweep = None
            self._hook(Step.SWEPT, -1)
        if self._upload is None or not (wait or self._upload.done()):
            return None
        checkpoint = self._upload.result()
        self._upload = None
        self._hook(Step.UPLOADED, checkpoint.batch)
        self._records.append(self._log.append(checkpoint))
        self._hook(Step.CHECKPOINTED, checkpoint.batch)
        if self._sweep is None:
            self._clean_up(checkpoint, sources, tables)
        return checkpoint

    def clean_up_after_crash(self, newest: Checkpoint, tables: Mapping[str, str]) -> None:
        """At a start: delete what dead processes left, such as uploads that no record names."""
        keep = retain(self._records, self._retained, self.damaged)
        if keep is not None:
            # Only what lies before the boundary may go; the next one is written with the next checkpoint.
            first = self._records[0].seq
            keep = replace(keep, first_seq=first, fences=fences_before(self._records, first))
            in_use = {table_key(name, version) for name, version in tables.items()}
            gone = superfluous(listed(self._store), keep, self._log.epoch, newest.batch)
            delete_all(self._store, [key for key in gone if key not in in_use])

    def _clean_up(self, newest: Checkpoint, sources: Mapping[str, Source], tables: Mapping[str, str]) -> None:
        """Let go of what only older checkpoints need. The boundary stands in the log before anything is deleted."""
        keep = retain(self._records, self._retained, self.damaged)
        if keep is None or keep.first_seq <= self._records[0].seq:
            return
        self._records.append(
            self._log.append(Boundary(self._log.job_id, self._log.job_name, keep.first_seq, keep.fences))
        )
        self._hook(Step.BOUNDED, newest.batch)
        gone = superfluous(named(self._records), keep, self._log.epoch, newest.batch)
        self._records[:] = [r for r in self._records if r.seq >= keep.first_seq]
        # Copies of static tables go here, in the thread that takes versions up: it may take up an old one again.
        in_use = {table_key(name, version) for name, version in tables.items()}
        delete_all(self._store, [key for key in gone if key.startswith("tables/") and key not in in_use])

        def clean() -> None:
            try:
                states = download_sources(self._store, keep.oldest)
            except Damaged:
                # Whoever needs it will be told. Until then nothing is lost by keeping more.
                self.damaged.add(keep.oldest.batch)
                return
            for name, source in sources.items():
                if name in states:
                    source.release(states[name])
            delete_all(self._store, [key for key in gone if not key.startswith("tables/")])

        self._sweep = self._executor.submit(clean)
