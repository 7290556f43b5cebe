"""A proxy before an HTTP server, which loses or replaces answers on purpose."""

import http.client
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_UPSTREAM_S = 20
_PIECE = 1 << 14


@dataclass(frozen=True)
class Lost:
    """What goes wrong with a request."""

    forward: bool  # the server gets it
    status: int | None = None  # the client gets this answer instead; None: the connection is cut
    body: bytes = b""
    content_type: str = "application/xml"
    hang: bool = False  # the client gets nothing, until the proxy is closed


CUT_BEFORE = Lost(forward=False)
CUT_AFTER = Lost(forward=True)
HANG_AFTER = Lost(forward=True, hang=True)
HANG_BEFORE = Lost(forward=False, hang=True)


@dataclass
class Proxy:
    """Forwards to 127.0.0.1:`port`; `put` holds what goes wrong with the next PUTs, and with all if `every` is set."""

    port: int
    put: deque[Lost | None] = field(default_factory=deque)
    every: Lost | None = None
    gate: Callable[[str, str], None] = lambda method, path: None  # hears of a request, and may keep it waiting
    url: str = ""
    hang_s: float = _UPSTREAM_S  # how long a hanging request hangs at most
    bytes_per_s: float | None = None  # at most so fast it takes what is sent; None: as fast as it can
    closing: threading.Event = field(default_factory=threading.Event)

    def next_fault(self, method: str) -> Lost | None:
        if method == "PUT" and self.put:
            return self.put.popleft()
        return self.every


@contextmanager
def proxy(port: int) -> Iterator[Proxy]:
    """A proxy before 127.0.0.1:`port`, on a port of its own."""
    plan = Proxy(port)

    class Handler(_Handler):
        proxy = plan

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True  # a kept-alive connection waits for its client, which may live on
        plan.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield plan
        finally:
            plan.closing.set()
            server.shutdown()
            thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    proxy: Proxy

    def _handle(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = self._body(size)
        if len(body) < size:  # the client gave up
            self.close_connection = True
            return
        self.proxy.gate(self.command, self.path)
        fault = self.proxy.next_fault(self.command)
        if fault is None:
            self._answer(*self._forward(body))
            return
        if fault.forward:
            self._forward(body)
        if fault.hang:
            self.proxy.closing.wait(self.proxy.hang_s)
        if fault.status is None or fault.hang:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self._answer(fault.status, {"Content-Type": fault.content_type}, fault.body)

    do_GET = do_PUT = do_HEAD = do_DELETE = _handle  # noqa: N815 - the names that the base class asks for

    def _body(self, size: int) -> bytes:
        rate = self.proxy.bytes_per_s
        if rate is None:
            return self.rfile.read(size)
        # Or the kernel takes it all at once.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * _PIECE)
        pieces: list[bytes] = []
        while (left := size - sum(map(len, pieces))) and (piece := self.rfile.read(min(left, _PIECE))):
            pieces.append(piece)
            self.proxy.closing.wait(len(piece) / rate)
        return b"".join(pieces)

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        upstream = http.client.HTTPConnection("127.0.0.1", self.proxy.port, timeout=_UPSTREAM_S)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                upstream.putheader(name, value)
            upstream.endheaders(body or None)
            answer = upstream.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            upstream.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(name, value)
        size = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", size)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""
