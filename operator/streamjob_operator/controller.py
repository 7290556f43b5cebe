"""Workers that take jobs from the queue, and what keeps the store true over time."""

import asyncio
from collections.abc import Callable, Sequence

from streamjob_operator.cluster import ApiError, Cluster, Conflict, NotFound, WatchLost
from streamjob_operator.metrics import Metrics
from streamjob_operator.model import Key
from streamjob_operator.queue import WorkQueue
from streamjob_operator.reconciler import Reconciler, Say
from streamjob_operator.rights import Rights
from streamjob_operator.store import Store

WORKERS = 16
RESYNC_S = 120.0
# How often a namespace that is not there is looked for.
BACK_S = 10.0
_FIRST_RETRY_S, _LAST_RETRY_S = 0.1, 60.0
# What is answered for a namespace in which the operator has no rights: it need not be there at all.
_NO_RIGHTS = 403


class Controller:
    """Runs the reconciler over the queue until it is cancelled. `namespaces`: those that are served, None: all."""

    def __init__(
        self,
        store: Store,
        cluster: Cluster,
        queue: WorkQueue[Key],
        reconciler: Reconciler,
        rights: Rights,
        metrics: Metrics,
        say: Say,
        namespaces: Sequence[str],
        monotonic: Callable[[], float],
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._queue = queue
        self._reconciler = reconciler
        self._rights = rights
        self._metrics = metrics
        self._say = say
        self._namespaces: Sequence[str | None] = namespaces or (None,)
        self._monotonic = monotonic
        self._failed: dict[Key, int] = {}
        self._out_of_reach: set[str] = set()  # namespaces of which nothing is known
        self._kind_gone = False  # there are no StreamJobs any more, not even as a kind

    async def list_pods(self) -> None:
        """Learn of all pods before anything is decided: a job must not be started twice because its pod is unknown.

        A namespace that is not there, or not any more, takes nothing from the others.
        """
        for namespace in self._namespaces:
            try:
                await self._list_pods(namespace)
            except ApiError as error:
                self._lose_or_raise(namespace, error)

    async def relist(self, namespace: str | None) -> None:
        """Compare what is known of a namespace with the truth. Raises `ApiError`, `WatchLost`."""
        try:
            await self._list_pods(namespace)
            await self._list_jobs(namespace)
        except ApiError as error:
            self._lose_or_raise(namespace, error)
            return
        self._store.replace_configs(await self._cluster.list_config_maps(namespace), namespace)
        if namespace in self._out_of_reach:
            self._out_of_reach.discard(namespace)
            self._say("info", f"namespace {namespace} is within reach again")
        for key, _ in self._store.jobs():
            if namespace in (None, key.namespace):
                self._queue.add(key)
        if namespace is not None:
            await self._rights.settle(namespace)

    async def _list_pods(self, namespace: str | None) -> None:
        pods, version = await self._cluster.list_pods(namespace)
        for key in self._store.replace_pods(pods, version, namespace):
            self._queue.add(key)

    async def _list_jobs(self, namespace: str | None) -> None:
        try:
            jobs, version = await self._cluster.list_jobs(namespace)
        except NotFound:
            # Somebody has deleted the resource's definition, and with it all jobs. No watch outlives that.
            self._kind_gone = True
            raise
        if self._kind_gone:
            raise WatchLost("the API server serves StreamJobs again, which nobody watches now")
        self._store.replace_jobs(jobs, version, namespace)

    def _lose_or_raise(self, namespace: str | None, error: ApiError) -> None:
        if namespace is None or error.status != _NO_RIGHTS:
            raise error
        if namespace not in self._out_of_reach:
            self._out_of_reach.add(namespace)
            self._say("warning", f"namespace {namespace} is out of reach, the others are looked after: {error}")
        for key in self._store.forget(namespace):
            self._queue.add(key)

    async def run(self) -> None:
        """Work until cancelled. Raises `WatchLost`."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._resync())
                for _ in range(WORKERS):
                    tasks.create_task(self._work())
        except ExceptionGroup as group:
            lost, _ = group.split(WatchLost)
            if lost is None:
                raise
            raise WatchLost(str(lost.exceptions[0])) from group

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            if key.namespace in self._out_of_reach and self._store.job(key):
                # A watch was quicker than the list of pods, without which nothing can be decided.
                self._queue.done(key)
                self._queue.add_after(key, BACK_S)
                continue
            began = self._monotonic()
            try:
                again = await self._reconciler.reconcile(key)
                self._failed.pop(key, None)
                await self._rights.settle(key.namespace)
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
        rounds = 0
        while True:
            await asyncio.sleep(BACK_S)
            rounds = (rounds + 1) % round(RESYNC_S / BACK_S)
            for namespace in sorted(self._out_of_reach) if rounds else self._namespaces:
                try:
                    await self.relist(namespace)
                except ApiError as error:
                    self._say("warning", f"what there is could not be listed: {error}")
