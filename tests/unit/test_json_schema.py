"""The JSON Schema by which editors complete and check a manifest: it takes what is right and marks a slip."""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from streamjob_api.json_schema import json_schema, render
from support.manifests import GOOD

ROOT = Path(__file__).parents[2]
EXAMPLES = [
    tree
    for file in sorted(ROOT.glob("examples/*/*.yaml"))
    for tree in yaml.safe_load_all(file.read_text())
    if tree and tree.get("kind") == "StreamJob"
]
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
}


def marked(value: Any, schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """What an editor would mark: as much of draft 07 as the schema uses but for bounds and patterns."""
    kinds = schema.get("type")
    if kinds is not None:
        allowed = [t for kind in ([kinds] if isinstance(kinds, str) else kinds) for t in TYPES[kind]]
        if not isinstance(value, tuple(allowed)) or (isinstance(value, bool) and bool not in allowed):
            yield f"{path}: type"
            return
    if "const" in schema and value != schema["const"]:
        yield f"{path}: const"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: enum"
    if isinstance(value, dict):
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        yield from (f"{path}.{name}: missing" for name in schema.get("required", []) if name not in value)
        for name, item in value.items():
            if name in properties:
                yield from marked(item, properties[name], f"{path}.{name}")
            elif others is False:
                yield f"{path}.{name}: unknown"
            elif isinstance(others, dict):
                yield from marked(item, others, f"{path}.{name}")
    if isinstance(value, list) and "items" in schema:
        for i, item in enumerate(value):
            yield from marked(item, schema["items"], f"{path}[{i}]")


@pytest.mark.parametrize("tree", [*EXAMPLES, *GOOD], ids=lambda tree: tree["metadata"]["name"])
def test_what_is_right_is_not_marked(tree: dict[str, Any]) -> None:
    assert list(marked(tree, json_schema())) == []


def test_slips_are_marked() -> None:
    tree = deepcopy(EXAMPLES[0])
    tree["kind"] = "StreamJobs"
    tree["metadata"]["nmae"] = tree["metadata"].pop("name")
    tree["spec"]["sources"][0]["formt"] = "json"
    tree["spec"]["sinks"][0]["mode"] = "upsert"
    tree["spec"]["trigger"] = 5
    assert sorted(marked(tree, json_schema())) == [
        ".kind: const",
        ".metadata.name: missing",
        ".metadata.nmae: unknown",
        ".spec.sinks[0].mode: enum",
        ".spec.sources[0].formt: unknown",
        ".spec.trigger: type",
    ]


def test_it_is_for_editors_and_not_for_the_api_server() -> None:
    assert "x-kubernetes" not in render()
    assert "status" not in json_schema()["properties"]
    assert json.loads(render()) == json_schema()
    assert json_schema()["properties"]["spec"]["properties"]["batchInterval"]["description"]
