"""Texts of others, such as records, file names and errors of systems outside, as a terminal or a log may be given them.

A control character would be obeyed where it is only to be seen: it may clear a terminal, hide a line, or write another.
"""

import json
import re
from typing import Any

# What Python calls printable leaves out controls, marks that turn the direction of writing, and lone surrogates.
_SUSPECT = re.compile(r"[^\x20-\x7e]")


def printable(text: str, keep: str = "") -> str:
    """The text with an escape in place of each character that cannot be seen, but for those of `keep`."""
    return _SUSPECT.sub(lambda m: m[0] if m[0].isprintable() or m[0] in keep else _escaped(m[0]), text)


def json_text(value: Any) -> str:
    """The value as JSON in one line, other scripts as they are; what JSON does not know is given as its text."""
    return _SUSPECT.sub(
        lambda m: m[0] if m[0].isprintable() else json.dumps(m[0])[1:-1],
        json.dumps(value, ensure_ascii=False, default=str),
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
