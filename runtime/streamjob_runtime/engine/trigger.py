"""When the next batch starts."""


def next_due_ms(started_ms: int, interval_ms: int) -> int:
    """The next multiple of the interval after a batch that started then.

    As in Spark, batches stand on multiples of the interval; a batch that took longer is followed by the next at once,
    and the ticks that it missed do not pile up: the caller starts as soon as this moment is past.
    """
    return (started_ms // interval_ms + 1) * interval_ms
