"""What runtimes say of themselves: fetched from each pod's `/progress`, every ten seconds or a little more.

Whatever is new becomes a write of a status, which the API server and its store have to bear for as long as a job runs.
So the more runtimes there are, the less often each is asked: all together have `_MOST_A_SECOND`.
"""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from streamjob_api.names import PORT
from streamjob_operator.answers import amount, count, last_batch, last_checkpoint, text, time
from streamjob_operator.model import Key, Pod, Progress, Tree
from streamjob_operator.times import from_text

PERIOD_S = 10.0
_FIRST_AFTER_S = 1.0
_MOST_A_SECOND = 25
# One that has not answered for a minute is probably out of reach, and is not asked so often.
_SILENT_AFTER = 6
_SILENT_PERIOD_S = 60.0
_TIMEOUT = aiohttp.ClientTimeout(total=3.0)
_MOST_BYTES = 1_000_000
_OK = 200
# A checkpoint is due every 5 to 10 batch intervals; one may fail, and the store may be away for a while.
_OVERDUE_INTERVALS = 30
_OVERDUE_LEAST_S = 60.0
_SLOW_IN_A_ROW = 5


@dataclass(frozen=True, slots=True)
class _Asked:
    """A pod that is asked."""

    uid: str
    ip: str
    ready: bool


def session(connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
    """What the runtimes are asked with: it keeps nothing that one says for another, and unpacks nothing."""
    headers = {"Accept-Encoding": "identity"}
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), headers=headers, auto_decompress=False
    )


class Progresses:
    """The newest word of each job's runtime. `changed` is called with the job when there is a new one."""

    def __init__(self, http: aiohttp.ClientSession, changed: Callable[[Key], None], rng: random.Random) -> None:
        self._http = http
        self._changed = changed
        self._rng = rng
        self._newest: dict[Key, Progress] = {}
        self._tasks: dict[Key, tuple[_Asked, asyncio.Task[None]]] = {}

    def of(self, key: Key) -> Progress | None:
        """What the job's runtime said last; None: nothing yet."""
        return self._newest.get(key)

    def follow(self, key: Key, pod: Pod | None) -> None:
        """From now on ask this pod; None: nobody. One that has become ready, or unready, has news: it is asked soon."""
        running = pod is not None and pod.started is not None and pod.ended is None and pod.ip != ""
        wanted = _Asked(pod.uid, pod.ip, pod.ready) if pod is not None and running else None
        asked, task = self._tasks.get(key, (None, None))
        if wanted == asked:
            return
        if task:
            task.cancel()
            del self._tasks[key]
        if asked and (wanted is None or wanted.uid != asked.uid):
            self._newest.pop(key, None)
        if wanted:
            self._tasks[key] = (wanted, asyncio.create_task(self._ask(key, wanted.ip), name=f"progress {key}"))

    async def close(self) -> None:
        """Ask nobody any more."""
        tasks = [task for _, task in self._tasks.values()]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, key: Key, ip: str) -> None:
        await asyncio.sleep(_FIRST_AFTER_S)
        host = f"[{ip}]" if ":" in ip else ip
        unanswered = 0
        while True:
            said = await self._fetch(f"http://{host}:{PORT}/progress?batches=1")
            unanswered = 0 if said else unanswered + 1
            if said is not None and said != self._newest.get(key):
                self._newest[key] = said
                self._changed(key)
            begins = key not in self._newest and unanswered < _SILENT_AFTER
            await asyncio.sleep(pause(len(self._tasks), unanswered, self._rng.random(), begins))

    async def _fetch(self, url: str) -> Progress | None:
        try:
            # Nobody but the pod itself says anything of it: an answer must not send the operator elsewhere.
            async with self._http.get(url, timeout=_TIMEOUT, allow_redirects=False) as answer:
                return read_progress(json.loads(await _whole(answer.content))) if answer.status == _OK else None
        except Exception:
            # A runtime that starts, ends or is out of reach; its pod's conditions tell which. Or no runtime of ours:
            # whatever a pod answers, it is asked again.
            return None


