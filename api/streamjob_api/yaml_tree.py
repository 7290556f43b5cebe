"""YAML text to plain values that know where they stand.

The limits hold for files that nobody wrote in good faith: deep nesting and aliases that multiply are refused.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from streamjob_api.variables import Filler
from streamjob_api.words import Path, shown
from streamjob_api.yaml_words import syntax

MAX_DEPTH = 50
MAX_VALUES = 20_000  # in a document, every use of an alias counted
MAX_FAULTS = 100

_PREFIX = "tag:yaml.org,2002:"
_TEXTS = {_PREFIX + name for name in ("str", "timestamp", "value", "merge")}
_SCALARS = {_PREFIX + name for name in ("null", "bool", "int", "float")}
_RESOLVER = yaml.resolver.Resolver()
_READ_AS = {_PREFIX + "bool": "true or false", _PREFIX + "null": "nothing", _PREFIX + "float": "a number"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands. Lines and columns count from 1."""

    line: int  # of the value if it is a scalar, or else of its key
    column: int
    key_line: int
    key_column: int
    block: bool = False  # a text whose lines stand below it
    file: str = ""  # the one that it stands in, where that is not the manifest's own


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
    nodes = 0  # names too

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise _RefusedError(_at(mark, (), f"is nested more than {MAX_DEPTH} deep"))
        self.nodes += 1
        if self.nodes > 2 * MAX_VALUES:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise _RefusedError(_at(mark, (), f"holds more than {MAX_VALUES} values"))
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def read_documents(text: str, variables: Mapping[str, str] | None = None) -> tuple[list[Document], list[Fault]]:
    """The documents of the text, and what keeps it from being read on, if anything does. Raises nothing.

    `variables`: what fills `${NAME}` in values; None: values are taken as they are.
    """
    documents: list[Document] = []
    loader = None
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                documents.append(_document(node, variables))
    except _RefusedError as refused:
        return documents, [refused.fault]
    except yaml.reader.ReaderError as error:
        return documents, [_unreadable(text, error)]
    except yaml.MarkedYAMLError as error:
        return documents, [_syntax(error, text)]
    except (ValueError, OverflowError) as error:
        # PyYAML lets these through for escapes such as "\U99999999".
        return documents, [_at(loader.get_mark() if loader else None, (), "is not valid YAML", shown(str(error)))]
    return documents, []


def _document(node: yaml.Node, variables: Mapping[str, str] | None) -> Document:
    document = Document()
    top = node.start_mark
    try:
        document.value = _Walk(document, variables).value(node, (), top, 0)
    except _RefusedError as refused:
        document.faults.append(refused.fault)
    return document


class _Walk:
    """Turns the nodes of one document into values and notes their places."""

    def __init__(self, document: Document, variables: Mapping[str, str] | None) -> None:
        self._document = document
        self._filler = None if variables is None else Filler(variables)
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
        for key, item in self._whole(node, path):
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

    def _whole(self, node: yaml.MappingNode, path: Path) -> list[tuple[yaml.Node, yaml.Node]]:
        """The fields, with each text in one piece that a comma has cut within its brackets: DECIMAL(10, 2)."""
        whole: list[tuple[yaml.Node, yaml.Node]] = []
        for key, item in node.value:
            if node.flow_style and whole and _goes_on(whole[-1][1], item):
                name, cut = whole.pop()
                joined = f"{cut.value}, {key.value}"
                whole.append((name, yaml.ScalarNode(cut.tag, joined, cut.start_mark, cut.end_mark)))
                if joined.count("(") <= joined.count(")"):
                    below = (*path, name.value) if isinstance(name, yaml.ScalarNode) else path
                    message = "is cut at its comma: within { } a comma ends a text"
                    self._fault(cut.start_mark, below, message, f'put it in quotes: "{shown(joined)}"')
            else:
                whole.append((key, item))
        return whole

    def _filled(self, node: yaml.Node, path: Path) -> yaml.Node:
        """The value with its variables filled; one without quotes becomes whatever YAML takes the whole for."""
        if self._filler is None or not isinstance(node, yaml.ScalarNode) or "${" not in node.value:
            return node
        filled = self._filler.fill(node.value)
        for message, hint in filled.wrong:
            self._fault(node.start_mark, path, message, hint)
        tag = node.tag
        if node.style is None:
            tag = _RESOLVER.resolve(yaml.ScalarNode, filled.text, (True, False))  # type: ignore[no-untyped-call]
        return yaml.ScalarNode(tag, filled.text, node.start_mark, node.end_mark, node.style)

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        node = self._filled(node, path)
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
        if len(self._document.faults) >= MAX_FAULTS:
            raise _RefusedError(_at(mark, (), f"has more than {MAX_FAULTS} mistakes", "mend the first ones"))
        self._document.faults.append(_at(mark, path, message, hint))


def _goes_on(cut: yaml.Node, item: yaml.Node) -> bool:
    """Whether a text without quotes has an open bracket, and the next field is no field but a name alone."""
    plain = isinstance(cut, yaml.ScalarNode) and cut.style is None and cut.value.count("(") > cut.value.count(")")
    return plain and isinstance(item, yaml.ScalarNode) and item.start_mark.index == item.end_mark.index


def _place(node: yaml.Node, key: yaml.Mark) -> Place:
    written = isinstance(node, yaml.ScalarNode) and node.end_mark.index > node.start_mark.index
    mark = node.start_mark if written else key
    block = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
    return Place(mark.line + 1, mark.column + 1, key.line + 1, key.column + 1, block)


def _at(mark: yaml.Mark | None, path: Path, message: str, hint: str = "") -> Fault:
    return Fault(mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, path, message, hint)


def _syntax(error: yaml.MarkedYAMLError, text: str) -> Fault:
    said = syntax(error, text)
    return Fault(said.line, said.column, (), said.message, said.hint)


def _unreadable(text: str, error: yaml.reader.ReaderError) -> Fault:
    before = text[: error.position]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    code = error.character if isinstance(error.character, int) else ord(str(error.character))
    return Fault(line, column, (), f"is not valid YAML: the character U+{code:04X} is not allowed", "remove it")
