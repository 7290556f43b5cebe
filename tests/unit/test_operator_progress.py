"""What the operator makes of a runtime's `/progress`: the runtime's own JSON, from a board that a test fills."""

from dataclasses import replace

from streamjob_operator.progress import PERIOD_S, pause, read_progress
from streamjob_runtime.engine.progress import BatchProgress, CheckpointProgress, SourceNow, SourceProgress, Status
from streamjob_runtime.patience import Trouble
from streamjob_runtime.server.progress_json import progress_json

START_MS = 1_795_262_400_000
STATUS = Status("Running", "id", "views", 1, START_MS, interval_ms=2000)


def batch(number: int, at_ms: int) -> BatchProgress:
    source = SourceProgress("lines", {"0": 0}, {"0": 10}, {"0": 17}, 10)
    return BatchProgress(number, at_ms, False, 10, 12.345, 2000, {}, None, (source,), (), ())


def test_the_newest_batch_and_checkpoint_go_into_the_status() -> None:
    status = replace(STATUS, checkpoint=CheckpointProgress(4, START_MS + 8000, 123))
    said = read_progress(progress_json(status, [batch(5, START_MS + 10_000)], START_MS + 10_100))
    assert said.last_batch == {
        "id": 5,
        "time": "2026-11-21T12:00:10.000Z",
        "inputRows": 10,
        "durationMs": 12.3,
        "lag": 7,
    }
    assert said.last_checkpoint == {"batch": 4, "time": "2026-11-21T12:00:08.000Z", "sizeBytes": 123}
    assert said.checkpoint_overdue is None and said.trouble is None


def test_a_job_without_batches_has_none() -> None:
    said = read_progress(progress_json(STATUS, [], START_MS))
    assert said.last_batch is None and said.last_checkpoint is None


def test_a_checkpoint_is_overdue_only_when_batches_have_gone_through_since() -> None:
    status = replace(STATUS, checkpoint=CheckpointProgress(4, START_MS, 123))
    late = START_MS + 61_000
    idle = read_progress(progress_json(status, [batch(4, START_MS)], late))
    assert idle.checkpoint_overdue is None, "an idle job has nothing to keep"
    busy = read_progress(progress_json(status, [batch(30, late)], late))
    assert busy.checkpoint_overdue is not None and "2026-11-21T12:00:00" in busy.checkpoint_overdue
    assert read_progress(progress_json(status, [batch(30, late)], START_MS + 59_000)).checkpoint_overdue is None
    never = read_progress(progress_json(STATUS, [batch(30, late)], late))
    assert never.checkpoint_overdue is not None and "no checkpoint has been taken" in never.checkpoint_overdue


def test_bad_records_are_shown_where_there_are_any() -> None:
    clean = batch(5, START_MS)
    bad = replace(clean, sources=(replace(clean.sources[0], num_bad_records=3),))
    for of, shown in ((clean, None), (bad, 3)):
        said = read_progress(progress_json(STATUS, [of], START_MS))
        assert said.last_batch is not None and said.last_batch.get("badRecords") == shown


def test_slow_batches_are_told_in_words_that_stay_the_same_while_they_last() -> None:
    said = {
        n: read_progress(progress_json(replace(STATUS, slow_batches=n), [], START_MS)).slow for n in (0, 4, 5, 6, 700)
    }
    assert said[0] is None and said[4] is None
    assert said[5] is not None and "longer than the batch interval of 2 s" in said[5]
    assert said[5] == said[6] == said[700]
    older = progress_json(STATUS, [], START_MS)
    del older["status"]["slowBatches"]
    assert read_progress(older).slow is None


def test_trouble_is_told_in_words_that_stay_the_same_while_it_lasts() -> None:
    trouble = Trouble("the checkpoint store s3://checkpoints/views", "Connection refused", START_MS, 3)
    words = {
        read_progress(
            progress_json(replace(STATUS, troubles=(trouble._replace(attempts=n),)), [], START_MS + n)
        ).trouble
        for n in (3, 9)
    }
    [only] = words
    assert only is not None and "s3://checkpoints/views" in only and "Connection refused" in only


def test_what_a_source_that_goes_on_has_to_say_is_no_trouble_and_the_lag_is_that_of_now() -> None:
    sources = (SourceNow("lines", True, "no file yet", 3, 10), SourceNow("more", lag=1))
    said = read_progress(progress_json(replace(STATUS, sources=sources), [batch(5, START_MS)], START_MS))
    assert said.trouble is None and said.last_batch is not None and said.last_batch["lag"] == 4
    unknown = replace(STATUS, sources=(*sources, SourceNow("new")))
    said = read_progress(progress_json(unknown, [batch(5, START_MS)], START_MS))
    assert said.last_batch is not None and "lag" not in said.last_batch


def test_of_several_troubles_each_is_told() -> None:
    troubles = (Trouble("one", "refused", START_MS, 3), Trouble("two", "no answer", START_MS, 1))
    said = read_progress(progress_json(replace(STATUS, troubles=troubles), [], START_MS))
    assert said.trouble is not None and "one fails since" in said.trouble and "; two fails since" in said.trouble
    older = progress_json(replace(STATUS, troubles=troubles[:1]), [], START_MS)
    del older["status"]["troubles"], older["status"]["sources"]
    from_older = read_progress(older).trouble
    assert from_older is not None and from_older.startswith("one fails since")


def test_a_runtime_is_asked_every_ten_seconds_and_one_that_stays_silent_less_often() -> None:
    assert pause(1, 0, 0.0) == pause(250, 3, 0.0) == PERIOD_S == 10
    assert pause(1, 2, 0.0, begins=True) == 1, "its first batch is waited for"
    assert pause(1000, 2, 0.0, begins=True) == 40, "but not at the others' cost"
    assert pause(1, 6, 0.0) == pause(1, 1000, 0.0) == 60
    assert PERIOD_S < pause(1, 0, 0.5) < pause(1, 0, 1.0) < 15, "those that began together drift apart"


def test_a_thousand_runtimes_are_asked_so_seldom_that_their_news_leave_the_api_server_alone() -> None:
    assert 1000 / pause(1000, 0, 0.0) == 10_000 / pause(10_000, 6, 0.0) == 25
