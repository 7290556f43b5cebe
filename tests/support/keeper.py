"""The servers that all tests of a session share, whichever of pytest's workers they run in.

A process of its own, `python -m support.keeper SOCKET`, starts each when it is first asked for, and ends them all when
its standard input ends, as it would if the process that started it were killed. Whoever asks gets a copy of the
server's object, to be used but not to be stopped.
"""

import copy
import os
import subprocess
import sys
import tempfile
import threading
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

from support.distance import at_a_distance
from support.hdfs import HdfsServer
from support.kafka import KafkaServer
from support.minio import MinioServer
from support.postgres import PostgresServer
from support.registry import RegistryServer

KEEPER = "streamjob_keeper"
"""Under this name a worker of pytest is told where servers are asked for."""

TESTS = Path(__file__).parents[1]
_END_S = 60


@contextmanager
def keeper() -> Iterator[str]:
    """Where it is asked, for as long as this lasts; nothing is started yet."""
    with tempfile.TemporaryDirectory(prefix="streamjob-servers-") as folder:
        address = str(Path(folder) / "socket")
        environ = os.environ | {"PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}
        command = [sys.executable, "-P", "-m", "support.keeper", address]
        # In a session of its own, so that Ctrl-C does not end it before those who use its servers.
        with subprocess.Popen(
            command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            try:
                assert process.stdout.readline(), "the keeper of the servers did not start, see above"
                yield address
            finally:
                process.stdin.close()
                process.wait(_END_S)


def ask(address: str, name: str) -> Any:
    """The server of this name, which runs."""
    with Client(address) as connection:
        connection.send(name)
        server, problem = connection.recv()
    assert problem is None, f"{name} could not be started:\n{problem}"
    return server


@contextmanager
def _minio(folder: Path) -> Iterator[MinioServer]:
    server = MinioServer(folder / "data")
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextmanager
def _postgres(_: Path) -> Iterator[PostgresServer]:
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@contextmanager
def _hdfs(folder: Path) -> Iterator[HdfsServer]:
    # Its name node is some milliseconds away. The client asks whether a file that it closes is complete, and waits half
    # a second when the data node's report comes after the question, as it does where all is on one machine.
    server = HdfsServer(folder)
    try:
        server.start()
        with at_a_distance(server.port("rpc"), 0.005) as port:
            server.reached_at = f"127.0.0.1:{port}"
            yield server
    finally:
        server.kill()


@contextmanager
def _kafka(folder: Path) -> Iterator[KafkaServer]:
    server = KafkaServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextmanager
def _registry(folder: Path) -> Iterator[RegistryServer]:
    server = RegistryServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


_SERVERS: dict[str, Callable[[Path], Any]] = {
    "minio": _minio,
    "postgres": _postgres,
    "hdfs": _hdfs,
    "kafka": _kafka,
    "registry": _registry,
}


class _Keeper:
    """Starts each server once, though several ask for it at once."""

    def __init__(self, folder: Path, running: ExitStack) -> None:
        self._folder = folder
        self._running = running
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._servers: dict[str, Any] = {}

    def answer(self, connection: Connection) -> None:
        """Answer one question."""
        with connection:
            name = connection.recv()
            try:
                connection.send((self._copy(name), None))
            except Exception:
                connection.send((None, traceback.format_exc()))

    def _copy(self, name: str) -> Any:
        with self._locks[name]:
            if name not in self._servers:
                folder = self._folder / name
                folder.mkdir(exist_ok=True)
                self._servers[name] = self._running.enter_context(_SERVERS[name](folder))
        made = copy.copy(self._servers[name])
        # Its processes are this process's children.
        for name in {"_process", "_processes"} & vars(made).keys():
            setattr(made, name, None if name == "_process" else {})
        return made


def main(address: str) -> None:
    with tempfile.TemporaryDirectory(prefix="streamjob-keeper-") as folder, ExitStack() as running:
        kept = _Keeper(Path(folder), running)
        listener = running.enter_context(Listener(address, backlog=16))

        def listen() -> None:
            while True:
                threading.Thread(target=kept.answer, args=[listener.accept()], daemon=True).start()

        threading.Thread(target=listen, daemon=True).start()
        print("ready", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
