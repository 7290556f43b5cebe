"""Which values of Avro's types fit a column of which type.

| column | what fits |
| --- | --- |
| text | everything but bytes; what is nested stands as JSON |
| bytes | bytes, fixed, string |
| boolean | boolean |
| integers | int, long, and a decimal that is a whole number |
| floating point | int, long, float, double, decimal |
| decimal | int, long, and decimals whose digits it holds; float and double, rounded; digits in a string |
| date, time, timestamp | the logical types of that kind, and ISO texts in a string |
"""

from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from streamjob_runtime.excerpts import Excerpt, said
from streamjob_runtime.formats.avro.cursor import Cursor
from streamjob_runtime.formats.avro.schema import Node
from streamjob_runtime.formats.casts import cast as cast_to
from streamjob_runtime.formats.decimals import to_decimal

_NUMBERS = ("int", "long", "decimal")
_EXCERPT = 60


def fitted(values: Any, node: Node, wanted: pa.DataType, cursor: Cursor) -> Any:
    """The values, which are of the node's type, in the type of their column. Raises `Misfit`."""
    kind = node.logical or node.kind
    if kind == "null":
        return pa.nulls(len(values), cast(Any, wanted))
    if kind not in _taken(wanted):
        raise cursor.misfit(0, f"{_article(node.words)} stands where {_called(wanted)} is declared")
    try:
        return _cast(values, wanted)
    except pa.ArrowInvalid:
        for i in range(len(values)):
            try:
                _cast(values.slice(i, 1), wanted)
            except pa.ArrowInvalid:
                value = str(values[i].as_py())[:_EXCERPT]
                wrong = f", {_article(node.words)}, is no {_called(wanted)}"
                raise cursor.misfit(i, said(Excerpt(repr(value), "a value"), wrong)) from None
        raise


def natural(node: Node, cursor: Cursor, above: tuple[Node, ...] = ()) -> pa.DataType:
    """The type of a column that takes the node's values as they are. Raises `Misfit` for a type that holds itself."""
    if node in above:
        raise cursor.misfit(0, f"the type {node.name} holds itself, and cannot be shown as a text")
    cursor.look()
    above = (*above, node)
    match node.kind:
        case "record":
            return pa.struct([pa.field(name, natural(inner, cursor, above)) for name, inner in node.fields.items()])
        case "array":
            return pa.list_(natural(_inner(node), cursor, above))
        case "map":
            return pa.map_(pa.string(), natural(_inner(node), cursor, above))
        case "union":
            present = [branch for branch in node.branches if branch.kind != "null"]
            return natural(present[0], cursor, above) if len(present) == 1 else pa.string()
    if node.logical == "decimal":
        # One that does not fit has no values: reading them is refused.
        return pa.decimal128(min(node.precision, 38), min(node.scale, 38))
    if node.logical.startswith(("timestamp", "local-timestamp")):
        return pa.timestamp("us")
    return _NATURAL[node.logical or node.kind]


_NATURAL: dict[str, pa.DataType] = {
    "null": pa.string(),
    "boolean": pa.bool_(),
    "int": pa.int64(),
    "long": pa.int64(),
    "float": pa.float64(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "fixed": pa.binary(),
    "string": pa.string(),
    "enum": pa.string(),
    "uuid": pa.string(),
    "date": pa.date32(),
    "time-millis": pa.time64("us"),
    "time-micros": pa.time64("us"),
}


def _inner(node: Node) -> Node:
    assert node.items is not None
    return node.items


_TIMESTAMPS = tuple(f"{local}timestamp-{unit}" for local in ("", "local-") for unit in ("millis", "micros", "nanos"))
_TIMES = ("time-millis", "time-micros")


def _taken(wanted: pa.DataType) -> tuple[str, ...]:
    """The kinds of values that such a column takes."""
    return next((kinds for is_it, kinds in _TAKEN if is_it(wanted)), ())


_TAKEN: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (
        pt.is_string,
        ("string", "enum", "uuid", "boolean", "float", "double", "date", *_NUMBERS, *_TIMES, *_TIMESTAMPS),
    ),
    (pt.is_binary, ("bytes", "fixed", "string")),
    (pt.is_boolean, ("boolean",)),
    (pt.is_integer, _NUMBERS),
    (pt.is_floating, ("float", "double", *_NUMBERS)),
    (pt.is_decimal, ("float", "double", "string", *_NUMBERS)),
    (pt.is_date, ("date", "string")),
    (pt.is_time, (*_TIMES, "string")),
    (pt.is_timestamp, (*_TIMESTAMPS, "string")),
)


def _cast(values: Any, wanted: pa.DataType) -> Any:
    if values.type == wanted:
        return values
    if pt.is_timestamp(wanted):
        if pt.is_string(values.type):
            values = _instants(values)
        return values.cast(pa.int64()).cast(wanted)
    if pt.is_floating(wanted) and pt.is_integer(values.type):
        return values.cast(wanted, safe=False)  # as in SQL, the nearest
    if pt.is_decimal(wanted) and (pt.is_string(values.type) or pt.is_decimal(values.type)):
        return to_decimal(values, wanted)
    if pt.is_decimal(wanted) and pt.is_integer(values.type):
        # Arrow wants room for every number of the type, and looks at the numbers only where there is.
        return values.cast(pa.decimal128(38, wanted.scale) if wanted.scale <= 19 else wanted).cast(wanted)
    return cast_to(values, wanted)


def _instants(texts: Any) -> Any:
    """Times in ISO form, in UTC where they say nothing else."""
    zoned = pc.match_substring_regex(texts, r"(Z|[+-][0-9]{2}:?[0-9]{2})$")
    utc = pc.if_else(zoned, texts, pc.binary_join_element_wise(texts, "Z", ""))
    return utc.cast(pa.timestamp("us", "UTC"))


def _called(wanted: pa.DataType) -> str:
    """The type in the words of SQL."""
    return next((name for is_it, name in _CALLED if is_it(wanted)), str(wanted))


_CALLED: tuple[tuple[Any, str], ...] = (
    (pt.is_string, "VARCHAR"),
    (pt.is_binary, "BLOB"),
    (pt.is_boolean, "BOOLEAN"),
    (pt.is_integer, "an integer"),
    (pt.is_floating, "DOUBLE"),
    (pt.is_date, "DATE"),
    (pt.is_time, "TIME"),
    (pt.is_timestamp, "TIMESTAMP"),
    (pt.is_list, "a list"),
    (pt.is_struct, "STRUCT"),
    (pt.is_map, "MAP(VARCHAR, …)"),
)


def _article(words: str) -> str:
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"
