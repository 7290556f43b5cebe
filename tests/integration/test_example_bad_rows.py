"""The example of orders some of which are none."""

import json
import re
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from support.examples import contents, copy_of, json_rows, run


def judged(data: bytes) -> str | dict[str, Any]:
    """An order, or the first thing that is wrong with it."""
    try:
        record = json.loads(data, parse_float=Decimal)
    except UnicodeDecodeError:
        return "not UTF-8"
    except ValueError:
        return "not JSON"
    if not isinstance(record, dict):
        return "no object"
    for name in ("id", "customer"):
        if record.get(name) is None:
            return name
    if record["quantity"] not in range(1, 1001):
        return "quantity"
    try:
        record["price"] = Decimal(record["price"])
    except InvalidOperation:
        return "price"
    if not 0 <= record["price"] < 10**8:
        return "price"
    try:
        ordered = datetime.fromisoformat(record["ordered"])
    except ValueError:
        return "ordered"
    record["ordered"] = ordered.astimezone(UTC) if ordered.tzinfo else ordered.replace(tzinfo=UTC)
    return record


def _byte(escaped: re.Match[bytes]) -> bytes:
    return bytes.fromhex(escaped[1].decode())


def orders_in(folder: Path) -> list[dict[str, Any]]:
    rows = [row for file in sorted(folder.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]
    return sorted(rows, key=lambda row: row["id"])


def test_every_line_is_an_order_or_put_aside_with_a_reason(tmp_path: Path) -> None:
    folder = copy_of("bad-rows", tmp_path)
    shown = run(folder).stdout
    lines = [line for f in sorted((folder / "orders").glob("*.json")) for line in f.read_bytes().split(b"\n") if line]
    results = [(line, judged(line)) for line in lines]
    good = [order for _, order in results if isinstance(order, dict)]
    bad = [(reason, line) for line, reason in results if isinstance(reason, str)]
    assert orders_in(folder / "out" / "orders") == good
    aside = [(row["reason"], row["line"].encode()) for row in json_rows(folder / "out" / "put_aside")]
    # Of what is not UTF-8 each byte that is no plain letter is written as \xNN.
    plain = [(r, re.sub(rb"\\x(..)", _byte, line) if r == "not UTF-8" else line) for r, line in aside]
    assert sorted(plain) == sorted(bad)
    counts = Counter(reason for reason, _ in bad)
    assert counts.keys() == {"not UTF-8", "not JSON", "no object", "id", "quantity", "price", "ordered"}
    last = shown[shown.rindex("reason ") :]
    assert dict(re.findall(r"^(\S.*?) +│ +(\d+) │", last, re.M)) == {r: str(n) for r, n in counts.items()}

    before = contents(folder / "out")
    run(folder)
    assert contents(folder / "out") == before
