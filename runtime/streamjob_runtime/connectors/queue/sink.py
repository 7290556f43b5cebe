"""The queue sink: results for the code that runs the job in its own process, such as a test."""

import pyarrow as pa

from streamjob_runtime.connectors.shared.output_queue import OutputQueue
from streamjob_runtime.connectors.sink import Delivery, SinkBatch, Writer
from streamjob_runtime.connectors.sink_context import SinkContext, SinkSpec
from streamjob_runtime.errors import JobError


class QueueSink:
    """Gives each batch to an `OutputQueue` in this process.

    Exactly once, as long as the process lives: a batch that is written again replaces itself.
    """

    delivery = Delivery.EXACTLY_ONCE

    def __init__(self, queue: OutputQueue) -> None:
        self._queue = queue

    @classmethod
    def from_manifest(cls, sink: SinkSpec, name: str, schema: pa.Schema | None, context: SinkContext) -> "QueueSink":
        """The sink that a manifest describes: the queue is the one that the caller has put under the sink's name."""
        if name not in context.queues:
            raise JobError(
                f'sink "{name}": a queue sink needs an OutputQueue, which only a program that starts the job itself '
                'can give; with "streamjob run" use another sink, such as console or files'
            )
        return cls(context.queues[name])

    def check(self) -> str:
        """See `Sink`."""
        return "a queue of this process"

    def open(self, writer: Writer) -> None:
        """See `Sink`."""

    def write(self, batch: SinkBatch) -> None:
        """See `Sink`."""
        self._queue.put(batch.batch_id, batch.rows, batch.deleted)

    def close(self) -> None:
        """See `Sink`."""
