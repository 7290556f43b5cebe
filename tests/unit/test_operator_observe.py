"""What the operator makes of a StreamJob as the API server has it."""

import asyncio
import random
from typing import Any, cast

import pytest

from streamjob_api import names
from streamjob_operator.cluster import Cluster
from streamjob_operator.memory import Statuses
from streamjob_operator.model import CreatePod, Key, Observed
from streamjob_operator.observe import Observer
from streamjob_operator.plan import plan
from streamjob_operator.progress import Progresses
from streamjob_operator.store import Store
from streamjob_operator.variables import Variables
from support.cluster_model import SPEC

KEY = Key("shop", "views")


class NobodyAsked:
    """A job whose pods all speak for themselves needs no request."""

    def of(self, key: Key) -> None:
        return None


def pod(attempt: int, created: str, owner: str | None) -> dict[str, Any]:
    """One whose container has ended with 0."""
    labels = {
        names.LABEL_JOB: "views",
        names.LABEL_ROLE: names.ROLE_RUNTIME,
        names.LABEL_ATTEMPT: str(attempt),
        names.LABEL_REVISION: name_of(SPEC),
    }
    owners = [{"uid": owner, "controller": True}] if owner else []
    ended = {"exitCode": 0, "reason": "Completed", "finishedAt": created}
    return {
        "metadata": {
            "namespace": "shop",
            "name": f"views-{attempt}-0",
            "uid": f"pod-{attempt}",
            "resourceVersion": "6",
            "creationTimestamp": created,
            "labels": labels,
            "ownerReferences": owners,
        },
        "status": {
            "phase": "Succeeded",
            "containerStatuses": [{"name": names.CONTAINER, "state": {"terminated": ended}}],
        },
    }


def observe(
    spec: dict[str, Any],
    default_location: str | None = None,
    status: dict[str, Any] | None = None,
    pods: tuple[dict[str, Any], ...] = (),
    **metadata: Any,
) -> Observed:
    store = Store()
    for each in pods:
        store.put_pod(each)
    tree = {
        "apiVersion": "streamjob.dev/v1alpha1",
        "kind": "StreamJob",
        "metadata": {
            "namespace": "shop",
            "name": "views",
            "uid": "u",
            "resourceVersion": "7",
            "generation": 2,
            "creationTimestamp": "2026-11-21T12:00:00Z",
            **metadata,
        },
        "spec": spec,
        "status": status or {},
    }
    store.put_job(tree)
    nobody = cast(Any, NobodyAsked())
    cluster = cast(Cluster, nobody)
    observer = Observer(
        store, cluster, cast(Progresses, nobody), Statuses(), Variables(cluster), default_location, random.Random(1)
    )
    seen = asyncio.run(observer.observe(KEY, 0.0))
    assert seen is not None
    return seen[0]


def name_of(spec: dict[str, Any]) -> str:
    wanted = observe(spec).wanted
    assert wanted is not None
    return wanted.name


def test_a_default_that_is_written_out_is_no_change() -> None:
    written_out = {
        **SPEC,
        "engine": "embedded",
        "trigger": "processingTime",
        "checkpoint": {**SPEC["checkpoint"], "retained": 3},
        "sinks": [{"from": "lines", "mode": "append", "console": {"rows": 20}}],
        "suspend": False,
    }
    assert name_of(written_out) == name_of(SPEC)
    assert name_of({**SPEC, "batchInterval": "2000ms"}) == name_of(SPEC)
    assert name_of({**SPEC, "batchInterval": "3s"}) != name_of(SPEC)


def test_a_wrong_spec_says_all_that_is_wrong() -> None:
    seen = observe({**SPEC, "batchInterval": "soon", "trigger": "sometimes"})
    assert seen.wanted is None
    assert any("spec.batchInterval" in p for p in seen.problems)
    assert any("spec.trigger" in p for p in seen.problems)


def test_a_job_without_a_location_needs_the_operators() -> None:
    spec = {k: v for k, v in SPEC.items() if k != "checkpoint"}
    assert "spec.checkpoint.location is missing" in observe(spec).problems[0]
    wanted = observe(spec, "s3://all").wanted
    assert wanted is not None and wanted.spec["checkpoint"]["location"] == "s3://all/shop/views"


