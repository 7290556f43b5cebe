"""What stands in the termination log when the process ends without a word."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from streamjob_runtime.checkpoint.records import Body, Commit, Fence, Intent, Record
from streamjob_runtime.cli.exit import Ending
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


def test_they_stand_there_until_the_batch_is_done_or_something_else_is_said(tmp_path: Path) -> None:
    log = tmp_path / "termination"
    ending = Ending(Logger(io.StringIO(), "json", ManualClock()), log)
    ending.beforehand("what it was doing")
    assert json.loads(log.read_text()) == {"reason": "EndedInBatch", "exitCode": 1, "message": "what it was doing"}
    ending.beforehand("")
    assert log.read_text() == ""
    ending.beforehand("again")
    ending.done("The job is done.")
    assert json.loads(log.read_text())["reason"] == "Done"
