"""The retrying store: patient, honest about what is going on, and right about what took effect."""

import random
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamjob_runtime.clock import ManualClock, SystemClock
from streamjob_runtime.errors import AlreadyExists, NotFound, StreamJobError, Unavailable
from streamjob_runtime.patience import Trouble
from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.retrying import RetryingStore
from support.flaky import Fault, FlakyStore
from support.memory import MemoryStore

BEFORE, AFTER, NONE = Fault.BEFORE, Fault.AFTER, Fault.NONE


class Waits(ManualClock):
    """Keeps what was waited."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, seconds: float, wake: threading.Event) -> bool:
        self.seconds.append(seconds)
        return super().wait(seconds, wake)


class Rig:
    """A retrying store over one that fails by plan, over one in memory."""

    def __init__(self, *plan: Fault) -> None:
        self.memory = MemoryStore()
        self.flaky = FlakyStore(self.memory, plan)
        self.clock = Waits()
        self.stop = threading.Event()
        self.told: list[Trouble | None] = []
        self.store: Store = RetryingStore(
            self.flaky, self.clock, random.Random(1), self.stop, self.told.append, "the checkpoint store"
        )


def test_without_trouble_nothing_waits_and_nothing_is_told() -> None:
    rig = Rig()
    rig.store.create("a", b"x")
    with pytest.raises(AlreadyExists):
        rig.store.create("a", b"x")  # not even the same bytes: nothing was tried again
    assert rig.store.read("a") == b"x"
    assert rig.told == []
    assert rig.clock.seconds == []


@pytest.mark.parametrize("plan", [[BEFORE], [AFTER], [BEFORE, AFTER], [AFTER, BEFORE, BEFORE], [AFTER, NONE, BEFORE]])
def test_a_create_takes_effect_once_whatever_fails(plan: list[Fault]) -> None:
    rig = Rig(*plan)
    rig.store.create("log/000", b"nonce 1")
    assert rig.memory.read("log/000") == b"nonce 1"
    assert rig.told[-1] is None


@pytest.mark.parametrize("plan", [[BEFORE], [AFTER], [AFTER, NONE, BEFORE]])
def test_a_create_that_somebody_else_won_fails_after_a_retry_too(plan: list[Fault]) -> None:
    rig = Rig(*plan)
    rig.memory.create("log/000", b"nonce 2")
    with pytest.raises(AlreadyExists):
        rig.store.create("log/000", b"nonce 1")
    assert rig.memory.read("log/000") == b"nonce 2"
    assert rig.told[-1] is None


@pytest.mark.parametrize("plan", [[BEFORE], [AFTER], [AFTER, NONE, BEFORE], [AFTER, NONE, NONE, BEFORE]])
def test_a_replace_gives_the_version_that_stands_there(plan: list[Fault]) -> None:
    rig = Rig(*plan)
    old = rig.memory.replace("out", b"old", None)
    assert rig.store.replace("out", b"new", old) == rig.memory.stat("out").version != old
    assert rig.memory.read("out") == b"new"


def test_a_replace_that_somebody_else_won_fails_after_a_retry_too() -> None:
    rig = Rig(BEFORE)
    rig.memory.create("out", b"somebody's")
    with pytest.raises(AlreadyExists):
        rig.store.replace("out", b"new", "0")
    rig = Rig(BEFORE)
    with pytest.raises(NotFound):
        rig.store.replace("out", b"new", "0")


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.read("a") == b"x",
        lambda store: store.stat("a").size == 1,
        lambda store: [entry.key for entry in store.list()] == ["a"],
        lambda store: store.delete("a") is None,
    ],
    ids=["read", "stat", "list", "delete"],
)
def test_every_other_call_gets_through_too(call: Callable[[Store], bool]) -> None:
    rig = Rig(BEFORE, AFTER, BEFORE)
    rig.memory.create("a", b"x")
    assert call(rig.store)
    assert rig.flaky.calls == 4


def test_waits_are_random_and_grow_to_half_a_minute() -> None:
    rig = Rig(*repeat(BEFORE, 200))
    rig.store.create("a", b"x")
    bounds = [min(30.0, 0.1 * 2**n) for n in range(200)]
    waits = rig.clock.seconds
    assert all(0 <= wait <= bound for wait, bound in zip(waits, bounds, strict=True))
    assert max(waits) > 25
    assert min(waits[20:]) < 5  # full jitter: many jobs do not come back in step


def test_trouble_is_told_with_its_beginning_and_its_end() -> None:
    rig = Rig(BEFORE, AFTER)
    since = rig.clock.now_ms()
    rig.store.create("log/000", b"x")
    first, second, end = rig.told
    assert first == Trouble(
        "the checkpoint store", "create log/000: failed on purpose, before it was applied", since, 1
    )
    assert second is not None
    assert (second.since_ms, second.attempts) == (since, 2)
    assert end is None


def test_trouble_ends_with_an_answer_that_is_an_error() -> None:
    rig = Rig(BEFORE)
    with pytest.raises(NotFound):
        rig.store.read("nothing")
    assert rig.told[-1] is None


def test_a_stop_ends_the_wait_and_the_trouble_stays_told() -> None:
    rig = Rig(*repeat(BEFORE, 10))
    rig.stop.set()
    with pytest.raises(Unavailable):
        rig.store.create("a", b"x")
    assert rig.flaky.calls == 1
    assert [trouble is not None for trouble in rig.told] == [True]


def test_a_stop_wakes_a_thread_that_waits() -> None:
    told = threading.Event()
    stop = threading.Event()
    store = RetryingStore(
        FlakyStore(MemoryStore(), repeat(BEFORE)), SystemClock(), random.Random(1), stop, lambda _: told.set(), "x"
    )
    failed = threading.Event()

    def create() -> None:
        with pytest.raises(Unavailable):
            store.create("a", b"x")
        failed.set()

    thread = threading.Thread(target=create)
    thread.start()
    assert told.wait(10)
    stop.set()
    thread.join(10)
    assert failed.is_set()


def test_trouble_lasts_until_the_last_thread_is_out_of_it() -> None:
    class Gated(MemoryStore):
        """Each key's first read fails, the later ones wait for its gate."""

        def __init__(self) -> None:
            super().__init__()
            self.gates = {"a": threading.Event(), "b": threading.Event()}
            self.failed: set[str] = set()

        def read(self, key: str) -> bytes:
            if key not in self.failed:
                self.failed.add(key)
                raise Unavailable(key)
            assert self.gates[key].wait(10)
            return b""

    inner = Gated()
    told: list[Trouble | None] = []
    news = threading.Semaphore(0)

    def on_trouble(trouble: Trouble | None) -> None:
        told.append(trouble)
        news.release()

    store = RetryingStore(inner, ManualClock(), random.Random(1), threading.Event(), on_trouble, "x")
    threads = {key: threading.Thread(target=store.read, args=(key,)) for key in "ab"}
    for thread in threads.values():
        thread.start()
    for _ in range(2):
        assert news.acquire(timeout=10)
    inner.gates["a"].set()
    threads["a"].join(10)
    assert told[2] is not None
    assert told[2].error == "b"
    inner.gates["b"].set()
    threads["b"].join(10)
    assert told[3:] == [None]


STEPS = st.lists(
    st.tuples(st.sampled_from(["create", "read", "delete", "replace"]), st.sampled_from("ab")), max_size=12
)
PLANS = st.lists(st.sampled_from(Fault), max_size=30)


@given(STEPS, PLANS)
def test_under_any_faults_it_answers_as_a_store_without_them(steps: list[tuple[str, str]], plan: list[Fault]) -> None:
    rig, sound = Rig(*plan), MemoryStore()

    def apply(store: Store, number: int, act: str, key: str) -> object:
        data = b"nonce %d" % number
        try:
            if act == "create":
                store.create(key, data)
            elif act == "delete":
                store.delete(key)
            elif act == "replace":
                version = None
                with suppress(NotFound):
                    version = store.stat(key).version
                store.replace(key, data, version)
            return store.read(key)
        except StreamJobError as err:
            return type(err)

    for number, (act, key) in enumerate(steps):
        assert apply(rig.store, number, act, key) == apply(sound, number, act, key)
    assert {e.key: rig.memory.read(e.key) for e in rig.memory.list()} == {
        e.key: sound.read(e.key) for e in sound.list()
    }
