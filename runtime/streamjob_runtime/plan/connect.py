"""A DuckDB that SQL from a manifest may be run on: it reaches no file, no network, no setting and no extension."""

from pathlib import Path

import duckdb


def connect(
    threads: int | None = None, memory_limit: str | None = None, scratch: Path | None = None
) -> duckdb.DuckDBPyConnection:
    """A new in-memory database. What does not fit into `memory_limit` goes to files in `scratch`, if there is one."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "python_enable_replacements": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "preserve_insertion_order": True,
    }
    if threads is not None:
        config["threads"] = threads
    if memory_limit is not None:
        config["memory_limit"] = memory_limit
    con = duckdb.connect(":memory:", config=config)
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET temp_directory = ?", ["" if scratch is None else str(scratch)])
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")
    return con
