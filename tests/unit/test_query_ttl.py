"""Groups without a window that leave when no row has touched them for a while."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from streamjob_runtime.embedded.open import open_query
from support.queries import START, Row, Runner, Steps, problems, spec

SUMS = {"sql": "SELECT k, sum(n) AS total FROM events GROUP BY k", "ttl": "10s"}


def made(step: Mapping[str, Any] | str = SUMS, sinks: Sequence[tuple[str, str]] = ()) -> Runner:
    return Runner({"sums": step}, sinks or [("sums", "update"), ("sums", "complete")])


@pytest.fixture
def runner() -> Iterator[Runner]:
    given = made()
    yield given
    given.close()


def totals(given: list[Row]) -> dict[str, int]:
    return {row["k"]: int(row["total"]) for row in given}


def row(k: str, n: int = 1) -> Row:
    return {"k": k, "n": n}


def test_a_group_leaves_when_no_row_has_touched_it_for_the_ttl(runner: Runner) -> None:
    runner.batch(at_s=0, events=[row("a"), row("b")])
    changed, whole = runner.batch(at_s=9.999, events=[row("b")])
    assert (totals(changed), totals(whole)) == ({"b": 2}, {"a": 1, "b": 2})
    changed, whole = runner.batch(at_s=10, events=[row("c")])
    assert (totals(changed), totals(whole)) == ({"c": 1}, {"b": 2, "c": 1})
    assert runner.last is not None
    assert [(o.rows_total, o.rows_removed) for o in runner.last.operators] == [(2, 1)]


def test_a_key_that_comes_again_after_that_begins_anew(runner: Runner) -> None:
    runner.batch(at_s=0, events=[row("a", 5)])
    changed, whole = runner.batch(at_s=10, events=[row("a", 7)])
    assert totals(changed) == totals(whole) == {"a": 7}


def test_a_batch_without_rows_is_wanted_where_the_whole_table_is_written(runner: Runner) -> None:
    assert not runner.query.wants_batch(START + 60_000, None)
    runner.batch(at_s=0, events=[row("a")])
    assert not runner.query.wants_batch(START + 9_999, None)
    assert runner.query.wants_batch(START + 10_000, None)
    assert runner.batch(at_s=10) == [[], []]
    assert not runner.query.wants_batch(START + 60_000, None)


def test_a_batch_is_wanted_where_deletions_are_told() -> None:
    runner = made(sinks=[("sums", "update")])
    runner.batch(at_s=0, events=[row("a")])
    assert runner.query.wants_batch(START + 10_000, None)
    assert runner.batch(at_s=10) == [[]]
    assert runner.deleted == [[{"k": "a", "total": 1}]]
    assert not runner.query.wants_batch(START + 60_000, None)


def test_what_is_read_of_the_table_is_what_is_left() -> None:
    steps: Steps = {"sums": SUMS, "top": "SELECT k, total FROM sums ORDER BY total DESC LIMIT 1"}
    runner = Runner(steps, [("top", "complete")])
    runner.batch(at_s=0, events=[row("a", 9)])
    runner.batch(at_s=5, events=[row("b", 1)])
    assert runner.query.wants_batch(START + 10_000, None)
    (whole,) = runner.batch(at_s=10)
    assert totals(whole) == {"b": 1}


def test_a_restart_forgets_no_age(runner: Runner) -> None:
    runner.batch(at_s=0, events=[row("a")])
    runner.batch(at_s=6, events=[row("b")])
    runner.restart()
    assert runner.query.wants_batch(START + 10_000, None)
    _, whole = runner.batch(at_s=10)
    assert totals(whole) == {"b": 1}


@pytest.mark.parametrize("aggregate", ["sum(n)", "list_sort(list(n))", "max(n)", "approx_count_distinct(n)"])
def test_a_ttl_may_be_given_changed_and_taken_away_while_there_is_a_state(aggregate: str) -> None:
    sql = f"SELECT k, {aggregate} AS total FROM events GROUP BY k"
    runner = made(sql, [("sums", "complete")])
    fingerprint = runner.query.fingerprints
    runner.batch(at_s=0, events=[row("a")])
    for ttl, at_s, left in (("10s", 100, {"a", "b"}), ("20s", 115, {"a", "b"}), (None, 300, {"a", "b"})):
        state = runner.query.snapshot()
        step = {"sql": sql, **({"ttl": ttl} if ttl else {})}
        runner.query = open_query(spec({"sums": step}, [("sums", "complete")]), threads=1)
        assert runner.query.fingerprints == fingerprint
        runner.query.restore(state)
        # Without a known age a group is as old as the first batch that looks.
        (whole,) = runner.batch(at_s=at_s, events=[row("b")])
        assert {r["k"] for r in whole} == left


def test_groups_of_before_a_ttl_begin_to_age_with_the_first_batch() -> None:
    runner = made("SELECT k, sum(n) AS total FROM events GROUP BY k", [("sums", "complete")])
    runner.batch(at_s=0, events=[row("a")])
    state = runner.query.snapshot()
    runner.query = open_query(spec({"sums": SUMS}, [("sums", "complete")]), threads=1)
    runner.query.restore(state)
    runner.batch(at_s=100, events=[row("b")])
    (whole,) = runner.batch(at_s=109.999, events=[row("b")])
    assert totals(whole) == {"a": 1, "b": 2}
    (whole,) = runner.batch(at_s=110, events=[row("b")])
    assert totals(whole) == {"b": 3}


def test_it_is_for_each_group_inside_the_step() -> None:
    nested = {"sql": f"SELECT count(*) AS total, 'all' AS k FROM ({SUMS['sql']})", "ttl": "10s"}
    runner = made(nested, [("sums", "complete")])
    runner.batch(at_s=0, events=[row("a"), row("b")])
    (whole,) = runner.batch(at_s=10, events=[row("c")])
    assert totals(whole) == {"all": 1}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT k, n FROM events",
        "SELECT count(*) AS n FROM events",
        "SELECT k, count(*) AS n FROM events GROUP BY k, tumble(t, INTERVAL '1 minute')",
        "SELECT k, count(*) AS n FROM events WHERE batch_time > now() - INTERVAL '1 minute' GROUP BY k",
    ],
)
def test_a_ttl_of_what_has_no_groups_to_end_is_refused(sql: str) -> None:
    found = problems({"s": {"sql": sql, "ttl": "1h"}}, [("s", "update")])
    assert [(p.path, p.message) for p in found] == [
        ("spec.pipeline[0].ttl", "The step s has no groups that a ttl could end")
    ]
