"""A StreamJob as the API server gives it."""

from copy import deepcopy
from typing import Any

import pytest
import yaml

from streamjob_api.manifest import parse_manifest
from streamjob_api.models import StreamJob
from streamjob_api.resource import check
from support.manifests import GOOD, WRONG, Wrong

# What `kubectl get -o yaml` prints of an object that lives.
SERVED: dict[str, Any] = deepcopy(GOOD[0]) | {"status": {"phase": "Deleting", "anything": {"more": 1}}}
SERVED["metadata"] |= {
    "namespace": "default",
    "uid": "5d0e0b4e-6f0c-4a51-9d0f-6a2f3a0c9d11",
    "resourceVersion": "123",
    "generation": 3,
    "generateName": "every",
    "creationTimestamp": "2024-05-01T12:00:00Z",
    "deletionTimestamp": "2024-05-01T13:00:00Z",
    "deletionGracePeriodSeconds": 0,
    "selfLink": "",
    "finalizers": ["streamjob.dev/drain"],
    "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "b"}],
    "managedFields": [{"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:spec": {}}}],
    "annotations": {"kubectl.kubernetes.io/last-applied-configuration": '{"spec": {}}\n'},
}


def test_what_the_api_server_adds_is_passed_over() -> None:
    job, broken = check(SERVED)
    assert broken == []
    assert job is not None
    assert job.spec == StreamJob.model_validate(GOOD[0]).spec
    assert job.metadata.name == "everything"
    assert parse_manifest(yaml.safe_dump(SERVED), "kept.yaml").job == job


def test_other_fields_are_no_less_unknown_for_it() -> None:
    tree = deepcopy(SERVED)
    tree["metadata"] |= {"uuid": "x", "label": {}}
    tree["state"] = {}
    job, broken = check(tree)
    assert job is None
    assert [str(each) for each in broken] == [
        "metadata.uuid: unknown field; the fields here are name, namespace, labels, annotations",
        'metadata.label: unknown field; did you mean "labels"?',
        "state: unknown field; the fields here are apiVersion, kind, metadata, spec",
    ]


@pytest.mark.parametrize("tree", [None, 5, [], {}, {"metadata": 5}, {"metadata": {}, "spec": []}, {"status": {}}])
def test_what_is_no_job_at_all_is_told_and_not_raised(tree: Any) -> None:
    job, broken = check(tree)
    assert job is None
    assert broken


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_the_words_are_those_of_validate(wrong: Wrong) -> None:
    job, broken = check(wrong.tree)
    assert job is None
    assert any(wrong.validate in str(each) for each in broken), broken


def test_fields_for_kubernetes_have_defaults_when_they_are_left_out() -> None:
    job, _ = check(GOOD[1])
    assert job is not None
    spec = job.spec
    assert (spec.image, spec.suspend, spec.deletion.checkpoints) == (None, False, "Retain")
    assert spec.resources.model_dump(by_alias=True, exclude_none=True) == {
        "requests": {"cpu": "250m", "memory": "512Mi"},
        "limits": {"memory": "1Gi"},
    }
    assert spec.restart.max_failures == 5
    backoff = spec.restart.backoff
    seconds = [
        t.total_seconds() for t in (spec.restart.reset_after, backoff.initial, backoff.max, spec.node_loss.after)
    ]
    assert seconds == [600, 1, 60, 60]


def test_resources_are_taken_as_they_stand() -> None:
    """A limit that is given alone is not joined by a default that it may contradict."""
    tree = deepcopy(GOOD[1])
    tree["spec"]["resources"] = {"limits": {"memory": "256Mi", "cpu": 1}}
    job, _ = check(tree)
    assert job is not None
    assert job.spec.resources.model_dump(exclude_none=True) == {"limits": {"memory": "256Mi", "cpu": "1"}}
