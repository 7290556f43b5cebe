"""A value stays what it is, of whatever type: from step to step in every mode, in a state, and after a restart.

Every expected row is the answer of plain DuckDB to the same SQL over all rows at once.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from support.queries import Row, Runner, problems
from support.types import ALL, UNKEPT, VALUES, value_of

BASE = datetime(2026, 1, 1)
FIELDS: dict[str, pa.DataType] = {"k": pa.string(), "n": pa.int64(), "t": pa.timestamp("us"), "l": pa.list_(pa.int64())}
COLUMNS = pa.schema(FIELDS)
Batches = Sequence[Sequence[tuple[str, int]]]

# What each step makes of the one before, so that DuckDB has the same steps as views.
HANDED_ON = {
    "other_reader": "SELECT count(*) AS c FROM p",
    "row": "SELECT k, n, typeof(v) AS kind, v::VARCHAR AS text, [v]::VARCHAR AS list FROM p",
}
KEPT = {
    "g": "SELECT k, max(v) AS hi, min(v) AS lo, max(v) FILTER (WHERE n > 0) AS above, arg_max(v, n) AS newest, "
    "arg_min(n, v) AS place, list_sort(list(v)) AS every, count(v) AS c, approx_count_distinct(v) AS d, "
    "count(DISTINCT v) AS e FROM p GROUP BY k",
    "shown": "SELECT k, typeof(hi) AS kind, hi::VARCHAR AS hi, lo::VARCHAR AS lo, above::VARCHAR AS above, "
    "newest::VARCHAR AS newest, place, typeof(every) AS kinds, every::VARCHAR AS every, c, d, e FROM g",
    "top": "SELECT typeof(max(hi)) AS kind, max(hi)::VARCHAR AS hi, list_sort(list(lo))::VARCHAR AS los FROM g",
    "by_value": "SELECT v AS x, count(*) AS c, max(n) AS m FROM p GROUP BY v",
    "value": "SELECT typeof(x) AS kind, x::VARCHAR AS x, c, m FROM by_value",
}


def p(kind: str) -> str:
    return f"SELECT k, n, t, {value_of(kind, 'n')} AS v FROM events"


def one_shot(steps: Mapping[str, str], step: str, given: Sequence[tuple[str, int]]) -> list[str]:
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.register("events", pa.Table.from_pylist(as_rows(given), COLUMNS))
        for name, sql in steps.items():
            con.execute(f"CREATE VIEW {name} AS {sql}")
        return texts(con.sql(f"SELECT * FROM {step}").to_arrow_table().to_pylist())


def as_rows(given: Sequence[tuple[str, int]], at: int = 0) -> list[Row]:
    """The rows, one a second."""
    return [{"k": k, "n": n, "t": BASE + timedelta(seconds=i), "l": None} for i, (k, n) in enumerate(given, at)]


def texts(rows: list[Row]) -> list[str]:
    return sorted(map(repr, rows))


def everything_so_far(script: Batches, i: int) -> list[tuple[str, int]]:
    return [row for batch in script[: i + 1] for row in batch]


SCRIPT = [[("a", 0), ("b", 1), ("a", 9)], [], [("a", 1), ("a", 0), ("c", 9)], [("b", 2), ("b", 3), ("c", 0)]]


@pytest.mark.parametrize("kind", ALL)
def test_a_stream_is_the_same_for_each_of_its_readers(kind: str) -> None:
    steps = {"p": p(kind), **HANDED_ON}
    run = Runner(steps, [("row", "append"), ("row", "update"), ("other_reader", "complete")])
    for batch in SCRIPT:
        append, update, _ = run.batch(events=as_rows(batch))
        assert texts(append) == texts(update) == one_shot(steps, "row", batch)
    run.close()


def check_kept(kind: str, script: Batches, restart_at: int) -> None:
    steps = {"p": p(kind), **KEPT}
    run = Runner(steps, [(s, m) for s in ("shown", "value") for m in ("complete", "update")] + [("top", "complete")])
    mirrors: tuple[dict[Any, Row], dict[Any, Row]] = ({}, {})
    for i, batch in enumerate(script):
        if i == restart_at:
            run.restart()
        shown, changed, value, changed_values, top = run.batch(events=as_rows(batch))
        so_far = everything_so_far(script, i)
        assert texts(shown) == one_shot(steps, "shown", so_far)
        assert texts(value) == one_shot(steps, "value", so_far)
        assert texts(top) == one_shot(steps, "top", so_far)
        mirrors[0].update({row["k"]: row for row in changed})
        mirrors[1].update({row["x"]: row for row in changed_values})
        assert (texts(list(mirrors[0].values())), texts(list(mirrors[1].values()))) == (texts(shown), texts(value))
    run.close()


@pytest.mark.parametrize("kind", VALUES)
def test_groups_and_aggregates_of_each_type(kind: str) -> None:
    check_kept(kind, SCRIPT, restart_at=2)


SOME = ["HUGEINT", "UHUGEINT", "TIMETZ", "BIT", "TIMESTAMP_S", "UUID", "ENUM('z', 'a')", "STRUCT(a UHUGEINT, b TIMETZ)"]
WINDOWED = {
    "w": "SELECT k, v AS key, max(v) AS hi, count(*) AS c FROM p GROUP BY k, v, {window}",
    "x": "SELECT k, typeof(key) AS kind, key::VARCHAR AS key, hi::VARCHAR AS hi, c FROM w",
}


@pytest.mark.parametrize("complete", [False, True])
@pytest.mark.parametrize("kind", SOME)
def test_windows_that_become_final(kind: str, complete: bool) -> None:
    steps = {"p": p(kind), **WINDOWED, "w": WINDOWED["w"].format(window="tumble(t, INTERVAL '1 second')")}
    run = Runner(steps, [("x", "append"), *([("x", "complete")] if complete else [("x", "update")])])
    final = []
    at = 0
    for i, batch in enumerate([*SCRIPT, [], []]):
        run.restart()
        rows = as_rows(batch, at) if i < len(SCRIPT) else [{"k": "z", "t": BASE + timedelta(hours=i)}]
        at += len(batch)
        final += [row for row in run.batch(events=rows)[0] if row["k"] != "z"]
    plain = {**steps, "w": WINDOWED["w"].format(window="t")}
    assert texts(final) == one_shot(plain, "x", everything_so_far(SCRIPT, len(SCRIPT)))
    run.close()


@pytest.mark.parametrize("kind", SOME)
def test_rolling_windows(kind: str) -> None:
    of_all = "SELECT k, max(v) AS hi, list_sort(list(v)) AS every, count(*) AS c FROM p {where} GROUP BY k"
    shown = "SELECT k, typeof(hi) AS kind, hi::VARCHAR AS hi, typeof(every) AS kinds, every::VARCHAR AS every, c FROM r"
    steps = {"p": p(kind), "r": of_all.format(where="WHERE batch_time > now() - INTERVAL '1 hour'"), "x": shown}
    run = Runner(steps, [("x", "complete"), ("x", "update")])
    mirror: dict[Any, Row] = {}
    for i, batch in enumerate(SCRIPT):
        complete, update = run.batch(events=as_rows(batch))
        mirror.update({row["k"]: row for row in update})
        plain = {**steps, "r": of_all.format(where="")}
        assert texts(list(mirror.values())) == texts(complete) == one_shot(plain, "x", everything_so_far(SCRIPT, i))
        run.restart()
    run.close()


@pytest.mark.parametrize("kind", UNKEPT)
@pytest.mark.parametrize("use", ["count(*) AS c FROM p GROUP BY v", "max(v) AS m FROM p", "len(list(v)) AS c FROM p"])
def test_what_no_checkpoint_holds_is_refused(kind: str, use: str) -> None:
    found = problems({"p": p(kind), "g": f"SELECT {use}"}, [("g", "complete")])
    assert [("which no checkpoint can hold" in problem.message) for problem in found] == [True]
    assert not problems({"p": p(kind), "g": "SELECT k, count(v) AS c FROM p GROUP BY k"}, [("g", "complete")])


numbers = st.integers(0, 4)
batches = st.lists(st.lists(st.tuples(st.sampled_from("ab"), numbers), max_size=5), min_size=1, max_size=5)
few = settings(max_examples=6, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))


@few
@given(st.sampled_from(sorted(VALUES)), batches, st.integers(0, 4))
def test_groups_and_aggregates_of_any_batches(kind: str, script: Batches, restart_at: int) -> None:
    check_kept(kind, script, restart_at)
