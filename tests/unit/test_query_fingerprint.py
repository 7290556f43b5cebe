"""A state is taken up only by a step that reads it as what it is: types count, though they look alike in the state."""

import itertools

import pytest

from streamjob_runtime.checkpoint.fit import differences
from streamjob_runtime.plan.model import Aggregation
from streamjob_runtime.plan.planner import plan
from support.queries import spec

NUMBERS = ["SMALLINT", "INTEGER", "BIGINT", "UBIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL(10, 2)", "DECIMAL(12, 2)"]
NUMBERS += ["DECIMAL(10, 3)", "DECIMAL(30, 3)"]
TIMES = ["DATE", "TIME", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMPTZ"]
OTHERS = ["VARCHAR", "BLOB", "UUID", "JSON", "BIGINT[]", "BIGINT[2]"]
OTHERS += ["STRUCT(a BIGINT)", "STRUCT(b BIGINT)", "STRUCT(a DECIMAL(10, 2))", "STRUCT(a DECIMAL(10, 3))"]
ANY = [*NUMBERS, *TIMES, *OTHERS]

GROUPS = {
    "kept": "GROUP BY k",
    "windowed": "GROUP BY k, tumble(t, INTERVAL '10 seconds')",
    "rolling": "WHERE batch_time > now() - INTERVAL '1 hour' GROUP BY k",
}


def fingerprint(kind: str, sql: str) -> str:
    source = {"name": "events", "queue": {}, "schema": {"k": "VARCHAR", "v": kind, "t": "TIMESTAMP"}}
    (step,) = plan(spec({"q": sql}, [("q", "update")], [source], [])).steps
    assert isinstance(step, Aggregation)
    return step.fingerprint


@pytest.mark.parametrize("groups", GROUPS.values(), ids=GROUPS.keys())
@pytest.mark.parametrize(
    ("shown", "kinds"),
    [
        ("sum(v)", NUMBERS),
        ("avg(v)", NUMBERS),
        ("quantile_cont(v, 0.5)", NUMBERS),
        ("count(v) FILTER (WHERE v > 1)", NUMBERS),
        ("stddev(v)", ["FLOAT", "DOUBLE"]),
        ("max(v)", ANY),
        ("count(v)", ANY),
        ("list_sort(list(v))", ANY),
        ("arg_max(k, v)", ANY),
        ("arg_max(v, k)", ANY),
        ("approx_count_distinct(v)", ANY),
    ],
)
def test_a_changed_type_is_another_state(shown: str, kinds: list[str], groups: str) -> None:
    if groups != GROUPS["kept"]:
        kinds = kinds[-4:]
    found = {kind: fingerprint(kind, f"SELECT k, {shown} AS x FROM events {groups}") for kind in kinds}
    alike = [(a, b) for a, b in itertools.combinations(kinds, 2) if found[a] == found[b]]
    assert alike == []


@pytest.mark.parametrize("kinds", [("INTEGER", "BIGINT"), ("DECIMAL(10, 2)", "DECIMAL(10, 3)")])
def test_a_keys_type_counts(kinds: tuple[str, str]) -> None:
    assert len({fingerprint(kind, "SELECT v, count(*) AS x FROM events GROUP BY v") for kind in kinds}) == 2


def test_what_does_not_touch_the_state_may_change() -> None:
    plain = fingerprint("DECIMAL(10, 2)", "SELECT k, sum(v) AS x FROM events GROUP BY k")
    shown = "SELECT k, sum(v) * 2 AS y, upper(k) AS u FROM events WHERE k <> '' GROUP BY k HAVING sum(v) > 1"
    assert fingerprint("DECIMAL(10, 2)", shown) == plain


def test_a_watermark_that_came_is_told_of_a_window() -> None:
    sql = "SELECT count(*) AS c FROM events GROUP BY tumble(t, INTERVAL '10 seconds')"
    source = {"name": "events", "queue": {}, "schema": {"t": "TIMESTAMP"}}
    before, now = (
        plan(spec({"v": sql}, [("v", "update")], sources=[given])).steps[0]
        for given in (source, {**source, "watermark": {"column": "t", "delay": "1s"}})
    )
    assert isinstance(before, Aggregation) and isinstance(now, Aggregation)
    assert list(differences({"v": before.fingerprint}, {"v": now.fingerprint})) == [
        "v changed: its window tumble(t, 10s) TIMESTAMP is now tumble(t, 10s) TIMESTAMP with a watermark"
    ]
