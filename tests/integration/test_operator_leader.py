"""Who holds the Lease, while the way to a real API server is out of order for a moment, or for long."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from benchmarks.scale.control_plane import ControlPlane
from benchmarks.scale.resources import NAMESPACE
from kubernetes.aio import client, config

from streamjob_operator import leader
from streamjob_operator.leader import LeadershipLost, lead
from support.relay import Relay, relay

WITHIN_S = 60


@asynccontextmanager
async def connected(plane: ControlPlane, port: int) -> AsyncIterator[client.ApiClient]:
    settings = client.Configuration()
    await config.load_kube_config(str(plane.kubeconfig("user")), client_configuration=settings)
    settings.host = f"https://127.0.0.1:{port}"
    async with client.ApiClient(settings) as api:
        yield api


def acts(acting: asyncio.Event) -> Callable[[], Awaitable[None]]:
    async def work() -> None:
        acting.set()
        await asyncio.Future()

    return work


@asynccontextmanager
async def candidate(
    plane: ControlPlane, way: Relay, lease: str, name: str
) -> AsyncIterator[tuple[asyncio.Task[None], asyncio.Event]]:
    """One operator's election, and the event that it acts."""
    acting = asyncio.Event()
    async with connected(plane, way.port) as api:
        task = asyncio.create_task(lead(api, NAMESPACE, lease, name, acts(acting)))
        try:
            yield task, acting
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def port_of(plane: ControlPlane) -> int:
    port = urlsplit(plane.url).port
    assert port is not None
    return port


def test_an_api_server_that_is_away_for_a_moment_ends_neither_the_leader_nor_who_stands_by(
    api_server: ControlPlane,
) -> None:
    async def story() -> None:
        async with (
            relay(port_of(api_server)) as way,
            candidate(api_server, way, "moment", "first") as (first, first_acts),
        ):
            await asyncio.wait_for(first_acts.wait(), WITHIN_S)
            async with candidate(api_server, way, "moment", "second") as (second, second_acts):
                await way.set(cuts=True)
                cut = asyncio.create_task(way.cut_more(6))
                await asyncio.wait({cut, first, second}, timeout=WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
                assert cut.done() and not first.done() and not second.done()
                await way.set()
                assert not second_acts.is_set()
                first.cancel()
                await asyncio.wait_for(second_acts.wait(), WITHIN_S)

    asyncio.run(story())


def test_a_leader_whose_requests_hang_stops_acting_when_its_time_to_renew_is_over(
    api_server: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("LEASE_S", 3), ("RENEW_S", 2), ("RETRY_S", 1), ("REQUEST_S", 1.0)):
        monkeypatch.setattr(leader, name, seconds)

    async def story() -> None:
        async with (
            relay(port_of(api_server)) as way,
            candidate(api_server, way, "hangs", "only") as (task, acting),
        ):
            await asyncio.wait_for(acting.wait(), WITHIN_S)
            await way.set(holds=True)
            with pytest.raises(LeadershipLost, match="could not be renewed in time"):
                await asyncio.wait_for(task, WITHIN_S)

    asyncio.run(story())
