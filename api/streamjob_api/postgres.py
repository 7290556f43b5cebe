"""PostgreSQL: what is written to it."""

from typing import Annotated

from pydantic import Field

from streamjob_api.base import Bool, KeyRef, Part
from streamjob_api.texts import ColumnName, PostgresName


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
