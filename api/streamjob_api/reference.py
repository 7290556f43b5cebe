"""The manifest's reference (docs/manifest.md), from the models."""

from collections.abc import Iterator
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from streamjob_api import bad_records
from streamjob_api.fields import TEXTS, Model, fields_of, inner_model, is_list, range_of, schemas_of, written
from streamjob_api.kubernetes import FIELDS
from streamjob_api.models import StreamJob
from streamjob_api.reference_text import HEAD, STATUS
from streamjob_api.status import Status

_SCALARS = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "true or false",
    "date-time": "time",
}

_ON_KUBERNETES = {f"spec.{field}" for field in FIELDS}


def render() -> str:
    """The whole page, Markdown."""
    return HEAD + _sections("", StreamJob) + STATUS + _sections("status", Status)


def _sections(path: str, model: Model) -> str:
    return "".join(_section(below, inner) for below, inner in _objects(path, model, set()))


def _objects(path: str, model: Model, seen: set[Model]) -> Iterator[tuple[str, Model]]:
    if model in seen:
        return
    seen.add(model)
    yield path, model
    for name, field in fields_of(model).items():
        inner = inner_model(field.annotation)
        if inner:
            yield from _objects(f"{path}.{name}".lstrip(".") + ("[]" if is_list(field) else ""), inner, seen)


def _section(path: str, model: Model) -> str:
    where = f" (`{path}`)" if path else ""
    said = " ".join((model.__doc__ or "").split())
    text = f"\n## {model.__name__}{where}\n\n{said}\n"
    rows = "".join(_row(f"{path}.{name}", name, field, schema) for name, field, schema in schemas_of(model))
    if not rows:
        return text + "\nIt has no fields: write `{}`.\n"
    return text + f"\n| field | type | default | meaning |\n| --- | --- | --- | --- |\n{rows}"


def _row(path: str, name: str, field: FieldInfo, schema: dict[str, Any]) -> str:
    meaning = f"{field.description}{' Kubernetes only.' * (path in _ON_KUBERNETES)}{_limits(field, schema)}"
    cells = (f"`{name}`", _type(field, schema), _default(field), meaning)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _type(field: FieldInfo, schema: dict[str, Any]) -> str:
    inner = inner_model(field.annotation)
    if inner:
        link = f"[{inner.__name__}](#{_anchor(inner)})"
        return f"list of {link}" if is_list(field) else link
    if "enum" in schema or "const" in schema:
        return " | ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if "timedelta" in str(field.annotation):
        return "duration"
    if schema.get("type") == "array":
        return "list of objects" if schema["items"]["type"] == "object" else f"list of {_scalar(schema['items'])}"
    return _object(schema) if schema.get("type") == "object" else _scalar(schema)


def _object(schema: dict[str, Any]) -> str:
    for pattern, value in schema.get("patternProperties", {}).items():
        return f"object: {TEXTS[pattern].name} → {_scalar(value)}"
    inner = schema["additionalProperties"]
    return "object" if inner is True else f"object: name → {_scalar(inner)}"


def _scalar(schema: dict[str, Any]) -> str:
    if "x-kubernetes-int-or-string" in schema:
        return "number or per cent" if schema["pattern"] == bad_records.PATTERN else "quantity"
    if "pattern" in schema:
        return TEXTS[schema["pattern"]].name
    return _SCALARS[schema.get("format", schema["type"])]


def _anchor(model: Model) -> str:
    known = (*_objects("", StreamJob, set()), *_objects("status", Status, set()))
    path = next(path for path, found in known if found is model)
    return f"{model.__name__}-{path}".lower().replace(".", "").replace("[]", "").replace(" ", "-")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if value is None or value is PydanticUndefined or value == () or inner_model(field.annotation):
        return ""
    return f"`{written(value)}`"


def _limits(field: FieldInfo, schema: dict[str, Any]) -> str:
    least, most = (schema.get(f"{m}Items", schema.get(f"{m}Properties")) for m in ("min", "max"))
    limits = [
        f"at most {schema['maxLength']} characters" if schema.get("maxLength", 32) != 32 else "",
        range_of(field),
        f"at least {least}" if least else "",
        f"at most {most}" if most else "",
    ]
    said = "; ".join(limit for limit in limits if limit)
    return f" ({said})" if said else ""
