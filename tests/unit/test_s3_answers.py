"""What comes too slowly from S3, or without end, is given up; on servers of this machine."""

from collections.abc import Callable
from typing import Any

import pytest

from streamjob_runtime.errors import Unavailable
from streamjob_runtime.stores import s3_answers
from streamjob_runtime.stores.s3 import S3Access, S3Store
from support.trickle import TiringClock, trickling

SLOW = r"cannot be reached now \(BadAnswer: it sends too slowly: [0-9]+ bytes in [0-9]+ s\)"


def store_at(endpoint: str) -> S3Store:
    return S3Store("s3://bucket", S3Access(endpoint, None, "key", "secret"), clock=TiringClock())


@pytest.mark.parametrize(
    ("status", "ask"),
    [
        (200, lambda store: store.read("a")),
        (503, lambda store: store.read("a")),
        (200, lambda store: list(store.list())),
        (403, lambda store: list(store.list())),
    ],
    ids=["object", "error", "listing", "refusal"],
)
def test_a_body_that_comes_a_byte_at_a_time_holds_nobody(status: int, ask: Callable[[S3Store], Any]) -> None:
    with trickling(status) as endpoint:
        store = store_at(endpoint)
        with pytest.raises(Unavailable, match=SLOW):
            ask(store)
        store.close()


def test_a_listing_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_answers, "LONGEST", 0)
    with trickling() as endpoint:
        store = store_at(endpoint)
        with pytest.raises(Unavailable, match="its answer has more than 0 MiB"):
            list(store.list())
        store.close()


def test_what_comes_steadily_may_take_as_long_as_it_needs() -> None:
    class Steady:
        left = 1000

        def read1(self, amt: int, decode_content: bool) -> bytes:
            self.left -= 1
            return bytes(amt if self.left >= 0 else 0)

    # A mebibyte in seven seconds, 1000 times.
    assert sum(map(len, s3_answers.in_pieces(Steady(), TiringClock(7)))) == 1000 << 20  # type: ignore[arg-type]
