"""A password never stands in a message, however the DSN is written."""

import psycopg
import pytest

from streamjob_runtime.connectors.postgres.dsn import parse_dsn
from streamjob_runtime.connectors.postgres.errors import from_connecting, from_statement
from streamjob_runtime.errors import JobError

HALVES = ("s3cr3t", "h1dd3n")
SIGNS = ("", "@", ":", "/", "?", "#", "%", "&", "=", " ", "'", "@@", ":@/", "?x=", "%zz", "\\")
FORMS = (
    "postgresql://user:{}@host:5432/db",
    "postgres://user:{}@host/db?sslmode=require",
    "postgresql:/user:{}@host/db",
    "user:{}@host",
    "host=host user=user password={} dbname=db",
    "host=host user=user pasword={}",
    "postgresql://user:1234/{}@host/db",
    "postgresql://host/db?password={}",
)


def said_of(dsn: str) -> str:
    """All that may be printed about it."""
    try:
        parsed = parse_dsn(dsn, "The DSN")
    except JobError as error:
        assert error.__suppress_context__ or error.__context__ is None
        return str(error)
    # libpq repeats no DSN, but a password may stand in what comes between.
    refused = psycopg.OperationalError(f"connection failed: {parsed.parameters.get('password', '')}")
    errors = (from_connecting(refused, parsed), from_statement(refused, parsed, "t"))
    return f"{parsed!r} {parsed.place} {errors}"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sign", SIGNS)
def test_no_half_of_a_password_is_printed(form: str, sign: str) -> None:
    said = said_of(form.format(sign.join(HALVES)))
    assert all(half not in said for half in HALVES), said


def test_what_a_server_says_is_scrubbed() -> None:
    dsn = parse_dsn("postgresql://user:s3cr3t%40h1dd3n@host:5433/db", "The DSN")
    assert dsn.place == "host:5433/db"
    assert dsn.parameters["password"] == "s3cr3t@h1dd3n"
    error = from_connecting(psycopg.OperationalError("no luck with s3cr3t@h1dd3n here"), dsn)
    assert str(error) == "PostgreSQL at host:5433/db cannot be reached now (no luck with *** here)."


def test_a_dsn_that_is_none_says_how_to_write_one() -> None:
    with pytest.raises(JobError, match=r"^The DSN is no connection string .*Write postgresql://USER:PASSWORD@HOST"):
        parse_dsn("jdbc:postgresql://host/db", "The DSN")
    with pytest.raises(JobError, match=r"^The DSN has no plausible host, perhaps because of a sign in its password"):
        parse_dsn("postgresql://user:p@ss@host/db", "The DSN")


def test_what_the_dsn_says_goes_before_what_is_usual() -> None:
    given = parse_dsn("postgresql://h/d?connect_timeout=1", "The DSN").parameters
    assert given["connect_timeout"] == "1"
    assert given["tcp_user_timeout"] == "30000"
