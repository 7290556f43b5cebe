"""When the next batch starts, and how far event time has come: Spark's rules."""

from hypothesis import given
from hypothesis import strategies as st

from streamjob_runtime.engine.trigger import next_due_ms
from streamjob_runtime.engine.watermark import advance, watermark

DELAYS = {"a": 10, "b": 100}
batches = st.lists(st.dictionaries(st.sampled_from("ab"), st.integers(-1000, 10**6)), max_size=20)


def test_a_source_without_a_row_holds_the_watermark_back() -> None:
    assert watermark(DELAYS, {"a": 500}, None) is None


def test_the_lowest_source_decides() -> None:
    assert watermark(DELAYS, {"a": 500, "b": 550}, None) == 450


def test_it_never_goes_back() -> None:
    assert watermark({"a": 10}, {"a": 500}, 600) == 600


def test_a_job_without_watermarks_has_none() -> None:
    assert watermark({}, {}, None) is None


@given(batches)
def test_over_any_batches_it_is_the_lowest_of_highest_less_delay_and_monotone(seen: list[dict[str, int]]) -> None:
    event_times: dict[str, int] = {}
    mark: int | None = None
    for batch in seen:
        event_times = advance(event_times, batch)
        after = watermark(DELAYS, event_times, mark)
        assert mark is None or (after is not None and after >= mark)
        mark = after
    highest = {s: [b[s] for b in seen if s in b] for s in DELAYS}
    if all(highest.values()):
        assert mark == min(max(highest[s]) - DELAYS[s] for s in DELAYS)
    else:
        assert mark is None


@given(st.integers(0, 10**13), st.integers(1, 10**8))
def test_a_batch_is_due_at_the_next_multiple_of_the_interval(started: int, interval: int) -> None:
    due = next_due_ms(started, interval)
    assert due % interval == 0
    assert started < due <= started + interval
