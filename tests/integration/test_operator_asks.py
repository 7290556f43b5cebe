"""The operator asks a runtime for its progress: a real one-page server in the runtime's place."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from streamjob_operator.model import Key, Pod
from streamjob_operator.progress import PERIOD_S, Progresses, read_progress, session
from streamjob_runtime.engine.progress import Status
from streamjob_runtime.server.progress_json import progress_json
from support.board import NOW_MS, TROUBLE

KEY = Key("shop", "views")
POD = Pod("views-1-0", "uid", "runtime", 1, "a1", created=0.0, started=0.0, ip="10.0.0.1")
SOON_S = 0.9 * PERIOD_S
"""Less than until the next question that comes by itself."""


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def asking(folder: Path, answer: Answer) -> AsyncIterator[tuple[Progresses, asyncio.Queue[Key]]]:
    """What asks a runtime that answers so, and the queue of jobs with news."""
    app = web.Application()
    app.add_routes([web.get("/progress", answer)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(folder / "socket")).start()
    news: asyncio.Queue[Key] = asyncio.Queue()
    async with session(aiohttp.UnixConnector(str(folder / "socket"))) as http:
        progresses = Progresses(http, news.put_nowait, random.Random(1))
        yield progresses, news
        await progresses.close()
    await runner.cleanup()


def test_a_pod_that_has_become_ready_is_asked_at_once_whether_it_still_waits(tmp_path: Path) -> None:
    status = Status("Running", "id", "views", 1, NOW_MS, interval_ms=2000, troubles=(TROUBLE,))

    async def progress(_: web.Request) -> web.StreamResponse:
        return web.json_response(progress_json(status, [], NOW_MS))

    async def story() -> None:
        nonlocal status
        async with asking(tmp_path, progress) as (progresses, news):
            progresses.follow(KEY, POD)
            assert await asyncio.wait_for(news.get(), SOON_S) == KEY
            before = progresses.of(KEY)
            assert before is not None and before.trouble is not None

            status = replace(status, troubles=())
            progresses.follow(KEY, replace(POD, ready=True))
            assert progresses.of(KEY) == before, "until it answers, nothing else is known"
            await asyncio.wait_for(news.get(), SOON_S)
            after = progresses.of(KEY)
            assert after is not None and after.trouble is None

    asyncio.run(story())


def test_an_answer_that_comes_in_pieces_as_between_two_nodes_is_read_to_its_end(tmp_path: Path) -> None:
    body = json.dumps(progress_json(Status("Running", "id", "views", 1, NOW_MS, interval_ms=2000), [], NOW_MS)).encode()

    async def progress(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = len(body)
        await response.prepare(request)
        for piece in (body[:100], body[100:]):
            await response.write(piece)
            for _ in range(100):  # rounds of the loop that the one who asks lives in too
                await asyncio.sleep(0)
        return response

    async def story() -> None:
        async with asking(tmp_path, progress) as (progresses, news):
            progresses.follow(KEY, POD)
            assert await asyncio.wait_for(news.get(), SOON_S) == KEY
            assert progresses.of(KEY) is not None

    asyncio.run(story())


def test_an_answer_without_an_end_is_given_up_and_nothing_is_learned_from_it(tmp_path: Path) -> None:
    sent, given_up = 0, asyncio.Event()

    async def progress(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b" " * 100_000)
                sent += 100_000
        except ConnectionError:
            given_up.set()
        return response

    async def story() -> None:
        async with asking(tmp_path, progress) as (progresses, news):
            progresses.follow(KEY, POD)
            await asyncio.wait_for(given_up.wait(), SOON_S)
            assert sent < 10_000_000, "it was read until the request's time was over"
            assert news.empty() and progresses.of(KEY) is None

    asyncio.run(story())


def good() -> dict[str, Any]:
    status = Status("Running", "id", "views", 1, NOW_MS, interval_ms=2000)
    said: dict[str, Any] = json.loads(json.dumps(progress_json(status, [], NOW_MS)))
    return said


def but(**changes: Any) -> str:
    """A good answer, but for this in its status."""
    return json.dumps({**good(), "status": {**good()["status"], **changes}})


BATCH = {"batchId": 1, "timestamp": "2026-11-21T12:00:00Z", "numInputRows": 1, "batchDuration": 1.0, "sources": []}
ODD = {
    "no JSON": "<html>",
    "a list": "[]",
    "nested without end": "[" * 100_000,
    "a rate that is no number": but(inputRowsPerSecond="many"),
    "a rate without bounds": but(inputRowsPerSecond=1e300).replace("1e+300", "1e999"),
    "trouble in a word": but(trouble="yes"),
    "troubles in a word": but(troubles="yes"),
    "a trouble that says nothing": but(troubles=[{"what": "Kafka"}]),
    "a trouble whose words are none": but(troubles=[{"what": {"a": 1}, "since": "now", "error": []}]),
    "a checkpoint at no time": but(checkpoint={"batchId": 1, "timestamp": "soon", "sizeBytes": 1}),
    "a checkpoint far away": but(checkpoint={"batchId": 1, "timestamp": "0001-01-01T00:00:00+23:00", "sizeBytes": 1}),
    **{
        f"a batch whose {field} is {value!r}": json.dumps({**good(), "recentProgress": [{**BATCH, field: value}]})
        for field, value in [
            ("batchId", "1"),
            ("batchId", -1),
            ("batchId", 2**63),
            ("numInputRows", True),
            ("batchDuration", None),
            ("sources", 1),
            ("sources", [{"lag": 0.5}]),
        ]
    },
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_whatever_a_pod_answers_nothing_is_learned_of_it_and_it_is_asked_again(tmp_path: Path, text: str) -> None:
    answers = [text, json.dumps(good())]

    async def progress(_: web.Request) -> web.StreamResponse:
        return web.Response(text=answers.pop(0), content_type="application/json")

    async def story() -> None:
        async with asking(tmp_path, progress) as (progresses, news):
            progresses.follow(KEY, POD)
            assert await asyncio.wait_for(news.get(), SOON_S) == KEY
            assert progresses.of(KEY) == read_progress(good()) and not answers

    asyncio.run(story())


def test_a_pod_sends_the_operator_nowhere_else(tmp_path: Path) -> None:
    asked: list[str] = []
    done = asyncio.Event()

    async def progress(request: web.Request) -> web.StreamResponse:
        asked.append(request.query_string)
        if len(asked) > 1:
            done.set()
        return web.HTTPFound("/progress?elsewhere")

    async def story() -> None:
        async with asking(tmp_path, progress) as (progresses, news):
            progresses.follow(KEY, POD)
            await asyncio.wait_for(done.wait(), SOON_S)
            assert set(asked) == {"batches=1"} and news.empty()

    asyncio.run(story())


def test_a_lag_that_is_not_known_is_left_out() -> None:
    said = read_progress({**good(), "recentProgress": [{**BATCH, "sources": [{"lag": 3}, {"lag": None}]}]})
    assert said.last_batch is not None and "lag" not in said.last_batch and said.last_batch["id"] == 1
