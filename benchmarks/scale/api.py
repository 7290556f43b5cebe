"""The API server as a user's tools call it: a few requests over a few connections."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from benchmarks.scale.control_plane import ControlPlane

CONNECTIONS = 16
_PATCH = "application/merge-patch+json"


class Api:
    """Requests in the name of a user; each raises `aiohttp.ClientResponseError` when it is refused."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    async def get(self, path: str) -> Any:
        """An object, or a list."""
        return await self._call("GET", path)

    async def create(self, path: str, body: dict[str, Any]) -> Any:
        """Make an object."""
        return await self._call("POST", path, body)

    async def create_all(self, path: str, bodies: Iterable[dict[str, Any]]) -> None:
        """Make objects, as quickly as some connections can."""
        left = iter(bodies)

        async def some() -> None:
            for body in left:
                await self.create(path, body)

        await asyncio.gather(*(some() for _ in range(CONNECTIONS)))

    async def patch(self, path: str, body: dict[str, Any]) -> Any:
        """Merge into an object."""
        return await self._call("PATCH", path, body, _PATCH)

    async def delete(self, path: str) -> Any:
        """Delete an object, or a collection, and what it owns behind it."""
        return await self._call("DELETE", path, {"propagationPolicy": "Background"})

    async def _call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        data = None if body is None else json.dumps(body)
        async with self._http.request(method, path, data=data, headers={"Content-Type": kind}) as answer:
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path}: {answer.status} {await answer.text()}")
            return await answer.json()


@asynccontextmanager
async def connected(plane: ControlPlane, user: str) -> AsyncIterator[Api]:
    """The API for one of the users of the control plane."""
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=plane.ca), limit=CONNECTIONS)
    headers = {"Authorization": f"Bearer {plane.tokens[user]}"}
    async with aiohttp.ClientSession(plane.url, connector=connector, headers=headers) as http:
        yield Api(http)
