"""What the log hears of systems that fail and of sources that wait: each news once."""

import random
import threading
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamjob_runtime import patience
from streamjob_runtime.clock import ManualClock
from streamjob_runtime.connectors.source import Source, SourceStatus
from streamjob_runtime.engine.progress import Progress
from streamjob_runtime.engine.trouble import TroubleBoard
from streamjob_runtime.engine.watch import SourceWatch, Waiting
from streamjob_runtime.errors import JobError, Unavailable
from streamjob_runtime.patience import Patient, Trouble, alive
from support.sources import wait_until


@dataclass
class Said:
    """A log."""

    lines: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def __call__(self, level: str, message: str, **fields: Any) -> None:
        self.lines.append((level, message, fields))


@dataclass
class Standing:
    """A source of which only the status is asked."""

    now: SourceStatus

    def status(self) -> SourceStatus:
        return self.now


class Steady:
    """A clock that a test alone moves, at whose waits real time passes."""

    def __init__(self, clock: ManualClock) -> None:
        self.now_ms, self.monotonic = clock.now_ms, clock.monotonic

    def wait(self, seconds: float, wake: threading.Event) -> bool:
        return wake.wait(seconds)


def trouble(attempts: int) -> Trouble:
    return Trouble("the store", "no answer", 1, attempts)


def test_one_trouble_of_many_threads_is_said_like_that_of_one() -> None:
    said = Said()
    hear = TroubleBoard(Progress(), ManualClock(), said).listener("the store")
    for attempts in (1, 1, 1, 2, 2, 3, 1, 4, 3, 5, 8, 8):
        hear(trouble(attempts))
    assert [fields["n"] for _, _, fields in said.lines] == [1, 2, 4, 8]


def test_a_trouble_that_comes_again_is_news_again() -> None:
    said, progress = Said(), Progress()
    hear = TroubleBoard(progress, ManualClock(), said).listener("the store")
    hear(trouble(1))
    assert progress.status.trouble is not None
    hear(None)
    assert progress.status.trouble is None
    hear(trouble(1))
    assert [message for _, message, _ in said.lines] == [
        "waiting for a system outside",
        "the system outside answers again",
        "waiting for a system outside",
    ]


def test_a_call_without_an_answer_is_shown_before_it_ends_and_a_slow_one_that_goes_on_is_not() -> None:
    progress, clock = Progress(), ManualClock()
    board = TroubleBoard(progress, clock, Said())
    store = Patient(clock, random.Random(1), threading.Event(), board.listener("the store"), "the store")
    sink = Patient(clock, random.Random(1), threading.Event(), board.listener("the sink"), "the sink")
    board.watch(store)
    board.watch(sink)
    seen: list[list[str]] = []

    def shown() -> None:
        seen.append([t.what for t in progress.status.troubles])

    def within() -> None:
        clock.advance(3)
        shown()
        clock.advance(2)
        shown()
        assert progress.status.troubles[0].since_ms == clock.now_ms() - 5000

    def write() -> None:
        for _ in range(5):
            clock.advance(3)
            alive()
        shown()
        store.call(within)  # meanwhile nothing is asked of the sink
        shown()
        clock.advance(6)
        shown()

    sink.call(write)
    shown()
    assert seen == [[], [], ["the store"], [], ["the sink"], []]


def test_a_probe_tells_a_slow_system_from_one_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PROBE_S", 0.001)
    clock, there, asked = ManualClock(), threading.Event(), threading.Event()
    patient = Patient(Steady(clock), random.Random(1), threading.Event(), lambda _: None, "the database")

    def probe() -> None:
        asked.set()
        raise JobError("no right to do that") if there.is_set() else Unavailable("no answer")

    def statement() -> None:
        clock.advance(10)
        assert asked.wait(10)
        assert patient.silent() is not None
        there.set()
        wait_until(lambda: patient.silent() is None)

    patient.call(statement, probe)


def test_the_oldest_trouble_comes_first_and_each_ends_by_itself() -> None:
    progress = Progress()
    board = TroubleBoard(progress, ManualClock(), Said())
    for what, since in (("b", 5), ("a", 9), ("c", 2)):
        board.listener(what)(Trouble(what, "no answer", since, 1))
    assert [t.what for t in progress.status.troubles] == ["c", "b", "a"]
    assert progress.status.trouble == progress.status.troubles[0]
    board.listener("c")(None)
    assert [t.what for t in progress.status.troubles] == ["b", "a"]


