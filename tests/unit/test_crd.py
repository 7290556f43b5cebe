"""What the CRD says, without an API server; tests/e2e/test_crd.py asks a real one."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from streamjob_api.crd import crd, render, schema
from streamjob_api.manifest import parse_manifest
from streamjob_api.reference_text import EXAMPLE
from streamjob_api.rules.job import JOB_CEL
from support.manifests import GOOD, WRONG, Wrong

# `kubectl apply` on the client's side keeps the whole file in an annotation.
MOST_BYTES = 262_144


def nodes(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in the schema, with its path: `spec.sources[].format`."""
    yield path, node
    for name, below in node.get("properties", {}).items():
        yield from nodes(below, f"{path}.{name}".lstrip("."))
    if "items" in node:
        yield from nodes(node["items"], f"{path}[]")


def said_of(tree: Any) -> list[str]:
    loaded = parse_manifest(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), "job.yaml")
    return [str(problem) for problem in loaded.problems]


@pytest.mark.parametrize("tree", [*GOOD, yaml.safe_load(EXAMPLE)], ids=lambda tree: tree["metadata"]["name"])
def test_validate_accepts_the_good_ones(tree: dict[str, Any]) -> None:
    assert said_of(tree) == []


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_validate_refuses_the_wrong_ones(wrong: Wrong) -> None:
    said = said_of(wrong.tree)
    assert any(wrong.validate in text for text in said), said


def test_every_rule_of_the_crd_has_a_wrong_manifest() -> None:
    """What one of the two refuses, the other refuses too: a rule that stands only in the CRD has no such manifest."""
    shown = {(re.sub(r"\[\d+\]", "[]", wrong.at), wrong.rule or wrong.says) for wrong in WRONG}
    for path, node in nodes(schema()):
        for rule in node.get("x-kubernetes-validations", ()):
            below = re.sub(r"\['(.*)'\]", r".\1", rule.get("fieldPath", ""))
            assert (path + below or "<nil>", rule["message"]) in shown


def test_rules_stand_where_something_is() -> None:
    assert set(JOB_CEL) <= {path for path, _ in nodes(schema())}


def test_every_field_is_described() -> None:
    bare = [path for path, node in nodes(schema()) if not node.get("description") and not path.endswith("[]")]
    assert bare == ["metadata"]


def test_every_text_list_and_object_of_a_spec_has_a_bound() -> None:
    """Else no rule would fit into the API server's budget, and a status none into etcd."""
    for path, node in nodes(schema()["properties"]["spec"]):
        if node.get("type") == "array":
            assert "maxItems" in node, path
        if node.get("type") == "string" and "enum" not in node:
            assert "maxLength" in node, path
        if "additionalProperties" in node:
            assert "maxProperties" in node, path


def test_patterns_have_nothing_that_go_does_not_know() -> None:
    for path, node in nodes(schema()):
        pattern = node.get("pattern", "")
        assert not re.search(r"\(\?[=!<]|\\[1-9dwsZ]", pattern), path
        assert all(int(most) <= 1000 for most in re.findall(r"\{\d+,(\d+)\}", pattern)), path


def test_it_fits_into_the_annotation_of_kubectl_apply() -> None:
    assert len(render().encode()) < MOST_BYTES / 2


def test_what_is_served() -> None:
    definition = crd()
    (version,) = definition["spec"]["versions"]
    assert definition["metadata"]["name"] == "streamjobs.streamjob.dev"
    assert definition["spec"]["names"]["shortNames"] == ["stj"]
    assert definition["spec"]["names"]["categories"] == ["streaming"]
    assert version["subresources"] == {"status": {}}
    columns = {(c["name"], c.get("priority", 0)) for c in version["additionalPrinterColumns"]}
    always = {(name, 0) for name in ("Ready", "Phase", "Batch", "Checkpoint", "Restarts", "Age")}
    assert columns == always | {("Attempt", 1), ("Reason", 1)}


def test_defaults_are_those_of_the_models_and_only_of_values() -> None:
    """A default of an object would show up in manifests whose author never thought of it."""
    defaults = {path: node["default"] for path, node in nodes(schema()) if "default" in node}
    assert defaults["spec.batchInterval"] == "2s"
    assert defaults["spec.sinks[].mode"] == "append"
    assert defaults["spec.restart.backoff.max"] == "1m"
    assert defaults["spec.suspend"] is False
    # No operator has seen a job yet that has no status: no tool may take it for one that is as it should be.
    assert defaults.pop("status") == {"observedGeneration": -1}
    assert not any(isinstance(value, dict | list) for value in defaults.values())


def test_the_items_of_lists_with_names_are_told_apart_by_them() -> None:
    keys = {p: n["x-kubernetes-list-map-keys"] for p, n in nodes(schema()) if "x-kubernetes-list-map-keys" in n}
    assert keys == {
        "spec.sources": ["name"],
        "spec.tables": ["name"],
        "spec.pipeline": ["name"],
        "spec.podTemplate.env": ["name"],
        "status.conditions": ["type"],
    }
