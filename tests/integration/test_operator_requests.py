"""What the operator sends to the API server and makes of its answers: a small real HTTP server in that one's place."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio import client

from streamjob_operator.cluster import ApiError, Cluster, Conflict, NamespaceEnds, NotFound, Refused, client_of
from streamjob_operator.model import Key

KEY = Key("shop", "views")


@asynccontextmanager
async def api_server(status: int, **said: Any) -> AsyncIterator[tuple[Cluster, list[bytes]]]:
    """The operator's access to a server that answers everything so, and the bodies that it got."""
    bodies: list[bytes] = []

    async def answer(request: web.Request) -> web.Response:
        bodies.append(await request.read())
        return web.json_response(said, status=status)

    app = web.Application()
    app.add_routes([web.route("*", "/{path:.*}", answer)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with client_of(client.Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")) as api:
            yield Cluster(api), bodies
    finally:
        await runner.cleanup()


def test_a_body_is_written_as_utf_8_so_that_no_character_counts_twice() -> None:
    body = {"metadata": {"name": "c"}, "data": {"a": "東京 grün \ud800"}}

    async def story() -> bytes:
        async with api_server(201) as (cluster, bodies):
            await cluster.create_config_map(KEY, body)
            return bodies[0]

    sent = asyncio.run(story())
    assert "東京 grün ?".encode() in sent, "and half a character, which has no UTF-8, keeps nothing from being written"
    assert json.loads(sent)["metadata"] == {"name": "c"}


ANSWERS = {400: Refused, 403: Refused, 413: Refused, 422: Refused, 500: Refused, 404: NotFound, 409: Conflict}


@pytest.mark.parametrize(("status", "kind"), [*ANSWERS.items(), (429, ApiError), (503, ApiError)])
def test_whatever_the_api_server_will_not_make_is_a_refusal_to_be_told(status: int, kind: type[ApiError]) -> None:
    async def story() -> None:
        async with api_server(status, message="Request entity too large") as (cluster, _):
            with pytest.raises(ApiError, match="Request entity too large") as raised:
                await cluster.create_config_map(KEY, {})
            assert type(raised.value) is kind and raised.value.status == status

    asyncio.run(story())


def test_a_namespace_that_ends_is_told_from_other_refusals() -> None:
    details = {"causes": [{"reason": "NamespaceTerminating"}]}

    async def story() -> None:
        async with api_server(403, details=details) as (cluster, _):
            with pytest.raises(NamespaceEnds):
                await cluster.create_config_map(KEY, {})

    asyncio.run(story())
