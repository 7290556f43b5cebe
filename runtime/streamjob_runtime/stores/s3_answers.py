"""Answers of S3, bounded in size and time.

urllib3's own timeouts are for each piece that comes, and its `read` waits for as much as it is asked for: a server that
sends a byte now and then would be listened to for ever.
"""

import io
from collections.abc import Iterator
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from streamjob_runtime.clock import Clock
from streamjob_runtime.patience import alive

GRACE_S = 30.0  # before anything must have come
SLOWEST = 128 << 10  # bytes a second that must come after that, on average: a narrow line has as much
LONGEST = 32 << 20  # bytes of an answer that is no object: the longest page of a listing is a fifth of it
_PIECE = 1 << 20


class BadAnswer(HTTPError):
    """An answer that comes too slowly, or that is too long."""


class BoundedPool(urllib3.PoolManager):
    """A pool whose answers have an end. What is asked for with `preload_content=False` is left to `in_pieces`."""

    def __init__(self, clock: Clock, **rest: Any) -> None:
        super().__init__(**rest)
        self._clock = clock

    # urllib3's own parameters, of which this one alone is looked at
    def urlopen(self, method: str, url: str, redirect: bool = True, **kw: Any) -> Any:  # type: ignore[override]
        """See `urllib3.PoolManager`. Raises `BadAnswer`."""
        whole = kw.pop("preload_content", True)
        response = super().urlopen(method, url, redirect=redirect, preload_content=False, **kw)
        if not whole and response.status < 300:
            return response
        return _whole(method, response, self._clock)


def in_pieces(response: urllib3.BaseHTTPResponse, clock: Clock, decoded: bool = True) -> Iterator[bytes]:
    """The body as it comes; each piece is a sign of life. Raises `BadAnswer`, and urllib3's errors."""
    began, received = clock.monotonic(), 0
    while piece := response.read1(_PIECE, decode_content=decoded):
        alive()
        received += len(piece)
        took = clock.monotonic() - began
        if took > GRACE_S + received / SLOWEST:
            raise BadAnswer(f"it sends too slowly: {received} bytes in {took:.0f} s")
        yield piece


def _whole(method: str, response: urllib3.BaseHTTPResponse, clock: Clock) -> urllib3.HTTPResponse:
    """The same answer, with its body read."""
    body = io.BytesIO()
    try:
        for piece in in_pieces(response, clock, decoded=False):
            body.write(piece)
            if body.tell() > LONGEST:
                raise BadAnswer(f"its answer has more than {LONGEST >> 20} MiB")
    finally:
        response.close()  # the connection too, if there is more to come
        response.release_conn()
    body.seek(0)
    return urllib3.HTTPResponse(
        body=body,
        headers=response.headers,
        status=response.status,
        version=response.version,
        reason=response.reason,
        request_method=method,
        request_url=response.url,
    )
