"""Kubernetes' quantities: `250m` of a processor, `512Mi` of memory."""

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

PATTERN = r"^[0-9]{1,15}(\.[0-9]{1,9})?(m|k|[KMGTPE]i|[MGTPE])?$"
_POWERS = {"": 0, "k": 1, "m": -1} | {unit: power for power, unit in enumerate("KMGTPE", 1)}


def parse_quantity(text: str) -> Decimal:
    """How much the text writes. Raises ValueError when it writes no quantity."""
    if re.fullmatch(PATTERN[1:-1], text) is None:
        raise ValueError(f"{text!r} is not a quantity")
    number = text.rstrip("mkKMGTPEi")
    unit = text.removeprefix(number)
    return Decimal(number) * (1024 if unit.endswith("i") else 1000) ** Decimal(_POWERS[unit.removesuffix("i")])


def _read(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str):
        try:
            parse_quantity(value)
            return value
        except ValueError:
            pass
    raise PydanticCustomError("quantity", "is not a quantity")


# Kubernetes takes `2` and `"2"` alike.
Quantity = Annotated[
    str,
    BeforeValidator(_read),
    WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": PATTERN, "maxLength": 32, "minimum": 0}),
]
