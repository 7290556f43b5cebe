"""Names of columns: SQL ignores their case, and data does not."""

from collections.abc import Iterable


class Ambiguous(ValueError):
    """Several names of the data are one in SQL, and none is written as the column's."""


def found(wanted: str, there: Iterable[str]) -> str | None:
    """The name in the data that is the column's: as it is written, or else but for upper and lower case; None: none.

    Raises `Ambiguous`.
    """
    there = list(there)
    if wanted in there:
        return wanted
    alike = sorted({name for name in there if folded(name) == folded(wanted)})
    if len(alike) > 1:
        raise Ambiguous(f"{' and '.join(map(repr, alike))} are one name in SQL, which ignores case, for {wanted!r}")
    return alike[0] if alike else None


def folded(name: str) -> str:
    """What equal names have in common. Only the letters of ASCII have a case, as in the SQL engine."""
    return "".join(c.lower() if c.isascii() else c for c in name)
