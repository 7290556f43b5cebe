"""A board as a running job fills it, for what shows it."""

from streamjob_runtime.engine.progress import (
    BatchProgress,
    CheckpointProgress,
    Progress,
    SinkProgress,
    SourceNow,
    SourceProgress,
    StateProgress,
)
from streamjob_runtime.patience import Trouble

NOW_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
TROUBLE = Trouble("the checkpoint store s3://checkpoints/ad-views", "connection refused", NOW_MS - 42_000, 7)


def finished_batch(
    batch_id: int, duration_ms: float = 500.0, rows: int = 1000, replayed: bool = False
) -> BatchProgress:
    """A batch of an interval of 2 s; batch 99 began 2 s before `NOW_MS`."""
    return BatchProgress(
        batch_id=batch_id,
        timestamp_ms=NOW_MS - 2000 * (100 - batch_id),
        replayed=replayed,
        num_input_rows=rows,
        batch_duration_ms=duration_ms,
        interval_ms=2000,
        duration_ms={"poll": 1.25, "compute": duration_ms - 1.25},
        watermark_ms=NOW_MS - 12_000,
        sources=(SourceProgress("events", {"0": 0}, {"0": rows}, {"0": rows + 25}, rows),),
        operators=(StateProgress("views", 45_210, 400, 30, 2),),
        sinks=(SinkProgress("views.files", 400), SinkProgress("views.console", 20)),
    )


def board(batches: int = 100) -> Progress:
    """A job that has run well for a while."""
    progress = Progress()
    progress.update(
        phase="Running",
        job_id="9f2c11ab03d4",
        job_name="ad-views",
        epoch=3,
        started_ms=NOW_MS - 300_000,
        moved=NOW_MS / 1000,
        interval_ms=2000,
        checkpoint=CheckpointProgress(95, NOW_MS - 8000, 3_400_000),
        sources=(SourceNow("events", lag=25, lag_ms=3500),),
    )
    for batch_id in range(100 - batches, 100):
        progress.finished(finished_batch(batch_id))
    return progress
