"""The manifest's reference (docs/manifest.md), from the models."""

from collections.abc import Iterator
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from streamjob_api.fields import Model, fields_of, inner_model, is_list, range_of, schemas_of, written
from streamjob_api.models import StreamJob
from streamjob_api.texts import KINDS

EXAMPLE = """\
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata:
  name: ad-views
spec:
  batchInterval: 2s
  sources:
  - name: events
    files: {path: in/events/, maxFilesPerBatch: 100}
    format: json
    schema: {ad_id: VARCHAR, event_type: VARCHAR, event_time: TIMESTAMP}
    watermark: {column: event_time, delay: 10s}
  tables:
  - {name: ads, files: {path: in/ads.parquet}, format: parquet, refresh: 1h}
  pipeline:
  - name: views
    sql: |
      SELECT campaign_id, window_start, count(*) AS views
      FROM events JOIN ads USING (ad_id)
      WHERE event_type = 'view'
      GROUP BY campaign_id, tumble(event_time, INTERVAL '10 seconds')
  sinks:
  - {from: views, mode: update, console: {}}
  - {from: views, mode: append, files: {path: out/views/}, format: parquet}
  checkpoint: {interval: 10s, location: .streamjob/ad-views}
"""

_TEXTS = "".join(f"- **{name}**: {meaning}\n" for name, meaning in KINDS.values())

_SCALARS = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "true or false",
    "date-time": "time",
}

_HEAD = f"""\
# The manifest

<!-- Written by scripts/generate.py from the models: change those, not this page. -->

A manifest is a YAML file with one StreamJob; documents of other kinds in it are passed over. `streamjob validate FILE`
says everything that is wrong with it, with the line and the field's path.

```yaml
{EXAMPLE}```

The fields in a table are the only ones that an object has: an unknown field is an error. No secret stands in a
manifest: what ends in `Ref` names one. The types are:

- **duration**: numbers with units, the largest first: `500ms`, `2s`, `1h30m`
{_TEXTS}
## Rules between fields

- Sources, tables and steps share one set of names. A sink's `from` names a step or a source.
- A source is exactly one of `tcp`, `files`, `rate`, `queue`; a sink exactly one of `console`, `files`, `queue`.
- `tcp` reads `text`, `json`, `csv` (without a header line) or `raw`; `files` reads these and `parquet`; `rate` and
  `queue` have no `format`.
- `json`, `csv`, `parquet` and `queue` need a `schema`; `text`, `raw` and `rate` have one of their own. The names of
  columns differ in more than case, and none is `batch_time`: that is a column that every source has.
- `csv` without a header line (`tcp`, and `files` with `header: false`) needs `columns`: the order of a line's fields.
  The fields of an object, such as `schema`, have no order. Elsewhere there is no `columns`, and the columns of a source
  or a table are in alphabetical order.
- A watermark's column is one of the source's, of type TIMESTAMP.
- A static table in `json` or `csv` needs a `schema`; Parquet files bring theirs.
- A files sink needs a `format` and takes the modes `append` and `complete`; other sinks have no `format`. `partitionBy`
  goes with `append` only. Two sinks do not write to one folder.
- `checkpoint.interval` is a whole multiple of `batchInterval`, 5 to 10 times as long.
- The trigger `availableNow` needs sources that end: `files` or `queue`.
"""


def render() -> str:
    """The whole page, Markdown."""
    return _HEAD + "".join(_section(path, model) for path, model in _objects("", StreamJob, set()))


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
    rows = "".join(_row(name, field, schema) for name, field, schema in schemas_of(model))
    if not rows:
        return text + "\nIt has no fields: write `{}`.\n"
    return text + f"\n| field | type | default | meaning |\n| --- | --- | --- | --- |\n{rows}"


def _row(name: str, field: FieldInfo, schema: dict[str, Any]) -> str:
    cells = (f"`{name}`", _type(field, schema), _default(field), f"{field.description}{_limits(field, schema)}")
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
        return f"object: {KINDS[pattern][0]} → {_scalar(value)}"
    inner = schema["additionalProperties"]
    return "object" if inner is True else f"object: name → {_scalar(inner)}"


def _scalar(schema: dict[str, Any]) -> str:
    if "x-kubernetes-int-or-string" in schema:
        return "quantity"
    if "pattern" in schema:
        return KINDS[schema["pattern"]][0]
    return _SCALARS[schema.get("format", schema["type"])]


def _anchor(model: Model) -> str:
    path = next(path for path, found in _objects("", StreamJob, set()) if found is model)
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
