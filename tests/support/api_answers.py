"""A small real HTTP server in the API server's place, for what a test says that this one answers."""

import asyncio
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
    watch: bool = False


Answer = Callable[[Asked], tuple[int, Any]]  # status, JSON


@asynccontextmanager
async def api_server(answer: Answer) -> AsyncIterator[tuple[Cluster, list[Asked]]]:
    """The operator's access to a server that answers so, and what it was asked."""
    async with serving(answer) as (url, asked), client_of(client.Configuration(host=url)) as api:
        yield Cluster(api), asked


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[tuple[str, list[Asked]]]:
    """The URL of such a server, and what it was asked. A watch shows nothing."""
    asked: list[Asked] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        one = Asked(request.method, request.path, await request.read(), "watch" in request.query)
        asked.append(one)
        status, said = answer(one)
        if one.watch and status == 200:
            return await watched(request, one)
        return web.json_response(said, status=status)

    async def watched(request: web.Request, one: Asked) -> web.StreamResponse:
        """Nothing happens, until it would be answered otherwise."""
        stream = web.StreamResponse()
        await stream.prepare(request)
        while answer(one)[0] == 200:
            await asyncio.sleep(0.05)
        return stream

    app = web.Application()
    app.add_routes([web.route("*", "/{path:.*}", handle)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()
