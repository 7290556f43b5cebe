"""The operator asks a runtime for its progress: a real one-page server in the runtime's place."""

import asyncio
import random
from dataclasses import replace
from pathlib import Path

import aiohttp
from aiohttp import web

from streamjob_operator.model import Key, Pod
from streamjob_operator.progress import PERIOD_S, Progresses
from streamjob_runtime.engine.progress import Status
from streamjob_runtime.server.progress_json import progress_json
from support.board import NOW_MS, TROUBLE

KEY = Key("shop", "views")
POD = Pod("views-1-0", "uid", "runtime", 1, "a1", created=0.0, started=0.0, ip="10.0.0.1")
SOON_S = 0.9 * PERIOD_S
"""Less than until the next question that comes by itself."""


def test_a_pod_that_has_become_ready_is_asked_at_once_whether_it_still_waits(tmp_path: Path) -> None:
    status = Status("Running", "id", "views", 1, NOW_MS, interval_ms=2000, trouble=TROUBLE)

    async def progress(_: web.Request) -> web.Response:
        return web.json_response(progress_json(status, [], NOW_MS))

    async def story() -> None:
        nonlocal status
        app = web.Application()
        app.add_routes([web.get("/progress", progress)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.UnixSite(runner, str(tmp_path / "socket")).start()
        news: asyncio.Queue[Key] = asyncio.Queue()
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(tmp_path / "socket"))) as http:
            progresses = Progresses(http, news.put_nowait, random.Random(1))
            progresses.follow(KEY, POD)
            assert await asyncio.wait_for(news.get(), SOON_S) == KEY
            before = progresses.of(KEY)
            assert before is not None and before.trouble is not None

            status = replace(status, trouble=None)
            progresses.follow(KEY, replace(POD, ready=True))
            assert progresses.of(KEY) == before, "until it answers, nothing else is known"
            await asyncio.wait_for(news.get(), SOON_S)
            after = progresses.of(KEY)
            assert after is not None and after.trouble is None
            await progresses.close()
        await runner.cleanup()

    asyncio.run(story())
