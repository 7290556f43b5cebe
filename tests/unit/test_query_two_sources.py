"""Streams that meet in a UNION ALL: each row counts once, whichever of their sources a batch has rows from."""

from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from support.queries import Row, Runner

TYPED = [{"name": name, "queue": {}, "schema": {"k": "VARCHAR", "n": "BIGINT"}} for name in ("web", "shop")]
CAST: list[dict[str, Any]] = [
    {"name": name, "files": {"path": f"{name}/"}, "format": "csv", "schema": {"k": "VARCHAR", "n": "SMALLINT"}}
    for name in ("web", "shop")
]
# Each stream is read more than once: by both its sinks, or by a step and a sink.
STEPS = {
    "a": "SELECT k, n FROM web",
    "b": "SELECT k, n + 100 AS n FROM shop",
    "united": "SELECT * FROM a UNION ALL SELECT * FROM b",
    "tenfold": "SELECT k, n * 10 AS n FROM united",
    "total": "SELECT k, count(*) AS c, sum(n) AS s FROM united GROUP BY k",
    "straight": "SELECT k, count(*) AS c, sum(n) AS s FROM (FROM web UNION ALL FROM shop) GROUP BY k",
    "recent": "SELECT count(*) AS c, sum(n) AS s FROM tenfold WHERE batch_time > now() - INTERVAL '1 hour'",
}
STREAMS = ["web", "shop", "a", "b", "united", "tenfold"]
SINKS = [*((name, "append") for name in STREAMS), *((t, "complete") for t in ("total", "straight", "recent"))]

some_rows = st.lists(st.fixed_dictionaries({"k": st.sampled_from("xy"), "n": st.integers(0, 9)}), max_size=3)


def of(k: str, rows: list[Row]) -> list[Row]:
    return [r for r in rows if r["k"] == k]


def totals(rows: list[Row]) -> dict[str, tuple[int, int]]:
    keys = {r["k"] for r in rows}
    return {k: (len(of(k, rows)), sum(r["n"] for r in of(k, rows))) for k in keys}


def kept(table: list[Row]) -> dict[str, tuple[int, int]]:
    return {r["k"]: (r["c"], r["s"]) for r in table}


def in_order(rows: list[Row]) -> list[tuple[str, int]]:
    return sorted((r["k"], r["n"]) for r in rows)


@settings(max_examples=6, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.lists(st.tuples(some_rows, some_rows), min_size=2, max_size=6))
@pytest.mark.parametrize("sources", [TYPED, CAST], ids=["typed", "cast"])
def test_every_row_counts_in_its_own_batch_and_in_no_other(
    sources: list[dict[str, Any]], script: list[tuple[list[Row], list[Row]]]
) -> None:
    run = Runner(STEPS, SINKS, sources=sources)
    ones: list[Row] = []
    others: list[Row] = []
    for left, right in script:
        filled: dict[str, Any] = {name: rows for name, rows in (("web", left), ("shop", right)) if rows}
        batch = run.batch(**filled)
        got = dict(zip([name for name, _ in SINKS], batch, strict=True))
        moved = [{**r, "n": r["n"] + 100} for r in right]
        tenfold = [{**r, "n": r["n"] * 10} for r in left + moved]
        expected = {"web": left, "shop": right, "a": left, "b": moved, "united": left + moved, "tenfold": tenfold}
        assert {name: in_order(got[name]) for name in STREAMS} == {n: in_order(r) for n, r in expected.items()}
        ones, others = [*ones, *left, *right], [*others, *left, *moved]
        assert kept(got["straight"]) == totals(ones)
        assert kept(got["total"]) == totals(others)
        tens = 10 * sum(r["n"] for r in others)
        assert [(r["c"], r["s"] or 0) for r in got["recent"]] == [(len(others), tens)]
    run.close()
