from decimal import Decimal

import pytest

from streamjob_api.quantities import parse_quantity


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("2", "2"),
        ("250m", "0.25"),
        ("1.5", "1.5"),
        ("1k", "1000"),
        ("1Ki", "1024"),
        ("512Mi", "536870912"),
        ("1G", "1000000000"),
        ("1.5Gi", "1610612736"),
        ("2Ei", "2305843009213693952"),
    ],
)
def test_units_multiply(text: str, amount: str) -> None:
    assert parse_quantity(text) == Decimal(amount)


@pytest.mark.parametrize("text", ["", "m", "-1", "1 Gi", "1gi", "1K", "1.", ".5", "1e3", "1Gib", "٢"])
def test_anything_else_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        parse_quantity(text)
