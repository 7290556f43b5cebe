"""A JSON Schema of the manifest, for editors: names, values and descriptions while one writes.

It says less than `streamjob validate`: nothing of the rules between fields, and nothing of SQL.
"""

import json
from typing import Any

from streamjob_api import crd
from streamjob_api.crd_schema import Structural
from streamjob_api.models import Metadata
from streamjob_api.names import API_VERSION, KIND

_DIALECT = "http://json-schema.org/draft-07/schema#"  # the newest that VS Code's YAML extension reads as a whole


def json_schema() -> dict[str, Any]:
    """The schema as a tree."""
    structural = crd.schema()
    fields = structural["properties"]
    metadata = Structural({}).object(Metadata, "metadata")
    return {
        "$schema": _DIALECT,
        "title": KIND,
        "description": structural["description"],
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": False,
        "properties": {
            "apiVersion": {"description": fields["apiVersion"]["description"], "const": API_VERSION},
            "kind": {"description": fields["kind"]["description"], "const": KIND},
            "metadata": _plain(metadata),
            "spec": _plain(fields["spec"]),
        },
    }


def render() -> str:
    """The same as JSON."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


def _plain(node: dict[str, Any]) -> dict[str, Any]:
    """The schema without what only the API server knows, and with no field beside those it names."""
    if node.get("x-kubernetes-int-or-string"):
        node = {"type": ["integer", "string"], **node}
    open_ = node.get("x-kubernetes-preserve-unknown-fields", False)
    plain = {key: value for key, value in node.items() if not key.startswith("x-kubernetes-") and key != "format"}
    if "properties" in plain:
        plain["properties"] = {name: _plain(inner) for name, inner in plain["properties"].items()}
    if "items" in plain:
        plain["items"] = _plain(plain["items"])
    if isinstance(plain.get("additionalProperties"), dict):
        plain["additionalProperties"] = _plain(plain["additionalProperties"])
    elif plain.get("type") == "object" and not open_:
        plain.setdefault("properties", {})
        plain["additionalProperties"] = False
    return plain