async def _whole(content: aiohttp.StreamReader) -> bytes:
    """All of it, in however many pieces it comes. Raises ValueError when it is more than any runtime says."""
    pieces, size = [], 0
    async for piece in content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES} bytes")
    return b"".join(pieces)


def pause(runtimes: int, unanswered: int, jitter: float, begins: bool = False) -> float:
    """Seconds until one of so many runtimes is asked again. `unanswered`: how often in a row it has not answered.

    `begins`: it may not serve yet, and somebody waits to see its first batch.
    `jitter`, from 0 to 1, comes on top, so that runtimes which were first asked together are soon asked one by one.
    """
    least = PERIOD_S if unanswered < _SILENT_AFTER else _SILENT_PERIOD_S
    least = _FIRST_AFTER_S if begins else least
    return max(least, runtimes / _MOST_A_SECOND) * (1 + jitter / 4)


def read_progress(tree: Tree) -> Progress:
    """From the JSON of `/progress`. Whatever else it raises, it is something else: the pod may run any image.

    What is given back fits the status, which the API server takes whole or not at all.
    """
    status, batches = tree["status"], tree["recentProgress"]
    newest = batches[-1] if batches else None
    checkpoint = status["checkpoint"] and last_checkpoint(status["checkpoint"])
    return Progress(
        last_batch=newest and _with_lag_of_now(last_batch(newest), status),
        last_checkpoint=checkpoint,
        rates={
            "inputRowsPerSecond": round(amount(status["inputRowsPerSecond"])),
            "outputRowsPerSecond": round(amount(status["outputRowsPerSecond"])),
        },
        checkpoint_overdue=_overdue(status, newest, from_text(tree["now"])),
        trouble=_trouble(status),
        slow=_slow(status),
    )


def _with_lag_of_now(batch: Tree, status: Tree) -> Tree:
    """With what waits in the sources now, in place of what waited then, which is all that an older runtime says."""
    lags = [source["lag"] for source in status.get("sources", ())]
    if not lags:
        return batch
    known = {name: value for name, value in batch.items() if name != "lag"}
    # Where one source cannot say it just now, no sum is known.
    return known if None in lags else {**known, "lag": count(sum(count(lag) for lag in lags))}


def _overdue(status: Tree, newest: Tree | None, now: float) -> str | None:
    checkpoint = status["checkpoint"]
    if newest is None or (checkpoint and newest["batchId"] <= checkpoint["batchId"]):
        return None  # nothing has come since
    since = checkpoint["timestamp"] if checkpoint else status["started"]
    allowed = max(_OVERDUE_LEAST_S, _OVERDUE_INTERVALS * status["intervalMs"] / 1000)
    if now - from_text(since) <= allowed:
        return None
    if not checkpoint:
        return f"batches go through since {time(since)}, but no checkpoint has been taken; see the job's log"
    return f"the newest checkpoint is of {time(since)}, and batches have gone through since; see the job's log"


def _slow(status: Tree) -> str | None:
    if count(status.get("slowBatches", 0)) < _SLOW_IN_A_ROW:  # a runtime of an older version says nothing of it
        return None
    # Nothing in it changes while that goes on: each change would be a write of the status.
    interval = amount(status["intervalMs"]) / 1000
    return (
        f"the last {_SLOW_IN_A_ROW} batches or more each took longer than the batch interval of {interval:g} s: the "
        "job does not keep up. Give it more resources or a longer interval; with backpressure it reads less at a time"
    )


def _trouble(status: Tree) -> str | None:
    # A runtime of an older version names the oldest only.
    troubles = status.get("troubles") or [t for t in (status["trouble"],) if t]
    said = [
        f"{text(t['what'])} fails since {text(t['since'])}, and is tried again: {text(t['error'])}" for t in troubles
    ]
    return text("; ".join(said)) or None
