"""Ports for servers of this machine's own."""

import fcntl
import os
import random
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

# Below those that Linux gives to outgoing connections (32768 and more), one of which might take the port of a server
# that is down. Several processes choose at once, hence at random.
_PORTS = range(15_000, 30_000)

_TAKEN: list[int] = []
"""Open files, each of which keeps one port for this process."""


def free_port() -> int:
    """A port that nobody listens on now, at any address, and that no other process gets here while this one lives."""
    while True:
        port = random.choice(_PORTS)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("", port))
            _keep(port)
            return port


def _keep(port: int) -> None:
    """Raises `OSError` if somebody has it: a server takes seconds until it listens, and may be down for a while."""
    folder = Path(tempfile.gettempdir()) / f"streamjob-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    file = os.open(folder / str(port), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise
    _TAKEN.append(file)
