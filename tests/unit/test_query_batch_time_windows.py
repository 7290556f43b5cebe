"""Windows over batch time: each is final with the first batch at or behind its end, whatever comes in between."""

from collections import Counter
from datetime import datetime, timedelta

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from support.queries import START, Row, Runner, problems

few = settings(max_examples=6, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
SHOWN = "k, window_start, window_end, count(*) AS n, sum(n) AS s"


def starts(second: int, slide: int, size: int) -> list[int]:
    """The windows that a time is in, in seconds since 1970."""
    last = second // slide * slide
    return list(range(last, second - size, -slide))


@few
@given(
    st.lists(st.tuples(st.integers(0, 9), st.lists(st.sampled_from("ab"), max_size=4)), min_size=1, max_size=9),
    st.integers(0, 8),
)
@pytest.mark.parametrize(
    ("window", "slide", "size"),
    [
        ("tumble(batch_time, INTERVAL '10 seconds')", 10, 10),
        ("hop(batch_time, INTERVAL '4 seconds', INTERVAL '10 seconds')", 4, 10),
    ],
)
def test_rows_count_in_the_windows_of_their_batch(
    window: str, slide: int, size: int, script: list[tuple[int, list[str]]], restart_at: int
) -> None:
    run = Runner({"g": f"SELECT {SHOWN} FROM events GROUP BY k, {window}"}, [("g", "append"), ("g", "update")])
    whole = Runner({"g": f"SELECT {SHOWN} FROM events GROUP BY k, {window}"}, [("g", "complete")])
    expected: Counter[tuple[str, int]] = Counter()
    final: list[Row] = []
    mirror: dict[tuple[str, int], Row] = {}
    at = 0
    for i, (seconds, keys) in enumerate(script):
        at += seconds
        if i == restart_at:
            run.restart()
            whole.restart()
        now = START // 1000 + at
        before = {key for key in expected if key[1] + size <= now}
        wanted = run.query.wants_batch(now * 1000, None)
        assert wanted == (len(final) < len(before))
        for k in keys:
            for start in starts(now, slide, size):
                expected[k, start] += 1
        rows = [{"k": k, "n": 2} for k in keys]
        append, update = run.batch(at_s=at, events=rows)
        final += append
        mirror.update({key_of(row): row for row in update})
        assert {key_of(row): row["n"] for row in final} == {k: n for k, n in expected.items() if k[1] + size <= now}
        assert {key_of(row): row["n"] for row in whole.batch(at_s=at, events=rows)[0]} == expected
        assert run.last is not None
        assert run.last.operators[0].rows_total == len(expected) - len(final)
    assert {key: row["n"] for key, row in mirror.items()} == expected
    assert all(row["s"] == 2 * row["n"] for row in final)
    assert all((row["window_end"] - row["window_start"]).total_seconds() == size for row in final)
    assert len(final) == len({key_of(row) for row in final})
    run.close()
    whole.close()


def key_of(row: Row) -> tuple[str, int]:
    start: datetime = row["window_start"]
    assert start.utcoffset() == timedelta(0)
    return row["k"], int(start.timestamp())


def test_what_a_step_gives_of_each_window_is_final_with_it() -> None:
    steps = {
        "g": "SELECT k, window_start, count(*) AS n FROM events GROUP BY k, tumble(batch_time, INTERVAL '10 seconds')",
        "r": "SELECT window_start, max(n) AS top FROM g GROUP BY window_start",
    }
    run = Runner(steps, [("r", "append")])
    assert run.batch(at_s=1, events=[{"k": k} for k in "aab"]) == [[]]
    (rows,) = run.batch(at_s=20)
    assert [row["top"] for row in rows] == [2]
    run.close()


def test_windows_of_batches_are_not_joined_with_those_of_events() -> None:
    steps = {
        "b": "SELECT window_start, count(*) AS n FROM events GROUP BY tumble(batch_time, INTERVAL '10 seconds')",
        "e": "SELECT window_start, count(*) AS n FROM events GROUP BY tumble(t, INTERVAL '10 seconds')",
        "r": "SELECT b.n, e.n AS m FROM b JOIN e ON b.window_start = e.window_start",
    }
    (problem,) = problems(steps, [("r", "append")])
    assert "windows of different lengths" in problem.text


def test_the_final_ones_and_all_of_them_are_two_steps() -> None:
    steps = {"g": "SELECT window_start, count(*) AS n FROM events GROUP BY tumble(batch_time, INTERVAL '10 seconds')"}
    (problem,) = problems(steps, [("g", "append"), ("g", "complete")])
    assert problem.path == "spec.sinks[0].mode"
    assert problem.text.startswith("g has windows over batch time, of which this sink gets the final ones")
    assert problems({**steps, "h": steps["g"]}, [("g", "append"), ("h", "complete")]) == []
    assert problems(steps, [("g", "update"), ("g", "complete")]) == []
