# ruff: noqa: S608 - SQL is put together here from names that are quoted and texts that the planner rendered.
"""A kept table before a batch and after it: which of its rows left, and which were not there."""

from collections.abc import Sequence

import pyarrow as pa

from streamjob_runtime.embedded.compose import rows_table
from streamjob_runtime.embedded.database import Database
from streamjob_runtime.embedded.kept import Operator
from streamjob_runtime.plan.tree import quoted

_NOW, _BEFORE = "table:now", "table:before"  # no relation's name has a colon


def gone(db: Database, operator: Operator, sql: str, key: Sequence[str], schema: pa.Schema) -> pa.Table:
    """What the operator's changed rows gave before the batch, where they give nothing with that key now.

    `sql`: what is made of them, in the columns of `schema`.
    """
    if not db.kept(operator.before):
        return schema.empty_table()
    _keep(db, operator, sql)
    same = " AND ".join(f"b.{c} IS NOT DISTINCT FROM n.{c}" for c in map(quoted, key)) or "true"
    left = f"FROM {quoted(_BEFORE)} AS b ANTI JOIN {quoted(_NOW)} AS n ON {same}"
    one_each = f"DISTINCT ON ({', '.join(f'b.{quoted(c)}' for c in key)}) *" if key else "*"
    rows = db.rows(f"SELECT {one_each} {left}{'' if key else ' LIMIT 1'}")
    db.keep_none(_NOW)
    db.keep_none(_BEFORE)
    return in_types(rows, schema)


def only_new(db: Database, operator: Operator, sql: str, schema: pa.Schema) -> pa.Table:
    """What the operator's changed rows give now, but for what they gave before the batch. See `gone`."""
    _keep(db, operator, sql)
    rows = db.rows(f"FROM {quoted(_NOW)} EXCEPT ALL FROM {quoted(_BEFORE)}")
    db.keep_none(_NOW)
    db.keep_none(_BEFORE)
    return in_types(rows, schema)


def _keep(db: Database, operator: Operator, sql: str) -> None:
    """Keep what the changed rows give now and what they gave before."""
    db.keep(_NOW, sql)
    db.view(rows_table(operator.step.name), f"SELECT * FROM {quoted(operator.before)}")
    db.keep(_BEFORE, sql)


def in_types(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows in the sink's own types: a table of DuckDB's has none for what is always NULL."""
    columns = [
        pa.chunked_array([pa.nulls(rows.num_rows)]) if pa.types.is_null(field.type) else column.cast(field.type)
        for column, field in zip(rows.columns, schema, strict=True)
    ]
    return pa.table(columns, schema=schema)
