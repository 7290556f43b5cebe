"""The Delta sink: a batch is one commit of the table, and so is what says that the table has it."""

from contextlib import suppress

import pyarrow as pa
from deltalake import DeltaTable

from streamjob_runtime.connectors.delta.errors import translate
from streamjob_runtime.connectors.delta.look import Wish, look, require_fit
from streamjob_runtime.connectors.delta.partitions import require_values
from streamjob_runtime.connectors.delta.place import place_of
from streamjob_runtime.connectors.delta.table import find_table
from streamjob_runtime.connectors.delta.writing import Marks, announce, make_table, write_rows
from streamjob_runtime.connectors.shared.marker import Marker, Verdict, judge
from streamjob_runtime.connectors.shared.partitions import LONGEST_NAME
from streamjob_runtime.connectors.sink import Delivery, SinkBatch, Writer
from streamjob_runtime.connectors.sink_context import SinkContext, SinkSpec
from streamjob_runtime.errors import AlreadyExists, JobError, NotFound, Unavailable
from streamjob_runtime.patience import Caller, Impatient
from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.open import open_store

_NEVER_THERE = "_streamjob-check"

_WORDS = {
    Verdict.OVERTAKEN: "a later start of this job has written the Delta table at {url}, and the log knows nothing of "
    "it, so that the log must be an older copy: bring back the newest one, or give the job a new checkpoint.location "
    "and another path",
    Verdict.AHEAD: "the Delta table at {url} has later batches than the job, whose log must be an older copy: bring "
    "back the newest one, or give the job a new checkpoint.location and another path",
    Verdict.SHARED: "another process with a copy of this job's log writes the Delta table at {url} too: give each job "
    "a checkpoint.location of its own",
    Verdict.LOST: "the Delta table at {url} has lost batches that were committed to it, as after it was taken away or "
    "put back to an older state: bring the newest state back, or give the job a new checkpoint.location "
    "and another path",
}


