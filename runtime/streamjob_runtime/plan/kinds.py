"""SQL types taken apart: which kinds of values a column of such a type can hold."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_TOKEN = re.compile(r"\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'|\[[0-9]*\]|[(),]|[^\s(),\[\]\"']+")
NESTED = frozenset({"LIST", "ARRAY", "STRUCT", "TUPLE", "MAP", "UNION"})
NUMBERS = frozenset(
    {
        *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"),
        *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"),
        *("FLOAT", "DOUBLE", "DECIMAL", "BIGNUM"),
    }
)
TIMES = frozenset(
    {
        *("DATE", "TIME", "TIME_NS", "TIME WITH TIME ZONE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS"),
        *("TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS", "INTERVAL"),
    }
)
# Every kind that SQL of a job may have. Not VARIANT: DuckDB 2.0's conversion to it can end the process, and no sink has
# such values; and neither the states of aggregates nor types as values.
KNOWN = NESTED | NUMBERS | TIMES | {"NULL", "BOOLEAN", "VARCHAR", "JSON", "UUID", "ENUM", "BLOB", "BIT", "GEOMETRY"}
# What a snapshot of a state gives back as it was.
KEPT = KNOWN - {"BIGNUM", "UNION", "INTERVAL", "GEOMETRY"}
_WITH_FIELDS = ("STRUCT", "UNION")  # a name stands before each type


@dataclass(frozen=True, slots=True)
class Kind:
    """A type without names, lengths and digits: `MAP(VARCHAR, BIGINT[])` is a MAP of VARCHAR and LIST of BIGINT."""

    name: str  # as DuckDB writes it: VARCHAR, TIMESTAMP WITH TIME ZONE; LIST and ARRAY for those with brackets
    inner: tuple["Kind", ...] = ()

    def walk(self) -> Iterator["Kind"]:
        """This one and all within it."""
        yield self
        for part in self.inner:
            yield from part.walk()


def kind_of(text: str) -> Kind:
    """The kind of a type as DESCRIBE writes it."""
    return _Reader(_TOKEN.findall(text)).read()


def first_of(text: str, names: frozenset[str]) -> str | None:
    """The name of the first of these kinds that a type holds; None: none of them."""
    return next((k.name for k in kind_of(text).walk() if k.name in names), None)


def first_but(text: str, names: frozenset[str]) -> str | None:
    """The name of the first kind that a type holds and that is none of these."""
    return next((k.name for k in kind_of(text).walk() if k.name not in names), None)


def replaced(text: str, names: Mapping[str, str]) -> str:
    """The type with other kinds in place of these, none of which has brackets."""
    kinds = "|".join(map(re.escape, names))
    pattern = rf"\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'|(?<!\w)({kinds})(?=[\[\],()]|$)"
    return re.sub(pattern, lambda found: names[found[1]] if found[1] else found[0], text)


class _Reader:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0

    def read(self) -> Kind:
        words = [self._take()]
        if words[0] in _WITH_FIELDS and self._next() == "(":
            kind = Kind(words[0], tuple(self._parts(named=True)))
        elif words[0] in ("MAP", "TUPLE", "STRUCT") and self._next() == "(":
            kind = Kind(words[0], tuple(self._parts(named=False)))
        else:
            while self._next() not in ("", "(", ")", ",") and not self._next().startswith("["):
                words.append(self._take())
            if self._next() == "(":  # digits, or the values of an ENUM
                while self._take() != ")":
                    pass
            kind = Kind(" ".join(words).strip('"'))
        while self._next().startswith("["):
            kind = Kind("LIST" if self._take() == "[]" else "ARRAY", (kind,))
        return kind

    def _parts(self, named: bool) -> Iterator[Kind]:
        while self._take() != ")":  # an opening bracket or a comma
            if named:
                self._take()
            yield self.read()

    def _next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]
