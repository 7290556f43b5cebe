"""What a marker means for a batch."""

import pytest

from streamjob_runtime.connectors.shared.marker import Marker, Verdict, judge

# found, batch id, epoch, tried, last -> verdict
CASES = [
    (None, 0, 1, False, None, Verdict.WRITE),
    (None, 7, 3, False, None, Verdict.WRITE),  # a sink that was added later
    (Marker(6, 1), 7, 1, False, 6, Verdict.WRITE),
    (Marker(6, 1), 7, 2, False, None, Verdict.WRITE),
    (Marker(3, 1), 7, 2, False, None, Verdict.WRITE),  # batches without rows between
    (Marker(7, 1), 7, 2, False, None, Verdict.THERE),  # written before the crash
    (Marker(7, 1), 7, 1, True, 6, Verdict.THERE),  # written, and the answer was lost
    (Marker(7, 1), 7, 1, True, 7, Verdict.THERE),
    (Marker(7, 1), 7, 1, False, None, Verdict.SHARED),
    (Marker(7, 2), 7, 1, True, 6, Verdict.OVERTAKEN),
    (Marker(6, 2), 7, 1, False, 6, Verdict.OVERTAKEN),
    (Marker(9, 2), 7, 1, False, 6, Verdict.OVERTAKEN),
    (Marker(9, 1), 7, 2, False, None, Verdict.AHEAD),
    (Marker(5, 1), 7, 1, False, 6, Verdict.LOST),
    (None, 7, 1, False, 6, Verdict.LOST),
]


@pytest.mark.parametrize(("found", "batch_id", "epoch", "tried", "last", "verdict"), CASES)
def test_judge(
    found: Marker | None, batch_id: int, epoch: int, tried: bool, last: int | None, verdict: Verdict
) -> None:
    assert judge(found, batch_id, epoch, tried, last) is verdict
