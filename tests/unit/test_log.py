"""The log: what a start reads, who may write, and what damage is found."""

import itertools
import json
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from streamjob_runtime.checkpoint.log import Log, read_log
from streamjob_runtime.checkpoint.records import FORMAT, Boundary, Commit, Fence, Intent, UnknownFormat, log_key
from streamjob_runtime.errors import Damaged, Fenced, JobError
from streamjob_runtime.stores.base import Entry
from support.memory import MemoryStore


def nonces(prefix: str) -> Callable[[], str]:
    count = itertools.count()
    return lambda: f"{prefix}{next(count)}"


def started(store: MemoryStore, name: str = "views", who: str = "a") -> Log:
    log = Log(store, name, nonces(who))
    log.take_over(0, "1", {})
    return log


def intent(batch: int) -> Intent:
    return Intent(batch, 1000 * batch, None, None, {}, {})


def edit(store: MemoryStore, seq: int, change: Callable[[bytes], bytes]) -> None:
    data = change(store.read(log_key(seq)))
    store.delete(log_key(seq))
    store.create(log_key(seq), data)


def test_a_new_log_begins_with_a_fence_of_epoch_1_and_a_new_job_id() -> None:
    store = MemoryStore()
    log = started(store)
    (record,) = read_log(store)
    assert isinstance(record.body, Fence)
    assert (record.seq, record.epoch, record.body.job_id) == (0, 1, log.job_id)


def test_each_start_has_the_next_epoch_and_the_same_job_id() -> None:
    store = MemoryStore()
    first, second = started(store), started(store, who="b")
    assert (first.epoch, second.epoch) == (1, 2)
    assert first.job_id == second.job_id


def test_a_writer_whose_replacement_has_started_can_write_nothing_more() -> None:
    store = MemoryStore()
    old = started(store)
    started(store, who="b")
    before = read_log(store)
    with pytest.raises(Fenced, match="Another process runs the job 'views'"):
        old.append(intent(0))
    with pytest.raises(Fenced):
        old.check_still_writer()
    assert read_log(store) == before


def test_what_the_old_writer_slipped_in_before_the_fence_counts() -> None:
    store = MemoryStore()
    old = started(store)

    class Slow(MemoryStore):
        """A store through which the old writer is quicker, once."""

        slipped = False

        def create(self, key: str, data: bytes) -> None:
            if not self.slipped and key.startswith("log/"):
                self.slipped = True
                old.append(intent(0))
            store.create(key, data)

        def read(self, key: str) -> bytes:
            return store.read(key)

        list = store.list

    new = Log(Slow(), "views", nonces("b"))
    records = new.take_over(0, "1", {})
    assert [type(r.body) for r in records] == [Fence, Intent]
    assert [r.epoch for r in read_log(store)] == [1, 1, 2]


def test_of_two_starts_at_once_one_is_fenced() -> None:
    store = MemoryStore()

    class Racing(MemoryStore):
        """A store through which somebody else takes over between our reading and our fence."""

        def create(self, key: str, data: bytes) -> None:
            if key == log_key(0):
                started(store, who="b")
            store.create(key, data)

        def read(self, key: str) -> bytes:
            return store.read(key)

    with pytest.raises(Fenced):
        Log(Racing(), "views", nonces("a")).take_over(0, "1", {})
    assert len(read_log(store)) == 1


def test_a_start_that_is_overtaken_leaves_its_fence_where_it_is() -> None:
    store = MemoryStore()

    class Slow(MemoryStore):
        """A store through which somebody else takes over just after our fence."""

        def create(self, key: str, data: bytes) -> None:
            store.create(key, data)
            started(store, who="b")

        read = store.read
        list = store.list
        delete = store.delete

    with pytest.raises(Fenced, match="another one has taken over"):
        Log(Slow(), "views", nonces("a")).take_over(0, "1", {})
    assert [r.epoch for r in read_log(store)] == [1, 2]


