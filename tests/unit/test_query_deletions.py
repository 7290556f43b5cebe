"""In update mode the rows that are no longer in the result: applied by their key they leave the complete result."""

from collections import Counter
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
TOPS = "SELECT k, n, count(*) AS c, max(t) AS t FROM events WHERE n IS NOT NULL GROUP BY k, n"
BY_WINDOW = "SELECT k, window_start AS w, sum(n)::BIGINT AS s FROM events GROUP BY k, tumble(t, INTERVAL '10 seconds')"
# The same of views: results of results.
VIEWS: dict[str, tuple[Steps, tuple[str, ...]]] = {
    "top N": ({"g": SUMS, "v": "SELECT k, s, c FROM g ORDER BY s DESC, k LIMIT 2"}, ("k",)),
    "top N at once": ({"v": "SELECT k, sum(n)::BIGINT AS s FROM events GROUP BY k ORDER BY s, k LIMIT 2"}, ("k",)),
    "top N per key": (
        {"g": TOPS, "v": "SELECT * FROM g QUALIFY row_number() OVER (PARTITION BY k ORDER BY c DESC, n) <= 2"},
        ("k", "n"),
    ),
    "ranks": (
        {"g": SUMS, "v": "SELECT row_number() OVER (ORDER BY s, k) AS r, k, lag(s) OVER (ORDER BY s, k) AS p FROM g"},
        ("r",),
    ),
    "DISTINCT ON": ({"g": TOPS, "v": "SELECT DISTINCT ON (k) k, n, t FROM g ORDER BY k, t DESC, n"}, ("k",)),
    "DISTINCT": ({"g": SUMS, "v": "SELECT DISTINCT s, c FROM g"}, ("s", "c")),
    "an aggregate of aggregates": (
        {"g": TOPS, "v": "SELECT n, count(*) AS ks, avg(c) AS mean FROM g GROUP BY n"}, ("n",)
    ),
    "its HAVING": ({"g": TOPS, "v": "SELECT k, max(c) AS most FROM g GROUP BY k HAVING most % 2 = 1"}, ("k",)),
    "of all": ({"g": SUMS, "v": "SELECT 'all' AS of, max(s) AS most, count(*) AS ks FROM g"}, ("of",)),
    "a join of tables": (
        {"g": SUMS, "h": "SELECT n AS m, count(*) AS d FROM events GROUP BY n",
         "v": "SELECT g.c, h.d, k, m, s FROM g FULL JOIN h ON g.c = h.d"},
        ("c", "d", "k", "m"),
    ),
    "a set of tables": (
        {"g": SUMS, "h": TOPS, "v": "SELECT k FROM g WHERE s > 2 EXCEPT SELECT k FROM h WHERE n = 1"}, ("k",)
    ),
    "a view of a view": (
        {"g": SUMS, "h": "SELECT k, s FROM g ORDER BY s, k LIMIT 3", "v": "SELECT s, count(*) AS c FROM h GROUP BY s"},
        ("s",),
    ),
    "top N of a rolling window": (
        {"g": f"{ROLLING} GROUP BY k", "v": "SELECT k, s FROM g ORDER BY c DESC, k LIMIT 2"}, ("k",)
    ),
    "top N of what a ttl ends": (
        {"g": {"sql": SUMS, "ttl": "3s"}, "v": "SELECT k, s FROM g ORDER BY c DESC, k LIMIT 2"}, ("k",)
    ),
    "best of windows": ({"g": BY_WINDOW, "v": "SELECT k, max(s) AS most FROM g GROUP BY k"}, ("k",)),
    "best of each window": (
        {"g": BY_WINDOW, "v": "SELECT * FROM g QUALIFY row_number() OVER (PARTITION BY w ORDER BY s, k) = 1"}, ("w",)
    ),
    "the clock": ({"g": SUMS, "v": "SELECT k, epoch(now())::BIGINT % 3 AS e FROM g ORDER BY s, k LIMIT 2"}, ("k", "e")),
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
few = settings(max_examples=3, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))


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


@few
@given(batches, st.integers(0, 7))
@pytest.mark.parametrize("name", VIEWS)
def test_a_view_in_update_mode_with_its_deletions_is_the_complete_view(
    name: str, script: list[tuple[list[Row], int]], restart_at: int
) -> None:
    steps, key = VIEWS[name]
    run = Runner(steps, [("v", "update", keyed(*key)), ("v", "update"), ("v", "complete")], delay_ms=5000)
    by_key: dict[tuple[Any, ...], Row] = {}
    bag: Counter[str] = Counter()
    at = 0
    for i, (rows, wait) in enumerate(script):
        at += wait
        if i == restart_at:
            run.restart()
        update, changed, complete = run.batch(events=rows, at_s=at)
        deleted, left, _ = run.deleted
        apply(by_key, key, update, deleted)
        assert in_order(list(by_key.values())) == in_order(complete)
        bag.subtract(map(repr, left or []))
        assert min(bag.values(), default=0) >= 0
        bag.update(map(repr, changed))
        assert +bag == Counter(map(repr, complete))
    run.close()


