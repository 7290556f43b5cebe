"""The store keeps the newest of each object, whoever brings it; the queue gives each job to one worker at a time."""

import asyncio
from typing import Any

from streamjob_api import names
from streamjob_operator.model import Key
from streamjob_operator.queue import WorkQueue
from streamjob_operator.store import Store

KEY = Key("shop", "views")


def job(version: int, uid: str = "u", **more: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "shop", "name": "views", "uid": uid, "resourceVersion": str(version), **more}}


def pod(name: str, version: int, uid: str | None = None) -> dict[str, Any]:
    labels = {names.LABEL_JOB: "views"}
    metadata = {"namespace": "shop", "name": name, "uid": uid or name, "resourceVersion": str(version)}
    return {"metadata": {**metadata, "labels": labels}}


def version_of(store: Store) -> str:
    kept = store.job(KEY)
    assert kept is not None
    return str(kept["metadata"]["resourceVersion"])


def test_an_old_event_does_not_undo_what_came_back_from_a_write() -> None:
    store = Store()
    assert store.put_job(job(9))
    assert store.put_job(job(10))
    assert not store.put_job(job(9)) and not store.put_job(job(10))
    assert version_of(store) == "10"


def test_another_object_of_the_same_name_takes_the_place_of_the_old_one() -> None:
    store = Store()
    store.put_job(job(10, "old"))
    store.put_job(job(7, "new"))
    store.drop_job(job(11, "old"))
    assert version_of(store) == "7"


def test_pods_are_found_by_their_job_and_are_gone_when_they_are() -> None:
    store = Store()
    store.put_pod(pod("views-1-0", 1))
    store.put_pod(pod("views-2-0", 2))
    store.drop_pod(pod("views-1-0", 3, uid="another"))
    assert len(store.pods(KEY)) == 2
    store.drop_pod(pod("views-1-0", 3))
    assert [p["metadata"]["name"] for p in store.pods(KEY)] == ["views-2-0"]


def test_a_list_shows_what_vanished_unseen_but_not_what_came_after_it() -> None:
    store = Store()
    store.put_pod(pod("vanished", 3))
    store.put_pod(pod("kept", 4))
    store.put_pod(pod("newer than the list", 20))
    assert store.replace_pods([pod("kept", 4)], version=10, namespace=None) == {KEY}
    assert {p["metadata"]["name"] for p in store.pods(KEY)} == {"kept", "newer than the list"}
    assert store.replace_pods([pod("kept", 4)], version=10, namespace=None) == set()


def test_a_list_of_one_namespace_says_nothing_of_the_others() -> None:
    store = Store()
    store.put_pod(pod("views-1-0", 3))
    store.replace_pods([], version=10, namespace="another")
    assert len(store.pods(KEY)) == 1


def test_what_nobody_reads_is_not_held_in_memory() -> None:
    store = Store()
    store.put_job(job(1, managedFields=[{"a": "long list"}]))
    kept = store.job(KEY)
    assert kept is not None and "managedFields" not in kept["metadata"]
    container = {"name": "runtime", "image": "runtime:1", "env": [{"name": "A", "value": "b"}]}
    store.put_pod({**pod("views-1-0", 1), "spec": {"containers": [container], "volumes": []}})
    assert [p["spec"] for p in store.pods(KEY)] == [{"containers": [{"name": "runtime", "image": "runtime:1"}]}]


def test_a_list_of_jobs_shows_those_that_came_and_went_unseen() -> None:
    store = Store()
    store.put_job(job(3))
    newer = {"metadata": {**job(20)["metadata"], "name": "newer than the list", "uid": "n"}}
    store.put_job(newer)
    other = {"metadata": {**job(5)["metadata"], "name": "other", "uid": "o"}}
    store.replace_jobs([other], version=10, namespace="shop")
    assert {key.name for key, _ in store.jobs()} == {"other", "newer than the list"}
    store.replace_jobs([], version=30, namespace="another")
    assert len(list(store.jobs())) == 2


def test_config_maps_are_known_by_their_owner_until_they_are_removed() -> None:
    def config(revision: str, owner: str) -> dict[str, Any]:
        labels = {names.LABEL_JOB: "views", names.LABEL_REVISION: revision}
        owners = [{"uid": owner, "controller": True}]
        return {"metadata": {"namespace": "shop", "labels": labels, "ownerReferences": owners}}

    store = Store()
    store.replace_configs([config("a", "u"), config("b", "u"), config("c", "another")], "shop")
    assert store.configs(KEY, "u") == {"a", "b"}
    store.drop_config(KEY, "a")
    store.replace_configs([], "elsewhere")
    assert store.configs(KEY, "u") == {"b"}
    store.replace_configs([], None)
    assert store.configs(KEY, "u") == frozenset()


async def _taken(queue: WorkQueue[str]) -> str | None:
    try:
        return await asyncio.wait_for(queue.get(), 0.01)
    except TimeoutError:
        return None


def test_a_key_waits_once_however_often_it_is_added() -> None:
    async def story() -> None:
        queue = WorkQueue[str]()
        queue.add("a")
        queue.add("a")
        assert await queue.get() == "a"
        queue.done("a")
        assert await _taken(queue) is None

    asyncio.run(story())


def test_keys_that_are_to_be_soon_come_before_all_others_each_kind_in_its_order() -> None:
    async def story() -> None:
        queue = WorkQueue[str]()
        for key, soon in (("a", False), ("b", True), ("c", False), ("d", True)):
            queue.add(key, soon)
        assert [await queue.get() for _ in range(4)] == ["b", "d", "a", "c"]

    asyncio.run(story())


def test_a_key_that_is_added_while_it_is_worked_on_comes_again_only_afterwards() -> None:
    async def story() -> None:
        queue = WorkQueue[str]()
        queue.add("a")
        await queue.get()
        queue.add("a")
        assert await _taken(queue) is None, "two workers would have the same job"
        queue.done("a")
        assert await _taken(queue) == "a"

    asyncio.run(story())


def test_a_delay_is_as_long_as_the_shortest_that_was_asked_for_and_an_event_ends_it() -> None:
    async def story() -> None:
        queue = WorkQueue[str]()
        queue.add_after("a", 0.001)
        queue.add_after("a", 1000)
        assert await asyncio.wait_for(queue.get(), 10) == "a"
        queue.done("a")
        queue.add_after("a", 1000)
        queue.add("a")
        assert await queue.get() == "a"
        queue.done("a")
        assert await _taken(queue) is None

    asyncio.run(story())
