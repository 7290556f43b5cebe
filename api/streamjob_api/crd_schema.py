"""The models as a structural schema: the subset of OpenAPI that the API server takes for a resource of its own.

What the models cannot say is added from `rules`, in CEL: those between fields.
"""

from typing import Any

from pydantic.fields import FieldInfo

from streamjob_api import durations, quantities
from streamjob_api.cel import CelRules, has_variable
from streamjob_api.fields import TEXTS, Model, bounds_of, inner_model, is_list, range_of, schemas_of, written

# The lists whose items have a key: the API server refuses two with one key, and merges what several writers apply.
_KEYS = {"sources": "name", "tables": "name", "pipeline": "name", "env": "name", "conditions": "type"}
_SCALAR = ("type", "format", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum")
# What differs between environments may be a variable until the operator fills it, and then has room for its name.
_VARY = {durations.PATTERN, quantities.PATTERN} | {pattern for pattern, text in TEXTS.items() if text.varies}
_ROOM = 128

Schema = dict[str, Any]


class Structural:
    """Turns models into schemas, each with the rules that stand at its path."""

    def __init__(self, rules: CelRules) -> None:
        self._rules = rules

    def object(self, model: Model, path: str, description: str = "") -> Schema:
        """The schema of a model that stands at this path, such as `spec.sources[]`."""
        said = description or " ".join((model.__doc__ or "").split())
        node: Schema = {"description": said, "type": "object"}
        fields = list(schemas_of(model))
        required = [name for name, field, _ in fields if field.is_required()]
        if required:
            node["required"] = required
        if fields:
            below = {name: self._field(f"{path}.{name}", name, field, schema) for name, field, schema in fields}
            node["properties"] = below
        return self._ruled(node, path)

    def _field(self, path: str, name: str, field: FieldInfo, schema: Schema) -> Schema:
        inner, description = inner_model(field.annotation), field.description or ""
        if is_list(field):
            items = self.object(inner, f"{path}[]") if inner else _value(schema["items"])
            return self._ruled(
                {"description": description, "type": "array", **_list(name, schema), "items": items}, path
            )
        if inner:
            return self.object(inner, path, description)
        node = {"description": description, **_value(schema)}
        if not field.is_required() and field.default is not None:
            node["default"] = field.default if isinstance(field.default, bool | int) else written(field.default)
        bounds = _duration_bounds(field)
        if bounds:
            node["x-kubernetes-validations"] = [bounds]
        return self._ruled(node, path)

    def _ruled(self, node: Schema, path: str) -> Schema:
        found = [rule.as_validation() for rule in self._rules.get(path, ())]
        if found:
            node["x-kubernetes-validations"] = node.get("x-kubernetes-validations", []) + found
        return node


def _value(schema: Schema) -> Schema:
    """The schema of a value that is no model of ours."""
    if "x-kubernetes-int-or-string" in schema:
        return _open({key: schema[key] for key in ("x-kubernetes-int-or-string", "pattern", "maxLength", "minimum")})
    if schema["type"] == "array":
        raise TypeError("a list within a list has no schema here")
    if schema["type"] == "object":
        return _map(schema)
    value = {key: schema[key] for key in _SCALAR if key in schema}
    if "const" in schema:
        value["enum"] = [schema["const"]]
    if value["type"] == "integer":
        value["format"] = "int64"
    return _open(value)


def _open(value: Schema) -> Schema:
    """The schema of a value that may be a variable as well."""
    if value.get("pattern") not in _VARY:
        return value
    return value | {"pattern": rf"\$\{{|{value['pattern']}", "maxLength": max(_ROOM, value["maxLength"])}


def _map(schema: Schema) -> Schema:
    """An object whose names are the user's. A structural schema says nothing of names: a rule in CEL does."""
    if schema.get("additionalProperties") is True:
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    values = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
    node: Schema = {"type": "object"}
    node |= {key: schema[key] for key in ("minProperties", "maxProperties") if key in schema}
    return node | {"additionalProperties": _value(values[0])}


def _list(name: str, schema: Schema) -> Schema:
    node: Schema = {key: schema[key] for key in ("minItems", "maxItems") if key in schema}
    if name not in _KEYS:
        return node | {"x-kubernetes-list-type": "atomic"}
    return node | {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [_KEYS[name]]}


def _duration_bounds(field: FieldInfo) -> Schema | None:
    """The bounds of a duration, which is a text."""
    if "timedelta" not in str(field.annotation) or not range_of(field):
        return None
    low, high = bounds_of(field)
    rules = [
        f"duration(self) {sign} duration('{written(b)}')" for sign, b in ((">=", low), ("<=", high)) if b is not None
    ]
    return {"rule": f"{has_variable('self')} || {' && '.join(rules)}", "message": f"takes {range_of(field)}"}
