"""One server for all workers of a session: started once, whoever asks, and ended with the session."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.installed import require
from support.keeper import ask, keeper


def test_whoever_asks_gets_the_same_server_and_none_is_left() -> None:
    require("postgres")
    with keeper() as address:
        with ThreadPoolExecutor(3) as workers:
            servers = list(workers.map(lambda _: ask(address, "postgres"), range(3)))
        assert len({server.dsn for server in servers}) == 1
        schemas = [server.create_schema() for server in servers]
        assert len(set(schemas)) == 3
        servers[0].do("CREATE TABLE t AS SELECT 7 AS n", schemas[0])
        assert servers[1].rows("SELECT n FROM t", schemas[0]) == [(7,)]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", servers[0].port))


def test_why_a_server_could_not_be_started_is_told() -> None:
    with keeper() as address, pytest.raises(AssertionError, match=r"(?s)papyrus could not be started.*KeyError"):
        ask(address, "papyrus")
