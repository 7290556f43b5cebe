"""A manifest file to a StreamJob, or to every problem it has, each with its line."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from streamjob_api import resource
from streamjob_api.draft import Draft, draft_of
from streamjob_api.models import StreamJob
from streamjob_api.names import API_VERSION, GROUP, KIND
from streamjob_api.replaced import replace_parts
from streamjob_api.trees import Broken
from streamjob_api.words import Path, dotted, sentence
from streamjob_api.yaml_tree import Document, Fault, Place, read_documents

MAX_BYTES = 3 << 20  # as the API server takes them
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a manifest. Its text is what a user should see."""

    file: str
    line: int  # from 1; 0: the file as a whole
    column: int  # from 1
    path: str  # such as "spec.sources[0].tcp.port"; empty: the document as a whole
    message: str  # what is wrong
    hint: str = ""  # what would be right

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{where}: {self.path + ': ' if self.path else ''}{sentence(self.message, self.hint)}"


@dataclass(frozen=True, slots=True)
class LoadedManifest:
    """What a file gave: a job, or the problems that it has, in the order of its lines."""

    file: str
    job: StreamJob | None
    problems: list[Problem]
    draft: Draft | None = None  # where there is no job: what can be understood of it
    documents: tuple[Any, ...] = ()  # all documents of the file, as plain values, with variables filled
    _places: Mapping[str, Place] = field(default_factory=dict, repr=False)
    _lines: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)  # of each file

    def file_of(self, path: str) -> str:
        """The file in which the value at a path stands: the manifest's own, or one that replaces parts of it."""
        return _nearest(self._places, path).file or self.file

    def locate(self, path: str, text: str = "", offset: int | None = None) -> tuple[int, int]:
        """The line and column, from 1, of the value at a path, or of what is nearest above it.

        `text` and `offset`: the value, where it is a text such as a step's SQL, and a character's number in it: the
        place is that character's, however the text is written.
        """
        place = _nearest(self._places, path)
        found = None if offset is None else _within(self._lines.get(place.file, ()), place, text, offset)
        return found or (place.line, place.column)


def load_manifest(
    path: FilePath, variables: Mapping[str, str] | None = None, replacements: Sequence[FilePath] = ()
) -> LoadedManifest:
    """Read the StreamJob of a YAML file, which may hold documents of other kinds too. Raises nothing.

    `variables`: what fills `${NAME}` in its values; None: they are taken as they are. `replacements`: files with parts
    that take the places of its own, one after the other.
    """
    text = _read(path)
    others = [(str(other), _read(other)) for other in replacements]
    for read in (text, *(read for _, read in others)):
        if isinstance(read, Problem):
            return LoadedManifest(str(path), None, [read])
    return parse_manifest(str(text), str(path), variables, [(file, str(read)) for file, read in others])


