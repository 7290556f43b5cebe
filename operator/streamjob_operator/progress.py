"""What runtimes say of themselves: fetched from each pod's `/progress`, every ten seconds or a little more.

Whatever is new becomes a write of a status, which the API server and its store have to bear for as long as a job runs.
So the more runtimes there are, the less often each is asked: all together have `_MOST_A_SECOND`.
"""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from streamjob_api.names import PORT
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
# A checkpoint is due every 5 to 10 batch intervals; one may fail, and the store may be away for a while.
_OVERDUE_INTERVALS = 30
_OVERDUE_LEAST_S = 60.0


@dataclass(frozen=True, slots=True)
class _Asked:
    """A pod that is asked."""

    uid: str
    ip: str
    ready: bool


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
            async with self._http.get(url, timeout=_TIMEOUT) as answer:
                return read_progress(json.loads(await _whole(answer.content)))
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError, KeyError, TypeError):
            # A runtime that starts, ends or is out of reach; its pod's conditions tell which.
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
    """From the JSON of `/progress`. Raises KeyError, TypeError or ValueError when it is something else."""
    status, batches = tree["status"], tree["recentProgress"]
    newest = batches[-1] if batches else None
    return Progress(
        last_batch=newest and _last_batch(status, newest),
        last_checkpoint=status["checkpoint"] and _last_checkpoint(status["checkpoint"]),
        rates={
            "inputRowsPerSecond": round(status["inputRowsPerSecond"]),
            "outputRowsPerSecond": round(status["outputRowsPerSecond"]),
        },
        checkpoint_overdue=_overdue(status, newest, from_text(tree["now"])),
        trouble=_trouble(status),
    )


def _lag(status: Tree, batch: Tree) -> int:
    """What waits in the sources now; of an older runtime, what waited when the batch was done."""
    known = [source["lag"] for source in status.get("sources", ()) if source["lag"] is not None]
    return sum(known) if known else sum(source["lag"] for source in batch["sources"])


def _last_batch(status: Tree, batch: Tree) -> dict[str, Any]:
    return {
        "id": batch["batchId"],
        "time": batch["timestamp"],
        "inputRows": batch["numInputRows"],
        "durationMs": round(batch["batchDuration"], 1),
        "lag": _lag(status, batch),
    }


def _last_checkpoint(checkpoint: Tree) -> dict[str, Any]:
    return {"batch": checkpoint["batchId"], "time": checkpoint["timestamp"], "sizeBytes": checkpoint["sizeBytes"]}


def _overdue(status: Tree, newest: Tree | None, now: float) -> str | None:
    checkpoint = status["checkpoint"]
    if newest is None or (checkpoint and newest["batchId"] <= checkpoint["batchId"]):
        return None  # nothing has come since
    since = checkpoint["timestamp"] if checkpoint else status["started"]
    allowed = max(_OVERDUE_LEAST_S, _OVERDUE_INTERVALS * status["intervalMs"] / 1000)
    if now - from_text(since) <= allowed:
        return None
    if not checkpoint:
        return f"batches go through since {since}, but no checkpoint has been taken; see the job's log"
    return f"the newest checkpoint is of {since}, and batches have gone through since; see the job's log"


def _trouble(status: Tree) -> str | None:
    # A runtime of an older version names the oldest only.
    troubles = status.get("troubles") or [t for t in (status["trouble"],) if t]
    said = [f"{t['what']} fails since {t['since']}, and is tried again: {t['error']}" for t in troubles]
    return "; ".join(said) or None
