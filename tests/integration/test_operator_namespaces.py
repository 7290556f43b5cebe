"""An operator of some namespaces, one of which is not there, or goes: a small real HTTP server in the API's place."""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from streamjob_api import names
from streamjob_operator.cluster import ApiError, Cluster, WatchLost
from streamjob_operator.controller import Controller
from streamjob_operator.metrics import Metrics
from streamjob_operator.model import Key
from streamjob_operator.queue import WorkQueue
from streamjob_operator.rights import Rights
from streamjob_operator.store import Store
from support.api_answers import Asked, api_server, serving


def _version(name: str, plural: str, kind: str, **more: Any) -> dict[str, Any]:
    resource = {"name": plural, "kind": kind, "singularName": kind.lower(), "namespaced": True, "verbs": VERBS, **more}
    return {"groupVersion": name, "resources": [resource]}


VERBS = ["get", "list", "watch", "create", "patch", "update", "delete"]
GROUPS = {"streamjob.dev": "v1alpha1", "apiextensions.k8s.io": "v1"}
# What there is, as a client that looks for its resources asks it.
KINDS: dict[str, dict[str, Any]] = {
    "/api": {"versions": ["v1"]},
    "/apis": {
        "groups": [
            {"name": name, "versions": [{"version": version}], "preferredVersion": {"version": version}}
            for name, version in GROUPS.items()
        ]
    },
    "/api/v1": {
        "resources": [
            *_version("v1", "pods", "Pod")["resources"],
            *_version("v1", "namespaces", "Namespace", namespaced=False)["resources"],
        ]
    },
    "/apis/streamjob.dev/v1alpha1": _version("streamjob.dev/v1alpha1", "streamjobs", "StreamJob"),
    "/apis/apiextensions.k8s.io/v1": _version(
        "apiextensions.k8s.io/v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
    ),
}


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
        if asked.path in KINDS:
            return 200, KINDS[asked.path]
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
                "generation": 1,
                "creationTimestamp": "2026-11-21T12:00:00Z",
                "finalizers": self.finalizers,
            }
            items = [{"metadata": metadata, "spec": {"suspend": True}}]
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


WITHIN_S = 60


async def until(happened: Callable[[], bool], process: asyncio.subprocess.Process) -> None:
    """Wait for it, as long as the process runs."""
    async with asyncio.timeout(WITHIN_S):
        while not happened():
            assert process.returncode is None, "the operator has ended"
            await asyncio.sleep(0.05)


def test_an_operator_outlives_the_namespaces_that_it_watches_but_not_the_resource_itself(tmp_path: Path) -> None:
    place = Place("b")
    asked: list[Asked] = []

    def watched(namespace: str) -> bool:
        jobs = f"/apis/streamjob.dev/v1alpha1/namespaces/{namespace}/streamjobs"
        return namespace in place.there and any(one.watch and one.path == jobs for one in asked)

    async def story() -> str:
        nonlocal asked
        async with serving(place.answer) as (url, asked):
            access = {"clusters": [{"name": "c", "cluster": {"server": url}}]}
            context = {"current-context": "x", "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}]}
            config = {"apiVersion": "v1", "kind": "Config", "users": [{"name": "u", "user": {"token": "t"}}]}
            (tmp_path / "kubeconfig").write_text(json.dumps({**config, **access, **context}))
            command = ["-m", "streamjob_operator.main", "--runtime-image=i", "--namespace=a", "--namespace=b"]
            log = (tmp_path / "log").open("wb")
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *command,
                *("--http-host=127.0.0.1", "--http-port=0"),
                env={**os.environ, "KUBECONFIG": str(tmp_path / "kubeconfig")},
                stderr=log,
            )
            try:
                await until(lambda: watched("b"), process)
                place.there.add("a")
                await until(lambda: watched("a"), process)
                place.there.discard("b")
                await until(lambda: "b" in refused(asked), process)
                place.has_kind = False
                async with asyncio.timeout(WITHIN_S):
                    await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
                log.close()
            said = (tmp_path / "log").read_text()
            assert process.returncode == 75, said
            return said

    def refused(asked: list[Asked]) -> set[str]:
        """The namespaces whose watch is tried again though nobody may."""
        gone = (one.path for one in asked if one.watch)
        counts = Counter(path.partition("/namespaces/")[2].partition("/")[0] for path in gone)
        return {namespace for namespace, count in counts.items() if namespace not in place.there and count > 4}

    said = asyncio.run(story())
    assert "namespace a is out of reach" in said and "the watches have ended" in said
