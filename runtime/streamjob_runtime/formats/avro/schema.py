"""Avro schemas: from their JSON to a tree in which every name is resolved."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FULL_NAME = re.compile(rf"{NAME.pattern}(\.{NAME.pattern})*")
# Logical types and the types that they may stand on; elsewhere, and of other names, they mean nothing.
_LOGICAL = {
    "date": ("int",),
    "time-millis": ("int",),
    "time-micros": ("long",),
    "timestamp-millis": ("long",),
    "timestamp-micros": ("long",),
    "timestamp-nanos": ("long",),
    "local-timestamp-millis": ("long",),
    "local-timestamp-micros": ("long",),
    "local-timestamp-nanos": ("long",),
    "decimal": ("bytes", "fixed"),
    "uuid": ("string", "fixed"),
}


class BadSchema(ValueError):
    """A text that is no Avro schema; says why."""


@dataclass(eq=False)
class Node:
    """A type. Recursive types make the tree a graph: nodes are told apart by identity."""

    kind: str  # a primitive, record, enum, array, map, fixed or union
    logical: str = ""  # one that fits the kind, or nothing
    name: str = ""  # the full name of a record, an enum or a fixed
    fields: dict[str, "Node"] = field(default_factory=dict)  # of a record, in the order of their bytes
    symbols: tuple[str, ...] = ()  # of an enum
    items: "Node | None" = None  # of an array; the values of a map
    branches: tuple["Node", ...] = ()  # of a union
    size: int = 0  # of a fixed, bytes
    precision: int = 0  # of a decimal
    scale: int = 0

    @property
    def words(self) -> str:
        """What messages call it."""
        if self.kind == "union":
            return "one of " + ", ".join(branch.words for branch in self.branches)
        if self.logical == "decimal":
            return f"decimal({self.precision},{self.scale})"
        return self.logical or self.kind


def parse_schema(text: str, names: dict[str, Node] | None = None) -> Node:
    """The type that the text describes. Raises `BadSchema`.

    `names`: the named types of other schemas that it may use; its own are added.
    """
    try:
        value = json.loads(text)
        return _Parser({} if names is None else names).node(value, "")
    except json.JSONDecodeError as e:
        raise BadSchema(f"it is not JSON: {e.msg}") from None
    except RecursionError:
        raise BadSchema("its types are nested too deeply") from None


class _Parser:
    def __init__(self, names: dict[str, Node]) -> None:
        self._names = names

    def node(self, value: Any, namespace: str) -> Node:
        match value:
            case str():
                return self._named(value, namespace)
            case list():
                return self._union(value, namespace)
            case {"type": str() as kind}:
                return self._of_kind(kind, value, namespace)
            case {"type": dict() | list() as inner}:
                return self.node(inner, namespace)
        raise BadSchema(f"{json.dumps(value)[:80]} is no type")

    def _named(self, name: str, namespace: str) -> Node:
        if name in PRIMITIVES:
            return Node(name)
        found = self._names.get(f"{namespace}.{name}") if namespace and "." not in name else None
        found = found or self._names.get(name)
        if found is None:
            raise BadSchema(f'there is no type "{name[:80]}"')
        return found

    def _union(self, values: list[Any], namespace: str) -> Node:
        branches = tuple(self.node(value, namespace) for value in values)
        if any(branch.kind == "union" for branch in branches):
            raise BadSchema("a union stands within a union")
        return Node("union", branches=branches)

    def _of_kind(self, kind: str, value: Mapping[str, Any], namespace: str) -> Node:
        match kind:
            case "record" | "error":
                return self._record(value, namespace)
            case "enum":
                node = self._declared("enum", value, namespace)[0]
                node.symbols = tuple(str(symbol) for symbol in _required(value, "symbols", list))
                return node
            case "fixed":
                node = self._declared("fixed", value, namespace)[0]
                node.size = _number(value, "size")
                return _with_logical(node, value)
            case "array":
                return Node("array", items=self.node(_required(value, "items", object), namespace))
            case "map":
                return Node("map", items=self.node(_required(value, "values", object), namespace))
        if kind in PRIMITIVES:
            return _with_logical(Node(kind), value)
        return self._named(kind, namespace)

    def _record(self, value: Mapping[str, Any], namespace: str) -> Node:
        node, inner = self._declared("record", value, namespace)
        for each in _required(value, "fields", list):
            name = _required(each, "name", str) if isinstance(each, dict) else None
            if name is None or name in node.fields:
                raise BadSchema(f'the fields of "{node.name}" are not each an object with a name of its own')
            node.fields[name] = self.node(_required(each, "type", object), inner)
        return node

    def _declared(self, kind: str, value: Mapping[str, Any], namespace: str) -> tuple[Node, str]:
        """A new node under its full name, and the namespace that holds within it."""
        name = _required(value, "name", str)
        given = value.get("namespace", namespace)
        full = name if "." in name or not given else f"{given}.{name}"
        if not _FULL_NAME.fullmatch(full):
            raise BadSchema(f'"{full[:80]}" is no name')
        if full in self._names:
            raise BadSchema(f'"{full}" is declared twice')
        node = self._names[full] = Node(kind, name=full)
        return node, full.rpartition(".")[0]


def _with_logical(node: Node, value: Mapping[str, Any]) -> Node:
    logical = value.get("logicalType")
    if node.kind not in _LOGICAL.get(str(logical), ()) or (
        logical == "uuid" and node.kind == "fixed" and node.size != 16
    ):
        return node
    if logical == "decimal":
        precision, scale = value.get("precision"), value.get("scale", 0)
        if type(precision) is not int or type(scale) is not int or not 0 <= scale <= precision or precision < 1:
            return node
        node.precision, node.scale = precision, scale
    node.logical = str(logical)
    return node


def _required(value: Mapping[str, Any], key: str, kind: type) -> Any:
    found = value.get(key)
    if found is None or not isinstance(found, kind):
        raise BadSchema(f'a type has no "{key}": {json.dumps(value)[:80]}')
    return found


def _number(value: Mapping[str, Any], key: str) -> int:
    found = _required(value, key, int)
    if isinstance(found, bool) or found < 0:
        raise BadSchema(f'"{key}" is no size: {json.dumps(value)[:80]}')
    return int(found)
