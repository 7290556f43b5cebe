"""Workers that take jobs from the queue, and what keeps the store true over time."""

import asyncio
from collections.abc import Callable, Sequence

from streamjob_operator.cluster import ApiError, Cluster, Conflict
from streamjob_operator.metrics import Metrics
from streamjob_operator.model import Key
from streamjob_operator.queue import WorkQueue
from streamjob_operator.reconciler import Reconciler, Say
from streamjob_operator.store import Store

WORKERS = 16
RESYNC_S = 120.0
_FIRST_RETRY_S, _LAST_RETRY_S = 0.1, 60.0


class Controller:
    """Runs the reconciler over the queue until it is cancelled. `namespaces`: those that are served, None: all."""

    def __init__(
        self,
        store: Store,
        cluster: Cluster,
        queue: WorkQueue[Key],
        reconciler: Reconciler,
        metrics: Metrics,
        say: Say,
        namespaces: Sequence[str],
        monotonic: Callable[[], float],
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._queue = queue
        self._reconciler = reconciler
        self._metrics = metrics
        self._say = say
        self._namespaces: Sequence[str | None] = namespaces or (None,)
        self._monotonic = monotonic
        self._failed: dict[Key, int] = {}

    async def list_pods(self) -> None:
        """Learn of all pods before anything is decided: a job must not be started twice because its pod is unknown."""
        for namespace in self._namespaces:
            pods, version = await self._cluster.list_pods(namespace)
            for key in self._store.replace_pods(pods, version, namespace):
                self._queue.add(key)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._resync())
            for _ in range(WORKERS):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            began = self._monotonic()
            try:
                again = await self._reconciler.reconcile(key)
                self._failed.pop(key, None)
            except Conflict:
                # Somebody has changed the job meanwhile; the watch is about to show it.
                again = _FIRST_RETRY_S
            except ApiError as error:
                again = self._retry_after(key, f"{error}")
            except Exception as error:
                # One job that cannot be understood must not stop the others.
                again = self._retry_after(key, f"{type(error).__name__}: {error}", fault=error)
            finally:
                self._queue.done(key)
            self._metrics.reconciles.observe(self._monotonic() - began)
            if again is not None:
                self._queue.add_after(key, again)

    def _retry_after(self, key: Key, message: str, fault: Exception | None = None) -> float:
        self._metrics.errors.inc()
        failed = self._failed[key] = self._failed.get(key, 0) + 1
        self._say("error" if fault else "warning", message, job=str(key), failed=failed, fault=fault)
        return float(min(_LAST_RETRY_S, _FIRST_RETRY_S * 2.0 ** min(failed - 1, 20)))

    async def _resync(self) -> None:
        """Now and then compare the store with the truth, and look at every job."""
        while True:
            await asyncio.sleep(RESYNC_S)
            try:
                await self.list_pods()
            except ApiError as error:
                self._say("warning", f"the pods could not be listed: {error}")
            for key, _ in self._store.jobs():
                self._queue.add(key)