def test_a_job_stays_where_its_checkpoints_are_when_the_operators_default_changes() -> None:
    spec = {k: v for k, v in SPEC.items() if k != "checkpoint"}
    status = {"checkpointLocation": "s3://old/shop/views"}
    wanted = observe(spec, "s3://new", status).wanted
    assert wanted is not None and wanted.spec["checkpoint"]["location"] == "s3://old/shop/views"
    named = observe(SPEC, "s3://new", status).wanted
    assert named is not None and named.spec["checkpoint"]["location"] == "s3://checkpoints/views"


def test_how_the_job_is_to_be_treated_is_read_from_the_spec() -> None:
    spec = {
        **SPEC,
        "restart": {"maxFailures": 2, "resetAfter": "1m", "backoff": {"initial": "2s", "max": "8s"}},
        "nodeLoss": {"after": "5s"},
        "suspend": True,
        "deletion": {"checkpoints": "Delete"},
        "resources": {"limits": {"memory": "3Gi"}},
    }
    policy = observe(spec).policy
    assert (policy.restart.max_failures, policy.restart.reset_after) == (2, 60.0)
    assert (policy.restart.initial, policy.restart.max) == (2.0, 8.0)
    assert (policy.node_loss_after, policy.suspend, policy.delete_checkpoints) == (5.0, True, True)
    assert policy.memory_limit == "3Gi"
    assert observe(SPEC).policy.memory_limit == "1Gi"


def test_a_spec_that_is_wrong_elsewhere_is_still_treated_as_it_says() -> None:
    treated = {
        "restart": {"maxFailures": 2, "resetAfter": "1m", "backoff": {"initial": "2s", "max": "8s"}},
        "nodeLoss": {"after": "5s"},
        "suspend": True,
        "deletion": {"checkpoints": "Delete"},
        "trigger": "availableNow",
        "resources": {"limits": {"memory": "3Gi"}},
    }
    twice = [{**SPEC["sources"][0], "format": "json", "schema": {"Id": "BIGINT", "iD": "BIGINT"}}]
    wrong = observe({**SPEC, **treated, "sources": twice})
    assert wrong.wanted is None and wrong.problems
    assert wrong.policy == observe({**SPEC, **treated}).policy


@pytest.mark.parametrize("field", ["restart", "nodeLoss", "resources", "trigger", "suspend"])
def test_one_field_that_cannot_be_read_takes_nothing_from_the_others(field: str) -> None:
    seen = observe({**SPEC, "suspend": True, "deletion": {"checkpoints": "Delete"}, field: {"surely": "not"}})
    assert seen.policy.delete_checkpoints and seen.policy.suspend is (field != "suspend")


def test_what_the_api_server_adds_is_no_mistake() -> None:
    seen = observe(
        SPEC,
        deletionTimestamp="2026-11-21T12:00:00Z",
        finalizers=["streamjob.dev/drain"],
        annotations={"streamjob.dev/restart": "1"},
    )
    assert seen.problems == () and seen.job.deleting and seen.job.restart_request == "1"
    assert seen.job.finalizers == ("streamjob.dev/drain",)


def test_pods_of_a_job_that_had_the_name_before_are_not_this_ones_but_their_names_are_taken() -> None:
    before = "2026-11-21T11:00:00Z"
    source = {"name": "lines", "files": {"path": "s3://in/"}, "format": "text"}
    spec = {**SPEC, "trigger": "availableNow", "sources": [source]}
    seen = observe(spec, pods=(pod(1, before, "old uid"), pod(3, before, None)))
    assert seen.problems == () and seen.pods == ()
    decided = plan(seen)
    assert [a.attempt for a in decided.actions if isinstance(a, CreatePod)] == [4]
    assert decided.status["phase"] == "Starting" and decided.status["restarts"] == 0


def test_a_job_that_is_deleted_knows_its_pods_also_when_kubernetes_has_taken_their_owner_away() -> None:
    since = "2026-11-21T12:00:00Z"
    pods = (pod(1, "2026-11-21T11:59:59Z", None), pod(2, since, "u"), pod(3, since, None))
    assert {p.attempt for p in observe(SPEC, pods=pods).pods} == {2}
    deleted = observe(SPEC, pods=pods, deletionTimestamp="2026-11-21T12:00:09Z")
    assert {p.attempt for p in deleted.pods} == {2, 3}
    # Before anybody sees that it is deleted, the status knows the attempt.
    assert {p.attempt for p in observe(SPEC, status={"attempt": 3}, pods=pods).pods} == {2, 3}
