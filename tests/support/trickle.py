"""A server whose answers come a byte at a time, and never to their end; and a clock for which each look takes long."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from streamjob_runtime.clock import ManualClock

_PROMISED = 1 << 20  # bytes
_SENT = 1000


class TiringClock(ManualClock):
    """Moves on whenever it is looked at."""

    def __init__(self, step_s: float = 10) -> None:
        super().__init__()
        self._step_s = step_s

    def monotonic(self) -> float:
        """See `Clock`."""
        self.advance(self._step_s)
        return super().monotonic()


@contextmanager
def trickling(status: int = 200, kind: str = "application/xml") -> Iterator[str]:
    """The server's address."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(_PROMISED))
            self.send_header("Last-Modified", "Mon, 30 Nov 2026 00:00:00 GMT")
            self.end_headers()
            with suppress(OSError):
                for _ in range(_SENT):
                    self.wfile.write(b"<")
                    self.wfile.flush()
                    if over.wait(0.01):
                        break
                over.wait(60)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            over.set()
            server.shutdown()
            thread.join(20)
