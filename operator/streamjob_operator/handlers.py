"""What kopf tells us: an event only updates the store and puts the job into the queue. The only importer of kopf.

Most events are echoes of what the operator wrote itself; the store knows these already, and nobody looks at them.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Any

import kopf

from streamjob_api import names
from streamjob_operator.cluster import WatchLost
from streamjob_operator.model import Key
from streamjob_operator.queue import WorkQueue
from streamjob_operator.store import Store, job_of, key_of

# What kopf names the task that has all watches in it.
_WATCHES = "multidimensional multitasker"
_LOOK_S, _ENDS_WITHIN_S = 0.1, 5.0


class _NoDiffs(kopf.DiffBaseStorage):
    """kopf keeps what it saw last for handlers of changes. There are none here, so it has nothing to keep."""

    def build(self, *, body: Any, extra_fields: Any = None) -> Any:
        """Nothing to compare."""
        return {}

    def fetch(self, *, body: Any) -> Any:
        """Nothing to compare with."""
        return None

    def store(self, *, body: Any, patch: Any, essence: Any) -> None:
        """Nothing to keep."""


class _Patience(Iterable[float]):
    """The waits, in seconds, between tries of one request. They have no end.

    Of a namespace that is not there the API server says that the operator has no rights in it. When kopf has tried that
    often enough, it gives up all of its watches.
    """

    def __iter__(self) -> Iterator[float]:
        return chain((0.5, 1, 2, 5, 10, 10, 10), repeat(30))


async def watch(store: Store, queue: WorkQueue[Key], namespaces: Sequence[str], ready: asyncio.Event) -> None:
    """Watch jobs and their pods until cancelled. `namespaces`: those that are served; none: all. Raises `WatchLost`."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> Any:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry)
    async def on_job(event: Mapping[str, Any], **_: Any) -> None:
        tree = event["object"]
        key = key_of(tree)
        if event["type"] == "DELETED":
            store.drop_job(tree)
        elif not store.put_job(tree):
            return
        queue.add(key, soon=not store.pods(key))

    @kopf.on.event("v1", "pods", registry=registry)
    async def on_pod(event: Mapping[str, Any], **_: Any) -> None:
        tree = event["object"]
        job = job_of(tree)
        if job is None:
            return
        if event["type"] == "DELETED":
            store.drop_pod(tree)
        elif not store.put_pod(tree):
            return
        queue.add(job, soon=not store.pods(job))

    work = asyncio.create_task(
        kopf.operator(
            registry=registry,
            settings=_settings(),
            standalone=True,
            clusterwide=not namespaces,
            namespaces=list(namespaces),
            ready_flag=ready,
        )
    )
    try:
        await _until_lost(work)
    finally:
        work.cancel()
        await asyncio.wait({work}, timeout=_ENDS_WITHIN_S)


async def _until_lost(work: asyncio.Task[None]) -> None:
    """Wait until kopf ends, or fails: such as when there are no StreamJobs any more, not even as a kind.

    When one watch fails for good kopf ends the others, and waits for all of them: for ever, where one tries again just
    then and wants credentials, which nobody gives any more. So that task of kopf's is looked at which has failed first.
    """
    watches: asyncio.Task[Any] | None = None
    while watches is None and not work.done():
        await asyncio.sleep(_LOOK_S)
        watches = next((task for task in asyncio.all_tasks() if task.get_name() == _WATCHES), None)
    await asyncio.wait({work} if watches is None else {work, watches}, return_when=asyncio.FIRST_COMPLETED)
    for task in (work, watches):
        error = task.exception() if task is not None and task.done() and not task.cancelled() else None
        if error is not None:
            raise WatchLost(f"the watches have ended: {type(error).__name__}: {error}") from error


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    # The operator needs to know of no other resources and no namespaces, and has no right to.
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.queueing.exit_timeout = 0.1
    settings.watching.server_timeout = 300
    settings.watching.chunk_size = 250
    # For each object that is seen a task waits so long for its next event, with all of the last one in memory.
    settings.queueing.idle_timeout = 1.0
    settings.watching.label_selectors["pods"] = f"{names.LABEL_MANAGED_BY}={names.OPERATOR_NAME}"
    # kopf takes its own finalizer off whatever has no handler of deletion, so ours must not be the same.
    settings.persistence.finalizer = f"{names.GROUP}/kopf"
    settings.persistence.diffbase_storage = _NoDiffs()
    settings.persistence.progress_storage = kopf.StatusProgressStorage()
    settings.networking.error_backoffs = _Patience()
    return settings
