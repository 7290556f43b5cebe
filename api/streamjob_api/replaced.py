"""Sources, static tables and sinks of a manifest in place of which another file has others, for another environment.

Such a file says by name what it replaces:

    sources:
      events: {files: {path: samples/}}
    sinks:
      views.kafka: {console: {}}

What an entry says counts; what it does not say stays as the manifest has it. A kind (`files`) takes the place of the
one that is there, a null takes a field away.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from streamjob_api import trees
from streamjob_api.systems.registry import SINKS, SOURCES, TABLES
from streamjob_api.words import Path, kind_of, numbered, shown, suggest
from streamjob_api.yaml_tree import Document, Fault

_KINDS: Mapping[str, Mapping[str, Any]] = {"sources": SOURCES, "tables": TABLES, "sinks": SINKS}
_ONE = {"sources": "source", "tables": "static table", "sinks": "sink"}


def replace_parts(document: Document, others: Document, file: str) -> list[Fault]:
    """Put the parts of `others`, which are from that file, into the document; what is wrong with them."""
    if not isinstance(others.value, Mapping):
        message = f"must be an object with {', '.join(_KINDS)}, not {kind_of(others.value)}"
        return [Fault(1, 1, (), message, "write sources: {NAME: {…}}")]
    return list(_Parts(document, others, file).put())


class _Parts:
    def __init__(self, document: Document, others: Document, file: str) -> None:
        self._document = document
        self._others = others
        self._file = file
        self._spec = trees.mapping(trees.mapping(document.value).get("spec"))

    def put(self) -> Iterator[Fault]:
        for part, entries in self._others.value.items():
            if part not in _KINDS:
                yield self._fault((part,), "cannot be replaced", suggest(part, _KINDS, "what can be are"))
            elif not isinstance(entries, Mapping):
                yield self._fault(
                    (part,), f"must be an object, not {kind_of(entries)}", f"write {part}: {{NAME: {{…}}}}"
                )
            else:
                names = _names(part, trees.items(self._spec.get(part)))
                for name, entry in entries.items():
                    yield from self._entry(part, name, entry, names)

    def _entry(self, part: str, name: str, entry: Any, names: tuple[str, ...]) -> Iterator[Fault]:
        path = (part, name)
        if name not in names:
            message = f'there is no {_ONE[part]} "{shown(name)}" in the manifest'
            yield self._fault(path, message, suggest(name, names, "there are") if names else "there is none at all")
        elif not isinstance(entry, Mapping) or not entry:
            hint = "write what it has instead, such as {files: {path: in/}}"
            yield self._fault(path, f"must be an object with fields, not {kind_of(entry)}", hint)
        elif "name" in entry:
            yield self._fault((*path, "name"), "is not replaced: steps go by it", "leave it out")
        else:
            self._merge(part, names.index(name), path, entry)

    def _merge(self, part: str, i: int, source: Path, entry: Mapping[str, Any]) -> None:
        item, kinds = self._spec[part][i], _KINDS[part]
        given = [kind for kind in kinds if kind in entry]
        gone = [kind for kind in kinds if given and kind not in entry]
        if given and "format" not in entry and not any(kinds[kind].formats for kind in given):
            gone.append("format")
        gone += [field for field, value in entry.items() if value is None and field not in kinds]
        for field in {*gone, *entry}:
            self._forget(("spec", part, i, field))
            item.pop(field, None)
        for field, value in entry.items():
            if field not in gone:
                item[field] = value
                self._place((*source, field), ("spec", part, i, field))

    def _forget(self, path: Path) -> None:
        """What stood there stands nowhere, and what was wrong with it is wrong no more."""
        document, size = self._document, len(path)
        document.places = {at: place for at, place in document.places.items() if at[:size] != path}
        document.faults = [fault for fault in document.faults if fault.path[:size] != path]

    def _place(self, source: Path, path: Path) -> None:
        size = len(source)
        for at, place in self._others.places.items():
            if at[:size] == source:
                self._document.places[(*path, *at[size:])] = replace(place, file=self._file)

    def _fault(self, path: Path, message: str, hint: str) -> Fault:
        place = self._others.places[path]
        return Fault(place.key_line, place.key_column, path, message, hint)


def _names(part: str, items: Iterable[Any]) -> tuple[str, ...]:
    """How the items are called, in their order; one whose name cannot be told is called nothing."""
    if part != "sinks":
        return tuple(trees.text(trees.mapping(item).get("name")) for item in items)
    said = ((trees.mapping(item).get("from"), trees.kind(trees.mapping(item), SINKS)) for item in items)
    return numbered(f"{origin}.{kind}" for origin, kind in said)
