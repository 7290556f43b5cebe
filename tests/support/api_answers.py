"""A small real HTTP server in the API server's place, for what a test says that this one answers."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from kubernetes.aio import client

from streamjob_operator.cluster import Cluster, client_of


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    body: bytes


Answer = Callable[[Asked], tuple[int, Any]]  # status, JSON


@asynccontextmanager
async def api_server(answer: Answer) -> AsyncIterator[tuple[Cluster, list[Asked]]]:
    """The operator's access to a server that answers so, and what it was asked."""
    asked: list[Asked] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(Asked(request.method, request.path, await request.read()))
        status, said = answer(asked[-1])
        return web.json_response(said, status=status)

    app = web.Application()
    app.add_routes([web.route("*", "/{path:.*}", handle)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with client_of(client.Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")) as api:
            yield Cluster(api), asked
    finally:
        await runner.cleanup()
