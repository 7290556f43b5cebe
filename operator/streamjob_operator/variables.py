"""Values of variables, from the ConfigMaps that specs name.

A ConfigMap is read by its name, and again now and then: a watch would have to see all that there are in a namespace.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from streamjob_api import trees
from streamjob_api.trees import Broken
from streamjob_api.variables import Filler
from streamjob_operator.cluster import ApiError, Cluster, NotFound
from streamjob_operator.model import Key, Tree

# How old what is known of a ConfigMap may be, seconds; and how many are read a second at most, of many.
PERIOD_S = 10.0
_MOST_A_SECOND = 10
_FORBIDDEN = 403
_KEPT_PERIODS = 10  # after so many without a question nobody needs a ConfigMap any more


@dataclass(frozen=True, slots=True)
class Found:
    """What the ConfigMaps of a spec say. Two are equal where the spec becomes the same."""

    values: Mapping[str, str] = field(default_factory=dict)
    unusable: Mapping[str, str] = field(default_factory=dict)  # the name of a value that is no text -> why
    problems: tuple[str, ...] = ()  # why not all is known, in words
    due: float | None = field(default=None, compare=False)  # when to look again; None: never

    def filler(self, spec: Tree) -> Filler:
        """What fills the spec's texts by these values."""
        names = [reference["name"] for _, reference in _references(spec)]
        one = f"the ConfigMap {names[0]}" if len(names) == 1 else f"one of the ConfigMaps {', '.join(names)}"
        return Filler(self.values, f"give it a text in {one}, under the key {{name}}", self.unusable)


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read of one ConfigMap."""

    at: float
    values: Mapping[str, str] | None = None  # None: there is none, or it cannot be read
    binary: frozenset[str] = frozenset()
    refused: str = ""  # why it cannot be read, in words


class Variables:
    """Reads ConfigMaps, each no more often than it has to be, however many jobs name it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._read: dict[tuple[str, str], _Read] = {}

    async def of(self, key: Key, spec: Tree, now: float, anew: bool) -> Found:
        """What a job's spec is filled by. `anew`: as its ConfigMaps are just now. Raises `ApiError`."""
        values: dict[str, str] = {}
        unusable: dict[str, str] = {}
        problems, due = [], None
        for i, reference in _references(spec):
            read = await self._one(key.namespace, reference["name"], now, anew)
            due = min(due or read.at + self._period(), read.at + self._period())
            if read.values is not None:
                values |= read.values
                unusable = {name: why for name, why in unusable.items() if name not in read.values}
                unusable |= dict.fromkeys(read.binary, f"is binary in the ConfigMap {reference['name']}")
            elif read.refused or not reference.get("optional"):
                problems.append(str(_missing(i, reference["name"], key.namespace, read.refused)))
        return Found(values, unusable, tuple(problems), due)

    def _period(self) -> float:
        return max(PERIOD_S, len(self._read) / _MOST_A_SECOND)

    async def _one(self, namespace: str, name: str, now: float, anew: bool) -> _Read:
        known = self._read.get((namespace, name))
        if known is not None and not anew and now < known.at + self._period():
            return known
        try:
            config = await self._cluster.read_config_map(Key(namespace, ""), name)
            binary = frozenset(config.get("binaryData") or {})
            read = _Read(now, dict(config.get("data") or {}), binary)
        except NotFound:
            read = _Read(now)
        except ApiError as error:
            if error.status == _FORBIDDEN:
                read = _Read(now, refused=str(error))
            elif known is not None and not anew:
                # A server that does not answer just now says nothing of the values, and the job is looked after anyway.
                read = replace(known, at=now)
            else:
                raise
        self._read[(namespace, name)] = read
        self._forget(now)
        return read

    def _forget(self, now: float) -> None:
        oldest = now - _KEPT_PERIODS * self._period()
        for where in [where for where, read in self._read.items() if read.at < oldest]:
            del self._read[where]


def has_references(spec: Tree) -> bool:
    """Whether the spec's texts have variables at all: otherwise they are taken as they are."""
    return bool(trees.items(spec.get("variablesFrom")))


def _references(spec: Tree) -> list[tuple[int, Tree]]:
    items = enumerate(trees.items(spec.get("variablesFrom")))
    found: list[tuple[int, Any]] = [(i, trees.mapping(trees.mapping(item).get("configMapRef"))) for i, item in items]
    return [(i, reference) for i, reference in found if isinstance(reference.get("name"), str)]


def _missing(i: int, name: str, namespace: str, refused: str) -> Broken:
    path = ("spec", "variablesFrom", i, "configMapRef")
    if refused:
        return Broken(path, f"the ConfigMap {name} may not be read: {refused}", "give the operator the right to get it")
    message = f"there is no ConfigMap {name} in the namespace {namespace}"
    return Broken(path, message, "make it, or write optional: true")
