"""PostgreSQL: what is written to it."""

from collections.abc import Hashable, Iterator
from typing import Annotated

from pydantic import Field

from streamjob_api import trees
from streamjob_api.base import Bool, KeyRef, Part
from streamjob_api.cel import CelRule
from streamjob_api.systems.kinds import Alone, SinkKind
from streamjob_api.systems.named_columns import each_once, each_once_cel, key_of_mode, key_of_mode_cel
from streamjob_api.texts import ColumnName, Text
from streamjob_api.trees import Broken, Tree

PostgresName = Annotated[
    str,
    Text(
        pattern=r'^[^\x00-\x1f\x7f".]+$',
        max_length=63,
        name="PostgreSQL name",
        words="a name in PostgreSQL, without quotes and points; where it lies is said by schema: public",
        varies=True,
    ),
]


class PostgresSink(Part):
    """Writes a table of PostgreSQL, each batch in one transaction."""

    table: PostgresName = Field(description="The table. Upper and lower case count.")
    schema_: PostgresName | None = Field(
        None,
        alias="schema",
        description="The schema that it lies in. Left out: the first one of the connection's `search_path`, most "
        "often `public`.",
    )
    key: Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=32)] | None = Field(
        None,
        description="With mode `update`: the columns that tell which row is to be replaced. The table needs a unique "
        "index on just these.",
    )
    dsn_secret_ref: KeyRef = Field(
        description="The Secret that holds how to connect: `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`, or "
        "`host=… user=…`, as libpq has it."
    )
    create: Bool = Field(False, description="Whether the table is made, from the result's columns, if it is not there.")


def _sink(item: Tree) -> Iterator[Broken]:
    yield from key_of_mode(item, "postgres")
    yield from each_once(item, "postgres", "key")


def _table(postgres: Tree) -> Hashable | None:
    ref = trees.mapping(postgres.get("dsnSecretRef"))
    place = (ref.get("name"), ref.get("key"), postgres.get("schema"), postgres.get("table"))
    known = all(isinstance(part, str) for part in (*place[:2], place[3])) and isinstance(place[2], str | None)
    return place if known else None


# A sink's marker says which batch the table has.
_ALONE = Alone(
    field="table",
    place=_table,
    message="writes this table already",
    hint="give each sink a table of its own, or bring the rows together by UNION ALL in a step",
    cel=CelRule(
        "self.sinks.all(sink, !has(sink.postgres) || self.sinks.exists_one(other, has(other.postgres) && "
        "other.postgres.table == sink.postgres.table && other.postgres.dsnSecretRef == sink.postgres.dsnSecretRef && "
        "has(other.postgres.schema) == has(sink.postgres.schema) && "
        "(!has(sink.postgres.schema) || other.postgres.schema == sink.postgres.schema)))",
        "two sinks write the same table; give each sink a table of its own",
        field="sinks",
    ),
)

SINK = SinkKind(
    model=PostgresSink,
    columns=("key",),
    written="PostgreSQL",
    tells_deletions=True,
    by_key="PostgreSQL",
    more_types=frozenset({"INTERVAL"}),
    less_types=frozenset({"TIMESTAMP_NS", "TIMESTAMPTZ_NS"}),
    nested_is_json=True,
    alone=_ALONE,
    rules=_sink,
    cel={"": key_of_mode_cel("postgres"), "postgres": (each_once_cel("key"),)},
)
