"""How quickly bytes become rows: python benchmarks/formats.py [megabytes].

Prints, for each format, megabytes a second of wall time and of processor time, and millions of rows a second.
"""

import io
import json
import sys
import time

import pyarrow as pa

from streamjob_runtime.formats.open import make_decoder, make_encoder

EVENT = {
    "user_id": "b2a1c9f0-0000-4c1f-8d5a-3f1f2f3c9f11",
    "ad_id": "4e7d2c55",
    "event_type": "view",
    "event_time": "2024-05-06 07:08:09.123",
    "n": 12345,
    "price": 1.25,
}
COLUMNS: list[tuple[str, pa.DataType]] = [
    ("ad_id", pa.string()),
    ("event_type", pa.string()),
    ("event_time", pa.string()),
    ("n", pa.int64()),
    ("price", pa.float64()),
]
SCHEMA = pa.schema(COLUMNS)
TEXT = pa.schema([pa.field("value", pa.string())])


def inputs(size: int) -> dict[str, tuple[pa.Schema, bytes]]:
    line = b"the quick brown fox jumps over the lazy dog and again\n"
    record = json.dumps(EVENT).encode() + b"\n"
    events = pa.Table.from_pylist([EVENT] * (size // len(record)), SCHEMA)
    return {
        "text": (TEXT, line * (size // len(line))),
        "text, CRLF": (TEXT, line.replace(b"\n", b"\r\n") * (size // len(line))),
        "raw": (pa.schema([pa.field("value", pa.binary())]), line * (size // len(line))),
        "json": (SCHEMA, record * (size // len(record))),
        "json, integers as text": (
            SCHEMA.set(3, pa.field("n", pa.string())),
            record * (size // len(record)),
        ),
        "json, numbers as text": (
            SCHEMA.set(4, pa.field("price", pa.string())),
            record * (size // len(record) // 20),
        ),
        "json, decimals": (SCHEMA.set(4, pa.field("price", pa.decimal128(18, 2))), record * (size // len(record))),
        "json, a field missing": (SCHEMA.append(pa.field("gone", pa.string())), record * (size // len(record))),
        "csv": (SCHEMA, make_encoder("csv").encode(events)),
        "parquet": (SCHEMA, make_encoder("parquet").encode(events)),
    }


def main() -> None:
    size = int(sys.argv[1]) << 20 if len(sys.argv) > 1 else 64 << 20
    for name, (schema, data) in inputs(size).items():
        decoder = make_decoder(name.partition(",")[0], schema)
        best_wall, best_cpu, rows = 1e9, 1e9, 0
        for _ in range(5):
            wall, cpu = time.perf_counter(), time.process_time()
            rows = decoder.decode(data).num_rows
            best_wall = min(best_wall, time.perf_counter() - wall)
            best_cpu = min(best_cpu, time.process_time() - cpu)
        mb = len(data) / 1e6
        print(
            f"{name:24} {mb / best_wall:8.0f} MB/s {mb / best_cpu:8.0f} MB/CPU-s {rows / best_wall / 1e6:8.2f} M rows/s"
        )
    events = pa.Table.from_pylist([EVENT] * 200_000, SCHEMA)
    for name in ("json", "csv", "parquet"):
        wall = time.perf_counter()
        written = io.BytesIO(make_encoder(name).encode(events)).getbuffer().nbytes
        wall = time.perf_counter() - wall
        print(f"write {name:18} {written / wall / 1e6:8.0f} MB/s {len(events) / wall / 1e6:27.2f} M rows/s")


if __name__ == "__main__":
    main()
