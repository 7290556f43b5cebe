"""Watermarks: how far event time has come, so that a window can be called final.

The rules are Spark Structured Streaming's: a source's watermark is the highest event time seen in the batches before,
less its delay; a job with several has the lowest of them, and none before each has seen a row; it never goes back.
"""

from collections.abc import Mapping


def watermark(delays_ms: Mapping[str, int], event_times: Mapping[str, int], before: int | None) -> int | None:
    """The watermark of the next batch, in milliseconds; None: not known yet.

    `delays_ms`: source -> delay, for the sources that have a watermark. `event_times`: source -> highest event time.
    `before`: the watermark of the batch before.
    """
    if not delays_ms or any(source not in event_times for source in delays_ms):
        return before
    now = min(event_times[source] - delay for source, delay in delays_ms.items())
    return now if before is None else max(before, now)


def advance(event_times: Mapping[str, int], seen: Mapping[str, int]) -> dict[str, int]:
    """The highest event times after a batch in which `seen` were the highest."""
    newer = {source: ms for source, ms in seen.items() if ms > event_times.get(source, ms - 1)}
    return {**event_times, **newer}
