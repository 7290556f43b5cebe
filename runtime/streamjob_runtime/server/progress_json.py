"""`/progress`: the status and the last batches as JSON, with the field names of Spark's StreamingQueryProgress."""

from collections.abc import Sequence
from typing import Any

from streamjob_runtime.clock import iso
from streamjob_runtime.engine.progress import KEPT_BATCHES, BatchProgress, SourceProgress, StateProgress, Status
from streamjob_runtime.patience import Trouble
from streamjob_runtime.server.rates import rates


def progress_json(
    status: Status, batches: Sequence[BatchProgress], now_ms: int, shown: int = KEPT_BATCHES
) -> dict[str, Any]:
    """The status, and the last `shown` batches, from the oldest to the newest."""
    return {
        "now": iso(now_ms),
        "status": status_json(status, batches, now_ms),
        "recentProgress": [batch_json(status, b) for b in batches[max(0, len(batches) - shown) :]],
    }


def status_json(status: Status, batches: Sequence[BatchProgress], now_ms: int) -> dict[str, Any]:
    """The runtime at this moment; ages in milliseconds."""
    rate_in, rate_out = rates(status, batches, now_ms)
    checkpoint = status.checkpoint
    troubles = [_trouble_json(trouble, now_ms) for trouble in status.troubles]
    return {
        "id": status.job_id,
        "runId": run_id(status),
        "name": status.job_name,
        "phase": status.phase,
        "epoch": status.epoch,
        "started": iso(status.started_ms),
        "intervalMs": status.interval_ms,
        "slowBatches": status.slow_batches,
        "inputRowsPerSecond": round(rate_in, 3),
        "outputRowsPerSecond": round(rate_out, 3),
        "checkpoint": checkpoint
        and {
            "batchId": checkpoint.batch_id,
            "timestamp": iso(checkpoint.time_ms),
            "ageMs": max(0, now_ms - checkpoint.time_ms),
            "sizeBytes": checkpoint.size_bytes,
        },
        "trouble": troubles[0] if troubles else None,
        "troubles": troubles,
        "sources": [
            {
                "name": source.name,
                "connected": source.connected,
                "message": source.message,
                "lag": source.lag,
                "lagMs": source.lag_ms,
            }
            for source in status.sources
        ],
        "sourcesMessage": dict(status.sources_message),
    }


def _trouble_json(trouble: Trouble, now_ms: int) -> dict[str, Any]:
    return {
        "what": trouble.what,
        "error": trouble.error,
        "since": iso(trouble.since_ms),
        "forMs": max(0, now_ms - trouble.since_ms),
        "attempts": trouble.attempts,
    }


def batch_json(status: Status, batch: BatchProgress) -> dict[str, Any]:
    """One batch. Rates are rows a second: by the interval for what came in, by the duration for what was processed."""
    return {
        "id": status.job_id,
        "runId": run_id(status),
        "name": status.job_name,
        "timestamp": iso(batch.timestamp_ms),
        "batchId": batch.batch_id,
        "batchDuration": round(batch.batch_duration_ms, 3),
        "replayed": batch.replayed,
        "numInputRows": batch.num_input_rows,
        "numBadRecords": batch.num_bad_records,
        "inputRowsPerSecond": _by_interval(batch.num_input_rows, batch),
        "processedRowsPerSecond": _by_duration(batch.num_input_rows, batch),
        "durationMs": {step: round(ms, 3) for step, ms in batch.duration_ms.items()},
        "eventTime": {} if batch.watermark_ms is None else {"watermark": iso(batch.watermark_ms)},
        "stateOperators": [_operator_json(o) for o in batch.operators],
        "sources": [_source_json(s, batch) for s in batch.sources],
        # Spark's queries have one sink, so its field holds the sum over ours.
        "sink": {
            "description": ", ".join(s.name for s in batch.sinks),
            "numOutputRows": sum(s.num_output_rows for s in batch.sinks),
        },
        "sinks": [{"description": s.name, "numOutputRows": s.num_output_rows} for s in batch.sinks],
    }


def run_id(status: Status) -> str:
    """What tells this start of the runtime from the job's other ones."""
    return f"{status.job_id}-{status.epoch}"


def _operator_json(operator: StateProgress) -> dict[str, Any]:
    return {
        "operatorName": operator.name,
        "numRowsTotal": operator.num_rows_total,
        "numRowsUpdated": operator.num_rows_updated,
        "numRowsRemoved": operator.num_rows_removed,
        "numRowsDroppedByWatermark": operator.num_rows_dropped_by_watermark,
    }


def _source_json(source: SourceProgress, batch: BatchProgress) -> dict[str, Any]:
    return {
        "description": source.name,
        "startOffset": dict(source.start_offset),
        "endOffset": dict(source.end_offset),
        "latestOffset": dict(source.latest_offset),
        "numInputRows": source.num_input_rows,
        "numBadRecords": source.num_bad_records,
        "inputRowsPerSecond": _by_interval(source.num_input_rows, batch),
        "processedRowsPerSecond": _by_duration(source.num_input_rows, batch),
        "lag": source.lag,
        "rateLimit": None if source.rate_limit is None else round(source.rate_limit, 3),
    }


def _by_interval(rows: int, batch: BatchProgress) -> float:
    """Rows a second that came in: a batch that took longer than the interval had to wait for itself."""
    ms = max(batch.interval_ms, batch.batch_duration_ms)
    return round(1000 * rows / ms, 3) if ms else 0.0


def _by_duration(rows: int, batch: BatchProgress) -> float:
    return round(1000 * rows / batch.batch_duration_ms, 3) if batch.batch_duration_ms else 0.0
