"""In update mode the rows that are no longer in the result: applied by their key they leave the complete result."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from support.queries import START, Row, Runner, Steps, keyed

BASE = datetime(2026, 1, 1)
NAMES: list[Row] = [{"k": "a", "name": "2"}, {"k": "b", "name": "3"}, {"k": "c", "name": "2"}]
SUMS = "SELECT k, sum(n)::BIGINT AS s, count(*) AS c, list_sort(list_distinct(list(n))) AS l FROM events GROUP BY k"
ROLLING = "SELECT k, sum(n)::BIGINT AS s, count(*) AS c FROM events WHERE batch_time > now() - INTERVAL '3 seconds'"
# The steps of a job, whose last one is written, and the columns that tell its rows apart.
JOBS: dict[str, tuple[Steps, tuple[str, ...]]] = {
    "HAVING": ({"v": f"{SUMS} HAVING s > 2"}, ("k",)),
    "HAVING NULL": ({"v": f"{SUMS} HAVING s > 2 IS NOT FALSE"}, ("k",)),
    "HAVING, without keys": ({"v": "SELECT sum(n)::BIGINT AS s, 1 AS one FROM events HAVING s % 2 = 1"}, ("one",)),
    "WHERE": ({"g": SUMS, "v": "SELECT upper(k) AS u, s, c FROM g WHERE s BETWEEN 1 AND 4"}, ("u",)),
    "WHERE of WHERE": (
        {"g": SUMS, "h": "SELECT k, s % 3 AS r FROM g WHERE s > 0", "v": "SELECT *, k AS j FROM h WHERE r <> 1"},
        ("j",),
    ),
    "a match": ({"g": SUMS, "v": "SELECT g.k, s, names.k AS j FROM g JOIN names ON g.s::VARCHAR = name"}, ("k", "j")),
    "a match or none": (
        {"g": SUMS, "v": "SELECT g.k, s, coalesce(names.k, '-') AS j FROM g LEFT JOIN names ON g.s::VARCHAR = name"},
        ("k", "j"),
    ),
    "no match": ({"g": SUMS, "v": "SELECT k, s FROM g ANTI JOIN names ON g.s::VARCHAR = name"}, ("k",)),
    "unnest": ({"v": SUMS, "w": "SELECT k, unnest(list_slice(l, -2, -1)) AS x FROM v"}, ("k", "x")),
    "a key that moves": (
        {"v": SUMS, "w": "SELECT coalesce(k, '-') || coalesce(s, 0)::VARCHAR AS ks, c FROM v"}, ("ks",)
    ),
    "a rolling window": ({"v": f"{ROLLING} GROUP BY k"}, ("k",)),
    "a rolling window, HAVING": ({"v": f"{ROLLING} GROUP BY k HAVING s > 2"}, ("k",)),
    "ttl": ({"v": {"sql": SUMS, "ttl": "3s"}}, ("k",)),
    "ttl, HAVING": ({"v": {"sql": f"{SUMS} HAVING c % 2 = 1", "ttl": "3s"}}, ("k",)),
}  # fmt: skip
MOVES = ("a match or none", "a key that moves")  # none of its rows leaves, but from under its key

event = st.fixed_dictionaries(
    {
        "k": st.sampled_from(["a", "b", "c", None]),
        "n": st.one_of(st.none(), st.integers(-3, 4)),
        "t": st.integers(0, 40).map(lambda s: BASE + timedelta(seconds=s)),
    }
)
batches = st.lists(st.tuples(st.lists(event, max_size=4), st.integers(0, 3)), min_size=1, max_size=8)
few = settings(max_examples=6, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))


def apply(table: dict[tuple[Any, ...], Row], key: Sequence[str], rows: list[Row], deleted: list[Row] | None) -> None:
    """What a sink does that puts rows in place by their key; each deletion is of a row that is there as it says."""
    for row in deleted or []:
        assert table.pop(tuple(row[c] for c in key)) == row
    table.update({tuple(row[c] for c in key): row for row in rows})


def in_order(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=repr)


@few
@given(batches, st.integers(0, 7))
@pytest.mark.parametrize("name", JOBS)
def test_update_with_its_deletions_gives_the_complete_result(
    name: str, script: list[tuple[list[Row], int]], restart_at: int
) -> None:
    steps, key = JOBS[name]
    last = list(steps)[-1]
    run = Runner(steps, [(last, "update", keyed(*key)), (last, "update"), (last, "complete")])
    run.table("names", NAMES)
    by_key: dict[tuple[Any, ...], Row] = {}
    any_rows, at = False, 0
    for i, (rows, wait) in enumerate(script):
        at += wait
        if i == restart_at:
            run.restart()
        any_rows = any_rows or bool(rows)
        update, same, complete = run.batch(events=rows, at_s=at)
        deleted, shown, none = run.deleted
        assert same == update
        assert none is None
        assert (shown is None) == (name in MOVES)
        apply(by_key, key, update, deleted)
        if any_rows:
            assert in_order(list(by_key.values())) == in_order(complete)
    run.close()


@few
@given(batches, st.integers(0, 7))
@pytest.mark.parametrize("beside", ["append", "complete", None])
def test_windows_that_are_final_are_no_deletions(
    beside: str | None, script: list[tuple[list[Row], int]], restart_at: int
) -> None:
    sql = (
        "SELECT k, window_start, sum(n)::BIGINT AS s FROM events GROUP BY k, tumble(t, INTERVAL '10 seconds') "
        "HAVING s > 2"
    )
    key = ("k", "window_start")
    run = Runner({"v": sql}, [("v", "update", keyed(*key)), *([("v", beside)] if beside else [])], delay_ms=5000)
    by_key: dict[tuple[Any, ...], Row] = {}
    expected: dict[tuple[Any, ...], list[int]] = {}
    for i, (rows, _) in enumerate(script):
        if i == restart_at:
            run.restart()
        late_before = run.late_before
        for row in rows:
            start = BASE + (row["t"] - BASE) // timedelta(seconds=10) * timedelta(seconds=10)
            end = (start + timedelta(seconds=10)).replace(tzinfo=UTC).timestamp() * 1000
            if late_before is None or end > late_before:
                expected.setdefault((row["k"], start), []).extend([] if row["n"] is None else [row["n"]])
        update = run.batch(events=rows)[0]
        apply(by_key, key, update, run.deleted[0])
        assert {k: row["s"] for k, row in by_key.items()} == {k: sum(n) for k, n in expected.items() if sum(n) > 2}
    run.close()


def test_what_was_never_shown_is_not_deleted() -> None:
    run = Runner({"v": f"{SUMS} HAVING s > 2"}, [("v", "update")])
    assert [run.batch(events=[{"k": "a", "n": n}])[0] for n in (1, 1)] == [[], []]
    assert run.deleted == [[]]
    assert len(run.batch(events=[{"k": "a", "n": 5}])[0]) == 1
    assert run.batch(events=[{"k": "a", "n": -5}]) == [[]]
    assert run.deleted == [[{"k": "a", "s": 7, "c": 3, "l": [1, 5]}]]
    assert run.batch(events=[{"k": "a", "n": -5}]) == [[]]
    assert run.deleted == [[]]


def test_a_group_whose_ttl_is_over_is_a_deletion_and_one_that_comes_again_is_none() -> None:
    run = Runner({"v": {"sql": SUMS, "ttl": "10s"}}, [("v", "update")])
    run.batch(at_s=0, events=[{"k": "a", "n": 1}, {"k": "b", "n": 1}])
    assert not run.query.wants_batch(START + 9_999, None)
    assert run.query.wants_batch(START + 10_000, None)
    update = run.batch(at_s=10, events=[{"k": "a", "n": 7}])
    assert [(r["k"], r["s"]) for r in update[0]] == [("a", 7)]
    assert [[r["k"] for r in rows or []] for rows in run.deleted] == [["b"]]


@pytest.mark.parametrize(
    ("steps", "where", "told"),
    [
        ({"v": SUMS}, keyed("k"), False),
        ({"v": f"{SUMS} HAVING count(*) > 2"}, keyed("k"), False),
        ({"v": f"{SUMS} HAVING s > 2"}, {"queue": {}}, True),
        ({"v": f"{SUMS} HAVING s > 2"}, {"console": {}}, True),
        ({"v": f"{SUMS} HAVING s > epoch(now())"}, {"console": {}}, False),  # what it was follows from no state
        ({"v": "SELECT now() AS at, k, sum(n) AS s FROM events GROUP BY k"}, keyed("k", "at"), False),
        ({"g": SUMS, "v": "SELECT k, s FROM g"}, keyed("s"), True),
        ({"g": SUMS, "v": "SELECT g.k, name FROM g JOIN names USING (k)"}, keyed("name"), False),
    ],
)
def test_who_is_told_of_deletions(steps: Steps, where: Mapping[str, Any], told: bool) -> None:
    run = Runner(steps, [("v", "update", where)])
    run.batch(events=[{"k": "a", "n": 1}])
    assert [rows is not None for rows in run.deleted] == [told]


def test_what_does_not_show_its_groups_is_told_apart_by_whole_rows() -> None:
    run = Runner({"v": "SELECT sum(n)::BIGINT AS s FROM events GROUP BY k HAVING s > 2"}, [("v", "update")])
    run.batch(events=[{"k": "a", "n": 3}, {"k": "b", "n": 4}])
    assert run.batch(events=[{"k": "a", "n": -3}, {"k": "b", "n": 1}]) == [[{"s": 5}]]
    assert sorted(row["s"] for row in run.deleted[0] or []) == [3, 4]
