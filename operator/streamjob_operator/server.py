"""The operator's HTTP server: metrics and probes."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from streamjob_operator.metrics import CONTENT_TYPE, Metrics


class CannotServe(Exception):
    """The port is taken, or the address is not this machine's."""


@asynccontextmanager
async def serve(host: str, port: int, metrics: Metrics, ready: Callable[[], bool]) -> AsyncIterator[None]:
    """Serve /metrics, /healthz and /readyz while inside.

    `ready`: whether the operator does its work, or stands by for another one that does. Raises `CannotServe`.
    """

    async def metrics_page(_: web.Request) -> web.Response:
        return web.Response(body=metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    async def healthz(_: web.Request) -> web.Response:
        # An event loop that is stuck does not answer at all.
        return web.json_response({"ok": True})

    async def readyz(_: web.Request) -> web.Response:
        ok = ready()
        return web.json_response({"ok": ok}, status=200 if ok else 503)

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics_page), web.get("/healthz", healthz), web.get("/readyz", readyz)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise CannotServe(f"cannot listen on {host} port {port}: {error.strerror}; see --http-port") from error
        yield
    finally:
        await runner.cleanup()
