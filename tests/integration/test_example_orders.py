"""The example of orders that come again with each change."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from streamjob_runtime.stores.connections import Connections, Secrets
from support.delta import DeltaFolder
from support.examples import copy_of, run


def table(folder: Path) -> list[tuple[Any, ...]]:
    return DeltaFolder(str(folder), Connections(None, Secrets(None, {}))).rows()


def newest(folder: Path) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for file in sorted((folder / "changes").glob("*.json")):
        for line in file.read_text().splitlines():
            change = json.loads(line, parse_float=Decimal)
            if change["id"] not in found or change["version"] > found[change["id"]]["version"]:
                found[change["id"]] = change
    return found


def by_status(orders: dict[int, dict[str, Any]]) -> set[tuple[str, int, Decimal | None]]:
    found = set()
    for status in {o["status"] for o in orders.values()}:
        amounts = [o["amount"] for o in orders.values() if o["status"] == status]
        known = [a for a in amounts if a is not None]
        found.add((status, len(amounts), sum(known, Decimal(0)) if known else None))
    return found


def check(folder: Path) -> None:
    wanted = newest(folder)
    columns = ("id", "version", "customer", "status", "amount")
    rows = table(folder / "out" / "orders")
    assert sorted((row[:5] for row in rows), key=lambda row: row[0]) == [
        tuple(order[c] for c in columns) for _, order in sorted(wanted.items())
    ]
    assert {row[0]: str(row[5]) for row in rows} == {i: o["changed"] for i, o in wanted.items()}
    counts = table(folder / "out" / "by_status")
    assert set(counts) == by_status(wanted) and len(counts) == len(set(counts))


def test_one_row_an_order_with_its_newest_status(tmp_path: Path) -> None:
    folder = copy_of("orders-upserted", tmp_path)
    run(folder)
    check(folder)
    assert len(newest(folder)) == 5
    run(folder)
    check(folder)
    late = {"id": 1002, "version": 3, "customer": "grace", "status": "paid", "amount": 1, "changed": "2026-11-21 10:06"}
    new = {
        "id": 1005,
        "version": 2,
        "customer": "ada",
        "status": "paid",
        "amount": 12,
        "changed": "2026-11-22 08:00:00",
    }
    (folder / "changes" / "04.json").write_text(json.dumps(late) + "\n" + json.dumps(new) + "\n")
    run(folder)
    check(folder)
