"""Variables in the values of a manifest: `${NAME}`, `${NAME:-default}`, and `$${` for the two characters themselves."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from streamjob_api.trees import Broken
from streamjob_api.words import Path, shown, suggest

# Characters of all values that are put in: a manifest is no longer than that, and a short one could become gigabytes.
MAX_FILLED = 3 << 20
MAX_WRONG = 100  # mistakes that are told: who has more mends these first
_MOST_NAMES = 1000  # that a misspelt name is compared with

_FOUND = re.compile(
    r"\$\$\{"  # itself
    r"|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}"
    r"|\$\{(?P<wrong>[^}]*)\}?"
)
_LITERAL = "or, if it is no variable, write $${"


@dataclass(frozen=True, slots=True)
class Filled:
    """A text with values in place of its variables, and what is wrong with them: a message and a hint each."""

    text: str
    wrong: tuple[tuple[str, str], ...] = ()


class Filler:
    """Fills one text after the other, within bounds for all of them together.

    `remedy`: what to do about a variable without a value, with `{name}` for its name. `unusable`: what is there and
    cannot be taken, name -> why.
    """

    def __init__(
        self,
        values: Mapping[str, str],
        remedy: str = "set it (--set {name}=value)",
        unusable: Mapping[str, str] | None = None,
    ) -> None:
        self._values = values
        self._remedy = remedy
        self._unusable = unusable or {}
        self._room = MAX_FILLED

    def fill(self, text: str) -> Filled:
        """The text with each variable's value, or its default where it has none; a value is not looked into again."""
        wrong: list[tuple[str, str]] = []
        filled = _FOUND.sub(lambda found: self._value(found, wrong), text)
        return Filled(filled, tuple(wrong))

    def _value(self, found: re.Match[str], wrong: list[tuple[str, str]]) -> str:
        if found[0] == "$${":
            return "${"
        value = self._values.get(found["name"] or "")
        if value is None and found["name"] not in self._unusable:
            value = found["default"]
        if value is not None and len(value) <= self._room:
            self._room -= len(value)
            return value
        if len(wrong) < MAX_WRONG:
            wrong.append(self._mistake(found, too_long=value is not None))
        return found[0]

    def _mistake(self, found: re.Match[str], too_long: bool) -> tuple[str, str]:
        name = found["name"]
        if name is None:
            said = f"${{{shown(found['wrong'])}}} is no variable"
            return said, f"write ${{NAME}} or ${{NAME:-default}}, {_LITERAL}"
        if too_long:
            message = f"with the value of {name} all values together are longer than {MAX_FILLED >> 20} MiB"
            return message, "a manifest is a short text: is this the right value?"
        remedy = self._remedy.format(name=name)
        if name in self._unusable:
            return f"the variable {name} {self._unusable[name]}", f"{remedy}, {_LITERAL}"
        known = list(islice(self._values, _MOST_NAMES))
        near = suggest(name, known, "") if known else ""
        meant = f"{near} " if near.startswith("did you mean") else ""
        return f"the variable {name} has no value", f"{meant}{remedy}, {_LITERAL}"


def fill_tree(tree: Any, filler: Filler, path: Path = ()) -> tuple[Any, list[Broken]]:
    """The tree with the variables of all its texts filled, but not in names of fields, and what is wrong."""
    wrong: list[Broken] = []

    def filled(value: Any, here: Path) -> Any:
        if isinstance(value, Mapping):
            return {name: filled(inner, (*here, name)) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [filled(inner, (*here, i)) for i, inner in enumerate(value)]
        if not isinstance(value, str) or "${" not in value or len(wrong) >= MAX_WRONG:
            return value
        done = filler.fill(value)
        wrong.extend(Broken(here, message, hint) for message, hint in done.wrong)
        return done.text

    return filled(tree, path), wrong
