"""A page of the docs as a test: its commands, and whether what they print looks as the page shows it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```(?P<kind>[a-z ]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMANDS = ("sh", "sh refused")
_LOOK = re.compile(r"kubectl (get|logs|describe|events) ")

# What differs from one time to the next: ages, times, and numbers; but 0 and 1 often say whether something is so.
_VARIABLE = (
    (re.compile(r"(\d+[dhms])+"), r"(\d+[dhms])+"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), r"\d{4}-\d\d-\d\dT[\d:.]+Z"),
    (re.compile(r"(?![01]$)\d+(\.\d+)?"), r"\d+(\.\d+)?"),
)


@dataclass(frozen=True)
class Step:
    """A ```sh block, and the ```text block behind it. `refused`: its last command is to fail, as ```sh refused says."""

    line: int
    commands: str
    refused: bool
    shown: str

    @property
    def only_looks(self) -> bool:
        """Whether it changes nothing, so that one may look again."""
        return all(_LOOK.match(command) for command in self.commands.splitlines())


def steps(page: Path) -> list[Step]:
    """The steps of a page, in their order."""
    return list(_steps(page.read_text(encoding="utf-8")))


def _steps(text: str) -> Iterator[Step]:
    blocks = list(_BLOCK.finditer(text))
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        if block["kind"] in _COMMANDS:
            shown = following["text"] if following and following["kind"] == "text" else ""
            line = text.count("\n", 0, block.start()) + 2
            yield Step(line, block["text"], block["kind"] == "sh refused", shown)


def missing(shown: str, printed: str) -> str:
    """The first line of a page that a command did not print, in the page's order; "" if it printed them all.

    Other lines may stand between them. `…` stands for anything, and a number, an age or a time for any other; 0 and 1
    are meant as they are.
    """
    lines = iter(printed.splitlines())
    for wanted in map(str.strip, shown.splitlines()):
        if wanted in ("", "…"):
            continue
        pattern = _pattern(wanted)
        if not any(pattern.fullmatch(line.strip()) for line in lines):
            return wanted
    return ""


def _pattern(line: str) -> re.Pattern[str]:
    return re.compile(r"\s+".join(_word(word) for word in line.split()))


def _word(word: str) -> str:
    name, equals, value = word.rpartition("=")
    for fixed, pattern in _VARIABLE:
        if fixed.fullmatch(value):
            return re.escape(name + equals) + pattern
    return ".*".join(re.escape(part) for part in word.split("…"))
