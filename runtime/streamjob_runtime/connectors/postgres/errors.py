"""What PostgreSQL and the way to it say, in the runtime's own errors."""

import psycopg

from streamjob_runtime.connectors.postgres.dsn import Dsn
from streamjob_runtime.errors import JobError, Refused, StreamJobError, Unavailable
from streamjob_runtime.excerpts import Excerpt

# Classes and codes of https://www.postgresql.org/docs/current/errcodes-appendix.html that a retry may mend.
_PASSING_CLASSES = ("08", "40", "53", "57", "58")
_PASSING = {
    "25006",  # a standby, until it is promoted
    "25P03",  # idle in transaction for too long: this process was frozen
    "55P03",  # a lock that somebody else holds for long
}
_REMEDIES = {
    "22001": "make the column wider, or cut the text in the pipeline: left(column, 100)",
    "22003": "give the column a larger type",
    "22021": "a text holds the character NUL, which PostgreSQL cannot store: take it out in the pipeline, "
    "replace(column, chr(0), '')",
    "22P02": "mend the data, or cast it in the pipeline (TRY_CAST)",
    "22P05": "make the database's encoding UTF8",
    "23502": "give the column a default, let it be NULL, or fill the gaps in the pipeline: coalesce(column, 0)",
    "23503": "write the rows that are referred to first, or drop the constraint",
    "23505": "such a row is there already, and mode append never replaces one: take mode update with a key, or empty "
    "the table if an earlier job has filled it",
    "23514": "filter such rows out in the pipeline, or drop the constraint",
    "42501": "grant the right to the DSN's user",
    "42703": "the table was changed: start the job again, and it says what is missing",
    "42P01": "the table was taken away: put it back",
    "42P10": "the key's unique index was taken away: put it back",
    "42804": "the table was changed: start the job again, and it says what does not fit",
}
# What a server says of a connection has no code in libpq, so its words are what there is.
_REFUSED = {
    "password authentication failed": "correct the user and the password in the Secret",
    "authentication failed": "correct the user and the password in the Secret",
    "no password supplied": "put the password into the DSN: postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
    "pg_hba.conf": "let the server take this user from here, and with or without TLS, in its pg_hba.conf",
    "is not permitted to log in": "let the role log in: ALTER ROLE … LOGIN",
    "permission denied for database": "GRANT CONNECT ON DATABASE … to the user",
    "certificate verify failed": "name the authority's certificates in the DSN: sslrootcert=/path/ca.crt",
    "root certificate file": "name the authority's certificates in the DSN: sslrootcert=/path/ca.crt",
    "does not support SSL": "let the server speak TLS, or say sslmode=prefer in the DSN",
    "invalid sslmode value": "correct sslmode in the DSN",
    "invalid value for parameter": "correct the options in the DSN",
    "unrecognized configuration parameter": "correct the options in the DSN",
}
_LONGEST = 400  # characters of a server's words


def from_connecting(err: psycopg.Error, dsn: Dsn) -> StreamJobError:
    """The error for a connection that was not made."""
    said = _words(str(err), dsn)
    at = f"PostgreSQL at {dsn.place}"
    for words, remedy in _REFUSED.items():
        if words in said:
            return Refused(f"{at} refuses the connection ({said}): {remedy}.")
    if "FATAL:" in said and "does not exist" in said:
        return JobError(
            f"PostgreSQL at {dsn.place} refuses the connection ({said}): correct the DSN, or create what is missing."
        )
    return Unavailable(f"{at} cannot be reached now ({said}).")


def from_statement(err: psycopg.Error, dsn: Dsn, table: str) -> StreamJobError:
    """The error for a statement, or for a connection that broke meanwhile."""
    state = err.sqlstate
    if state is None or state[:2] in _PASSING_CLASSES or state in _PASSING:
        return Unavailable(f"PostgreSQL at {dsn.place} cannot be used now ({_words(str(err), dsn)}).")
    diagnosis = err.diag
    parts = (diagnosis.message_primary, diagnosis.message_detail, diagnosis.context)
    said = _words("; ".join(part for part in parts if part) or str(err), dsn)
    named = {"constraint": diagnosis.constraint_name, "column": diagnosis.column_name}
    instead = ", ".join([f"SQLSTATE {state}", *(f"{what} {name}" for what, name in named.items() if name)])
    remedy = _REMEDIES.get(state, "mend the data or the table")
    return JobError(
        f"The table {table} at {dsn.place} does not take the rows (", Excerpt(said, instead), f"): {remedy}."
    )


def _words(text: str, dsn: Dsn) -> str:
    line = " ".join(dsn.scrub(text).split())
    return (line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…").rstrip(".")