def test_a_view_that_is_as_it_was_changes_nothing() -> None:
    run = Runner({"g": SUMS, "v": "SELECT k, s FROM g ORDER BY s DESC LIMIT 1"}, [("v", "update", keyed("k"))])
    assert run.batch(events=[{"k": "a", "n": 5}]) == [[{"k": "a", "s": 5}]]
    assert (run.batch(events=[{"k": "b", "n": 1}]), run.deleted) == ([[]], [[]])
    run.restart()
    assert (run.batch(), run.deleted) == ([[]], [[]])
    assert run.batch(events=[{"k": "b", "n": 9}]) == [[{"k": "b", "s": 10}]]
    assert run.deleted == [[{"k": "a", "s": 5}]]


@pytest.mark.parametrize(
    "value",
    [
        "k::ENUM('a', 'b')",
        "md5(k)::UUID",
        "{'x': k}::JSON",
        "s::HUGEINT",
        "s::UHUGEINT",
        "s::UTINYINT",
        "s::DECIMAL(38, 3)",
        "s / 3",
        "'nan'::DOUBLE",
        "'-inf'::FLOAT",
        "k::BLOB",
        "s::INT::BIT",
        "(t::DATE)",
        "(t::TIME)",
        "t::TIMETZ",
        "t::TIMESTAMP_S",
        "t::TIMESTAMP_MS",
        "t::TIMESTAMP_NS",
        "t::TIMESTAMPTZ",
        "NULL::VARCHAR",
        "[s, NULL]",
        "[s, 2]::BIGINT[2]",
        "{'a': k, 'b': [t::TIMESTAMP_S]}",
        "MAP {k: [s]}",
        "[md5(k)::UUID]",
    ],
)
@pytest.mark.parametrize("first", [False, True])
def test_a_restart_keeps_what_was_shown_whatever_its_type(value: str, first: bool) -> None:
    steps = {
        "g": "SELECT k, sum(n)::BIGINT AS s, max(t) AS t FROM events GROUP BY k",
        "v": f"SELECT k, {value} AS x FROM g ORDER BY s DESC LIMIT 2",
    }
    if first:
        steps = {
            "g": "SELECT k, n AS s, t FROM events",
            "v": f"SELECT k, {value} AS x FROM g QUALIFY row_number() OVER (ORDER BY s DESC) <= 2",
        }
    run = Runner(steps, [("v", "update")])
    given = [{"k": k, "n": n, "t": BASE} for k, n in (("a", 5), ("b", 3))]
    (before,) = run.batch(events=given)
    assert len(before) == 2
    run.restart()
    assert (run.batch(), run.deleted) == ([[]], [[]])
    assert run.batch(events=[{"k": "a", "n": 4, "t": BASE}])[0] != before
    assert all(repr(row) in set(map(repr, before)) for row in run.deleted[0] or [])
    run.close()


def test_a_sink_that_is_new_is_shown_the_whole_view_and_one_that_stays_what_has_changed() -> None:
    steps = {"g": SUMS, "v": "SELECT k, s FROM g ORDER BY s DESC LIMIT 2"}
    run = Runner(steps, [("v", "update", keyed("k"))])
    run.batch(events=[{"k": "a", "n": 5}, {"k": "b", "n": 1}])
    run.restart([("v", "update", keyed("k")), ("v", "update")])
    stays, new = run.batch(events=[{"k": "b", "n": 1}])
    assert (stays, len(new)) == ([{"k": "b", "s": 2}], 2)


def test_a_static_table_that_is_replaced_changes_a_view() -> None:
    run = Runner({"g": SUMS, "v": "SELECT name, s FROM g JOIN names USING (k) ORDER BY s LIMIT 1"}, [("v", "update")])
    run.table("names", NAMES)
    assert run.batch(events=[{"k": "a", "n": 5}]) == [[{"name": "2", "s": 5}]]
    run.table("names", [{"k": "a", "name": "Ann"}])
    assert run.batch(events=[{"k": "z", "n": 5}]) == [[{"name": "Ann", "s": 5}]]
    assert run.deleted == [[{"name": "2", "s": 5}]]


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
