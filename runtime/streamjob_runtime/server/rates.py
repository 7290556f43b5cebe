"""How many rows a second go through now. Pure."""

from collections.abc import Sequence

from streamjob_runtime.engine.progress import KEPT_BATCHES, BatchProgress, Status

INTERVALS = 10
LEAST_MS = 5_000


def rates(status: Status, batches: Sequence[BatchProgress], now_ms: int) -> tuple[float, float]:
    """Rows in and rows out a second, over the last ten intervals or so.

    Over time, not over batches: a job whose sources are silent may run no batches, and its rate falls to 0. While
    batches come, the time ends with the newest of them, or the rate would sink between one batch and the next.
    """
    if not batches:
        return 0.0, 0.0
    longest = max(b.batch_duration_ms for b in batches)
    newest = _finished_ms(batches[-1])
    end = newest if now_ms - newest <= 2 * status.interval_ms + longest else now_ms
    begin = max(end - max(INTERVALS * status.interval_ms, LEAST_MS, 3 * longest), status.started_ms)
    if len(batches) == KEPT_BATCHES:
        begin = max(begin, _finished_ms(batches[0]))  # of the time before, not every batch is known any more
    counted = [b for b in batches if _finished_ms(b) > begin and not b.replayed]
    seconds = max(end - begin, 1) / 1000
    rows_out = sum(s.num_output_rows for b in counted for s in b.sinks)
    return sum(b.num_input_rows for b in counted) / seconds, rows_out / seconds


def _finished_ms(batch: BatchProgress) -> float:
    return batch.timestamp_ms + batch.batch_duration_ms
