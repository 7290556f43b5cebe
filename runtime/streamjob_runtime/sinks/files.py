"""The files sink: a batch's file below a directory or an S3 prefix, each row once for any reader's plain glob."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

import pyarrow as pa

from streamjob_runtime.errors import AlreadyExists, JobError, NotFound
from streamjob_runtime.formats.base import Encoder
from streamjob_runtime.formats.open import make_encoder
from streamjob_runtime.sinks import partitions
from streamjob_runtime.sinks.base import Delivery, SinkBatch, Writer
from streamjob_runtime.sinks.context import SinkContext, SinkSpec
from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.open import open_store

MAX_ROWS_PER_FILE = 1_000_000
_NEVER_THERE = "_streamjob-check"


class FilesSink:
    """Writes files into a store that is rooted at the sink's path. Exactly once.

    `append`: a batch's file is `part-<batch id><suffix>`, below `column=value/` when partitioned, with `-1`, `-2` … for
    the further files of a large batch. A file is created whole under its final name and never touched again: a batch
    that is written again finds its files and leaves them alone. A batch without rows has no file.

    `complete`: one file `table<suffix>`, replaced as a whole, only over the version that this sink has seen last. On a
    store without a conditional replace (a local directory), a process that is frozen in the instant between its last
    look at the log and the replacement may put an older result there until the next batch.
    """

    delivery = Delivery.EXACTLY_ONCE

    def __init__(
        self,
        name: str,
        store: Store,
        encoder: Encoder,
        mode: str,
        partition_by: Sequence[str] = (),
        max_rows_per_file: int = MAX_ROWS_PER_FILE,
    ) -> None:
        if mode not in ("append", "complete"):
            raise JobError(
                f'sink "{name}": files cannot take mode {mode}, since a file that is written is never changed; use '
                "append (final rows, a file a batch) or complete (one file with the whole result)"
            )
        if mode == "complete" and partition_by:
            raise JobError(
                f'sink "{name}": mode complete keeps one file, which cannot be partitioned; leave partitionBy out or '
                "use append"
            )
        self._name = name
        self._store = store
        self._encoder = encoder
        self._mode = mode
        self._partition_by = tuple(partition_by)
        self._max_rows = max_rows_per_file
        self._table_key = f"table{encoder.suffix}"
        self._newest: int | None = None  # append: the highest batch id that this process has begun to write
        self._version: str | None = None  # complete: of the file that stands there
        self._overruled = False  # complete: a late write of a predecessor was replaced

    @classmethod
    def from_manifest(cls, sink: SinkSpec, name: str, schema: pa.Schema | None, context: SinkContext) -> "FilesSink":
        """The sink that a manifest describes; a relative path begins at the manifest's folder."""
        if sink.format is None:
            raise JobError(f'sink "{name}": files need a format: json, csv or parquet')
        partition_by = tuple(sink.config.partition_by)
        if schema is not None:
            partitions.check_partition_by(partition_by, schema, name)
        encoder = make_encoder(sink.format)
        store = open_store(context.resolve(sink.config.path), context.connections)
        return cls(name, context.wrap_store(store, f'sink "{name}" ({store.url})'), encoder, sink.mode, partition_by)

    def check(self) -> str:
        """See `Sink`: asks for the right to read and, where the store has a conditional replace, to write there.

        The location need not be there yet.
        """
        self._standing_version()
        with suppress(AlreadyExists, NotFound):
            self._store.replace(_NEVER_THERE, b"", expected="nothing")
        return f"{self._store.url} answers"

    def open(self, writer: Writer) -> None:
        """See `Sink`."""
        self._version = self._standing_version()

    def write(self, batch: SinkBatch) -> None:
        """See `Sink`."""
        if self._mode == "complete":
            self._replace_table(batch)
            return
        partitions.check_partition_by(self._partition_by, batch.rows.schema, self._name)
        # Only the first batch after a start, or one that was tried here before, can have been written already.
        again = self._newest is None or batch.batch_id <= self._newest
        self._newest = max(batch.batch_id, self._newest or 0)
        for key, rows in self._files(batch):
            self._create(batch, key, rows, again)

    def close(self) -> None:
        """See `Sink`."""
        self._store.close()

    def _files(self, batch: SinkBatch) -> Iterator[tuple[str, pa.Table]]:
        """Every file of the batch: its key and its rows."""
        for folder, rows in partitions.split(batch.rows, self._partition_by):
            for number, start in enumerate(range(0, rows.num_rows, self._max_rows)):
                piece = f"-{number}" if number else ""
                key = f"{folder}part-{batch.batch_id:012d}{piece}{self._encoder.suffix}"
                yield key, rows.slice(start, self._max_rows)

    def _create(self, batch: SinkBatch, key: str, rows: pa.Table, again: bool) -> None:
        try:
            self._store.create(key, self._encoder.encode(rows))
        except AlreadyExists:
            if again:
                return
            # The file is somebody else's, and to pass over it would lose our rows without a word.
            batch.writer.check_still_writer()
            raise JobError(
                f'sink "{self._name}": {self._store.url} holds {key} already, and this job has not written it: another '
                "job writes there, or the files of an earlier one are left; give the job a path of its own, or empty it"
            ) from None

    def _replace_table(self, batch: SinkBatch) -> None:
        data = self._encoder.encode(batch.rows)
        while True:
            batch.writer.check_still_writer()
            try:
                self._version = self._store.replace(self._table_key, data, self._version)
                return
            except (AlreadyExists, NotFound):
                batch.writer.check_still_writer()
                self._version = self._standing_version()
            if self._version is None:
                continue  # somebody took the file away: nothing is there that we would write over
            if self._holds(data):
                return  # our own write, whose answer was lost
            if self._overruled:
                raise JobError(
                    f'sink "{self._name}": somebody else changes {self._table_key} in {self._store.url}, which only '
                    "this job may write; give the job a path of its own"
                )
            # A predecessor that was frozen in the middle of its last write may have woken after `open`: once, since
            # its next step finds that it has been replaced.
            self._overruled = True

    def _standing_version(self) -> str | None:
        try:
            return self._store.stat(self._table_key).version
        except NotFound:
            return None

    def _holds(self, data: bytes) -> bool:
        try:
            return self._store.read(self._table_key) == data
        except NotFound:
            return False