def watched(status: SourceStatus, said: Said | None = None) -> tuple[Standing, SourceWatch, Progress, ManualClock]:
    progress, clock = Progress(), ManualClock()
    watch = SourceWatch(progress, clock, said or Said())
    source = Standing(status)
    watch.follow({"lines": cast(Source, source)})
    return source, watch, progress, clock


def test_a_source_that_waits_is_said_once_and_that_it_goes_on() -> None:
    said = Said()
    source, watch, progress, _ = watched(SourceStatus(connected=False, message="cannot connect"), said)
    for _ in range(3):
        watch.tell()
    assert progress.status.sources_message == {"lines": "cannot connect"}
    source.now = SourceStatus()
    for _ in range(3):
        watch.tell()
    assert progress.status.sources_message == {}
    assert said.lines == [
        ("warning", "the source waits", {"source": "lines", "why": "cannot connect"}),
        ("info", "the source goes on", {"source": "lines"}),
    ]
    watch.close()


def test_a_source_that_is_not_connected_is_trouble_as_long_as_it_is_not() -> None:
    source, watch, progress, clock = watched(SourceStatus(connected=False, message="connecting", attempts=0))
    assert not progress.status.troubles, "it has only begun"
    source.now = SourceStatus(connected=False, message="refused", attempts=1)
    began = clock.now_ms()
    assert progress.status.troubles == (Trouble('source "lines"', "refused", began, 1),)
    clock.advance(7)
    source.now = SourceStatus(connected=False, message="refused", attempts=3)
    assert progress.status.troubles == (Trouble('source "lines"', "refused", began, 3),)
    source.now = SourceStatus(message="there is no file yet")
    assert not progress.status.troubles, "a source that is connected may have something to say"
    watch.close()


def test_a_number_that_changes_in_a_sources_words_is_no_news() -> None:
    said = Said()
    source, watch, progress, _ = watched(SourceStatus(), said)
    for message in ("waits for 3 files", "waits for 4 files", "", "waits for 5 files"):
        source.now = SourceStatus(message=message)
        watch.tell()
    assert [fields["what"] for _, _, fields in said.lines] == ["waits for 3 files"]
    assert progress.status.sources_message == {"lines": "waits for 5 files"}
    watch.close()


def test_lag_is_that_of_now_and_not_known_is_not_0() -> None:
    source, watch, progress, clock = watched(SourceStatus())
    assert lag(progress) == (None, None)
    source.now = SourceStatus({"0": 10, "1": 5}, position={"0": 10, "1": 5})
    assert lag(progress) == (0, 0)
    source.now = SourceStatus({"0": 12, "1": 5}, position={"0": 10, "1": 5})
    assert lag(progress) == (2, 0)
    clock.advance(3)
    source.now = SourceStatus({"0": 15, "1": 5}, position={"0": 10, "1": 5})
    assert lag(progress) == (5, 3000), "the oldest has waited since it was first seen"
    source.now = SourceStatus({"0": 15, "1": 5}, position={"0": 13, "1": 5})
    assert lag(progress) == (2, 0), "and now the oldest is one that came later"
    clock.advance(2)
    source.now = SourceStatus({"0": 15}, position={"0": 13}, oldest_ms=clock.now_ms() - 60_000)
    assert lag(progress) == (2, 60_000), "or as the source itself knows it"
    watch.close()


def lag(progress: Progress) -> tuple[int | None, int | None]:
    [now] = progress.status.sources
    return now.lag, now.lag_ms


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=60))
def test_what_has_waited_longest_is_what_was_seen_first(steps: list[tuple[int, int]]) -> None:
    """Against a list of every record with the time at which it was first seen."""
    waiting, records, position = Waiting(), list[int](), 0
    for now, (come, read) in enumerate(steps):
        records += [now] * come
        position = min(len(records), position + read)
        waiting.see({"0": len(records)}, {"0": position}, now)
        assert waiting.since_ms() == (records[position] if position < len(records) else None)


def test_a_partition_that_was_made_again_or_is_gone_is_begun_anew() -> None:
    waiting = Waiting()
    waiting.see({"0": 10, "1": 4}, {"0": 2}, 1)
    waiting.see({"0": 5}, {"0": 2}, 7)
    assert waiting.since_ms() == 7
    waiting.see({}, {}, 8)
    assert waiting.since_ms() is None


def test_many_looks_are_remembered_by_fewer() -> None:
    waiting = Waiting()
    for now in range(5000):
        waiting.see({"0": now + 1}, {"0": 0}, now)
    assert waiting.since_ms() == 0
    waiting.see({"0": 5000}, {"0": 4000}, 5000)
    assert 4000 <= (waiting.since_ms() or 0) <= 4999
