"""What bytes of JSON say before they are decoded: which keys stand there, and what Arrow is not given to convert."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from streamjob_runtime.formats.names import folded

_SMALL = 4 << 10  # bytes
_LOOKED_AT = 1000  # records whose keys are looked at
_ESCAPED_KEY = r'\\[^"]*"\s*:'  # a key in which a character is written by its number


class Pattern:
    """A regular expression that is looked for in whole data, in one pass; "" is nowhere."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._small = re.compile(text.encode())

    def is_in(self, data: bytes) -> bool:
        """Whether it matches anywhere."""
        if not self._text:
            return False
        if len(data) < _SMALL:  # Arrow would compile the pattern for longer than it looks
            return self._small.search(data) is not None
        offsets = pa.array([0, len(data)], pa.int64()).buffers()[1]
        whole: Any = pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, pa.py_buffer(data)])
        return bool(pc.match_substring_regex(whole, self._text)[0].as_py())


def doubtful_decimals(schema: pa.Schema) -> Pattern:
    """Matches wherever a field of decimals holds anything else than null or plain digits that fit its type.

    Arrow's conversion is not to be trusted with that (see `decimals`). Digits within texts of lists may match too, and
    keys that are written by numbers: then the exact way decodes what is right.
    """
    found = [part for field in schema for part in _doubtful(field.name, field.type)]
    return Pattern("|".join([*found, _ESCAPED_KEY]) if found else "")


def _doubtful(name: str, kind: Any) -> Iterator[str]:
    if pt.is_decimal(kind):
        key = json.dumps(name, ensure_ascii=False)
        yield _after(rf"{re.escape(key)}\s*:\s*", kind, r"[0-9.]*[^-+0-9.\"]|[0-9.]+[-+]")
    elif pt.is_struct(kind):
        for field in kind:
            yield from _doubtful(field.name, field.type)
    elif pt.is_list(kind) and pt.is_decimal(kind.value_type):
        # Keys and other texts stand behind a comma too: those that do not begin like a number are none to Arrow either.
        yield _after(r"[\[,]\s*", kind.value_type, r"[0-9.]+[^0-9.\"]|[0-9.]*\\")
    elif pt.is_list(kind):
        yield from _doubtful("", kind.value_type)


def _after(begin: str, kind: Any, odd_text: str) -> str:
    whole, behind = kind.precision - kind.scale, kind.scale
    digits = rf"[0-9]{{0,{whole}}}(?:\.[0-9]{{0,{behind}}})?"
    too_many = rf"[0-9]{{{max(1, whole) + 1}}}|[0-9]{{0,{max(1, whole)}}}\.[0-9]{{{behind + 1}}}"
    number = rf"-?(?:{too_many}|{digits}[0-9][^0-9.,}}\]\s]|[0-9]+\.[0-9]*[^0-9,}}\]\s])"
    text = rf'"[+-]?(?:{too_many}|{odd_text})'
    return rf"{begin}(?:{number}|{text})"


def other_spellings(schema: pa.Schema) -> Pattern:
    """Matches wherever a key differs from a field's name in upper and lower case alone."""
    keys = [part for field in schema for part in _spellings(field.name, field.type)]
    return Pattern("|".join([*keys, _ESCAPED_KEY]) if keys else "")


def _spellings(name: str, kind: Any) -> Iterator[str]:
    # At the first letter that is another one, all before it are as they are written, and all behind it are either.
    either = [f"[{c.lower()}{c.upper()}]" if c.isascii() and c.isalpha() else re.escape(_in_json(c)) for c in name]
    for i, c in enumerate(name):
        if c.isascii() and c.isalpha():
            yield rf'"{re.escape(_in_json(name[:i]))}{c.swapcase()}{"".join(either[i + 1 :])}"\s*:'
    if pt.is_struct(kind):
        for field in kind:
            yield from _spellings(field.name, field.type)
    elif pt.is_list(kind):
        yield from _spellings("", kind.value_type)


def _in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def keys(data: bytes) -> list[str]:
    """The keys of the first records, each once; of a line that is no object, none."""
    found: dict[str, None] = {}
    looked = 0
    start = 0
    while start < len(data) and looked < _LOOKED_AT:
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        line = data[start:end]
        start = end + 1
        if line and not line.isspace():
            looked += 1
            found.update(dict.fromkeys(_keys_of(line)))
    return list(found)


def _keys_of(line: bytes) -> Iterable[str]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return ()
    return record if isinstance(record, dict) else ()


def spelled(schema: pa.Schema, data: bytes) -> Mapping[str, str]:
    """Column -> the key that is its name but for its case, where the first records have no other for it."""
    there = keys(data)
    alike: dict[str, set[str]] = {}
    for key in there:
        alike.setdefault(folded(key), set()).add(key)
    found = {name: alike.get(folded(name), set()) for name in schema.names}
    return {name: next(iter(keys)) for name, keys in found.items() if len(keys) == 1}
