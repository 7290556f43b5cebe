"""The status is the operator's memory, and what somebody else writes there is not."""

from typing import Any

from streamjob_operator.memory import Statuses, sealed
from streamjob_operator.model import Key

KEY = Key("shop", "views")


def tree(status: dict[str, Any], uid: str = "u") -> dict[str, Any]:
    return {"metadata": {"uid": uid}, "status": status}


def test_what_an_operator_finds_at_its_start_is_its_memory() -> None:
    assert Statuses().of(KEY, tree({"attempt": 3})) == {"attempt": 3}
    assert Statuses().of(KEY, {"metadata": {"uid": "u"}}) == {}


def test_what_somebody_else_writes_is_not_obeyed() -> None:
    statuses = Statuses()
    statuses.of(KEY, tree({}))
    statuses.wrote(KEY, tree({"attempt": 1}))
    assert statuses.of(KEY, tree({"attempt": 99, "outcome": {"kind": "Failed"}})) == {"attempt": 1}
    assert statuses.of(KEY, tree({})) == {"attempt": 1}, "nor is it forgotten because somebody has taken it away"
    statuses.wrote(KEY, tree({"attempt": 2}))
    assert statuses.of(KEY, tree({"attempt": 1})) == {"attempt": 2}


def test_what_another_operator_writes_is_taken_over_but_not_what_somebody_made_of_it() -> None:
    statuses = Statuses()
    statuses.of(KEY, tree({}))
    statuses.wrote(KEY, tree(sealed({"attempt": 1})))
    other: dict[str, Any] = sealed({"attempt": 2, "rates": {"in": 1000.0, "out": 0.5}, "conditions": ()})
    as_served: dict[str, Any] = other | {"rates": {"in": 1000, "out": 0.5}, "conditions": []}
    assert statuses.of(KEY, tree(as_served)) == as_served
    assert statuses.of(KEY, tree(as_served | {"attempt": 3})) == as_served
    assert statuses.of(KEY, tree({name: as_served[name] for name in ("attempt", "digest")})) == as_served
    assert statuses.of(KEY, tree({"attempt": 9})) == as_served


def test_a_write_whose_answer_was_lost_is_the_operators_own_whether_it_came_through_or_not() -> None:
    statuses = Statuses()
    statuses.of(KEY, tree({"attempt": 1}))
    statuses.writes(KEY, "u", {"attempt": 2})
    assert statuses.of(KEY, tree({"attempt": 1})) == {"attempt": 1}
    assert statuses.of(KEY, tree({"attempt": 2})) == {"attempt": 2}
    assert statuses.of(KEY, tree({"attempt": 3})) == {"attempt": 1}, "what is known to have been written"


def test_another_job_of_the_name_has_a_memory_of_its_own() -> None:
    statuses = Statuses()
    statuses.wrote(KEY, tree({"attempt": 1}))
    assert statuses.of(KEY, tree({}, uid="other")) == {}
    statuses.forget(KEY)
    assert statuses.of(KEY, tree({"attempt": 7})) == {"attempt": 7}
