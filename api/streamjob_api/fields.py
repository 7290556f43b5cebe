"""What the models say of their fields: names, bounds, meanings. For messages and for the reference."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from streamjob_api.durations import format_duration
from streamjob_api.models import StreamJob
from streamjob_api.texts import Text

Model = type[BaseModel]


def fields_of(model: Model) -> dict[str, FieldInfo]:
    """Name in a manifest -> field, in the order of the model."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def schemas_of(model: Model) -> Iterator[tuple[str, FieldInfo, dict[str, Any]]]:
    """Name, field and JSON schema of each field, without null: a manifest leaves out what it does not say."""
    whole = model.model_json_schema()
    for name, field in fields_of(model).items():
        schema = whole["properties"][name]
        schema = next((s for s in schema.get("anyOf", ()) if s.get("type") != "null"), schema)
        yield name, field, whole["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def is_list(field: FieldInfo) -> bool:
    """Whether the field holds a list."""
    return "tuple[" in str(field.annotation)


def inner_model(annotation: Any) -> Model | None:
    """The model in an annotation such as `tuple[Source, ...]` or `TcpSource | None`; None: there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType, tuple, Annotated):
        found = (inner_model(argument) for argument in get_args(annotation))
        return next((model for model in found if model), None)
    return None


def find_model(path: Iterable[str | int]) -> Model | None:
    """The model that stands at this path of a manifest; None: no model does."""
    model: Model | None = StreamJob
    for part in path:
        if isinstance(part, str):
            field = fields_of(model).get(part) if model else None
            model = inner_model(field.annotation) if field else None
    return model


def find_field(path: tuple[str | int, ...]) -> FieldInfo | None:
    """The field that stands at this path of a manifest; None: there is none."""
    model = find_model(path[:-1])
    return fields_of(model).get(str(path[-1])) if model and path else None


def bounds_of(field: FieldInfo) -> tuple[Any, Any]:
    """The least and the largest value of a number or duration; None: any."""
    low = next((bound.ge for bound in field.metadata if isinstance(bound, Ge)), None)
    return low, next((bound.le for bound in field.metadata if isinstance(bound, Le)), None)


def range_of(field: FieldInfo) -> str:
    """The values that a number or duration may have: `1 to 100`; empty: any."""
    low, high = bounds_of(field)
    if low is not None and high is not None:
        return f"{written(low)} to {written(high)}"
    if low is not None:
        return f"{written(low)} or more"
    return f"{written(high)} or less" if high is not None else ""


def written(value: Any) -> str:
    """A value as a manifest writes it."""
    match value:
        case timedelta():
            return format_duration(value)
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)


def _texts(annotation: Any, metadata: Iterable[Any] = ()) -> Iterator[Text]:
    """The kinds of text below an annotation."""
    yield from (each for each in metadata if isinstance(each, Text))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for field in annotation.model_fields.values():
            yield from _texts(field.annotation, field.metadata)
    for argument in get_args(annotation):
        yield from [argument] if isinstance(argument, Text) else _texts(argument)


def _by_pattern(texts: Iterable[Text]) -> dict[str, Text]:
    """Raises ValueError where two kinds have one pattern: an error names only that, and would get the wrong words."""
    found: dict[str, Text] = {}
    for text in texts:
        known = found.setdefault(str(text.pattern), text)
        if known != text:
            raise ValueError(
                f"the pattern {text.pattern} is that of {known.name} and of {text.name}: make them one kind"
            )
    return found


# The kinds of text of a manifest, by their patterns.
TEXTS = _by_pattern(_texts(StreamJob))
