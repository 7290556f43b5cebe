"""Deleting a job's checkpoints: all of it, nothing else, and safe to break off anywhere."""

import functools
import itertools
import json
import random
import zlib
from contextlib import suppress
from typing import Any

import pytest

from streamjob_runtime.checkpoint.log import Log, read_log
from streamjob_runtime.checkpoint.records import FORMAT, Checkpoint, Fence, Intent, UnknownFormat, log_key
from streamjob_runtime.clock import ManualClock
from streamjob_runtime.connectors.shared.wal import Segment, Wal
from streamjob_runtime.engine.removal import remove
from streamjob_runtime.errors import Damaged, Fenced, JobError, Unavailable
from streamjob_runtime.stores.base import Store
from support.flaky import Fault, FlakyStore
from support.memory import MemoryStore
from support.simulate import Simulation, job_of

JOB = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: views, namespace: shop}
spec:
  batchInterval: 2s
  sources: [{name: events, queue: {}, schema: {key: VARCHAR}}]
  pipeline: [{name: v, sql: "SELECT key, count(*) AS n FROM events GROUP BY key"}]
  sinks: [{from: v, mode: update, queue: {}}]
  checkpoint: {interval: 10s}
"""
FOREIGN = (
    "log/readme",
    "log/000000000001.bak",
    "notes.txt",
    "state/notes.txt",
    "tables/ads/ads.parquet",
    "wal/lines/notes",
    "proof/of/ownership",
    "savings/000000000001",
)


def kept() -> MemoryStore:
    """What a job with everything has left, and what it has not written; a store of its own."""
    store = MemoryStore()
    for key, data in objects().items():
        store.create(key, data)
    return store


@functools.cache
def objects() -> dict[str, bytes]:
    store = MemoryStore()
    simulation = Simulation(job_of(JOB), [{"events": [{"key": "a"}]}] * 12, store)
    assert simulation.run()
    Wal(store, "lines").write(Segment(0, 1, "0" * 16, 1), b"a line\n")
    store.create("tables/ads/0123456789abcdef-01234567.parquet", b"")
    store.create("proof/0123456789abcdef", b"")
    for key in FOREIGN:
        store.create(key, b"")
    assert any(isinstance(r.body, Checkpoint) for r in read_log(store))
    return {key: store.read(key) for key in keys(store)}


def delete(store: Store, name: str = "shop/views") -> int:
    rng = random.Random(1)
    return remove(store, name, ManualClock(), lambda: f"{rng.getrandbits(64):016x}")


def keys(store: Store) -> list[str]:
    return [entry.key for entry in store.list()]


def test_what_a_newer_version_has_written_is_left_to_it() -> None:
    store = kept()
    newest = max(key for key in keys(store) if key[4:].isdigit())
    said = {**json.loads(store.read(newest)), "format": FORMAT + 1, "version": "9.1.0"}
    del said["crc"]
    crc = zlib.crc32(json.dumps(said, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode())
    store.delete(newest)
    store.create(newest, json.dumps({**said, "crc": crc}).encode())
    before = keys(store)
    with pytest.raises(UnknownFormat, match=r"by StreamJob 9\.1\.0 and .* Run that StreamJob or a newer one"):
        delete(store)
    assert keys(store) == before


def test_all_that_the_job_has_written_goes_and_nothing_else() -> None:
    store = kept()
    written = len(keys(store)) - len(FOREIGN)
    assert delete(store) == written + 1  # with the FENCE of the deletion
    assert keys(store) == sorted(FOREIGN)
    assert delete(store) == 0
    assert delete(MemoryStore()) == 0


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.AFTER])
def test_it_may_break_off_anywhere_and_be_repeated(fault: Fault) -> None:
    for call in itertools.count():
        store = kept()
        flaky = FlakyStore(store, [Fault.NONE] * call + [fault])
        with suppress(Unavailable):
            delete(flaky)
        if log_of(store):  # as long as it is there, it is nobody else's
            with pytest.raises(JobError, match="belongs to the job 'shop/views'"):
                delete(store, "shop/clicks")
        delete(store)
        assert keys(store) == sorted(FOREIGN)
        if flaky.calls <= call:
            return


def test_a_job_that_is_started_again_after_the_fence_alone_goes_on() -> None:
    class NoFurther(MemoryStore):
        def delete(self, key: str) -> None:
            raise Unavailable("no")

    store = NoFurther()
    log = running(store)
    log.append(intent(0))
    store.create("proof/0123456789abcdef", b"")
    with pytest.raises(Unavailable):
        delete(store)
    assert [r.epoch for r in read_log(store)] == [1, 1, 2]


def log_of(store: Store) -> list[str]:
    return [key for key in keys(store) if key.startswith("log/0") and key.removeprefix("log/").isdecimal()]


def test_while_the_log_is_there_state_is_gone_first() -> None:
    class Watching(MemoryStore):
        def delete(self, key: str) -> None:
            if key.startswith("log/"):
                assert not [k for k in keys(self) if k.startswith("state/") and k.endswith((".json", ".parquet"))]
            super().delete(key)

    store = Watching()
    for key, data in objects().items():
        store.create(key, data)
    delete(store)
    assert keys(store) == sorted(FOREIGN)


@pytest.mark.parametrize("other", ["shop/clicks", "news/views", "clicks"])
def test_another_jobs_log_is_left_as_it_is(other: str) -> None:
    store = kept()
    before = keys(store)
    with pytest.raises(JobError, match=f"belongs to the job 'shop/views', and this is '{other}'"):
        delete(store, other)
    assert keys(store) == before


def running(store: Store) -> Log:
    nonces = itertools.count()
    log = Log(store, "shop/views", lambda: f"{next(nonces):016x}")
    log.take_over(0, "1", {})
    return log


def intent(batch: int) -> Intent:
    return Intent(batch, 1000 * batch, None, None, {}, {})


def test_a_process_that_runs_the_job_is_fenced_off_before_anything_is_deleted() -> None:
    old: list[Any] = []

    class Meanwhile(MemoryStore):
        """A store in which a running process tries to write whenever something is deleted."""

        def delete(self, key: str) -> None:
            if log_of(self)[-1] > log_key(old[0].last.seq):
                with pytest.raises(Fenced):
                    old[0].append(intent(7))
            super().delete(key)

    store = Meanwhile()
    old.append(running(store))
    old[0].append(intent(0))
    assert delete(store) == 3
    assert keys(store) == []


def test_a_process_that_is_quicker_than_the_fence_is_fenced_off_behind_its_record() -> None:
    class Quick(MemoryStore):
        left = 3

        def create(self, key: str, data: bytes) -> None:
            if self.left and b"removal" in data and key == log_key(log.last.seq + 1):
                self.left -= 1
                log.append(intent(self.left))
            super().create(key, data)

    store = Quick()
    log = running(store)
    rng = random.Random(1)
    remove(store, "shop/views", ManualClock(), lambda: f"{rng.getrandbits(32):08x} removal")
    assert store.left == 0
    assert keys(store) == []


def test_a_job_that_is_started_meanwhile_keeps_its_log() -> None:
    class Restarted(MemoryStore):
        def delete(self, key: str) -> None:
            if key.startswith("proof/"):
                running(self)
            super().delete(key)

    store = Restarted()
    running(store)
    store.create("proof/0123456789abcdef", b"")
    with pytest.raises(Fenced, match="was started at memory while its checkpoints were being deleted"):
        delete(store)
    assert isinstance(read_log(store)[-1].body, Fence)


def test_what_a_fenced_process_had_on_its_way_goes_too() -> None:
    late = "state/v/000000000009-000001-0123456789abcdef.parquet"

    class Late(MemoryStore):
        def delete(self, key: str) -> None:
            if key == log_key(0):
                self.create(late, b"")
            super().delete(key)

    store = Late()
    running(store)
    delete(store)
    assert keys(store) == []


@pytest.mark.parametrize("damaged", [[3], [-1], [1, 2, 3]], ids=str)
def test_a_damaged_log_can_be_deleted(damaged: list[int]) -> None:
    store = kept()
    log = log_of(store)
    for at in damaged:
        store.delete(log[at])
        store.create(log[at], b"damaged")
    delete(store)
    assert keys(store) == sorted(FOREIGN)


def test_a_log_that_cannot_be_read_at_all_is_left_as_it_is() -> None:
    store = kept()
    for key in log_of(store):
        store.delete(key)
        store.create(key, b"damaged")
    before = keys(store)
    with pytest.raises(Damaged, match="nobody knows whose it is"):
        delete(store)
    assert keys(store) == before
