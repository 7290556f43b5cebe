"""The thread that receives lines over TCP."""

import random
import socket
import threading
from contextlib import suppress

from streamjob_runtime.clock import Clock
from streamjob_runtime.connectors.tcp.line_buffer import MAX_LINE, LineBuffer

_FIRST_DELAY_S = 0.1
_LAST_DELAY_S = 30.0
_CONNECT_TIMEOUT_S = 5.0
_READ_BYTES = 1 << 20


def connect(address: tuple[str, int]) -> socket.socket:
    """A connection. Raises `OSError`, or `UnicodeError` for what cannot be a host name."""
    return socket.create_connection(address, _CONNECT_TIMEOUT_S)


def no_host_name(host: str) -> str:
    """What `connect` means by `UnicodeError`, for people."""
    return f"{host!r} cannot be a host name; correct it in the manifest."


def cannot_connect(host: str, port: int, error: OSError) -> str:
    """What `connect` means by `OSError`, for people."""
    return f"cannot connect to {host}:{port}: {error.strerror or error}"


class Receiver:
    """Connects, fills the buffer, and connects again when the connection is lost.

    The pause before a new attempt doubles from 0.1 s to 30 s, with jitter, and starts anew once bytes were received.
    A full buffer stops the reading, which the peer notices as TCP's own back pressure.
    """

    def __init__(self, host: str, port: int, buffer: LineBuffer, clock: Clock, rng: random.Random) -> None:
        self._address = (host, port)
        self._buffer = buffer
        self._clock = clock
        self._rng = rng
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name=f"tcp-{host}:{port}", daemon=True)
        self.trouble = f"connecting to {host}:{port}"  # empty while connected
        self.attempts = 0  # connections that were not made, or ended, since bytes were received
        self.failure = ""  # what ended the receiving for good

    def start(self) -> None:
        """Begin to receive."""
        self._thread.start()

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return self._thread.ident is not None

    def stop(self) -> None:
        """End the connection and the thread."""
        self._stop.set()
        self._buffer.close()
        with self._lock, suppress(OSError):
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)
        if self.started:
            self._thread.join(2 * _CONNECT_TIMEOUT_S)

    def _run(self) -> None:
        delay = _FIRST_DELAY_S
        while not self._stop.is_set() and not self.failure:
            if self._connect_and_receive():
                delay, self.attempts = _FIRST_DELAY_S, 0
            self.attempts += 1
            if self.failure or self._clock.wait(delay * self._rng.uniform(0.5, 1.0), self._stop):
                return
            delay = min(2 * delay, _LAST_DELAY_S)

    def _connect_and_receive(self) -> bool:
        """One connection, until it ends. Whether anything was received."""
        host, port = self._address
        try:
            connection = connect(self._address)
        except UnicodeError:
            self.failure = self.trouble = no_host_name(host)
            return False
        except OSError as e:
            self.trouble = f"{cannot_connect(host, port, e)}; trying again"
            return False
        with connection:
            with self._lock:
                if self._stop.is_set():
                    return False
                self._socket = connection
            received = False
            try:
                connection.settimeout(None)
                # A peer whose machine vanished sends nothing, not even an end.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                self.trouble = ""
                while data := connection.recv(_READ_BYTES):
                    received = True
                    if not self._buffer.feed(data):
                        self._give_up()
                        return received
                if not self._stop.is_set():
                    self._buffer.finish_line()
                self.trouble = f"{host}:{port} closed the connection; connecting again"
            except OSError as e:
                self._buffer.drop_line()
                self.trouble = f"the connection to {host}:{port} broke: {e.strerror or e}; connecting again"
            finally:
                with self._lock:
                    self._socket = None
            return received

    def _give_up(self) -> None:
        if not self._stop.is_set():
            host, port = self._address
            self.failure = (
                f"{host}:{port} sent {MAX_LINE >> 20} MiB without a newline, and a line is a record. "
                "Let the peer end its records with newlines, or put a program between that does; or write onBadRecord: "
                "drop or deadLetter, which passes over such lines."
            )
            self.trouble = self.failure
