"""What becomes of records that cannot be decoded: the fields of sources and static tables, and their rules."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from streamjob_api import trees
from streamjob_api.cel import CelRule, has_any
from streamjob_api.trees import Broken, Tree

OnBadRecord = Literal["fail", "drop", "deadLetter"]
OnBadRow = Literal["fail", "drop"]

PATTERN = r"^([0-9]{1,9}|[0-9]{1,2}(\.[0-9]{1,3})?%|100%)$"
_SUFFIX = "_dead_letters"
_LONGEST_NAME = 63 - len(_SUFFIX)

# The columns of the stream of a source's dead letters, each with its SQL type.
DEAD_LETTER_COLUMNS = {
    "time": "TIMESTAMP WITH TIME ZONE",
    "source": "VARCHAR",
    "origin": "VARCHAR",
    "position": "BIGINT",
    "error": "VARCHAR",
    "size": "BIGINT",
    "raw": "BLOB",
}


def dead_letters_of(source: str) -> str:
    """The name of the stream of a source's dead letters."""
    return f"{source}{_SUFFIX}"


def _read(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and re.fullmatch(PATTERN[1:-1], value):
        return value
    raise PydanticCustomError("bad_records", "is no number and no share; write 100, or 5% with its sign")


MaxBadRecords = Annotated[
    str,
    BeforeValidator(_read),
    WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": PATTERN, "maxLength": 32, "minimum": 0}),
]


@dataclass(frozen=True, slots=True)
class BadRecordLimit:
    """How many records of a batch may be bad."""

    text: str  # as the manifest writes it

    def is_exceeded(self, bad: int, records: int) -> bool:
        """Whether so many bad ones among so many records are too many."""
        if self.text.endswith("%"):
            return Fraction(bad * 100) > Fraction(self.text.removesuffix("%")) * records
        return bad > int(self.text)


def limit_of(text: str | None) -> BadRecordLimit | None:
    """The limit that a manifest sets; None: there is none."""
    return None if text is None else BadRecordLimit(text)


def bad_records(tree: Tree, without_format: list[str]) -> Iterator[Broken]:
    """The rules of one source or table. `without_format`: the kinds that bring rows."""
    given = tree.get("onBadRecord")
    kind = trees.kind(tree, without_format)
    if kind is not None and given not in (None, "fail"):
        yield Broken(("onBadRecord",), f"{kind} brings rows, and no records that have to be decoded", "leave it out")
    if tree.get("maxBadRecords") is not None and given in (None, "fail"):
        yield Broken(("maxBadRecords",), "with onBadRecord fail the first bad record ends the job", _OTHER)
    name = trees.text(tree.get("name"))
    if given == "deadLetter" and len(name) > _LONGEST_NAME:
        message = f"the stream of its dead letters, <name>{_SUFFIX}, would have a name of more than 63 characters"
        yield Broken(("name",), message, f"take a name of at most {_LONGEST_NAME} characters")


_OTHER = "leave it out, or take another onBadRecord"


def bad_records_cel(without_format: list[str]) -> tuple[CelRule, ...]:
    """The same for the API server."""
    return (
        CelRule(
            f"!({has_any(without_format)}) || !has(self.onBadRecord) || self.onBadRecord == 'fail'",
            f"{' and '.join(without_format)} bring rows, and no records that have to be decoded; leave it out",
            field="onBadRecord",
        ),
        CelRule(
            "!has(self.maxBadRecords) || (has(self.onBadRecord) && self.onBadRecord != 'fail')",
            f"with onBadRecord fail the first bad record ends the job; {_OTHER}",
            field="maxBadRecords",
        ),
        CelRule(
            f"!has(self.onBadRecord) || self.onBadRecord != 'deadLetter' || self.name.size() <= {_LONGEST_NAME}",
            f"with onBadRecord deadLetter a name has at most {_LONGEST_NAME} characters",
            field="name",
        ),
    )
