"""The columns that a static table's own files name."""

from typing import Any

import pyarrow as pa
import pytest

from streamjob_runtime.plan.planner import plan
from streamjob_runtime.plan.problems import PlanError
from support.queries import SOURCES, spec

TABLE = {"name": "prices", "files": {"path": "prices.parquet"}, "format": "parquet"}
JOB = spec({"v": "SELECT n, price FROM events JOIN prices ON n = id"}, None, SOURCES, [TABLE])


def test_a_tables_own_columns_are_in_the_plan() -> None:
    code: pa.Field[Any] = pa.field("code", pa.dictionary(pa.int8(), pa.string()))
    numbers: list[pa.Field[Any]] = [pa.field("id", pa.int64()), pa.field("price", pa.decimal128(9, 2))]
    found = pa.schema([*numbers, code])
    (table,) = plan(JOB, {"prices": found}).tables
    assert [(c.name, c.type) for c in table.columns] == [
        ("id", "BIGINT"),
        ("price", "DECIMAL(9,2)"),
        ("code", "VARCHAR"),
    ]


@pytest.mark.parametrize(
    "kind",
    [
        pa.float16(),
        pa.decimal256(50, 2),
        pa.duration("us"),
        pa.list_(pa.float16()),
        pa.struct([("a", pa.int8()), ("A", pa.int8())]),
    ],
)
def test_a_column_of_a_type_that_sql_has_not_is_named(kind: pa.DataType) -> None:
    found = pa.schema({"id": pa.int64(), "price": kind})
    with pytest.raises(PlanError) as raised:
        plan(JOB, {"prices": found})
    (problem,) = raised.value.problems
    assert problem.path == "spec.tables[0]"
    assert problem.message == f"Its column price is of type {kind}, which is not read"
