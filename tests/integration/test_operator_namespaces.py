"""An operator of some namespaces, one of which is not there, or goes: a small real HTTP server in the API's place."""

import asyncio
import json
from typing import Any, cast

import pytest

from streamjob_api import names
from streamjob_operator.cluster import ApiError, Cluster
from streamjob_operator.controller import Controller, WatchLost
from streamjob_operator.metrics import Metrics
from streamjob_operator.model import Key
from streamjob_operator.queue import WorkQueue
from streamjob_operator.rights import Rights
from streamjob_operator.store import Store
from support.api_answers import Asked, api_server


class Place:
    """A cluster with jobs in its namespaces, by what the API server answers an operator that has Roles in them."""

    def __init__(self, *there: str) -> None:
        self.there = set(there)
        self.has_kind = True
        self.finalizers: list[str] = []
        self.store = Store()
        self.queue = WorkQueue[Key]()
        self.said: list[str] = []

    def answer(self, asked: Asked) -> tuple[int, Any]:
        """As the API server does: it says of a namespace that is not there what it says of one without rights."""
        namespace = asked.path.partition("/namespaces/")[2].partition("/")[0]
        if namespace not in self.there:
            return 403, {"reason": "Forbidden", "message": f'in the namespace "{namespace}"'}
        if asked.path.endswith("/streamjobs") and not self.has_kind:
            return 404, {"reason": "NotFound"}
        items = []
        if asked.path.endswith("/streamjobs"):
            metadata: dict[str, Any] = {
                "namespace": namespace,
                "name": "views",
                "uid": namespace,
                "resourceVersion": "5",
            }
            items = [{"metadata": {**metadata, "finalizers": self.finalizers}, "spec": {}}]
        if asked.path.endswith("/configmaps"):
            labels = {names.LABEL_JOB: "views", names.LABEL_REVISION: "abc"}
            owner = [{"uid": namespace, "controller": True}]
            config: dict[str, Any] = {"namespace": namespace, "labels": labels, "ownerReferences": owner}
            items = [{"metadata": config}]
        return 200, {"metadata": {"resourceVersion": "9"}, "items": items}

    def say(self, level: str, message: str, **_: Any) -> None:
        self.said.append(message)

    def controller(self, cluster: Cluster, binding: str | None = None) -> Controller:
        """The operator's, without a reconciler: nothing is decided here."""
        rights = Rights(cluster, self.store, binding, self.say)
        metrics, nobody = Metrics(lambda: []), cast(Any, None)
        clock = asyncio.get_running_loop().time
        return Controller(self.store, cluster, self.queue, nobody, rights, metrics, self.say, ["a", "b"], clock)

    def jobs(self) -> set[str]:
        return {key.namespace for key, _ in self.store.jobs()}


def test_a_namespace_that_is_not_there_takes_nothing_from_the_others_and_is_picked_up_when_it_comes() -> None:
    place = Place("b")

    async def story() -> None:
        async with api_server(place.answer) as (cluster, _):
            controller = place.controller(cluster)
            await controller.list_pods()
            for namespace in ("a", "b", "a"):
                await controller.relist(namespace)
            assert place.jobs() == {"b"}
            [told] = place.said
            assert "namespace a is out of reach, the others are looked after" in told, "and it is told once"
            place.there.add("a")
            await controller.relist("a")
            assert place.jobs() == {"a", "b"} and "namespace a is within reach again" in place.said

    asyncio.run(story())


def test_of_a_namespace_that_goes_nothing_stays_known() -> None:
    place = Place("a", "b")

    async def story() -> None:
        async with api_server(place.answer) as (cluster, _):
            controller = place.controller(cluster)
            await controller.relist("a")
            assert place.store.configs(Key("a", "views"), "a") == {"abc"}
            place.there.discard("a")
            await controller.relist("a")
            assert place.jobs() == set() and place.store.configs(Key("a", "views"), "a") == frozenset()
            assert await place.queue.get() == Key("a", "views"), "whoever asked its pod is told to stop"

    asyncio.run(story())


def test_a_trouble_of_the_api_server_is_not_taken_for_a_namespace_that_is_gone() -> None:
    async def story() -> None:
        place = Place("a")
        async with api_server(lambda _: (503, {})) as (cluster, _):
            with pytest.raises(ApiError):
                await place.controller(cluster).list_pods()
            assert place.said == []

    asyncio.run(story())


def test_when_the_resource_itself_was_gone_and_is_back_the_operator_begins_anew() -> None:
    place = Place("a", "b")

    async def story() -> None:
        async with api_server(place.answer) as (cluster, _):
            controller = place.controller(cluster)
            place.has_kind = False
            with pytest.raises(ApiError):
                await controller.relist("a")
            place.has_kind = True
            with pytest.raises(WatchLost):
                await controller.relist("b")

    asyncio.run(story())


def test_the_rights_to_let_go_are_held_while_a_job_has_the_finalizer_and_no_longer() -> None:
    place = Place("a", "b")

    async def story() -> list[Asked]:
        async with api_server(place.answer) as (cluster, asked):
            controller = place.controller(cluster, "drain")
            for finalizers in ([], [names.FINALIZER], [names.FINALIZER], []):
                place.finalizers = finalizers
                place.store.forget("a")
                await controller.relist("a")
            return [a for a in asked if a.method == "PATCH"]

    asked = asyncio.run(story())
    assert {a.path for a in asked} == {"/apis/rbac.authorization.k8s.io/v1/namespaces/a/rolebindings/drain"}
    assert [json.loads(a.body)["metadata"]["finalizers"] for a in asked] == [None, [names.FINALIZER], None]


def test_an_operator_that_may_not_hold_its_rights_says_so_once_and_goes_on() -> None:
    place = Place("a")

    async def story() -> None:
        def answer(asked: Asked) -> tuple[int, Any]:
            return (403, {"message": "no"}) if asked.method == "PATCH" else place.answer(asked)

        async with api_server(answer) as (cluster, _):
            controller = place.controller(cluster, "drain")
            for _ in range(3):
                await controller.relist("a")
            [told] = place.said
            assert "if namespace a is deleted, its jobs will wait to be let go" in told

    asyncio.run(story())
