"""A session of the sink with the server."""

from typing import Any

import psycopg
from psycopg import Connection, Cursor, IsolationLevel

from streamjob_runtime.connectors.postgres.dsn import Dsn
from streamjob_runtime.connectors.postgres.errors import from_connecting

# A lock that is held longer is told to the user, and asked for again; the marker's may be held by a process that was
# frozen in the middle of its transaction, which the server ends after a minute.
_LOCK_MS = 10_000
_IDLE_MS = 60_000

_END_ELDERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
AND CASE WHEN application_name ~ %s THEN split_part(application_name, '/', 3)::bigint < %s ELSE false END
"""


def connect(dsn: Dsn) -> "Connection[Any]":
    """A new session. Raises `JobError` where the server refuses us, `Unavailable` where it does not answer."""
    try:
        # Statements are not prepared: a pooler between us may give each transaction another session.
        connection = psycopg.connect(**dsn.parameters, autocommit=True, prepare_threshold=None)  # type: ignore[arg-type]
    except psycopg.Error as err:
        raise from_connecting(err, dsn) from None  # its own text may name the password
    connection.isolation_level = IsolationLevel.READ_COMMITTED
    return connection


def introduce(connection: "Connection[Any]", job_id: str, epoch: int) -> None:
    """Give the session a name, and end those of earlier starts of the job, which may be frozen and hold locks."""
    connection.execute("SELECT set_config('application_name', %s, false)", (f"streamjob/{job_id}/{epoch}",))
    connection.execute(_END_ELDERS, (f"^streamjob/{job_id}/[0-9]{{1,18}}$", epoch))


def settle_in(cursor: "Cursor[Any]") -> None:
    """The settings of a transaction that writes."""
    cursor.execute(
        "SELECT set_config('lock_timeout', %s, true), set_config('idle_in_transaction_session_timeout', %s, true)",
        (str(_LOCK_MS), str(_IDLE_MS)),
    )
    # How the texts of intervals and of NULL in arrays are read, whatever the database is set to.
    cursor.execute("SELECT set_config('IntervalStyle', 'postgres', true), set_config('array_nulls', 'on', true)")
    # COMMIT must mean that it is on a disk, whatever the database is set to.
    cursor.execute(
        "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
    )