class DeltaSink:
    """Writes each batch in one commit. Exactly once.

    `append` adds the rows; `update` puts each in place of the row with its key, the last one where a batch has
    several (a MERGE, which writes the files of the rows it meets anew); `complete` replaces all rows.

    The commit also names the batch and the epoch, as application transactions of the job and the step. A batch that
    the table names is there already and is left alone. At a start a commit without rows names the new epoch: from then
    on the table refuses whatever a process of an earlier start was about to commit, wherever it was frozen.
    """

    delivery = Delivery.EXACTLY_ONCE

    def __init__(self, wish: Wish, rows: pa.Schema, caller: Caller | None = None, folder: Store | None = None) -> None:
        self._wish = wish
        self._folder = folder  # the table's, to ask for the right to write there
        self._rows = rows
        self._caller = caller or Impatient()
        self._table: DeltaTable | None = None  # a version that has been looked at, and what we have written since
        self._inherited: int | None = None  # the newest batch that an earlier start has written
        self._tried: int | None = None  # the newest batch that this process has tried to write
        self._last: int | None = None  # the newest batch that it has written

    @classmethod
    def from_manifest(cls, sink: SinkSpec, name: str, schema: pa.Schema | None, context: SinkContext) -> "DeltaSink":
        """The sink that a manifest describes; a relative path begins at the manifest's folder."""
        assert schema is not None, "a delta sink must know its columns"
        config = sink.config
        place = place_of(context.resolve(config.path), context.connections)
        step = name.partition(".")[0]
        wish = Wish(name, step, place, sink.mode, tuple(config.key or ()), tuple(config.partition_by))
        caller = context.patience(f'sink "{name}" ({place.url})')
        return cls(wish, schema, caller, open_store(place.url, context.connections))

    def check(self) -> str:
        """See `Sink`: looks at the table, and asks the store for the right to write there, where it can be asked.

        A table that the start would make is named, and not made.
        """
        table = self._caller.call(lambda: look(self._wish, self._rows))
        self._caller.call(self._ask)
        where = f"the Delta table at {self._wish.place.url}"
        return f"{where} fits (version {table.version()})" if table else f"a start will make {where}"

    def open(self, writer: Writer) -> None:
        """See `Sink`: makes the table if there is none, looks whether it fits, and says in it who writes now."""
        self._caller.call(lambda: self._take_over(writer), self._probe)

    def write(self, batch: SinkBatch) -> None:
        """See `Sink`. Nothing happens for a batch without changes, but that `complete` empties the table."""
        if batch.count or self._wish.mode == "complete":
            self._caller.call(lambda: self._write(batch), self._probe)

    def close(self) -> None:
        """See `Sink`."""
        self._table = None
        if self._folder is not None:
            self._folder.close()

    def _probe(self) -> None:
        """Whether the table's store answers, while a commit takes long."""
        if self._folder is not None:
            self._folder.stat(_NEVER_THERE)

    def _ask(self) -> None:
        if self._folder is not None:
            with suppress(AlreadyExists, NotFound):
                self._folder.replace(_NEVER_THERE, b"", expected="nothing")

    def _take_over(self, writer: Writer) -> None:
        marks = Marks(writer.job_id, self._wish.step)
        table = look(self._wish, self._rows)
        with translate(self._wish.place):
            if table is None:
                make_table(self._wish.place, self._rows, self._wish.partition_by)
                table = self._find()
            found = marks.read(table)
            if found is None or found.epoch < writer.epoch:
                announce(table, marks.of(None, writer.epoch))
            elif found.epoch > writer.epoch:
                self._refuse(Verdict.OVERTAKEN, found, writer)
        self._inherited = found.batch_id if found else None

    def _write(self, batch: SinkBatch) -> None:
        writer = batch.writer
        marks = Marks(writer.job_id, self._wish.step)
        again = self._last is not None and batch.batch_id <= self._last
        table = None if again else self._table
        self._table = None  # whatever fails below, the next attempt looks again
        with translate(self._wish.place):
            if table is None:
                table = self._find()
                verdict = self._judge(marks.read(table), batch)
                if verdict is Verdict.THERE:
                    self._last = batch.batch_id
                    return
                require_fit(table, self._wish, batch.rows.schema)  # somebody may have changed it since the last look
            require_values(table.metadata().partition_columns, batch.rows, self._wish.sink, self._longest_name)
            self._tried = batch.batch_id
            mark = marks.of(batch.batch_id, writer.epoch)
            write_rows(table, batch.rows, self._wish.mode, self._wish.key, mark, batch.deleted)
        self._table, self._last = table, batch.batch_id

    @property
    def _longest_name(self) -> int | None:
        """Of a folder, in bytes; None: its store takes longer ones than a file system."""
        url = self._wish.place.url
        return None if "://" in url and not url.startswith(("hdfs://", "file://")) else LONGEST_NAME

    def _judge(self, found: Marker | None, batch: SinkBatch) -> Verdict:
        if found is not None and found.batch_id == self._inherited and found.epoch == batch.writer.epoch:
            found = Marker(found.batch_id, found.epoch - 1)  # the epoch is of our own announcement
        tried = self._tried == batch.batch_id
        verdict = judge(found, batch.batch_id, batch.writer.epoch, tried, self._last)
        if verdict not in (Verdict.WRITE, Verdict.THERE):
            self._refuse(verdict, found, batch.writer)
        return verdict

    def _refuse(self, verdict: Verdict, found: Marker | None, writer: Writer) -> None:
        writer.check_still_writer()
        said = f"batch {found.batch_id}, start {found.epoch}" if found else "none"
        words = _WORDS[verdict].format(url=self._wish.place.url)
        raise JobError(f'sink "{self._wish.sink}": {words} (its marker names {said})')

    def _find(self) -> DeltaTable:
        table = find_table(self._wish.place)
        if table is None:
            if self._last is not None:
                raise JobError(
                    f'sink "{self._wish.sink}": {_WORDS[Verdict.LOST].format(url=self._wish.place.url)} (there is no '
                    "table)"
                )
            raise Unavailable(f"The Delta table at {self._wish.place.url} is not there any more.")
        return table
