"""The start-up proof finds stores that do not keep the promise."""

import random

import pytest

from streamjob_runtime.errors import AlreadyExists, JobError, NotFound, Unavailable
from streamjob_runtime.stores.proof import prove_atomic_create
from support.flaky import Fault, FlakyStore
from support.memory import MemoryStore


class Overwriting(MemoryStore):
    """Ignores the condition: every create wins."""

    def create(self, key: str, data: bytes) -> None:
        try:
            self.replace(key, data, self.stat(key).version)
        except NotFound:
            super().create(key, data)


class Refusing(MemoryStore):
    """No create wins."""

    def create(self, key: str, data: bytes) -> None:
        raise AlreadyExists(key)


class Replacing(MemoryStore):
    """Says the right thing, and overwrites all the same."""

    def create(self, key: str, data: bytes) -> None:
        try:
            super().create(key, data)
        except AlreadyExists:
            self.replace(key, data, self.stat(key).version)
            raise


class Forgetful(MemoryStore):
    """Is right among the first sixteen; then the condition is forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self._left = 16

    def create(self, key: str, data: bytes) -> None:
        if self._left == 0:
            return
        self._left -= 1
        super().create(key, data)


@pytest.mark.parametrize("store", [Overwriting(), Refusing(), Replacing(), Forgetful()], ids=lambda s: type(s).__name__)
def test_a_store_that_does_not_keep_the_promise_is_refused(store: MemoryStore) -> None:
    with pytest.raises(JobError, match="memory must hold no checkpoint"):
        prove_atomic_create(store, random.Random(1))
    assert list(store.list()) == []


def test_a_store_in_trouble_is_not_taken_for_a_broken_one() -> None:
    with pytest.raises(Unavailable):
        prove_atomic_create(FlakyStore(MemoryStore(), [Fault.BEFORE] * 100), random.Random(1))
