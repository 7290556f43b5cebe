"""Ports for servers of this machine's own."""

import random
import socket
from contextlib import suppress

# Below those that Linux gives to outgoing connections (32768 and more), one of which might take the port of a server
# that is down. Several processes choose at once, hence at random.
_PORTS = range(15_000, 30_000)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    while True:
        port = random.choice(_PORTS)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
