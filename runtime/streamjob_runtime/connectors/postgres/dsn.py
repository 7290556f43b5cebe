"""How a server is reached: what a Secret's DSN says, without a word of its password in any message."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import psycopg
from psycopg.conninfo import conninfo_to_dict

from streamjob_runtime.errors import JobError

# What holds where the DSN says nothing: a server that is gone is noticed within half a minute.
_DEFAULTS = {
    "connect_timeout": "5",
    "fallback_application_name": "streamjob",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
# A password that was not escaped puts a piece of itself into one of these.
_PLAUSIBLE = {
    "host": re.compile(r"[A-Za-z0-9._,:/%-]*"),
    "hostaddr": re.compile(r"[A-Fa-f0-9.,:%]*"),
    "port": re.compile(r"[0-9,]*"),
    "dbname": re.compile(r"[^@:/?=]*"),
}
_SECRET = ("password", "sslpassword", "oauth_client_secret")


@dataclass(frozen=True, slots=True)
class Dsn:
    """A connection string that has been understood."""

    parameters: Mapping[str, str] = field(repr=False)
    place: str  # the server and its database, for messages

    def scrub(self, text: str) -> str:
        """The text without a password."""
        for name in _SECRET:
            if secret := self.parameters.get(name):
                text = text.replace(secret, "***")
        return text


def parse_dsn(text: str, where: str) -> Dsn:
    """Understand a DSN; `where` says which one it is. Raises `JobError`, which repeats nothing of it."""
    form = (
        "Write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, and in the user and the password % and two hexadecimal "
        "digits for any of the characters @ : / ? # % and space (%40 for @)"
    )
    try:
        given = {name: str(value) for name, value in conninfo_to_dict(text).items() if value is not None}
    except psycopg.Error:  # its text repeats what it did not understand
        raise JobError(f"{where} is no connection string of PostgreSQL. {form}.") from None
    for name, plausible in _PLAUSIBLE.items():
        if not plausible.fullmatch(given.get(name, "")):
            raise JobError(f"{where} has no plausible {name}, perhaps because of a sign in its password. {form}.")
    host = given.get("host") or given.get("hostaddr") or "localhost"
    place = f"{host}:{given.get('port', '5432')}/{given.get('dbname', '')}".rstrip("/")
    return Dsn(_DEFAULTS | given, place)
