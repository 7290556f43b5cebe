"""Which of several operators acts: the one that holds the Lease."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from kubernetes.aio import client
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.leaderelectionrecord import LeaderElectionRecord
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

# The usual times of Kubernetes' own controllers, in seconds.
LEASE_S, RENEW_S, RETRY_S = 15, 10, 2


class _Lock(LeaseLock):
    """The client's own, but for one call that its version 37 cannot make: it passes `pretty` as what it is not."""

    async def create(self, name: str, namespace: str, election_record: LeaderElectionRecord) -> bool:
        """Make the Lease; False: it could not be made."""
        body = client.V1Lease(metadata=client.V1ObjectMeta(name=name), spec=self.update_lease(election_record))
        try:
            await self.api_instance.create_namespaced_lease(namespace, body)
        except client.ApiException:
            return False  # another one was quicker, or the API server is away; the election tries again
        return True


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
        if not task.done():
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
        lease = await leases.read_namespaced_lease(name, namespace)
        if lease.spec and lease.spec.holder_identity == identity:
            lease.spec.holder_identity = None
            await leases.replace_namespaced_lease(name, namespace, lease)
    except (TimeoutError, client.ApiException, OSError):
        pass
