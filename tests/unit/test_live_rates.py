import pytest

from streamjob_runtime.engine.progress import Progress
from streamjob_runtime.server.rates import rates
from support.board import NOW_MS, board, finished_batch


def rates_at(progress: Progress, now_ms: int) -> tuple[float, float]:
    return rates(progress.status, progress.recent(), now_ms)


@pytest.mark.parametrize("since_batch_ms", [500, 1500, 3000])
def test_a_steady_job_has_a_steady_rate_between_its_batches(since_batch_ms: int) -> None:
    assert rates_at(board(), NOW_MS - 2000 + since_batch_ms) == (500.0, 210.0)


def test_a_silent_job_has_none() -> None:
    assert rates_at(board(), NOW_MS + 60_000) == (0.0, 0.0)
    assert rates_at(Progress(), NOW_MS) == (0.0, 0.0)


def test_a_young_job_is_measured_from_its_start() -> None:
    progress = board(batches=0)
    progress.update(started_ms=NOW_MS - 3500)
    progress.finished(finished_batch(99))
    assert rates_at(progress, NOW_MS) == (500.0, 210.0)


def test_batches_without_a_pause_are_measured_over_what_is_known_of_them() -> None:
    progress = board(batches=0)
    progress.update(interval_ms=3_600_000, started_ms=0)
    for batch_id in range(200):
        progress.finished(finished_batch(batch_id))
    assert rates_at(progress, NOW_MS + 200_000)[0] == pytest.approx(500.0)


def test_replayed_batches_are_old_news() -> None:
    progress = board(batches=0)
    progress.finished(finished_batch(99, replayed=True))
    assert rates_at(progress, NOW_MS) == (0.0, 0.0)
