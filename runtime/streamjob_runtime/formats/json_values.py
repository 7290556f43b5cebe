"""JSON record by record: slow, exact, and able to say what is wrong with which record."""

import json
import math
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext
from json.encoder import encode_basestring
from typing import Any

import pyarrow as pa

from streamjob_runtime.excerpts import Words, said
from streamjob_runtime.formats import lines, names
from streamjob_runtime.formats.base import BadRecord
from streamjob_runtime.formats.lines import excerpt

_Convert = Callable[[Any], Any]  # of a value that is not null; raises ValueError


# No column's type mends a record that is none.
_TAKE_TEXT = (
    "Say by onBadRecord what becomes of such records; or take format text, whose one column, value, is the whole "
    "record, and in the pipeline TRY_CAST(value AS JSON), which is NULL for what is no JSON"
)


class _NoObjectError(ValueError):
    """The record is no JSON object at all."""


def decode_lines(data: bytes, first: int, schema: pa.Schema) -> pa.Table:
    """One row a line that is not blank; the first line has the number `first`. Raises `BadRecord`."""
    converters = [(f.name, _converter(f.type)) for f in schema]
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(data.split(b"\n"), first):
        if line and not line.isspace():
            try:
                rows.append(_row(line, converters))
            except _NoObjectError as e:
                raise BadRecord(str(e), number, excerpt(line), _TAKE_TEXT) from None
            except ValueError as e:
                raise BadRecord(str(e), number, excerpt(line)) from None
    return pa.Table.from_pylist(rows, schema)


def sift_records(records: Sequence[bytes], schema: pa.Schema) -> tuple[pa.Table, dict[int, Words]]:
    """The rows of the good ones, and of each bad one why it is bad. What is empty or blank is bad too."""
    converters = [(f.name, _converter(f.type)) for f in schema]
    rows: list[dict[str, Any]] = []
    wrong: dict[int, Words] = {}
    for i, record in enumerate(records):
        reason = lines.no_utf8(record)
        if reason is None:
            try:
                rows.append(_row(record, converters))
                continue
            except ValueError as e:
                reason = said(str(e) if record and not record.isspace() else "it is empty")
        wrong[i] = reason
    return pa.Table.from_pylist(rows, schema), wrong


class _Real(float):
    """A number that remembers how it was written, where Python's own would be written otherwise."""

    text: str

    def __new__(cls, text: str) -> "_Real":
        number = super().__new__(cls, text)
        number.text = text
        return number


# What JSON has no numbers for, as our encoder and Spark's write it.
_NO_NUMBERS = {
    "NaN": float("nan"),
    **dict.fromkeys(("Infinity", "+Infinity", "INF", "+INF"), float("inf")),
    **dict.fromkeys(("-Infinity", "-INF"), float("-inf")),
}
_MOST_DIGITS = 4000  # of an integer: Python refuses to read longer ones


def _whole(text: str) -> int | float:
    return _Real(text) if text == "-0" or len(text) > _MOST_DIGITS else int(text)


_DECODER = json.JSONDecoder(parse_float=_Real, parse_int=_whole)


def _row(line: bytes, converters: list[tuple[str, _Convert]]) -> dict[str, Any]:
    try:
        record = _DECODER.decode(line.decode())
    except json.JSONDecodeError as e:
        raise _NoObjectError(f"it is not JSON: {e.msg.removesuffix(' at')} at column {e.colno}") from None
    except RecursionError:
        raise _NoObjectError("its values are nested too deeply") from None
    if not isinstance(record, dict):
        raise _NoObjectError(f"{_kind(record)} stands where an object is expected, with a field a column")
    row = {}
    for name, convert in converters:
        value = _value(record, name)
        if value is not None:
            try:
                value = convert(value)
            except RecursionError:
                raise _NoObjectError("its values are nested too deeply") from None
            except ValueError as e:
                raise ValueError(f'field "{name}": {e}') from None
        row[name] = value
    return row


def _value(record: dict[str, Any], name: str) -> Any:
    """What stands under the name, or under one that differs in case alone; None: nothing."""
    if name in record:
        return record[name]
    there = names.found(name, record)
    return None if there is None else record[there]


def _converter(declared: pa.DataType) -> _Convert:
    if pa.types.is_boolean(declared):
        return _to_bool
    if pa.types.is_integer(declared):
        return _to_integer
    if pa.types.is_floating(declared):
        return _to_double
    if pa.types.is_decimal(declared):
        return lambda value: _to_decimal(value, declared.precision, declared.scale)
    if pa.types.is_list(declared):
        item = _converter(declared.value_type)
        return lambda value: _to_list(value, item)
    if pa.types.is_struct(declared):
        fields = [(f.name, _converter(f.type)) for f in declared]
        return lambda value: _to_struct(value, fields)
    return _to_text


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(f"{_kind(value)} stands where true or false is declared")


def _to_integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise ValueError(f"{_kind(value)} stands where an integer is declared")
    if not -(2**63) <= value < 2**63:
        raise ValueError("the number does not fit in 64 bits; declare it DOUBLE, DECIMAL or VARCHAR")
    return int(Decimal(value.text)) if isinstance(value, _Real) else int(value)


def _to_double(value: Any) -> float:
    if isinstance(value, str) and value in _NO_NUMBERS:
        return _NO_NUMBERS[value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{_kind(value)} stands where a number is declared")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isinf(number) and not _is_no_number(value):
        raise ValueError("the number is larger than a floating-point number can be; declare it VARCHAR")
    return number


def _is_no_number(value: float) -> bool:
    """Whether it is what Python reads of the words Infinity and -Infinity."""
    return isinstance(value, float) and not isinstance(value, _Real)


def _to_decimal(value: Any, precision: int, scale: int) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{_kind(value)} stands where a decimal is declared")
    with localcontext(prec=76):
        try:
            number = Decimal(value.text if isinstance(value, _Real) else str(value))
            rounded = number.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)
        except InvalidOperation:
            raise ValueError(f"it is no number of at most {precision} digits, {scale} behind the point") from None
        if not rounded.is_finite() or abs(rounded) >= Decimal(10) ** (precision - scale):
            raise ValueError(f"the number has more than {precision - scale} digits before the point")
        return rounded


def _to_list(value: Any, convert: _Convert) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{_kind(value)} stands where a list is declared")
    return [None if item is None else convert(item) for item in value]


def _to_struct(value: Any, fields: list[tuple[str, _Convert]]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{_kind(value)} stands where an object is declared")
    found = {name: _value(value, name) for name, _ in fields}
    return {name: None if found[name] is None else convert(found[name]) for name, convert in fields}


def _to_text(value: Any) -> str:
    if isinstance(value, str):
        text = value
    else:
        out: list[str] = []
        _write(value, out)
        text = "".join(out)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("the text holds half of a surrogate pair (\\ud800 to \\udfff)") from None
    return text


def _write(value: Any, out: list[str]) -> None:
    """A value as JSON again, with its numbers as they were written: a float has not all their digits."""
    if isinstance(value, str):
        out.append(encode_basestring(value))
    elif isinstance(value, _Real):
        out.append(value.text)
    elif isinstance(value, dict):
        before = "{"
        for key, inner in value.items():
            out.append(f"{before}{encode_basestring(key)}:")
            _write(inner, out)
            before = ","
        out.append("}" if value else "{}")
    elif isinstance(value, list):
        before = "["
        for inner in value:
            out.append(before)
            _write(inner, out)
            before = ","
        out.append("]" if value else "[]")
    else:
        out.append(json.dumps(value))


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
    return "an object"
