"""Variables in the values of a manifest: `${NAME}`, `${NAME:-default}`, and `$${` for the two characters themselves."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from streamjob_api.words import shown, suggest

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


def fill(text: str, values: Mapping[str, str]) -> Filled:
    """The text with each variable's value, or its default where it has none; a value is not looked into again."""
    wrong: list[tuple[str, str]] = []

    def value(found: re.Match[str]) -> str:
        name = found["name"]
        if found["wrong"] is not None:
            said = f"${{{shown(found['wrong'])}}} is no variable"
            wrong.append((said, f"write ${{NAME}} or ${{NAME:-default}}, {_LITERAL}"))
            return found[0]
        if name is None:
            return "${"
        if name in values:
            return values[name]
        if found["default"] is not None:
            return found["default"]
        near = suggest(name, values, "") if values else ""
        meant = f"{near} " if near.startswith("did you mean") else ""
        wrong.append((f"the variable {name} has no value", f"{meant}set it (--set {name}=value), {_LITERAL}"))
        return found[0]

    return Filled(_FOUND.sub(value, text), tuple(wrong))
