"""A state is what it was, whatever its types, when it comes back from a snapshot."""

from collections.abc import Iterable
from datetime import datetime

import pytest

from support.queries import Row, Runner

VALUES = {
    "BOOLEAN": "n > 1",
    "UTINYINT": "n::UTINYINT",
    "BIGINT": "n",
    "HUGEINT": "n::HUGEINT",
    "DECIMAL": "n::DECIMAL(10, 2)",
    "DOUBLE": "n::DOUBLE",
    "VARCHAR": "k",
    "BLOB": "k::BLOB",
    "DATE": "t::DATE",
    "TIME": "t::TIME",
    "TIMESTAMP": "t",
    "TIMESTAMP_S": "t::TIMESTAMP_S",
    "TIMESTAMP_NS": "t::TIMESTAMP_NS",
    "TIMESTAMPTZ": "t AT TIME ZONE 'UTC'",
    "INTERVAL": "to_minutes(n)",
    "UUID": "md5(k)::UUID",
    "LIST": "[t]",
    "STRUCT": "{'t': t}",
}
FUNCTIONS = ("min", "max", "first", "arg_max")
FEW = ("BIGINT", "BLOB", "TIMESTAMP")
BY = {
    "group": "SELECT n % 2 AS p, {} FROM events GROUP BY p",
    "no group": "SELECT {} FROM events",
    "event window": "SELECT window_start, {} FROM events GROUP BY n % 2, tumble(t, INTERVAL '1 hour')",
    "rolling window": "SELECT n % 2 AS p, {} FROM events WHERE batch_time > now() - INTERVAL '5 seconds' GROUP BY p",
}


def event(n: int | None) -> Row:
    return {"k": None if n is None else f"k{n}", "n": n, "t": None if n is None else datetime(2026, 1, 1, 1, n, n)}


def aggregate(function: str, name: str, value: str) -> str:
    more = ", n" if function == "arg_max" else ""
    return f"{function}({value}{more}) AS {function}_{name}"


@pytest.mark.parametrize(("by", "values"), [("group", VALUES), *((by, FEW) for by in BY if by != "group")])
def test_a_restart_between_two_batches_changes_nothing(by: str, values: Iterable[str]) -> None:
    aggregates = [aggregate(function, value, VALUES[value]) for function in FUNCTIONS for value in values]
    sql = BY[by].format(", ".join(aggregates))
    batches = [[event(None), event(1), event(2)], [], [event(3), event(0), event(None)]]
    results = []
    for restarted in (False, True):
        run = Runner({"g": sql}, [("g", "complete")])
        shown = []
        for at_s, rows in enumerate(batches):
            shown.append(run.batch(at_s=at_s, events=rows)[0])
            if restarted:
                run.restart()
        results.append([sorted(rows, key=repr) for rows in shown])
        run.close()
    assert results[0] == results[1]
    assert results[0][-1] != results[0][0]
