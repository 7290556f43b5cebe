"""YAML text to plain values that know where they stand.

The limits hold for files that nobody wrote in good faith: deep nesting and aliases that multiply are refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from streamjob_api.words import Path, shown

MAX_DEPTH = 50
MAX_VALUES = 100_000  # in a document, every use of an alias counted

_PREFIX = "tag:yaml.org,2002:"
_TEXTS = {_PREFIX + name for name in ("str", "timestamp", "value", "merge")}
_SCALARS = {_PREFIX + name for name in ("null", "bool", "int", "float")}
_READ_AS = {_PREFIX + "bool": "true or false", _PREFIX + "null": "nothing", _PREFIX + "float": "a number"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands. Lines and columns count from 1."""

    line: int  # of the value if it is a scalar, or else of its key
    column: int
    key_line: int
    key_column: int
    literal: bool = False  # a block scalar whose lines are the text's lines


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the YAML itself."""

    line: int
    column: int
    path: Path
    message: str
    hint: str = ""


@dataclass(slots=True)
class Document:
    """One document: its value (None: refused), and the place of every value in it."""

    value: Any = None
    places: dict[Path, Place] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


class _RefusedError(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class _Loader(yaml.SafeLoader):
    """Composes nodes, to a limited depth, so that no input can exhaust the stack."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise _RefusedError(_at(mark, (), f"is nested more than {MAX_DEPTH} deep"))
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def read_documents(text: str) -> tuple[list[Document], list[Fault]]:
    """The documents of the text, and what keeps it from being read on, if anything does. Raises nothing."""
    documents: list[Document] = []
    loader = None
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                documents.append(_document(node))
    except _RefusedError as refused:
        return documents, [refused.fault]
    except yaml.reader.ReaderError as error:
        return documents, [_unreadable(text, error)]
    except yaml.MarkedYAMLError as error:
        return documents, [_syntax(error)]
    except (ValueError, OverflowError) as error:
        # PyYAML lets these through for escapes such as "\U99999999".
        return documents, [_at(loader.get_mark() if loader else None, (), "is not valid YAML", shown(str(error)))]
    return documents, []


def _document(node: yaml.Node) -> Document:
    document = Document()
    top = node.start_mark
    try:
        document.value = _Walk(document).value(node, (), top, 0)
    except _RefusedError as refused:
        document.faults.append(refused.fault)
    return document


class _Walk:
    """Turns the nodes of one document into values and notes their places."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._count = 0
        self._construct = SafeConstructor()

    def value(self, node: yaml.Node, path: Path, key: yaml.Mark, depth: int) -> Any:
        self._count += 1
        if self._count > MAX_VALUES:
            raise _RefusedError(_at(key, (), f"holds more than {MAX_VALUES} values, its aliases counted each time"))
        if depth > MAX_DEPTH:
            raise _RefusedError(_at(key, (), f"is nested more than {MAX_DEPTH} deep", "does an alias hold itself?"))
        self._document.places[path] = _place(node, key)
        if isinstance(node, yaml.MappingNode) and node.tag == _PREFIX + "map":
            return {name: self.value(*rest) for name, *rest in self._fields(node, path, depth)}
        if isinstance(node, yaml.SequenceNode) and node.tag == _PREFIX + "seq":
            return [self.value(item, (*path, i), item.start_mark, depth + 1) for i, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _fields(
        self, node: yaml.MappingNode, path: Path, depth: int
    ) -> Iterator[tuple[str, yaml.Node, Path, Any, int]]:
        seen: dict[str, yaml.Mark] = {}
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._fault(key.start_mark, path, "has a field whose name is not a text", "write names plainly")
                continue
            name, mark = key.value, key.start_mark
            below = (*path, name)
            if key.tag == _PREFIX + "merge":
                self._fault(mark, below, "merge keys are not supported", "write the fields out")
                continue
            if key.tag in _READ_AS:
                quoted = f'write it in quotes: "{shown(name)}"'
                self._fault(mark, below, f"YAML reads {shown(name) or 'this'} as {_READ_AS[key.tag]}", quoted)
            if name in seen:
                self._fault(mark, below, f"stands twice, first in line {seen[name].line + 1}", "keep one of them")
                continue
            seen[name] = mark
            yield name, item, below, mark, depth + 1

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        if node.tag in _TEXTS and isinstance(node, yaml.ScalarNode):
            return node.value
        if node.tag in _SCALARS:
            try:
                return self._construct.construct_object(node)
            except (ValueError, KeyError, OverflowError, yaml.YAMLError):
                self._fault(node.start_mark, path, f"does not fit its tag !!{node.tag.removeprefix(_PREFIX)}")
                return None
        self._fault(node.start_mark, path, f"the tag {shown(node.tag)} is not supported", "write the value plainly")
        return None

    def _fault(self, mark: yaml.Mark, path: Path, message: str, hint: str = "") -> None:
        self._document.faults.append(_at(mark, path, message, hint))


def _place(node: yaml.Node, key: yaml.Mark) -> Place:
    written = isinstance(node, yaml.ScalarNode) and node.end_mark.index > node.start_mark.index
    mark = node.start_mark if written else key
    literal = isinstance(node, yaml.ScalarNode) and node.style == "|"
    return Place(mark.line + 1, mark.column + 1, key.line + 1, key.column + 1, literal)


def _at(mark: yaml.Mark | None, path: Path, message: str, hint: str = "") -> Fault:
    return Fault(mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, path, message, hint)


def _syntax(error: yaml.MarkedYAMLError) -> Fault:
    said = error.problem or "cannot be read"
    if "'\\t'" in said:
        return _at(error.problem_mark, (), "is not valid YAML: a tab stands here", "indent with spaces")
    while_ = f" {shown(error.context)}" if error.context else ""
    since = f" that begins in line {error.context_mark.line + 1}" if error.context_mark else ""
    return _at(error.problem_mark, (), f"is not valid YAML: {said}{while_}{since}")


def _unreadable(text: str, error: yaml.reader.ReaderError) -> Fault:
    before = text[: error.position]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    code = error.character if isinstance(error.character, int) else ord(str(error.character))
    return Fault(line, column, (), f"is not valid YAML: the character U+{code:04X} is not allowed", "remove it")