def test_a_start_that_slept_through_clean_ups_takes_nothing_over() -> None:
    store = MemoryStore()
    log = started(store)

    class Sleeping(MemoryStore):
        """A store through which, between our reading and our fence, the job runs on and cleans up."""

        def create(self, key: str, data: bytes) -> None:
            for batch in range(3):
                log.append(intent(batch))
            log.append(Boundary(log.job_id, "views", 3, (0,)))
            store.delete(log_key(1))
            store.delete(log_key(2))
            store.create(key, data)

        def read(self, key: str) -> bytes:
            return store.read(key)

        list = store.list
        delete = store.delete

    with pytest.raises(Fenced, match="another one has taken over"):
        Log(Sleeping(), "views", nonces("b")).take_over(0, "1", {})
    assert [r.seq for r in read_log(store)] == [3, 4]
    assert log.append(intent(3)).seq == 5


def test_another_jobs_log_is_refused() -> None:
    store = MemoryStore()
    started(store, "views")
    with pytest.raises(JobError, match=r"belongs to the job 'views', and this is 'clicks'.*location of its own"):
        started(store, "clicks")


@pytest.mark.parametrize(
    ("there", "ours"), [("views", "shop/views"), ("shop/views", "views"), ("shop/views", "shop/views")]
)
def test_a_namespace_that_one_side_does_not_know_is_no_difference(there: str, ours: str) -> None:
    store = MemoryStore()
    first = started(store, there)
    assert started(store, ours, who="b").job_id == first.job_id


@pytest.mark.parametrize("between", [[], ["views"]], ids=["at once", "after a laptop's run"])
def test_a_job_of_the_same_name_in_another_namespace_is_another_job(between: list[str]) -> None:
    store = MemoryStore()
    for name in ("views", "shop/views", *between):
        log = started(store, name)
    log.append(Boundary(log.job_id, log.job_name, log.last.seq, ()))
    with pytest.raises(JobError, match=r"belongs to the job 'shop/views', and this is 'news/views'"):
        started(store, "news/views")
    with pytest.raises(JobError, match=r"belongs to the job 'shop/views', and this is 'shop/clicks'"):
        started(store, "shop/clicks")


def test_the_log_says_whose_it_is_when_all_old_fences_are_gone() -> None:
    store = MemoryStore()
    log = started(store)
    log.append(Boundary(log.job_id, "views", 1, (0,)))
    store.delete(log_key(0))
    assert started(store, who="b").job_id == log.job_id


def test_a_listing_that_lags_behind_does_not_hide_records() -> None:
    class Lagging(MemoryStore):
        def list(self, prefix: str = "", recursive: bool = True) -> Iterator[Entry]:
            yield from (e for e in super().list(prefix, recursive) if e.key < log_key(2))

    store = Lagging()
    log = started(store)
    for batch in range(4):
        log.append(intent(batch))
    assert len(read_log(store)) == 5


@pytest.mark.parametrize("missing", [0, 2])
def test_a_missing_record_is_damage_named_by_its_key(missing: int) -> None:
    store = MemoryStore()
    log = started(store)
    for batch in range(3):
        log.append(intent(batch))
    store.delete(log_key(missing))
    with pytest.raises(Damaged, match=f"no record {log_key(missing)}"):
        read_log(store)


