"""What a restart does, and what clean-up may delete: decided from the log alone."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamjob_runtime.checkpoint.cleanup import Retention, named, retain, superfluous, table_key
from streamjob_runtime.checkpoint.records import (
    Body,
    Boundary,
    Checkpoint,
    Commit,
    Fence,
    Intent,
    Record,
    StoredFile,
    log_key,
)
from streamjob_runtime.checkpoint.recovery import checkpoints, recover
from streamjob_runtime.errors import Damaged


def fence() -> Fence:
    return Fence("id", "views", 0, {})


def intent(batch: int, version: str = "v") -> Intent:
    return Intent(batch, 0, None, None, {}, {"ads": version})


def commit(batch: int) -> Commit:
    return Commit(batch, 0, 0, 0)


def checkpoint(batch: int) -> Checkpoint:
    state = StoredFile(f"state/op/{batch:012d}-000001-n.parquet", 1, 1, 1)
    sources = StoredFile(f"state/@sources/{batch:012d}-000001-n.json", 1, 1, 1)
    return Checkpoint(batch, 0, None, {}, {}, "", {"op": state}, sources)


def log(*bodies: Body) -> list[Record]:
    return [Record(seq, 1, "n", 0, "1", body) for seq, body in enumerate(bodies)]


def history(events: Sequence[int]) -> list[Record]:
    """A log as the loop could have written it: each number is how many batches pass before the next checkpoint."""
    bodies: list[Body] = [fence()]
    batch = 0
    for passing in events:
        taken = batch
        for _ in range(passing):
            bodies += [intent(batch, f"v{batch // 3}"), commit(batch)]
            batch += 1
        if taken:
            bodies.append(checkpoint(taken - 1))
    return log(*bodies)


def test_an_empty_log_begins_with_batch_0() -> None:
    found = recover([], None)
    assert (found.replay, found.unfinished, found.next_batch) == ((), None, 0)


def test_committed_batches_are_replayed_and_the_open_one_is_written_again() -> None:
    records = log(fence(), intent(0), commit(0), intent(1), commit(1), checkpoint(0), intent(2))
    found = recover(records, checkpoints(records)[0])
    assert [i.batch for i in found.replay] == [1]
    assert found.unfinished == intent(2)
    assert found.next_batch == 3


def test_without_its_checkpoints_a_log_is_replayed_from_the_beginning() -> None:
    records = log(fence(), intent(0), commit(0), checkpoint(0), intent(1), commit(1))
    found = recover(records, None)
    assert [i.batch for i in found.replay] == [0, 1]
    assert found.unfinished is None


def test_a_log_whose_beginning_is_gone_needs_a_checkpoint() -> None:
    records = log(Boundary("id", "views", 0, ()), intent(5), commit(5))
    with pytest.raises(Damaged, match=r"cannot be replayed from the beginning: it has no INTENT of batch 0"):
        recover(records, None)


def test_an_uncommitted_batch_in_the_middle_is_damage() -> None:
    with pytest.raises(Damaged, match=r"Batch 0 has no COMMIT, but batch 1 follows"):
        recover(log(fence(), intent(0), intent(1), commit(1)), None)


@given(st.lists(st.integers(1, 6), max_size=12), st.integers(1, 5))
def test_every_retained_checkpoint_can_be_recovered_from_after_clean_up(events: list[int], retained: int) -> None:
    records = history(events)
    keep = retain(records, retained)
    kept = checkpoints(records)[:retained]
    if len(kept) < retained:
        assert keep is None
        return
    assert keep is not None
    newest = kept[0].batch
    gone = set(superfluous(named(records), keep, 1, newest))
    left = [r for r in records if log_key(r.seq) not in gone]
    assert isinstance(left[0].body, Fence), "fences stay"
    left = [r for r in left if r.seq >= keep.first_seq]
    assert [r.seq for r in left] == list(range(left[0].seq, records[-1].seq + 1)), "no hole"
    for found in kept:
        assert not {f.key for f in found.files} & gone
        recovery = recover(left, found)
        assert recovery == recover(records, found)
        needed = {table_key(n, v) for i in recovery.replay for n, v in i.tables.items()}
        assert not needed & gone
    for old in checkpoints(records)[retained:]:
        assert {f.key for f in old.files} <= gone


def test_what_dead_processes_left_goes_but_not_an_upload_under_way() -> None:
    keep = Retention(checkpoint(10), 40, (12,), frozenset(f.key for f in checkpoint(10).files), frozenset())
    orphan = "state/op/000000000012-000001-dead.parquet"
    under_way = "state/op/000000000012-000002-now.parquet"
    older = "state/op/000000000010-000002-twice.parquet"
    log = ["log/000000000012", "log/000000000039", "log/000000000040"]
    keys = [orphan, under_way, older, *(f.key for f in checkpoint(10).files), *log]
    assert superfluous(keys, keep, 2, 10) == sorted(["log/000000000039", older, orphan])
