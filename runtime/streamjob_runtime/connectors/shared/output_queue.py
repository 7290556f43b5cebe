"""Results of a job, for the process that holds it."""

import threading

import pyarrow as pa


class OutputQueue:
    """The batches that a queue sink was given, each batch id once. It keeps them all: memory grows with the job.

    It may outlive the runtime that fills it: a batch that is written again takes the place of its first writing.
    Thread-safe.
    """

    def __init__(self) -> None:
        self._batches: dict[int, pa.Table] = {}
        self._deleted: dict[int, pa.Table] = {}
        self._taken: set[int] = set()
        self._changed = threading.Condition()

    def put(self, batch_id: int, rows: pa.Table, deleted: pa.Table | None = None) -> None:
        """Keep the rows of a batch, in place of those that an earlier put of this batch id gave.

        `deleted`: the rows that are no longer in the result, as they were.
        """
        with self._changed:
            self._batches[batch_id] = rows
            if deleted is not None:
                self._deleted[batch_id] = deleted
            self._changed.notify_all()

    def get(self, timeout: float) -> tuple[int, pa.Table] | None:
        """The earliest batch that no `get` has given yet; None when `timeout` seconds brought none."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._taken) < len(self._batches), timeout):
                return None
            batch_id = min(self._batches.keys() - self._taken)
            self._taken.add(batch_id)
            return batch_id, self._batches[batch_id]

    def batches(self) -> tuple[tuple[int, pa.Table], ...]:
        """Every batch id with its rows, ascending. What `get` gave stays in here."""
        with self._changed:
            return tuple(sorted(self._batches.items()))

    def deleted(self) -> tuple[tuple[int, pa.Table], ...]:
        """Every batch id that was told of rows that are no longer in the result, with these as they were, ascending."""
        with self._changed:
            return tuple(sorted(self._deleted.items()))

    def rows(self) -> pa.Table:
        """The rows of all batches, in the order of their ids; a table without columns before the first batch."""
        tables = [rows for _, rows in self.batches()]
        return pa.concat_tables(tables) if tables else pa.table({})
