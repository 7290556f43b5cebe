"""DuckDB's words about a text that it cannot read, in the planner's."""

import re
from collections.abc import Set

from streamjob_runtime.plan import foreign
from streamjob_runtime.plan.problems import Refusal

_NEAR = re.compile(r'syntax error at or near "(?P<token>.*)"$', re.DOTALL)
_NO_SELECT = "A step is one SELECT; where its rows go is said under `sinks`."
# What stands at the end of one clause and before the next: there it is what is missing, or too much.
_CLAUSES = {"select", "from", "where", "group", "order", "by", "having", "limit", "on", "using", "join", "as", "with"}
_CLAUSES |= {"left", "inner", "and", "or", "not", "union", "qualify", "window", "when", "then", "else", "end", "case"}
_NEED_BY = {"order", "group", "partition"}
_WORD = re.compile(r'"(?:[^"]|"")*"|\'(?:[^\']|\'\')*\'|\w+|\S', re.DOTALL)
_UNFINISHED = {
    "unterminated string literal": ("has a text that does not end", "Close it with ', and write '' for a ' in it."),
    "unterminated quoted identifier": ("has a name that does not end", 'Close it with ", and write "" for a " in it.'),
    "unterminated /* comment": ("has a comment that does not end", "Close it with */."),
}


def unreadable(sql: str, message: str, position: int | None, reserved: Set[str], columns: Set[str]) -> Refusal:
    """Why the text is no SELECT.

    `position`: the byte at which DuckDB gave up. `reserved`: the words that name no column without quotes, `columns`:
    the names of the columns there are, both in lower case.
    """
    if "Only SELECT" in message:
        words = _WORD.findall(sql.upper())
        if words[:1] in (["PIVOT"], ["UNPIVOT"]) or "PIVOT" in words or "UNPIVOT" in words:
            remedy = "Write a column for each value: sum(x) FILTER (WHERE k = 'a') AS a."
            return Refusal("has a PIVOT, whose columns follow from the rows", remedy)
        return Refusal("is not a SELECT", _NO_SELECT)
    known = foreign.phrase_in(sql)
    if known is not None:
        said, remedy, start, end = known
        return Refusal(said, remedy, _place(sql, start, end))
    if "without selection list" in message:
        remedy = "Write them, or *. In YAML a # behind a space begins a comment: put SQL that has one below | ."
        return Refusal("has a SELECT without columns", remedy)
    if position is None:
        return Refusal(f"cannot be read: {message}")
    start = len(sql.encode()[:position].decode(errors="replace"))
    for begins, (said, remedy) in _UNFINISHED.items():
        if message.startswith(begins):
            return Refusal(said, remedy, _place(sql, start, start + 1))
    near = _NEAR.match(message)
    if near is None:
        return Refusal(f"cannot be read: {message}", "", _place(sql, start, start))
    token = near["token"]
    at = _place(sql, start, start + len(token))
    found = _reserved(sql, start, token, reserved, columns)
    if found is not None:
        return found
    if not sql[start + len(token) :].strip(" \n\t;)"):
        return Refusal(f"cannot be read: something is missing after {token}", "", at)
    remedy = _quote_it(token) if token.lower() in reserved - _CLAUSES else ""
    return Refusal(f'cannot be read: syntax error at or near "{token}"', remedy, at)


def _reserved(sql: str, start: int, token: str, reserved: Set[str], columns: Set[str]) -> Refusal | None:
    """The refusal of a reserved word that stands for a name: the token itself, or the word before it."""
    before = [m for m in _WORD.finditer(sql) if m.end() <= start][-1:]
    # Where a clause begins, what stands before it is the more likely name.
    both = [(token, start), *((m[0], m.start()) for m in before)]
    for word, at in reversed(both) if token.lower() in _CLAUSES else both:
        if word.lower() in reserved & columns:
            place = _place(sql, at, at + len(word))
            return Refusal(
                f"names the column {word}, which is a reserved word", f'Write it in quotes: "{word}".', place
            )
    for match in before:
        if match[0].lower() in reserved - _CLAUSES or (match[0].lower() in _NEED_BY and token.lower() != "by"):
            place = _place(sql, match.start(), match.end())
            return Refusal(f'cannot be read: syntax error after "{match[0]}"', _quote_it(match[0]), place)
    if token.lower() in _NEED_BY and not re.match(r"\s+by\b", sql[start + len(token) :], re.IGNORECASE):
        place = _place(sql, start, start + len(token))
        return Refusal(f'cannot be read: syntax error at or near "{token}"', _quote_it(token), place)
    return None


def _quote_it(word: str) -> str:
    return f'{word} is a reserved word; if a column is called so, write it in quotes: "{word}".'


def _place(sql: str, start: int, end: int) -> dict[str, int]:
    begin = len(sql[:start].encode())
    return {"query_location": begin, "query_location_length": len(sql[start:end].encode())}
