"""A real API server with controllers and simulated nodes, those of the benchmark of scale, for tests of its answers.

No kubelet runs there: a pod is said to run, and a test may say more of it.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.scale.api import connected
from benchmarks.scale.control_plane import ControlPlane, running
from benchmarks.scale.operator_process import operating
from benchmarks.scale.resources import NAMESPACE, setup

from support.cluster import Cluster

_PODS = 10


@contextmanager
def control_plane() -> Iterator[ControlPlane]:
    """With the StreamJobs' resource and the operator's rights. Raises `CannotRun`."""
    with running() as plane:
        asyncio.run(_set_up(plane))
        cluster = Cluster(plane.kubeconfig("user"))
        cluster.wait(lambda: cluster.find("serviceaccount", "default", NAMESPACE), what="the namespace's account")
        yield plane


@contextmanager
def operated(plane: ControlPlane) -> Iterator[Cluster]:
    """The cluster, for its user, while an operator looks after it."""
    with operating(plane):
        yield Cluster(plane.kubeconfig("user"))


async def _set_up(plane: ControlPlane) -> None:
    async with connected(plane, "user") as api:
        for path, body in setup(_PODS):
            await api.create(path, body)
