"""Which values are none of their declared type is what the query itself would say when it casts them."""

from typing import Any

import duckdb
import pyarrow as pa
import pytest

from streamjob_runtime.embedded.misfits import CastCheck
from streamjob_runtime.embedded.open import open_query
from streamjob_runtime.plan.connect import connect
from support.simulate import job_of

JOB = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: types}}
spec:
  trigger: availableNow
  sources:
  - {{name: s, files: {{path: in/}}, format: {format}, schema: {{"a b": {type}, other: BIGINT}}}}
  sinks:
  - {{from: s, console: {{}}}}
"""

TEXTS = [
    "", " ", "NULL", "null", "0", "1", "-1", "256", "1e400", "3000000000", "99999999999999999999", "1.5", "abc", "true",
    "2026-01-01", "2026-01-01 10:00:00", "2026-01-01T10:00:00+02:00", "10:00:00", "10:30 PM", "24:00:00", "infinity",
    "2026-02-30", "300000-01-01", "1700-01-01", "[]", "[1,2]", "[1,x]", "{}", "{a=1}", "{1=2}", '{"a":1}', "{",
    "00000000-0000-0000-0000-000000000000", "red", r"ab\x00", r"\xZZ", "1 day", "P1D", "0101", "2026", "é",
]  # fmt: skip
TYPES = [
    "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_NS", "TIMESTAMP_S", "DATE", "TIME", "TINYINT", "INTEGER",
    "UTINYINT", "UBIGINT", "HUGEINT", "DECIMAL(4, 2)", "FLOAT", "BOOLEAN", "VARCHAR", "UUID", "BLOB", "INTERVAL", "BIT",
    "DATE[]", "TIMESTAMP WITH TIME ZONE[]", "MAP(INTEGER, INTEGER)", "JSON",
]  # fmt: skip


def values_of(wire: pa.DataType) -> list[Any]:
    if pa.types.is_string(wire):
        return [None, *TEXTS]
    if pa.types.is_integer(wire):
        return [None, 0, -1, 127, 128, 255, 256, -(2**63), 2**63 - 1]
    if pa.types.is_floating(wire):
        return [None, 0.5, 1e300, float("nan"), float("inf")]
    if pa.types.is_boolean(wire):
        return [None, True, False]
    if pa.types.is_list(wire):
        return [None, [], [None], ["2026-01-01"], ["2026-01-01", "never"]]
    assert pa.types.is_decimal(wire)
    return [None, 0, 1, 12]


@pytest.mark.parametrize("format_", ["json", "csv"])
@pytest.mark.parametrize("kind", TYPES)
def test_a_misfit_is_what_the_query_refuses(kind: str, format_: str) -> None:
    if format_ == "json" and kind in ("JSON", "MAP(INTEGER, INTEGER)"):
        return  # no types that a field of JSON is read in
    query = open_query(job_of(JOB.format(type=f'"{kind}"', format=format_)).spec, threads=1)
    con = connect(threads=1)
    try:
        source = query._sources["s"]
        values = values_of(source.wire.field("a b").type)
        rows = pa.table({"other": [1] * len(values), "a b": pa.array(values, source.wire.field("a b").type)})
        con.register("rows", rows.append_column("i", pa.array(range(len(values)))))
        refused = set()
        for i in range(len(values)):
            try:
                con.sql(f"SELECT {source._values['a b']} FROM rows WHERE i = {i}").to_arrow_table()
            except (duckdb.Error, UnicodeDecodeError):  # the latter where its message is cut within a character
                refused.add(i)
        found = query.source_misfits("s")(rows)
        assert {values[i] if not isinstance(values[i], list) else str(values[i]) for i in found} == {
            values[i] if not isinstance(values[i], list) else str(values[i]) for i in refused
        }
        assert all(reason.full.startswith('column "a b": ') for reason in found.values())
        assert all(
            repr(str(values[i]))[:4] not in reason.bare for i, reason in found.items() if len(str(values[i])) > 3
        )
        assert query.source_misfits("s")(rows.slice(0, 0)) == {}
    finally:
        query.close()
        con.close()


def test_what_needs_no_cast_costs_no_look() -> None:
    query = open_query(job_of(JOB.format(type="VARCHAR", format="json")).spec, threads=1)
    try:
        check = query._sources["s"].check
        assert isinstance(check, CastCheck)
        assert check.misfits(pa.table({"a b": ["x"], "other": [1]})) == {}
        assert check._con is None
    finally:
        query.close()