@pytest.mark.parametrize("at", range(0, 200, 7))
def test_a_changed_byte_is_damage(at: int) -> None:
    store = MemoryStore()
    started(store).append(intent(0))
    size = len(store.read(log_key(0))) - 1
    at = at % size
    edit(store, 0, lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with pytest.raises(JobError):
        read_log(store)


def test_a_record_that_was_replaced_by_a_whole_one_is_damage() -> None:
    store, other = MemoryStore(), MemoryStore()
    started(store).append(intent(0))
    started(other, who="z").append(intent(0))
    edit(store, 0, lambda _: other.read(log_key(0)))
    with pytest.raises(Damaged, match=r"does not follow on"):
        read_log(store)


def rewritten(data: bytes, **changes: Any) -> bytes:
    """The record as somebody else would have written it, with a checksum that is right."""
    said = {**json.loads(data), **changes}
    del said["crc"]
    crc = zlib.crc32(json.dumps(said, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode())
    return json.dumps({**said, "crc": crc}).encode()


def test_a_newer_format_is_refused_with_who_wrote_it_and_the_way_out() -> None:
    store = MemoryStore()
    started(store)
    edit(store, 0, lambda data: rewritten(data, format=FORMAT + 1, version="9.1.0", body={"kind": "NEW"}))
    with pytest.raises(UnknownFormat) as caught:
        read_log(store)
    assert str(caught.value) == (
        f"The log record log/000000000000 was written by StreamJob 9.1.0 and has format {FORMAT + 1}; this StreamJob "
        f"reads the formats 1 to {FORMAT}. Run that StreamJob or a newer one, or give the job a new checkpoint "
        "location, where it starts from the beginning."
    )


@pytest.mark.parametrize(
    "damage", [lambda data: data.replace(b'"format":%d' % FORMAT, b'"format":%d' % (FORMAT + 1)), lambda data: b"[1]\n"]
)
def test_what_only_looks_like_a_newer_format_is_damage(damage: Callable[[bytes], bytes]) -> None:
    store = MemoryStore()
    started(store)
    edit(store, 0, damage)
    with pytest.raises(Damaged):
        read_log(store)


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "COMMIT", "batch": 0, "time_ms": 0, "input_rows": 0, "output_rows": 0, "more": 1},
        {"kind": "COMMIT", "batch": 0, "time_ms": 0, "input_rows": 0},
        {"kind": "PAUSE"},
    ],
)
def test_a_field_or_a_kind_that_is_not_known_is_never_passed_over(body: dict[str, Any]) -> None:
    store = MemoryStore()
    started(store).append(Commit(0, 0, 0, 0))
    edit(store, 1, lambda data: rewritten(data, version="9.1.0", body=body))
    with pytest.raises(UnknownFormat, match=f"StreamJob 9.1.0 and has format {FORMAT}, but not its fields"):
        read_log(store)


def test_a_field_around_the_body_that_is_not_known_is_not_passed_over_either() -> None:
    store = MemoryStore()
    started(store)
    edit(store, 0, lambda data: rewritten(data, version="9.1.0", more=1))
    with pytest.raises(UnknownFormat, match=r"StreamJob 9\.1\.0 and .* not its fields .*more"):
        read_log(store)


def test_a_writer_that_a_newer_version_has_replaced_stops_as_one_that_was_fenced() -> None:
    store = MemoryStore()
    old = started(store)
    new = started(store, who="b")
    assert new.last.seq == 1
    edit(store, 1, lambda data: rewritten(data, format=FORMAT + 1))
    with pytest.raises(Fenced, match="Another version of StreamJob runs the job 'views'"):
        old.check_still_writer()
    with pytest.raises(Fenced, match="Another version of StreamJob runs the job 'views'"):
        old.append(intent(0))


def test_before_the_boundary_records_may_be_missing_but_not_after() -> None:
    store = MemoryStore()
    log = started(store)
    for batch in range(3):
        log.append(intent(batch))
        log.append(Commit(batch, 0, 0, 0))
    log.append(Boundary(log.job_id, "views", 4, (0,)))
    store.delete(log_key(0))
    store.delete(log_key(2))
    assert [r.seq for r in read_log(store)] == [4, 5, 6, 7]
    store.delete(log_key(5))
    with pytest.raises(Damaged, match=log_key(5)):
        read_log(store)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("seq",), "0"),
        (("epoch",), None),
        (("prev",), 1.5),
        (("nonce",), 7),
        (("body", "batch"), "7"),
        (("body", "time_ms"), True),
        (("body", "watermark_ms"), []),
        (("body", "ranges"), "in"),
        (("body", "tables"), {"names": 5}),
        (("body",), [1]),
        (("body",), None),
        (("body", "kind"), {}),
    ],
    ids=repr,
)
def test_a_record_that_somebody_has_altered_with_its_checksum_is_told(where: tuple[str, ...], value: Any) -> None:
    store = MemoryStore()
    started(store).append(intent(0))

    def change(data: bytes) -> bytes:
        said = json.loads(data)
        inner = said
        for name in where[:-1]:
            inner = inner[name]
        inner[where[-1]] = value
        return rewritten(json.dumps(said).encode())

    edit(store, 1, change)
    with pytest.raises((Damaged, UnknownFormat), match=log_key(1)):
        read_log(store)
