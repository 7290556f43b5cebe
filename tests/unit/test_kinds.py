"""Types as DuckDB writes them, taken apart and put together."""

import duckdb
import pytest

from streamjob_runtime.plan.kinds import KNOWN, NESTED, Kind, first_but, first_of, kind_of, replaced
from support.types import ALL

PLAIN = Kind("VARCHAR")
CASES = [
    ("TIMESTAMP WITH TIME ZONE[]", Kind("LIST", (Kind("TIMESTAMP WITH TIME ZONE"),))),
    ("DECIMAL(4, 2)[3]", Kind("ARRAY", (Kind("DECIMAL"),))),
    ("ENUM('a)', 'MAP(', '''')", Kind("ENUM")),
    ("MAP(VARCHAR[], VARCHAR)", Kind("MAP", (Kind("LIST", (PLAIN,)), PLAIN))),
    ('STRUCT("BIT" VARCHAR, "a ""b[], (" ENUM(\'BIT\')[])', Kind("STRUCT", (PLAIN, Kind("LIST", (Kind("ENUM"),))))),
    ("TUPLE(VARCHAR, BIT)", Kind("TUPLE", (PLAIN, Kind("BIT")))),
    ("UNION(a VARCHAR, b STRUCT(c DECIMAL(3, 1)[], d TIMETZ)[2])",
     Kind("UNION", (PLAIN, Kind("ARRAY", (Kind("STRUCT", (Kind("LIST", (Kind("DECIMAL"),)),
                                                          Kind("TIME WITH TIME ZONE"))),))))),
]  # fmt: skip


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def described(con: duckdb.DuckDBPyConnection, kind: str) -> str:
    return str(con.sql(f"SELECT CAST(NULL AS {kind})").types[0])


@pytest.mark.parametrize(("text", "kind"), CASES)
def test_types_are_taken_apart(con: duckdb.DuckDBPyConnection, text: str, kind: Kind) -> None:
    assert kind_of(described(con, text)) == kind


def test_each_type_of_the_catalog_is_known_or_refused(con: duckdb.DuckDBPyConnection) -> None:
    names = con.execute("SELECT DISTINCT upper(logical_type) FROM duckdb_types()").fetchall()
    plain = {described(con, name) for (name,) in names if name not in NESTED | {"DECIMAL", "ENUM", "NULL"}}
    assert plain - KNOWN == {"VARIANT", "TYPE"}
    assert {kind_of(described(con, kind)).name for kind in ALL} <= KNOWN


def test_kinds_are_found_and_replaced_only_where_they_are_types(con: duckdb.DuckDBPyConnection) -> None:
    text = described(con, "STRUCT(\"BIT\" ENUM('BIT'), b MAP(TIMETZ, BIT[]), c TIMESTAMPTZ)")
    assert first_of(text, frozenset({"BIT", "TIME WITH TIME ZONE"})) == "TIME WITH TIME ZONE"
    assert first_of("ENUM('BIT')", frozenset({"BIT"})) is None
    assert first_but(text, frozenset({"STRUCT", "ENUM", "MAP", "TIME WITH TIME ZONE", "LIST"})) == "BIT"
    changed = replaced(text, {"BIT": "BLOB", "TIME WITH TIME ZONE": "UBIGINT"})
    assert changed == described(con, "STRUCT(\"BIT\" ENUM('BIT'), b MAP(UBIGINT, BLOB[]), c TIMESTAMPTZ)")
