"""Values to DECIMAL, without Arrow's own conversion where that is not to be trusted.

Arrow 26 looks at no text before it converts it, and does not notice every number that its 128 bits do not hold: such a
number comes out as another one. So it gets only texts of digits that fit their column, and multiplies only where there
is room for every number of the type; all else is computed here.
"""

import re
from decimal import Decimal, localcontext
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

_DIGITS = 38  # that 128 bits hold
_SCALE_WITHOUT_EXPONENT = 6  # of numbers with so few digits behind the point Arrow writes them all
_WIDE = 76  # and 256 bits
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,9})?")


def to_decimal(values: Any, kind: Any) -> Any:
    """The values in a type of decimals. Raises `pa.ArrowInvalid` for one that it does not hold to its last digit."""
    if pt.is_string(values.type) or pt.is_large_string(values.type):
        return _from_text(values, kind)
    if pt.is_decimal(values.type):
        return _from_decimal(values, kind)
    return values.cast(kind)


def text(column: Any) -> Any:
    """The digits of each number, without the exponent that Arrow writes for small ones: not every reader takes it."""
    if is_plain(column):
        return column.cast(pa.string())
    return pa.array([None if n is None else format(n, "f") for n in column.to_pylist()], pa.string())


def is_plain(column: Any) -> bool:
    """Whether Arrow writes no exponent."""
    if column.type.scale <= _SCALE_WITHOUT_EXPONENT:
        return True
    return not pc.any(pc.match_substring(column.cast(pa.string()), "E")).as_py()


def plain(kind: Any) -> str:
    """A pattern of digits, without a sign, that are a number of the type: none more than it has on either side."""
    return rf"0?[0-9]{{0,{kind.precision - kind.scale}}}" + (rf"(?:\.[0-9]{{0,{kind.scale}}})?" if kind.scale else "")


def _from_text(texts: Any, kind: Any) -> Any:
    if pc.all(pc.match_substring_regex(texts, rf"\A[+-]?{plain(kind)}\z")).as_py() is not False:
        return texts.cast(kind)
    return pa.array([None if text is None else _exact(text, kind) for text in texts.to_pylist()], kind)


def _from_decimal(values: Any, kind: Any) -> Any:
    given = values.type
    digits = given.precision + max(0, kind.scale - given.scale)
    if digits <= _DIGITS:
        return values.cast(kind)
    if digits <= _WIDE:
        return values.cast(pa.decimal256(_WIDE, kind.scale)).cast(kind)
    return pa.array([None if value is None else _exact(str(value), kind) for value in values.to_pylist()], kind)


def _exact(text: str, kind: Any) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise pa.ArrowInvalid(f"{text[:60]!r} is no number")
    with localcontext(prec=_WIDE + _DIGITS):
        number = Decimal(text)
        # Looked at before it is written out: its exponent may be a number of a billion digits.
        most = kind.precision - kind.scale
        if number and number.adjusted() >= most:
            raise pa.ArrowInvalid(f"{text[:60]!r} has more than {most} digits before the point")
        if number and number.adjusted() < -kind.scale:
            raise pa.ArrowInvalid(f"{text[:60]!r} has more than {kind.scale} digits behind the point")
        fitted = Decimal(0) if not number else number.quantize(Decimal(1).scaleb(-kind.scale))
        if fitted != number:
            raise pa.ArrowInvalid(f"{text[:60]!r} has more than {kind.scale} digits behind the point")
        return fitted
