"""The example of devices that send readings."""

import csv
import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from support.examples import contents, copy_of, json_rows, run

MINUTE = timedelta(minutes=1)


def readings(folder: Path) -> list[tuple[datetime, str, Decimal]]:
    files = sorted((folder / "readings").glob("*.json"))
    records = [json.loads(line, parse_float=Decimal) for f in files for line in f.read_text().splitlines()]
    first = datetime(1970, 1, 1)
    return [(first + timedelta(milliseconds=r["sent"]), r["device"], Decimal(r["temperature"])) for r in records]


def devices(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "reference" / "devices.csv").open() as file:
        return {row["device"]: row for row in csv.DictReader(file)}


def windows(folder: Path) -> dict[tuple[str, str], list[Decimal]]:
    """(room, start) -> what its wall thermometers measured, of the windows that are final."""
    sent = readings(folder)
    known = devices(folder)
    watermark = max(time for time, _, _ in sent) - MINUTE
    found = defaultdict(list)
    for time, device, temperature in sent:
        if known.get(device, {}).get("kind") == "wall":
            for i in range(5):
                start = time.replace(second=0, microsecond=0) - i * MINUTE
                if start + 5 * MINUTE <= watermark:
                    found[known[device]["room"], str(start)].append(temperature)
    return found


def rooms(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for file in sorted((folder / "out" / "rooms").glob("*.csv")):
        with file.open() as lines:
            rows.extend(csv.DictReader(lines))
    found = {(row["room"], row["window_start"].removesuffix(".000000")): row for row in rows}
    assert len(found) == len(rows), "a window is written once"
    return found


def test_windows_of_rooms_and_the_last_value_of_each_device(tmp_path: Path) -> None:
    folder = copy_of("iot-devices", tmp_path)
    run(folder)
    wanted, found = windows(folder), rooms(folder)
    assert found.keys() == wanted.keys() and len(wanted) == 24
    for key, values in wanted.items():
        row = found[key]
        assert int(row["readings"]) == len(values)
        assert (Decimal(row["lowest"]), Decimal(row["highest"])) == (min(values), max(values))
        assert float(row["mean"]) == pytest.approx(float(sum(values) / len(values)), abs=0.0051)

    newest = {device: (time, value) for time, device, value in sorted(readings(folder))}
    known = devices(folder)
    last = {r["device"]: r for r in json_rows(folder / "out" / "board")}
    assert {d: (r["room"], r["temperature"], r["sent_at"]) for d, r in last.items()} == {
        device: (known.get(device, {}).get("room"), float(value), time.isoformat(timespec="microseconds"))
        for device, (time, value) in newest.items()
    }
    unknown = sorted((r["device"], r["sent"]) for r in json_rows(folder / "out" / "unknown"))
    millis = [(d, round(t.replace(tzinfo=UTC).timestamp() * 1000)) for t, d, _ in readings(folder) if d not in known]
    assert unknown == sorted(millis) and len(unknown) == 3

    before = contents(folder / "out")
    run(folder)
    assert contents(folder / "out") == before