def _read(path: FilePath) -> str | Problem:
    file = str(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return _failed(file, "cannot be read", reason)
    if data.startswith(_GZIP):
        try:
            # A cluster's operator writes so what is too long for a ConfigMap.
            data = zlib.decompressobj(wbits=31).decompress(data, MAX_BYTES + 1)
        except zlib.error:
            return _failed(file, "is compressed, and damaged", "write the manifest as plain text")
    if len(data) > MAX_BYTES:
        return _failed(file, "is larger than 3 MiB", "a manifest is a short text: is this the right file?")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        return _failed(file, "is not UTF-8 text", "save it as UTF-8", line, column)
    return text


def parse_manifest(
    text: str,
    file: str,
    variables: Mapping[str, str] | None = None,
    replacements: Sequence[tuple[str, str]] = (),
) -> LoadedManifest:
    """The StreamJob in a YAML text; `file` is what problems call it, `variables` fill its values. Raises nothing.

    `replacements`: the name and the text of each file with parts that take the places of its own.
    """
    documents, faults = read_documents(text, variables)
    refused = [fault for document in documents if document.value is None for fault in document.faults]
    problems = [_from_fault(file, fault) for fault in faults + refused]
    jobs = [document for document in documents if is_job(document.value)]
    if not jobs:
        if not problems:
            hint = f"write apiVersion: {API_VERSION} and kind: {KIND}"
            problems.append(Problem(file, 1, 1, "", "holds no StreamJob", hint))
        return LoadedManifest(file, None, problems)
    for other in jobs[1:]:
        place = other.places[()]
        message = "holds a second StreamJob"
        problems.append(Problem(file, place.line, place.column, "", message, "give each its own file"))
    document = jobs[0]
    for name, parts in replacements:
        problems += _replace(document, name, parts, variables)
    places = {dotted(path): place for path, place in document.places.items()}
    job, broken = resource.check(document.value)
    problems += [_from_fault(file, fault) for fault in document.faults]
    said = {fault.path for fault in document.faults if fault.path}
    problems += [_problem(file, document, each) for each in broken if each.path not in said]
    problems.sort(key=lambda p: (p.file, p.line, p.column))
    lines = {name: tuple(text.splitlines()) for name, text in (("", text), *replacements)}
    values = tuple(each.value for each in documents)
    if job is not None and not problems:
        return LoadedManifest(file, job, [], None, values, places, lines)
    wrong = [fault.path for fault in document.faults] + [each.path for each in broken]
    draft = draft_of(document.value, wrong)
    return LoadedManifest(file, None, problems, draft, values, places, lines)


def _replace(document: Document, file: str, text: str, variables: Mapping[str, str] | None) -> list[Problem]:
    """Put the parts in the text of that file into the document; what is wrong with them."""
    others, faults = read_documents(text, variables)
    faults += [fault for other in others for fault in other.faults]
    if not faults and len(others) != 1:
        faults = [Fault(1, 1, (), f"holds {len(others)} documents", "write one, with sources, tables or sinks")]
    return [_from_fault(file, fault) for fault in faults or replace_parts(document, others[0], file)]


def is_job(value: Any) -> bool:
    """Whether the document is a StreamJob, or means to be one."""
    if not isinstance(value, Mapping):
        return False
    kind, version = value.get("kind"), value.get("apiVersion")
    if kind is None and version is None:
        return "spec" in value or "metadata" in value
    group = version.partition("/")[0] if isinstance(version, str) else None
    return group == GROUP or str(kind).lower() == KIND.lower()


def _problem(file: str, document: Document, broken: Broken) -> Problem:
    path: Path = broken.path
    while path not in document.places and path:
        path = path[:-1]
    place = document.places[path]
    # A field that is missing is missing from something: that one's key is shown.
    at_key = broken.path != path or broken.message == "unknown field"
    line, column = (place.key_line, place.key_column) if at_key else (place.line, place.column)
    return Problem(place.file or file, line, column, dotted(broken.path), broken.message, broken.hint)


def _within(lines: Sequence[str], place: Place, text: str, offset: int) -> tuple[int, int] | None:
    """Where a character of a text stands in the file: spaces and line breaks apart, file and text say the same.

    Behind a variable that was filled they do not: then only the line is found, and only of a block.
    """
    wanted = [c for c in text[: offset + 1] if not c.isspace()]
    if not wanted or (offset < len(text) and text[offset].isspace()):
        return None
    passed = 0
    for number, line in enumerate(lines[place.line - 1 + place.block :], place.line + place.block):
        for column, c in enumerate(line, 1):
            if c.isspace() or (number == place.line and column < place.column):
                continue
            if c != wanted[passed]:
                if c in "\"'\\":
                    continue  # a quote, or what stands before one
                return _line_within(lines, place, text[:offset].count("\n"))
            passed += 1
            if passed == len(wanted):
                return number, column
    return None


def _line_within(lines: Sequence[str], place: Place, before: int) -> tuple[int, int] | None:
    number = place.line + 1 + before
    if not place.block or number > len(lines):
        return None
    line = lines[number - 1]
    return number, len(line) - len(line.lstrip()) + 1


def _nearest(places: Mapping[str, Place], path: str) -> Place:
    while path not in places and path:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return places.get(path, Place(1, 1, 1, 1))


def _from_fault(file: str, fault: Fault) -> Problem:
    return Problem(file, fault.line, fault.column, dotted(fault.path), fault.message, fault.hint)


def _failed(file: str, message: str, hint: str, line: int = 0, column: int = 0) -> Problem:
    return Problem(file, line, column, "", message, hint)
