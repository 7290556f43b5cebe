"""Which jobs are to be looked at: each at most once at a time, and once more if something happened meanwhile.

Jobs without a pod come first: when there is too much to do at once, what there is to say of the others can wait.
"""

import asyncio
from collections.abc import Hashable
from itertools import count
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """A queue without repeats, with delays. Used by one event loop."""

    def __init__(self) -> None:
        self._ready: asyncio.PriorityQueue[tuple[bool, int, K]] = asyncio.PriorityQueue()
        self._numbers = count()
        self._waiting: set[K] = set()  # in `_ready`
        self._working: set[K] = set()
        self._again: set[K] = set()  # added while worked on
        self._timers: dict[K, asyncio.TimerHandle] = {}

    def add(self, key: K, soon: bool = False) -> None:
        """Have the key looked at as soon as possible; `soon`: before all those that were added without it."""
        timer = self._timers.pop(key, None)
        if timer:
            timer.cancel()
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait((not soon, next(self._numbers), key))

    def add_after(self, key: K, seconds: float) -> None:
        """Have the key looked at then, at the latest."""
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        timer = self._timers.get(key)
        if timer:
            if timer.when() <= due:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(due, self.add, key)

    async def get(self) -> K:
        """The next key; nobody else gets it until `done`."""
        _, _, key = await self._ready.get()
        self._waiting.discard(key)
        self._working.add(key)
        return key

    def done(self, key: K) -> None:
        """The key has been looked at."""
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def __len__(self) -> int:
        return len(self._waiting)
