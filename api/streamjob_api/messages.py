"""Pydantic's errors in plain words: what is wrong, and what would be right."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from pydantic_core import ErrorDetails

from streamjob_api.fields import TEXTS, Model, fields_of, find_field, find_model, inner_model, range_of, written
from streamjob_api.trees import Broken
from streamjob_api.words import Path, kind_of, shown, suggest

_HIDDEN = "…"  # what stands where a Secret's name belongs may be the secret itself
_KEY = "[key]"  # what pydantic puts at the end of the path when an object's key is wrong


def explain(error: ErrorDetails) -> Broken:
    """The error as a user should see it."""
    path, value = error["loc"], error["input"]
    if isinstance(value, str) and any(str(part).endswith("Ref") for part in path):
        value = _HIDDEN
    if path and path[-1] == _KEY and error["type"] != "extra_forbidden":
        path = path[:-1]
    if error["type"] not in ("missing", "extra_forbidden") and value is None:
        return Broken(path, "has no value", _needed(path))
    say = _WORDS.get(error["type"])
    if say is None:
        return Broken(path, error["msg"][:1].lower() + error["msg"][1:], "")
    return Broken(path, *say(path, value, error.get("ctx", {})))


def is_echo(error: ErrorDetails) -> bool:
    """Whether the error only repeats others: Pydantic calls a list too short when its items are wrong."""
    return error["type"] == "too_short" and len(error["input"]) > 0


def _missing(path: Path, _: Any, __: Any) -> tuple[str, str]:
    return "is missing", _needed(path)


def _needed(path: Path) -> str:
    field = find_field(path)
    if field is None or not field.description:
        return ""
    first = field.description.split(". ")[0].rstrip(".").replace("`", "")
    lower = first if first[:2].isupper() or first[:1] == "`" else first[:1].lower() + first[1:]
    return f"give {lower}" if field.is_required() else f"leave it out, or give {lower}"


def _unknown(path: Path, value: Any, _: Any) -> tuple[str, str]:
    model, name = find_model(path[:-1]), str(path[-1])
    if value is None and " " in name:
        return "is no field but the end of a text: within { } a comma ends it", "put the whole text in quotes"
    if model is None:
        return "unknown field", ""
    below = [f"{field}.{name}" for field, inner in _inner_models(model) if name in fields_of(inner)]
    if below and name not in fields_of(model):
        return "unknown field", f'did you mean "{below[0]}"?'
    if not fields_of(model):
        return "unknown field", "there are no fields here"
    return "unknown field", suggest(name, fields_of(model), "the fields here are")


def _inner_models(model: Model) -> list[tuple[str, Model]]:
    # Only objects: an item of a list has no path that a suggestion could name.
    found = ((name, field.annotation, inner_model(field.annotation)) for name, field in fields_of(model).items())
    return [(name, inner) for name, annotation, inner in found if inner and "tuple" not in str(annotation)]


def _text(_: Path, value: Any, __: Any) -> tuple[str, str]:
    scalar = isinstance(value, bool | int | float)
    return f"must be a text, and is {kind_of(value)}", "put it in quotes" if scalar else "write a text"


def _whole_number(_: Path, value: Any, __: Any) -> tuple[str, str]:
    quoted = isinstance(value, str) and value.strip().isdecimal()
    hint = "leave the quotes out" if quoted else "write digits only"
    return f"must be a whole number, and is {kind_of(value)}", hint


def _boolean(_: Path, value: Any, __: Any) -> tuple[str, str]:
    return f"must be true or false, and is {kind_of(value)}", "write true or false, without quotes"


def _object(path: Path, value: Any, _: Any) -> tuple[str, str]:
    model = find_model(path)
    hint = f"its fields are {', '.join(fields_of(model))}" if model and fields_of(model) else "write name: value"
    return f"must be an object, and is {kind_of(value)}", "write {}" if model and not fields_of(model) else hint


def _list(_: Path, value: Any, __: Any) -> tuple[str, str]:
    return f"must be a list, and is {kind_of(value)}", 'begin each item with "- "'


def _choice(path: Path, value: Any, ctx: Any) -> tuple[str, str]:
    choices = [choice.strip("' ") for choice in str(ctx["expected"]).replace(" or ", ",").split(",")]
    said = f'"{shown(value)}"' if isinstance(value, str) else kind_of(value)
    known = f"must be {choices[0]}" if len(choices) == 1 else f"must be one of {', '.join(choices)}"
    near = suggest(value, choices, "") if isinstance(value, str) else ""
    return f"{known}, and is {said}", near if near.startswith("did") else f"take {choices[0]}" * (len(choices) == 1)


def _bound(path: Path, value: Any, ctx: Any) -> tuple[str, str]:
    field = find_field(path)
    size = "small" if "ge" in ctx else "large"
    said = written(value) if isinstance(value, timedelta) else kind_of(value).removeprefix("the number ")
    said = shown(value) if isinstance(value, str) else said
    limit = written(ctx.get("ge", ctx.get("le")))
    return f"{said} is too {size}", f"take {range_of(field) if field else limit}"


def _pattern(_: Path, value: Any, ctx: Any) -> tuple[str, str]:
    # A location may carry a password by mistake: what looks like one is not repeated.
    said = f'"{shown(value)}" is not' if not {"@", "/"} & set(value) else "is not"
    return f"{said} {TEXTS[ctx['pattern']].words}", ""


def _too_long_text(_: Path, value: Any, ctx: Any) -> tuple[str, str]:
    return f"has {len(value)} characters", f"take at most {ctx['max_length']}"


def _too_long(_: Path, __: Any, ctx: Any) -> tuple[str, str]:
    return "has too many items", f"take at most {ctx['max_length']}"


def _empty(_: Path, __: Any, ___: Any) -> tuple[str, str]:
    return "is empty", "give at least one item"


def _empty_text(_: Path, __: Any, ___: Any) -> tuple[str, str]:
    return "is empty", "write a text"


def _duration(_: Path, value: Any, __: Any) -> tuple[str, str]:
    return f"must be a duration, and is {kind_of(value)}", "write numbers with units: 500ms, 2s, 1h30m"


def _quantity(_: Path, value: Any, __: Any) -> tuple[str, str]:
    return f"must be a quantity, and is {kind_of(value)}", "write a number, with its unit: 2, 250m, 512Mi, 1.5Gi"


_Say = Callable[[Path, Any, Any], tuple[str, str]]

_WORDS: dict[str, _Say] = {
    "missing": _missing,
    "extra_forbidden": _unknown,
    "string_type": _text,
    "string_unicode": lambda *_: ("holds characters that are no text", "write it anew"),
    "int_type": _whole_number,
    "bool_type": _boolean,
    "model_type": _object,
    "model_attributes_type": _object,
    "dict_type": _object,
    "tuple_type": _list,
    "literal_error": _choice,
    "greater_than_equal": _bound,
    "less_than_equal": _bound,
    "string_pattern_mismatch": _pattern,
    "string_too_long": _too_long_text,
    "string_too_short": _empty_text,
    "too_long": _too_long,
    "too_short": _empty,
    "duration": _duration,
    "quantity": _quantity,
}
