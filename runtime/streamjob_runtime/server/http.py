"""The HTTP server of a runtime: probes, metrics, progress and one page for people. It only reads the board."""

import errno
import socket
import socketserver
import threading
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qsl

from streamjob_runtime.clock import Clock
from streamjob_runtime.engine.progress import KEPT_BATCHES, Progress
from streamjob_runtime.errors import JobError, Unavailable
from streamjob_runtime.printable import json_text
from streamjob_runtime.server import health
from streamjob_runtime.server.metrics import CONTENT_TYPE, Metrics
from streamjob_runtime.server.progress_json import progress_json

ROUTES = {
    "/": "this job, live, for people",
    "/healthz": "200 while the loop moves",
    "/readyz": "200 while batches go through",
    "/metrics": "metrics for Prometheus",
    "/progress": "the status and the last hundred batches, JSON; with ?batches=N the last N of them",
}
CLIENT_SECONDS = 10.0  # a client that sends or takes nothing for so long is let go
MAX_IGNORED_BODY = 65_536  # bytes
MAX_CONNECTIONS = 64  # at once: probes, a scraper and some pages; each takes a thread
_FULL = b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: status, type and body."""

    status: HTTPStatus
    content_type: str
    body: bytes


class Server:
    """A server that runs in threads of its own until `close`."""

    def __init__(self, http: ThreadingHTTPServer) -> None:
        self._http = http
        self._thread = threading.Thread(target=http.serve_forever, args=(0.25,), name="http", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that it listens on; the one that was free if 0 was asked for."""
        return int(self._http.server_address[1])

    def close(self) -> None:
        """Take no more requests and free the port."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def serve(progress: Progress, clock: Clock, host: str, port: int) -> Server:
    """Serve the board at `host:port` (0: a free port).

    Raises `Unavailable` when the port is taken, `JobError` when this host or port cannot be listened on at all.
    """
    routes = _Routes(progress, clock)

    class Handler(_Handler):
        answer_to = routes.answer

    try:
        return Server(_HttpServer((host, port), Handler))
    except (OSError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise Unavailable(
                f"port {port} on {host} is taken by another process; choose another with --http-port (0: any free one)"
            ) from error
        raise JobError(f"cannot listen on {host} port {port}: {error}; see --http-host and --http-port") from error


class _Routes:
    """What each path answers. Called by many threads."""

    def __init__(self, progress: Progress, clock: Clock) -> None:
        self._progress = progress
        self._clock = clock
        self._since = clock.monotonic()
        self._metrics = Metrics(progress)
        self._page = resources.files(__package__).joinpath("page.html").read_bytes()

    def answer(self, path: str, query: str) -> Answer:
        """The answer to a GET of `path` with what stands behind its question mark."""
        status = self._progress.status
        match path:
            case "/":
                return Answer(HTTPStatus.OK, "text/html; charset=utf-8", self._page)
            case "/healthz":
                return _probe(health.liveness(status, self._since, self._clock.monotonic()))
            case "/readyz":
                return _probe(health.readiness(status, self._clock.now_ms()))
            case "/metrics":
                return Answer(HTTPStatus.OK, CONTENT_TYPE, self._metrics.text())
            case "/progress":
                return self._progress_of(query)
            case _:
                return _json(HTTPStatus.NOT_FOUND, {"error": f"there is no {path}", "routes": ROUTES})

    def _progress_of(self, query: str) -> Answer:
        said = dict(parse_qsl(query, keep_blank_values=True)).get("batches", str(KEPT_BATCHES))
        if not (said.isdecimal() and said.isascii() and len(said) <= 3 and int(said) <= KEPT_BATCHES):
            wrong = f"batches must be a whole number from 0 to {KEPT_BATCHES}, and not {said!r}"
            return _json(HTTPStatus.BAD_REQUEST, {"error": wrong})
        status, batches = self._progress.status, self._progress.recent()
        return _json(HTTPStatus.OK, progress_json(status, batches, self._clock.now_ms(), int(said)))


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(address, handler)

    @property
    def is_for_this_machine(self) -> bool:
        """Whether only programs of this machine reach it."""
        return ip_address(str(self.server_address[0])).is_loopback

    def process_request(self, request: Any, client_address: Any) -> None:
        """As the base, but that a connection too many is turned away."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        with suppress(OSError):
            request.settimeout(1)
            request.sendall(_FULL)
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """As the base."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def server_bind(self) -> None:
        """Bind without the base's look-up of the host's full name, which hangs where DNS does not answer."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "streamjob", int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is no news; stderr belongs to the job's log."""


class _Handler(BaseHTTPRequestHandler):
    timeout = CLIENT_SECONDS
    answer_to: Any  # path, query -> Answer

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        try:
            answer = self._misdirected() or self.answer_to(path, query)
        except Exception as error:
            answer = _json(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": f"{type(error).__name__}: {error}"})
        self._send(answer)

    do_HEAD = do_GET  # noqa: N815

    def _misdirected(self) -> Answer | None:
        """A refusal of who asks a server of this machine by another name.

        A page of the web may let its own name point here, and its script would then read the job (DNS rebinding).
        """
        assert isinstance(self.server, _HttpServer)
        host = self.headers.get("Host", "localhost").strip().lower()
        if not self.server.is_for_this_machine or is_this_machine(host):
            return None
        wrong = f"this server is of this machine alone, and has not the name {host!r}; ask for http://localhost"
        return _json(HTTPStatus.MISDIRECTED_REQUEST, {"error": wrong})

    def do_POST(self) -> None:
        # A socket that is closed over unread bytes is reset, and the client would not see the answer.
        length = self.headers.get("Content-Length", "0")
        self.rfile.read(min(int(length), MAX_IGNORED_BODY) if length.isdecimal() else 0)
        self._send(_json(HTTPStatus.METHOD_NOT_ALLOWED, {"error": f"{self.command} is not allowed; GET and HEAD are"}))

    do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_POST  # noqa: N815

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def version_string(self) -> str:
        return "streamjob"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Nothing: probes come every few seconds."""


def is_this_machine(host: str) -> bool:
    """Whether a Host header names this machine: `localhost` or an address of loopback, with or without a port."""
    name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    try:
        return name.rstrip(".") == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def _probe(result: health.Health) -> Answer:
    status = HTTPStatus.OK if result.ok else HTTPStatus.SERVICE_UNAVAILABLE
    return _json(status, {"ok": result.ok, "reason": result.reason, "message": result.message})


def _json(status: HTTPStatus, body: dict[str, Any]) -> Answer:
    return Answer(status, "application/json", json_text(body).encode() + b"\n")
