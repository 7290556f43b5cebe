"""How messages write paths, values and suggestions."""

import difflib
from collections import Counter
from collections.abc import Iterable
from typing import Any

Path = tuple[str | int, ...]

_LONGEST = 60  # characters of a foreign text in a message
_MOST = 12  # names in a suggestion


def dotted(path: Iterable[str | int]) -> str:
    """A path as messages write it: `spec.sources[0].tcp.port`, `metadata.labels["app.kubernetes.io/name"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.isidentifier():
            text += f".{shown(part)}" if text else shown(part)
        else:
            text += f'["{shown(part)}"]'
    return text


def shown(text: str) -> str:
    """A foreign text, cut where it is long, and with escapes for what a terminal should not get."""
    cut = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)


def kind_of(value: Any) -> str:
    """What a YAML value is, in words: `the number 5`, `a list`."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {shown(_digits(value))}"
        case str():
            return f'the text "{shown(value)}"'
        case dict():
            return "an object"
        case list() | tuple():
            return "a list"
        case _:
            return f"a {type(value).__name__}"


def suggest(name: str, known: Iterable[str], others: str) -> str:
    """What may have been meant: the name that is near, or else, behind `others`, all of them."""
    names = list(known)
    folded = {n.lower(): n for n in reversed(names)}
    near = difflib.get_close_matches(name.lower(), folded, n=1)
    if near:
        return f'did you mean "{shown(folded[near[0]])}"?'
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return f"{others} {', '.join(shown(n) for n in names[:_MOST])}{more}"


def numbered(names: Iterable[str]) -> tuple[str, ...]:
    """The names, each unique: the second of a kind gets `.2` behind it, the third `.3`."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
    return tuple(found)


def sentence(*parts: str) -> str:
    """What is wrong and what would be right, as one line."""
    return "; ".join(part for part in parts if part)


def _digits(value: int | float) -> str:
    # Python refuses to write integers of thousands of digits.
    return "beyond all bounds" if isinstance(value, int) and value.bit_length() > 256 else str(value)
