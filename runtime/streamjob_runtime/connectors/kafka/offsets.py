"""Which offsets a batch takes: pure arithmetic."""

from collections.abc import Mapping


def shared(waiting: Mapping[str, int], limit: int | None) -> dict[str, int]:
    """How many records a batch of at most `limit` takes from each partition, by how many are waiting there.

    None waits for ever: what rounding leaves over goes to those that are short of most, and in turn by name.
    """
    waiting = {partition: n for partition, n in waiting.items() if n > 0}
    total = sum(waiting.values())
    if limit is None or total <= limit:
        return dict(waiting)
    taken = {partition: n * limit // total for partition, n in waiting.items()}
    left = limit - sum(taken.values())
    for partition in sorted(waiting, key=lambda p: (taken[p] > 0, -(waiting[p] * limit % total), p))[:left]:
        taken[partition] += 1
    return {partition: n for partition, n in taken.items() if n > 0}
