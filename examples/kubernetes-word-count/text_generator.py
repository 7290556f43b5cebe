"""Serves lines of text by TCP: to each connection the same ones, from the beginning, ten a second, without end."""

import itertools
import socketserver
import threading

PORT = 9999
LINES_PER_SECOND = 10

TEXT = """\
A stream does not end, so nobody can wait for its end.
The river passes the bridge, and the bridge counts the boats: one boat, two boats, ten boats.
Every minute the keeper of the bridge writes the count into a book.
When the keeper falls asleep, another keeper opens the book and counts on.
The boats do not know that the keeper has changed, and the book does not show it.
"""


class Reader(socketserver.BaseRequestHandler):
    """Whoever has connected."""

    def handle(self) -> None:
        """Send lines until the reader goes."""
        pause = threading.Event()
        for line in itertools.cycle(TEXT.splitlines(keepends=True)):
            try:
                self.request.sendall(line.encode())
            except OSError:
                return
            pause.wait(1 / LINES_PER_SECOND)


class Server(socketserver.ThreadingTCPServer):
    """A thread for each connection."""

    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    with Server(("", PORT), Reader) as server:
        server.serve_forever()
