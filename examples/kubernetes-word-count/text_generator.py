"""Serves lines of text by TCP: to each connection the same ones, from the beginning, ten a second, without end."""

import itertools
import socketserver
import threading

PORT = 9999
LINES_PER_SECOND = 10

# The words of the top ten come 33, 11, 10, 9 … 3 times, the others less often: so their order stays as it is.
TEXT = """\
The river is a stream, and a stream does not end.
Boats come down the river, and the keeper of the bridge counts the boats.
One boat, two boats, ten boats: the keeper counts, and writes the count into the book.
When the keeper falls asleep, another keeper opens the book and counts the boats from there.
The boats on the river see the bridge, and never the keeper or the book.
The book tells of the boats, the river and the bridge; of the keeper it tells nothing.
Keeper by keeper, boats and boats, the book grows with the river, and the stream flows on.
Whoever has the book may take the bridge of the last keeper, and counts the boats of the river.
The river and its boats pass by; what counts is the book, the book of the names.
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
