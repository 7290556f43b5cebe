"""What a state was before a restart it is after it, whatever types its values have."""

from datetime import datetime, timedelta

import pytest

from support.queries import Row, Runner

# A lesser and a greater value of each type.
VALUES = [
    ("DATE '2026-01-01'", "DATE '2026-01-02'"),
    ("TIME '10:00:00'", "TIME '10:00:00.000001'"),
    ("TIMESTAMP '2026-01-01 00:00:00'", "TIMESTAMP '2026-01-01 00:00:00.000001'"),
    ("TIMESTAMP_S '2026-01-01 00:00:00'", "TIMESTAMP_S '2026-01-01 00:00:01'"),
    ("TIMESTAMP_MS '2026-01-01 00:00:00'", "TIMESTAMP_MS '2026-01-01 00:00:00.001'"),
    ("TIMESTAMP_NS '2026-01-01 00:00:00'", "TIMESTAMP_NS '2026-01-01 00:00:00.000000001'"),
    ("TIMESTAMPTZ '2026-01-01 00:00:00+00'", "TIMESTAMPTZ '2026-01-01 00:00:00.000001+00'"),
    ("TIME_NS '10:00:00'", "TIME_NS '10:00:00.000000001'"),
    ("BLOB 'a'", "BLOB 'b'"),
    ("'a'", "'b'"),
    ("UUID 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "UUID 'b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"),
    ("1::HUGEINT", "17014118346046923173168730371588410572::HUGEINT"),
    ("1.25::DECIMAL(38, 2)", "1.26::DECIMAL(38, 2)"),
    ("false", "true"),
    ("[DATE '2026-01-01']", "[DATE '2026-01-02']"),
    ("[1, 2]::INTEGER[2]", "[1, 3]::INTEGER[2]"),
    ("{'a': TIMESTAMP '2026-01-01'}", "{'a': TIMESTAMP '2026-01-02'}"),
]
GROUPS = {
    "kept": "GROUP BY n",
    "windowed": "GROUP BY n, tumble(t, INTERVAL '10 seconds')",
    "rolling": "WHERE batch_time > now() - INTERVAL '1 hour' GROUP BY n",
}


@pytest.mark.parametrize("groups", GROUPS.values(), ids=GROUPS.keys())
def test_the_least_and_the_greatest_value_of_each_type(groups: str) -> None:
    shown = []
    for i, (less, more) in enumerate(VALUES):
        value = f"CASE k WHEN 'less' THEN {less} WHEN 'more' THEN {more} END"
        calls = [f"min({value})", f"max({value})", f"max({value}) FILTER (WHERE k = 'less')", f"arg_max({value}, k)"]
        calls += [
            f"arg_min(k, {value})",
            f"any_value({value})",
            f"list_sort(list({value}) FILTER (WHERE k IS NOT NULL))",
        ]
        shown += [f"({call})::VARCHAR AS c{i}_{j}" for j, call in enumerate(calls)]
    run = Runner({"v": f"SELECT n, {', '.join(shown)} FROM events {groups}"}, [("v", "update")])
    (before,) = run.batch(events=[event(1, "less"), event(1, "more"), event(2, "less"), event(3, None)])
    run.restart()
    # Nothing of group 1 and 3 changes: they are what the snapshot had. In group 2 the restored least value stays.
    (after,) = run.batch(events=[event(1, None), event(2, "more"), event(3, None)])
    was, now = ({row["n"]: row for row in rows} for rows in (before, after))
    assert (now[1], now[2], now[3]) == (was[1], was[1] | {"n": 2}, was[3])
    assert set(now[3].values()) == {3, None} and all(now[1][f"c{i}_0"] < now[1][f"c{i}_1"] for i in range(len(VALUES)))
    run.close()


def test_windows_that_were_final_are_not_written_again_when_the_sink_of_all_of_them_goes() -> None:
    sql = "SELECT window_start AS w, count(*) AS c FROM events GROUP BY tumble(t, INTERVAL '10 seconds')"
    run = Runner({"v": sql}, [("v", "append"), ("v", "complete")])
    written = []
    for second in (1, 25, 45):
        written += run.batch(events=[at(second)])[0]
    run.restart([("v", "append")])
    for second in (65, 85):
        written += run.batch(events=[at(second)])[0]
    assert [row["w"].second for row in written] == [0, 20, 40]
    assert run.last is not None and run.last.operators[0].rows_total == 2  # and the old ones have left
    run.close()


def at(second: int) -> Row:
    return {"n": 1, "t": datetime(2026, 1, 1) + timedelta(seconds=second)}


def event(n: int, k: str | None) -> Row:
    return {"n": n, "k": k, "t": datetime(2026, 1, 1)}


def test_lists_of_structs_of_nothing_but_null_are_kept() -> None:
    sql = "SELECT k, list_sort(list({'n': n, 's': {'nothing': NULL}})) AS l FROM events GROUP BY k"
    job = Runner({"r": sql}, [("r", "complete")])
    job.batch(events=[{"k": "a", "n": 2}, {"k": "a", "n": 1}, {"k": "b", "n": 3}])
    job.restart()
    (rows,) = job.batch(events=[{"k": "b", "n": 4}])
    assert {r["k"]: [each["n"] for each in r["l"]] for r in rows} == {"a": [1, 2], "b": [3, 4]}
    job.close()
