"""Which of several operators acts: the one that holds the Lease."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from kubernetes.aio import client
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.leaderelectionrecord import LeaderElectionRecord
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

# The usual times of Kubernetes' own controllers, in seconds.
LEASE_S, RENEW_S, RETRY_S = 15, 10, 2


# Half of the time to renew in, so that a request which hangs leaves time for another one. A leader that learns of its
# loss a little late does no harm: two operators decide the same, and pods' names keep them from doing it twice.
REQUEST_S = RENEW_S / 2
_AWAY = (TimeoutError, aiohttp.ClientError, OSError, client.ApiException)


class _Lock(LeaseLock):
    """The client's own, which ends the election when the API server is away for a moment. Here it is asked again."""

    async def get(self, name: str, namespace: str) -> Any:
        """(True, its record) or (False, why not)."""
        try:
            async with asyncio.timeout(REQUEST_S):
                return await super().get(name, namespace)
        except _AWAY as error:
            return False, client.ApiException(reason=f"{type(error).__name__}: {error}")

    async def create(self, name: str, namespace: str, election_record: LeaderElectionRecord) -> bool:
        """Make the Lease; False: it could not be made, by now."""
        body = client.V1Lease(metadata=client.V1ObjectMeta(name=name), spec=self.update_lease(election_record))
        try:
            # The client's version 37 cannot make this call: it passes `pretty` as what it is not.
            async with asyncio.timeout(REQUEST_S):
                await self.api_instance.create_namespaced_lease(namespace, body)
        except _AWAY:
            return False  # another one was quicker, or the API server is away; the election tries again
        return True

    async def update(self, name: str, namespace: str, updated_record: LeaderElectionRecord) -> bool:
        """Take or renew the Lease; False: not by now. It may have been done all the same: the next `get` shows it."""
        try:
            async with asyncio.timeout(REQUEST_S):
                return bool(await super().update(name, namespace, updated_record))
        except _AWAY:
            return False


class LeadershipLost(Exception):
    """The Lease could not be renewed in time: another operator may act by now."""


async def lead(
    api: client.ApiClient, namespace: str, name: str, identity: str, work: Callable[[], Awaitable[None]]
) -> None:
    """Wait for the Lease, then do the work while it is held.

    Returns when the work does. Raises `LeadershipLost` when the Lease is lost, and gives the Lease back when cancelled.
    """
    acting: asyncio.Future[asyncio.Future[None]] = asyncio.get_running_loop().create_future()

    async def started() -> None:
        # The election cancels what it has started when the Lease is lost, but not when it is cancelled itself.
        task = asyncio.ensure_future(work())
        acting.set_result(task)
        await task

    async def stopped() -> None:
        """The election ends by itself then."""

    lock = _Lock(name, namespace, identity, api)
    election = asyncio.create_task(LeaderElection(Config(lock, LEASE_S, RENEW_S, RETRY_S, started, stopped)).run())
    try:
        either: set[asyncio.Future[Any]] = {election, acting}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not acting.done():
            election.result()
        task = await acting
        await asyncio.wait({election, task}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done() or task.cancelled():
            election.result()
            raise LeadershipLost(f"the Lease {namespace}/{name} could not be renewed in time")
        task.result()
    finally:
        ending = [election, acting.result()] if acting.done() else [election]
        for each in ending:
            each.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await _give_back(api, namespace, name, identity)


async def _give_back(api: client.ApiClient, namespace: str, name: str, identity: str) -> None:
    """Let the next one begin at once, instead of when the Lease has run out. If that fails, it runs out."""
    leases = client.CoordinationV1Api(api)
    try:
        async with asyncio.timeout(REQUEST_S):
            lease = await leases.read_namespaced_lease(name, namespace)
            if lease.spec and lease.spec.holder_identity == identity:
                lease.spec.holder_identity = None
                await leases.replace_namespaced_lease(name, namespace, lease)
    except _AWAY:
        pass
