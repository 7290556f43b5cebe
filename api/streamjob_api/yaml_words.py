"""What is wrong with a YAML text, in words that say what to do: PyYAML's own are those of its parser."""

import re
from dataclasses import dataclass

import yaml

from streamjob_api.words import shown

_INDENT = re.compile(r"^( *)((?:- +)*)")


@dataclass(frozen=True, slots=True)
class Said:
    """What is wrong, what would be right, and where: line and column from 1."""

    line: int
    column: int
    message: str
    hint: str = ""


def syntax(error: yaml.MarkedYAMLError, text: str) -> Said:
    """The words for a text that is not YAML."""
    problem, mark = error.problem or "cannot be read", error.problem_mark or error.context_mark
    if mark is None:
        return Said(1, 1, f"is not valid YAML: {problem}")
    lines = text.splitlines()
    line, column = mark.line + 1, mark.column + 1
    since = error.context_mark
    if "'\\t'" in problem:
        return Said(line, column, "is not valid YAML: a tab stands here", "indent with spaces")
    if "unexpected end of stream" in problem and since is not None and "quoted" in str(error.context):
        return Said(since.line + 1, since.column + 1, "is not valid YAML: a text in quotes does not end", "close it")
    if "cannot start any token" in problem or "undefined alias" in problem:
        first = _at(lines, line, column)
        return Said(line, column, f"is not valid YAML: a text cannot begin with {first}", "put it in quotes")
    if "expected <block end>" in problem:
        got = _at(lines, line, column)
        if got in ("}", "]", ","):
            return Said(line, column, f"is not valid YAML: a {got} stands here that belongs to nothing", "take it away")
        return _indent(lines, line, column)
    if "flow" in str(error.context) and since is not None:
        return _in_braces(lines, line, column, since.line + 1, since.column + 1)
    if "could not find expected ':'" in problem and since is not None:
        return _no_field(lines, since.line + 1)
    if "mapping values are not allowed" in problem:
        return _second_colon(lines, line, column)
    while_ = f" {shown(error.context)}" if error.context else ""
    return Said(line, column, f"is not valid YAML: {problem}{while_}")


def _at(lines: list[str], line: int, column: int) -> str:
    text = lines[line - 1] if line <= len(lines) else ""
    return shown(text[column - 1 : column])


def _levels(lines: list[str], line: int) -> dict[int, int]:
    """Where the lines above begin that are still open: spaces before their first word -> line."""
    levels: dict[int, int] = {}
    for number, text in enumerate(lines[: line - 1], 1):
        found = _INDENT.match(text)
        if found is None or not text.strip() or text.lstrip().startswith("#"):
            continue
        spaces, word = len(found[1]), found.end()
        levels = {level: at for level, at in levels.items() if level < spaces}
        levels[spaces] = number
        levels[word] = number
    return levels


def _indent(lines: list[str], line: int, column: int) -> Said:
    """A line that begins where no line above does."""
    spaces = len(lines[line - 1]) - len(lines[line - 1].lstrip(" ")) if line <= len(lines) else column - 1
    levels = _levels(lines, line)
    below = max((level for level in levels if level < spaces), default=None)
    above = min((level for level in levels if level > spaces), default=None)
    if spaces in levels or (below is None and above is None):
        return Said(line, column, "is not valid YAML: this does not belong to what stands above it",
                    'write name: value, or begin an item of a list with "- "')  # fmt: skip
    ways = [f"{level}, as line {levels[level]}" for level in (below, above) if level is not None]
    said = f"is not valid YAML: this line is indented by {_spaces(spaces)}, and no line above it is"
    return Said(line, column, said, f"indent it by {' or by '.join(ways)}")


def _spaces(count: int) -> str:
    return f"{count} space{'s' * (count != 1)}"


def _in_braces(lines: list[str], line: int, column: int, since: int, at: int) -> Said:
    opened = _at(lines, since, at)
    got = _at(lines, line, column)
    if got in ("[", "{", "]", "}") and line == since:
        said = f"is not valid YAML: a {got} stands here within {opened}"
        return Said(line, column, said, "put a text that has , [ ] { } in it in quotes")
    close = "]" if opened == "[" else "}"
    return Said(since, at, f"is not valid YAML: the {opened} here is not closed", f"close it with {close}")


def _no_field(lines: list[str], line: int) -> Said:
    """A line that is no `name: value`."""
    text = lines[line - 1] if line <= len(lines) else ""
    column = len(text) - len(text.lstrip()) + 1
    if found := re.match(r"^\s*(?:- +)?([A-Za-z_]\w*):(\S.*)$", text):
        said = "is not valid YAML: a space is missing after the colon"
        return Said(line, column, said, f"write {shown(f'{found[1]}: {found[2]}')}")
    levels = _levels(lines, line)
    for level in sorted(levels, reverse=True):
        above = lines[levels[level] - 1]
        if re.search(r":\s*[|>][-+0-9]*\s*$", above):
            said = f"is not valid YAML: this line is outside of the text that begins in line {levels[level]}"
            return Said(line, column, said, f"indent it by more than {_spaces(level)}")
    for number in range(line - 1, 0, -1):  # the text has ended before, at a line of the same indent
        if re.search(r":\s*[|>][-+0-9]*\s*$", lines[number - 1]):
            spaces = _INDENT.match(lines[number - 1])
            said = f"is not valid YAML: this line is outside of the text that begins in line {number}"
            return Said(line, column, said, f"indent it by more than {_spaces(spaces.end() if spaces else 0)}")
        if re.match(r"^\s*(?:- +)?[\w.-]+:(\s|$)", lines[number - 1]):
            break
    said = "is not valid YAML: this line is neither a field nor the rest of a text"
    return Said(line, column, said, "write name: value, or indent it deeper than the text it belongs to")


def _second_colon(lines: list[str], line: int, column: int) -> Said:
    text = lines[line - 1] if line <= len(lines) else ""
    before = text[: column - 1]
    above = [n for n in range(1, line) if lines[n - 1].strip()]
    if above and re.match(r"^\s*-\w", lines[above[-1] - 1]):
        number = above[-1]
        start = lines[number - 1].index("-") + 1
        return Said(number, start, "is not valid YAML: a space is missing after the -", 'begin each item with "- "')
    if re.search(r":\s", before):
        said = "is not valid YAML: a second colon stands in this line"
        return Said(line, column, said, "put the text in quotes, or on a line of its own below |")
    said = "is not valid YAML: this line is indented deeper than the one above, which has a value already"
    hint = f"indent it as line {above[-1]}" if above else ""
    return Said(line, len(text) - len(text.lstrip()) + 1, said, f"{hint}; or put a text of several lines below |")
