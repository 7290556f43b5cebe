"""Plain trees (what YAML gives, with the manifest's own field names) and the rules they break.

The accessors pass over what has the wrong type: the models report that.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from streamjob_api.durations import parse_duration
from streamjob_api.words import Path, dotted, sentence

# No list of objects in a manifest may be as long; what is behind is not looked at, so that no input takes long.
MAX_ITEMS = 100
MAX_COLUMNS = 1000  # of a schema

Tree = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that does not hold: where, what is wrong, what would be right."""

    path: Path
    message: str
    hint: str

    def below(self, *prefix: str | int) -> "Broken":
        """The same, seen from further up."""
        return Broken((*prefix, *self.path), self.message, self.hint)

    def __str__(self) -> str:
        where = f"{dotted(self.path)}: " if self.path else ""
        return where + sentence(self.message, self.hint)


Rules = Callable[[Tree], Iterable[Broken]]


def kind(tree: Tree, kinds: Iterable[str]) -> str | None:
    """Which one of the kinds the tree has; None: none or several."""
    present = [kind for kind in kinds if tree.get(kind) is not None]
    return present[0] if len(present) == 1 else None


def mapping(value: Any) -> Tree:
    """The value if it is an object, or else an empty one."""
    return value if isinstance(value, Mapping) else {}


def items(value: Any, most: int = MAX_ITEMS) -> Sequence[Any]:
    """The value if it is a list, or else an empty one; no more of it than such a list of a manifest may have."""
    return value[:most] if isinstance(value, list | tuple) else ()


def text(value: Any) -> str:
    """The value if it is a text, or else an empty one."""
    return value if isinstance(value, str) else ""


def duration(value: Any) -> timedelta | None:
    """The value if it is a duration, or else None."""
    try:
        return parse_duration(value) if isinstance(value, str) else None
    except ValueError:
        return None
