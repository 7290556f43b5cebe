"""What the API server wrote down about each request: who wrote what, and when, by the server's own clock."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

_LOOK_EVERY_S = 0.02
READS = frozenset({"get", "list", "watch"})


@dataclass(frozen=True, slots=True)
class Request:
    """One request that the API server has answered. Times in seconds since the epoch."""

    user: str
    verb: str
    resource: str  # with the subresource: pods/binding
    namespace: str
    name: str
    received: float
    done: float
    code: int

    def is_(self, verb: str, resource: str, user: str | None = None) -> bool:
        """Whether it did this, with success."""
        return self.verb == verb and self.resource == resource and self.code < 300 and user in (None, self.user)


class Audit:
    """The audit log, read as it grows."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._rest = b""
        self.requests: list[Request] = []

    def close(self) -> None:
        """Read no more."""
        self._file.close()

    def look(self) -> None:
        """Take in what was written since."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        self.requests += (request for line in lines for request in _parse(json.loads(line)))

    def position(self) -> int:
        """Where the log is now; for `since`."""
        self.look()
        return len(self.requests)

    def since(self, position: int) -> list[Request]:
        """What came after a position."""
        self.look()
        return self.requests[position:]

    async def wait(self, position: int, done: Callable[[list[Request]], bool], seconds: float, what: str) -> None:
        """Wait until what came after a position is enough. Raises `TimeoutError`."""
        deadline = time.monotonic() + seconds
        while not done(self.since(position)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not within {seconds:.0f} s")
            await asyncio.sleep(_LOOK_EVERY_S)

    async def quiet(self, user: str, seconds: float, within: float) -> None:
        """Wait until a user has written nothing for some time. Raises `TimeoutError`."""
        deadline = time.monotonic() + within
        position, since = self.position(), time.monotonic()
        while time.monotonic() - since < seconds:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{user} still writes after {within:.0f} s")
            await asyncio.sleep(0.1)
            if any(written(self.since(position), user)):
                position, since = self.position(), time.monotonic()


def written(requests: list[Request], user: str) -> Iterator[Request]:
    """What of it a user wrote, or tried to."""
    return (r for r in requests if r.user == user and r.verb not in READS)


def _parse(event: dict[str, Any]) -> Iterator[Request]:
    what = event.get("objectRef")
    if what is None or event["stage"] != "ResponseComplete":
        return
    resource = what.get("resource", "")
    yield Request(
        user=event["user"]["username"],
        verb=event["verb"],
        resource=f"{resource}/{what['subresource']}" if "subresource" in what else resource,
        namespace=what.get("namespace", ""),
        name=what.get("name", ""),
        received=_seconds(event["requestReceivedTimestamp"]),
        done=_seconds(event["stageTimestamp"]),
        code=event["responseStatus"]["code"],
    )


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
