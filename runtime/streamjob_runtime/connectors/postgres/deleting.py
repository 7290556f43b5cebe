"""How rows get out of a table, by their key."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql


def null_patterns(keys: pa.Table) -> Iterator[frozenset[str]]:
    """Which columns are NULL together in some row of the keys, each combination once."""
    if keys.num_rows:
        nulls = pa.table([pc.is_null(column) for column in keys.columns], names=keys.column_names)
        for row in nulls.group_by(keys.column_names).aggregate([]).to_pylist():
            yield frozenset(name for name, is_null in row.items() if is_null)


def delete_sql(
    target: sql.Composable, stage: sql.Composable, place: str, key: Sequence[str], nulls: frozenset[str], end: int
) -> sql.Composed:
    """The statement that deletes from `target` what has the key of one of the rows [0, end) of `stage`.

    `nulls`: the key's columns that are NULL, and only these. IS NOT DISTINCT FROM would say the same of all rows at
    once, but no index of the table helps PostgreSQL with that.
    """
    same = sql.SQL(" AND ").join(
        sql.SQL("t.{0} IS NULL AND s.{0} IS NULL" if name in nulls else "t.{0} = s.{0}").format(sql.Identifier(name))
        for name in key
    )
    return sql.SQL("DELETE FROM {} AS t USING {} AS s WHERE s.{} < {} AND {}").format(
        target, stage, sql.Identifier(place), sql.Literal(end), same
    )
