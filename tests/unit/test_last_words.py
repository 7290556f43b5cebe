"""What stands in the termination log when the process ends without a word."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from streamjob_runtime.checkpoint.records import Body, Commit, Fence, Intent, Record
from streamjob_runtime.cli.exit import Ending
from streamjob_runtime.cli.last_words import LastWords
from streamjob_runtime.cli.log import Logger
from streamjob_runtime.clock import ManualClock
from streamjob_runtime.engine.ended import ended_in


def intent(ranges: dict[str, Any]) -> Intent:
    return Intent(7, 0, None, None, ranges, {})


@pytest.mark.parametrize("starts", [0, 1, 3])
def test_what_the_batch_reads_and_how_often_it_was_begun(starts: int) -> None:
    partitions = {f"t/{i}": [i, i + 10] for i in range(7)}
    unfinished = intent({"orders": {"partitions": partitions, "detail": None}, "more": {"partitions": {}, "detail": 1}})
    fence = Fence("id", "job", 0, {})
    bodies: list[Body] = [fence, intent({}), Commit(6, 0, 0, 0), fence, unfinished, *[fence] * starts]
    before = [Record(i, 1, "n", 0, "1", body) for i, body in enumerate(bodies)]
    ended = ended_in(before, unfinished)
    assert (ended.batch, ended.times) == (7, starts + 1)
    assert ended.reads == "orders t/0 [0, 10), t/1 [1, 11), t/2 [2, 12), t/3 [3, 13), t/4 [4, 14) and 2 more; more "
    assert f"ended {starts + 2} times in the middle of batch 7, which reads orders t/0" in ended.last_words


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "termination"


def said(path: Path) -> tuple[str, str]:
    found = json.loads(path.read_text())
    assert found["exitCode"] == 1
    return found["reason"], found["message"]


def test_they_stand_there_until_the_batch_is_done_or_something_else_is_said(path: Path) -> None:
    path.write_text("of another time")
    words = LastWords(path)
    assert path.read_text() == ""
    ending = Ending(Logger(io.StringIO(), "json", ManualClock()), path, over=words.over)
    words.batch("what it was doing, at length")
    assert said(path) == ("EndedInBatch", "what it was doing, at length")
    words.batch("short")
    assert said(path) == ("EndedInBatch", "short")
    words.batch("")
    assert path.read_text() == ""
    words.batch("again")
    ending.done("The job is done.")
    words.batch("too late")
    assert json.loads(path.read_text())["reason"] == "Done"


def test_they_name_what_is_decoded_just_now(path: Path) -> None:
    words = LastWords(path)
    with words.decoding("the file a"), words.decoding("the file b"):
        reason, message = said(path)
        assert reason == "EndedInDecoding"
        assert message.startswith(
            "The process has ended while it decoded the file a, the file b, without a word of its"
        )
        with words.decoding("c"), words.decoding("d"), words.decoding("e" * 5000):
            assert "decoded the file a, the file b, c and 2 more, without" in said(path)[1]
    assert path.read_text() == ""
    words.batch("It has ended twice.")
    with pytest.raises(ValueError, match="it cannot be decoded"), words.decoding("the file a"):
        assert said(path)[1].endswith("stands there. It has ended twice.")
        raise ValueError("it cannot be decoded")
    assert said(path) == ("EndedInBatch", "It has ended twice.")
    with words.decoding("é" * 5000):
        assert len(path.read_bytes()) <= 4096
        words.over()
    assert said(path)[0] == "EndedInDecoding"


def test_nowhere_to_write_stops_nothing(tmp_path: Path) -> None:
    for path in (None, tmp_path / "none" / "end"):
        words = LastWords(path)
        words.batch("x")
        with words.decoding("the file a"):
            pass
        words.over()
