"""The files sink: a batch's file below a directory or an S3 prefix, each row once for any reader's plain glob."""

import re
from collections.abc import Sequence
from contextlib import suppress

import pyarrow as pa

from streamjob_runtime.connectors.shared import partitions
from streamjob_runtime.connectors.sink import Delivery, SinkBatch, Writer
from streamjob_runtime.connectors.sink_context import SinkContext, SinkSpec
from streamjob_runtime.errors import AlreadyExists, JobError, NotFound
from streamjob_runtime.formats.base import Encoder
from streamjob_runtime.formats.open import make_encoder
from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.open import open_store

_NEVER_THERE = "_streamjob-check"


class FilesSink:
    """Writes files into a store that is rooted at the sink's path. Exactly once.

    `append`: a batch's file is `part-<batch id><suffix>`, below `column=value/` when partitioned. It is created whole
    under its final name and never touched again: a batch that is written again finds its files and leaves them alone.
    So a folder has one file a batch, however many rows it holds: rows may come in another order the second time, and of
    files that were cut by it some rows would be in both and others in none. A batch without rows has no file.

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
        self._table_key = f"table{encoder.suffix}"
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
        """See `Sink`. Raises `JobError` if a job that begins finds files of another one."""
        self._version = self._standing_version()
        if self._mode == "append" and not writer.begun:
            self._refuse_files_of_others()

    def write(self, batch: SinkBatch) -> None:
        """See `Sink`."""
        if self._mode == "complete":
            self._replace_table(batch)
            return
        partitions.check_partition_by(self._partition_by, batch.rows.schema, self._name)
        # Behind other URLs may be a system that takes longer names: it is asked.
        asked = "://" in self._store.url and not self._store.url.startswith("hdfs://")
        longest = None if asked else partitions.LONGEST_NAME
        for folder, rows in partitions.split(batch.rows, self._partition_by, self._name, longest):
            if rows.num_rows:
                try:
                    self._create(batch, f"{folder}part-{batch.batch_id:012d}{self._encoder.suffix}", rows)
                except JobError as error:
                    if partitions.is_short(folder):
                        raise
                    raise partitions.too_long(folder, self._name, error.words) from None

    def close(self) -> None:
        """See `Sink`."""
        self._store.close()

    def _refuse_files_of_others(self) -> None:
        ours = re.compile(rf"(.*/)?part-[0-9]{{12}}{re.escape(self._encoder.suffix)}")
        recursive = bool(self._partition_by)
        for entry in self._store.list("" if recursive else "part-", recursive):
            if ours.fullmatch(entry.key):
                raise JobError(
                    f'sink "{self._name}": {self._store.url} holds {entry.key} already, and this job has written '
                    "nothing yet: these are the files of another job, or of this one with another checkpoint.location; "
                    "empty the path, or give the sink another one"
                )

    def _create(self, batch: SinkBatch, key: str, rows: pa.Table) -> None:
        try:
            self._store.create(key, self._encoder.encode(rows))
        except AlreadyExists:
            if batch.again:
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
