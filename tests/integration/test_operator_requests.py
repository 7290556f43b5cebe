"""What the operator sends to the API server and makes of its answers: a small real HTTP server in that one's place."""

import asyncio
import base64
import json
from typing import Any

import pytest

from streamjob_api.names import ROLE_RUNTIME
from streamjob_operator.apply import Applier
from streamjob_operator.cluster import ApiError, Conflict, NamespaceEnds, NotFound, Refused
from streamjob_operator.manifests import Images, config_map, network_policy
from streamjob_operator.model import CreatePod, Job, Key, Revision
from streamjob_operator.revision import render
from streamjob_operator.store import Store
from support.api_answers import Asked, api_server
from support.cluster_model import SPEC

KEY = Key("shop", "views")
JOB = Job(KEY, "uid", "1", 1, SPEC, {})
TREE = {"metadata": {"namespace": "shop", "name": "views", "uid": "uid", "resourceVersion": "1"}}


def test_a_body_is_written_as_utf_8_so_that_no_character_counts_twice() -> None:
    body = {"metadata": {"name": "c"}, "data": {"a": "東京 grün \ud800"}}

    async def story() -> bytes:
        async with api_server(lambda _: (201, {})) as (cluster, asked):
            await cluster.create_config_map(KEY, body)
            return asked[0].body

    sent = asyncio.run(story())
    assert "東京 grün ?".encode() in sent, "and half a character, which has no UTF-8, keeps nothing from being written"
    assert json.loads(sent)["metadata"] == {"name": "c"}


ANSWERS = {400: Refused, 403: Refused, 413: Refused, 422: Refused, 500: Refused, 404: NotFound, 409: Conflict}


@pytest.mark.parametrize(("status", "kind"), [*ANSWERS.items(), (429, ApiError), (503, ApiError)])
def test_whatever_the_api_server_will_not_make_is_a_refusal_to_be_told(status: int, kind: type[ApiError]) -> None:
    async def story() -> None:
        async with api_server(lambda _: (status, {"message": "Request entity too large"})) as (cluster, _):
            with pytest.raises(ApiError, match="Request entity too large") as raised:
                await cluster.create_config_map(KEY, {})
            assert type(raised.value) is kind and raised.value.status == status

    asyncio.run(story())


def test_a_namespace_that_ends_is_told_from_other_refusals() -> None:
    details = {"causes": [{"reason": "NamespaceTerminating"}]}

    async def story() -> None:
        async with api_server(lambda _: (403, {"details": details})) as (cluster, _):
            with pytest.raises(NamespaceEnds):
                await cluster.create_config_map(KEY, {})

    asyncio.run(story())


def create(there: dict[str, Any], peers: list[Any] | None = None) -> tuple[dict[str, Refused], list[Asked]]:
    """What comes of making a job's pod where this ConfigMap is there already, and what was asked."""
    revision = render(KEY, SPEC, None)

    def answer(asked: Asked) -> tuple[int, Any]:
        if asked.path.endswith("/configmaps"):
            return 409, {"reason": "AlreadyExists"}
        if "/configmaps/" in asked.path:
            return 200, there
        made = json.loads(asked.body)
        return 201, {**made, "metadata": {**made["metadata"], "namespace": "shop", "uid": "p", "resourceVersion": "2"}}

    async def story() -> tuple[dict[str, Refused], list[Asked]]:
        async with api_server(answer) as (cluster, asked):
            applier = Applier(cluster, Store(), Images("runtime:1", "IfNotPresent"), peers, lambda _: None)
            _, refused = await applier.apply(JOB, TREE, (CreatePod(ROLE_RUNTIME, 1, revision),))
            _, again = await applier.apply(JOB, TREE, (CreatePod(ROLE_RUNTIME, 2, revision),))
            assert again.keys() == refused.keys()
            return refused, asked

    return asyncio.run(story())


def own(revision: Revision, **changes: Any) -> dict[str, Any]:
    """The ConfigMap that the operator would make, or another one of its name."""
    made = config_map(JOB, revision)
    made["metadata"] = {**made["metadata"], "name": f"views-{render(KEY, SPEC, None).name}", "namespace": "shop"}
    return {**made, **changes}


def test_a_config_map_that_is_there_and_holds_what_its_name_says_serves() -> None:
    refused, asked = create(own(render(KEY, SPEC, None)))
    assert not refused and [a.path.rpartition("/")[2] for a in asked].count("pods") == 2


@pytest.mark.parametrize("how", ["another spec", "nothing", "something compressed"])
def test_a_config_map_that_does_not_hold_what_its_name_says_is_believed_by_nobody(how: str) -> None:
    packed = {"streamjob.yaml": base64.b64encode(b"no gzip").decode()}
    there = {
        "another spec": own(render(KEY, {**SPEC, "image": "elsewhere:1"}, None)),
        "nothing": own(render(KEY, SPEC, None), data={}),
        "something compressed": own(render(KEY, SPEC, None), data=None, binaryData=packed),
    }[how]
    refused, asked = create(there)
    assert "is not this revision's" in str(refused[ROLE_RUNTIME]) and "Remove it" in str(refused[ROLE_RUNTIME])
    assert not [a for a in asked if a.path.endswith("/pods")], "no pod is made from it"


def test_runtimes_are_guarded_before_the_first_of_a_namespace_is_made_and_then_no_more() -> None:
    peers: list[dict[str, Any]] = [{"namespaceSelector": {}}]
    _, asked = create(own(render(KEY, SPEC, None)), peers)
    kinds = [a.path.rpartition("/namespaces/shop/")[2].partition("/")[0] for a in asked]
    assert kinds.index("networkpolicies") < kinds.index("pods") and kinds.count("networkpolicies") == 1
    applied = next(a for a in asked if "/networkpolicies/" in a.path)
    assert applied.method == "PATCH" and json.loads(applied.body) == network_policy(peers)
    spec = network_policy(peers)["spec"]
    assert spec["ingress"] == [{"ports": [{"port": 8080, "protocol": "TCP"}], "from": peers}]
    assert spec["policyTypes"] == ["Ingress"], "what a job connects to is its own affair"
