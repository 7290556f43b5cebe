"""How a batch's limit is shared over partitions."""

from hypothesis import given
from hypothesis import strategies as st

from streamjob_runtime.connectors.kafka.offsets import shared

WAITING = st.dictionaries(st.text("ab/01", min_size=1, max_size=4), st.integers(0, 10**12), max_size=20)


@given(WAITING, st.integers(1, 10**12))
def test_the_limit_is_used_up_and_never_exceeded(waiting: dict[str, int], limit: int) -> None:
    taken = shared(waiting, limit)
    assert sum(taken.values()) == min(limit, sum(waiting.values()))
    assert all(0 < n <= waiting[partition] for partition, n in taken.items())


@given(WAITING)
def test_without_a_limit_everything_is_taken(waiting: dict[str, int]) -> None:
    assert shared(waiting, None) == {partition: n for partition, n in waiting.items() if n}


@given(WAITING, st.integers(1, 10**9))
def test_who_waits_for_more_gets_no_less(waiting: dict[str, int], limit: int) -> None:
    taken = shared(waiting, limit)
    for one, n in waiting.items():
        for other, m in waiting.items():
            assert n <= m or taken.get(one, 0) >= taken.get(other, 0) - 1


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_nobody_waits_for_ever(counts: list[int]) -> None:
    waiting = {f"t/{i}": n for i, n in enumerate(counts)}
    rounds = 0
    while any(waiting.values()):
        for partition, n in shared(waiting, 3).items():
            waiting[partition] -= n
        rounds += 1
    assert rounds == -(-sum(counts) // 3)


def test_a_partition_with_little_is_not_passed_over() -> None:
    assert shared({"t/0": 1_000_000, "t/1": 1}, 10) == {"t/0": 9, "t/1": 1}
