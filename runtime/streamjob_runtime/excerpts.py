"""Texts of errors in which pieces of records stand: these belong into the log, and not to all who may read a status."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A piece of a record, or what a system says of one.

    `instead`: what stands in its place where it is not shown. So it does in a text that is put together by other means
    than `said`, which could not tell any more what came from a record.
    """

    text: str
    instead: str = "…"

    def __str__(self) -> str:
        return self.instead


@dataclass(frozen=True, slots=True)
class Words:
    """A text with excerpts."""

    parts: tuple[str | Excerpt, ...]

    @property
    def full(self) -> str:
        """With all that was read."""
        return "".join(part if isinstance(part, str) else part.text for part in self.parts)

    @property
    def bare(self) -> str:
        """Without any of it."""
        return "".join(map(str, self.parts))

    def without(self, prefix: str) -> "Words":
        """Without these first characters, where they stand there."""
        first, *rest = self.parts or ("",)
        return self if isinstance(first, Excerpt) else Words((first.removeprefix(prefix), *rest))

    def __str__(self) -> str:
        return self.bare


def said(*parts: "str | Excerpt | Words") -> Words:
    """The text of these parts."""
    found: list[str | Excerpt] = []
    for part in parts:
        found += part.parts if isinstance(part, Words) else (part,)
    return Words(tuple(found))
