"""Which of several operators acts: the one that holds the Lease."""

import asyncio
from collections.abc import Awaitable, Callable

from kubernetes.aio import client
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

# The usual times of Kubernetes' own controllers, in seconds.
LEASE_S, RENEW_S, RETRY_S = 15, 10, 2


class LeadershipLost(Exception):
    """The Lease could not be renewed in time: another operator may act by now."""


async def lead(
    api: client.ApiClient, namespace: str, name: str, identity: str, work: Callable[[], Awaitable[None]]
) -> None:
    """Wait for the Lease, then do the work while it is held.

    Returns when the work does. Raises `LeadershipLost` when the Lease is lost, and gives the Lease back when cancelled.
    """
    working: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def started() -> None:
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if not working.done():
                working.set_exception(error)
        else:
            if not working.done():
                working.set_result(None)

    async def stopped() -> None:
        if not working.done():
            working.set_exception(LeadershipLost(f"the Lease {namespace}/{name} could not be renewed in time"))

    lock = LeaseLock(name, namespace, identity, api)
    election = asyncio.create_task(LeaderElection(Config(lock, LEASE_S, RENEW_S, RETRY_S, started, stopped)).run())
    try:
        await asyncio.wait({election, working}, return_when=asyncio.FIRST_COMPLETED)
        if election.done() and not working.done():
            election.result()
        await working
    finally:
        election.cancel()
        await asyncio.gather(election, return_exceptions=True)
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
