"""What is asked again, and for how long."""

import random
import threading

import pytest

from streamjob_runtime.clock import ManualClock
from streamjob_runtime.errors import JobError, Refused, Unavailable
from streamjob_runtime.patience import ROTATION_S, Patient, Trouble


class Caller:
    """A `Patient` in simulated time, and what is heard of it."""

    def __init__(self) -> None:
        self.clock = ManualClock(0)
        self.heard: list[Trouble | None] = []
        self.stop = threading.Event()
        self.patient = Patient(self.clock, random.Random(1), self.stop, self.heard.append, "the system")

    def call(self, *answers: Exception | str) -> str:
        """Call a system that gives these answers, one after the other, and the last of them for good."""
        left = list(answers)

        def attempt() -> str:
            answer = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return self.patient.call(attempt)


REFUSED = Refused("the password is wrong")


def test_credentials_that_never_worked_are_refused_at_once() -> None:
    caller = Caller()
    with pytest.raises(Refused):
        caller.call(REFUSED)
    with pytest.raises(Refused):
        caller.call(Unavailable("away"), REFUSED)
    assert caller.heard[-1] is None
    assert caller.clock.now_ms() < 1000


def test_credentials_that_worked_are_asked_for_again_until_others_do() -> None:
    caller = Caller()
    caller.call("there")
    assert caller.call(REFUSED, REFUSED, Unavailable("away"), REFUSED, "there again") == "there again"
    assert [t and t.error for t in caller.heard] == [str(REFUSED), str(REFUSED), "away", str(REFUSED), None]


def test_a_refusal_that_lasts_is_believed() -> None:
    caller = Caller()
    caller.call("there")
    with pytest.raises(Refused):
        caller.call(REFUSED)
    assert ROTATION_S * 1000 <= caller.clock.now_ms() <= (ROTATION_S + 30) * 1000
    assert caller.heard[-1] is None


@pytest.mark.parametrize("final", [JobError("wrong"), ValueError("a fault of ours")], ids=repr)
def test_what_no_retry_mends_is_raised_at_once(final: Exception) -> None:
    caller = Caller()
    caller.call("there")
    with pytest.raises(type(final)):
        caller.call(final)
    assert caller.heard == []
