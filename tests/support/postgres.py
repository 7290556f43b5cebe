"""A PostgreSQL server of the test's own."""

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
from benchmarks.ports import free_port
from psycopg import sql
from scripts import tools

_UNPACKED = tools.place("postgres").path
_BIN = "usr/lib/postgresql/15/bin"

_START_S = 120
_STOP_S = 20
_NOBODY = 65534
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",  # a killed process loses nothing that the kernel has
    "shared_buffers": "16MB",
    "max_connections": "40",
    "autovacuum": "off",
}


def _installed() -> Path:
    """The root of the server's programs: the machine's own, or else that of those which were unpacked."""
    return Path("/") if (Path("/") / _BIN / "postgres").exists() else _UNPACKED


class PostgresServer:
    """A PostgreSQL on a free port of 127.0.0.1, with a random password, on data in a folder of its own.

    It may be stopped or killed and started again, on the same port with the same data.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="streamjob-postgres-"))
        self._data = self._folder / "data"
        self._root = _installed()
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.password = secrets.token_hex(16)

    @property
    def dsn(self) -> str:
        """How to connect as its superuser."""
        return f"postgresql://admin:{self.password}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start, and wait until the server takes connections."""
        if not self._data.exists():
            self._make_data()
        log = self._folder / "log"
        settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        with log.open("ab") as output:
            self._process = self._run("postgres", "-D", str(self._data), "-p", str(self.port), *settings, out=output)
        deadline = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End in an orderly way, with all sessions."""
        if self._process is not None:
            self._process.send_signal(2)  # "fast": open transactions are rolled back
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def kill(self) -> None:
        """End as a loss of the node would: no process of it does anything more."""
        if self._process is not None:
            everyone = self._everyone()
            for each in everyone:
                with suppress(psutil.NoSuchProcess):
                    each.suspend()
            for each in everyone:
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            self._process.wait(_STOP_S)
            psutil.wait_procs(everyone, timeout=_STOP_S)
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It takes connections and answers nothing for as long as this lasts."""
        everyone = self._everyone()
        for each in everyone:
            each.suspend()
        try:
            yield
        finally:
            for each in everyone:
                with suppress(psutil.NoSuchProcess):
                    each.resume()

    def remove(self) -> None:
        """Kill it and take its data away."""
        self.kill()
        shutil.rmtree(self._folder)

    def create_schema(self) -> str:
        """A DSN that finds its tables in a schema of its own."""
        name = f"test_{secrets.token_hex(4)}"
        self.do(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        return f"{self.dsn}?options=-csearch_path%3D{name}"

    def do(self, statement: str | sql.Composed, dsn: str | None = None) -> None:
        """Run statements, as the superuser or with a DSN."""
        with psycopg.connect(dsn or self.dsn) as connection:
            connection.execute(statement)

    def rows(self, query: str, dsn: str | None = None) -> list[tuple[Any, ...]]:
        """What a query gives."""
        with psycopg.connect(dsn or self.dsn) as connection:
            return connection.execute(query).fetchall()

    def _make_data(self) -> None:
        password = self._folder / "password"
        password.write_text(self.password)
        if self._root == _UNPACKED and os.geteuid() == 0:
            # The server runs as nobody, who may not look into root's home.
            self._root = Path(shutil.copytree(_UNPACKED, self._folder / "programs", symlinks=True))
        for path in (self._folder, password):
            if os.geteuid() == 0:
                os.chown(path, _NOBODY, _NOBODY)
        options = ["-U", "admin", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        done = self._run("initdb", "-D", str(self._data), *options, f"--pwfile={password}", out=subprocess.PIPE)
        said, _ = done.communicate(timeout=_START_S)
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{said.decode(errors='replace')}")

    def _run(self, program: str, *arguments: str, out: Any) -> "subprocess.Popen[bytes]":
        root = self._root
        environ = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        if root != Path("/"):
            environ["LD_LIBRARY_PATH"] = os.pathsep.join(str(p.parent) for p in root.glob("usr/lib/*/libpq.so.5"))
        # The server refuses to run as root.
        other: dict[str, Any] = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        return subprocess.Popen(
            [root / _BIN / program, *arguments],
            env=environ,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            **other,
        )

    def _everyone(self) -> list[psutil.Process]:
        assert self._process is not None
        try:
            first = psutil.Process(self._process.pid)
            return [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.dsn, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True
