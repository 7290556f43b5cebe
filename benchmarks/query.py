"""What the query engine alone costs: python benchmarks/query.py. Needs no network; prints a line a case.

Times are the medians of many batches, without log, checkpoint and sink.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from streamjob_api.models import StreamJobSpec
from streamjob_runtime.embedded.engine import EmbeddedQuery
from streamjob_runtime.embedded.open import open_query
from streamjob_runtime.query import BatchInput

START = 1_700_000_000_000
WORDS = "SELECT unnest(string_split(value, ' ')) AS word FROM lines"
COUNT = f"SELECT word, count(*) AS n FROM ({WORDS}) WHERE word <> '' GROUP BY word"
ROLLING = COUNT.replace("GROUP BY", "AND batch_time > now() - INTERVAL '10 minutes' GROUP BY")
TOP = " ORDER BY n DESC, word LIMIT 10"
ADS = """SELECT campaign_id, window_start, count(*) AS views, approx_count_distinct(ad_id) AS ads
FROM events JOIN ads USING (ad_id) WHERE event_type = 'view'
GROUP BY campaign_id, tumble(event_time, INTERVAL '10 seconds')"""
SUMS = "SELECT k, count(*) AS n, sum(v) AS s FROM pairs GROUP BY k"

Batches = Iterator[Mapping[str, pa.Table]]


def job(sql: str, mode: str) -> StreamJobSpec:
    """One step over the sources of this benchmark."""
    events = {"ad_id": "VARCHAR", "event_type": "VARCHAR", "event_time": "TIMESTAMP"}
    ads = {"ad_id": "VARCHAR", "campaign_id": "BIGINT"}
    tcp = {"host": "localhost", "port": 9}
    watermark = {"column": "event_time", "delay": "10s"}
    return StreamJobSpec.model_validate(
        {
            "sources": [
                {"name": "lines", "tcp": tcp, "format": "text"},
                {"name": "events", "tcp": tcp, "format": "json", "schema": events, "watermark": watermark},
                {"name": "pairs", "queue": {}, "schema": {"k": "BIGINT", "v": "BIGINT"}},
            ],
            "tables": [{"name": "ads", "files": {"path": "ads.csv"}, "format": "csv", "schema": ads}],
            "pipeline": [{"name": "v", "sql": sql}],
            "sinks": [{"from": "v", "mode": mode, "queue": {}}],
        }
    )


def lines(count: int, words: int, rng: random.Random) -> Batches:
    """Lines of ten words."""
    some = [" ".join(f"word{rng.randrange(words)}" for _ in range(10)) for _ in range(max(count, 20_000))]
    while True:
        at = rng.randrange(len(some) - count + 1)
        yield {"lines": pa.table({"value": some[at : at + count]})}


def events(count: int, rng: random.Random) -> Batches:
    """Ad events, a second of event time a batch, times as text."""
    second = 0
    while True:
        second += 1
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(START // 1000 + second))
        ids = [f"ad{rng.randrange(1000)}" for _ in range(count)]
        kinds = rng.choices(["view", "click", "purchase"], k=count)
        yield {"events": pa.table({"ad_id": ids, "event_type": kinds, "event_time": [stamp] * count})}


def pairs(count: int, keys: int, rng: random.Random) -> Batches:
    """Integer keys, spread over the key space."""
    while True:
        given = pa.array([rng.randrange(keys) for _ in range(count)], pa.int64())
        yield {"pairs": pa.table({"k": given, "v": given})}


def measure(query: EmbeddedQuery, batches: Batches, warm: int, measured: int) -> list[float]:
    """Seconds of each measured batch, a second of batch time apart."""
    took = []
    watermark: int | None = None
    late: int | None = None
    for i in range(warm + measured):
        rows = next(batches)
        start = time.perf_counter()
        out = query.run(BatchInput(i, START + i * 1000, watermark, late, rows))
        if i >= warm:
            took.append(time.perf_counter() - start)
        late = watermark
        watermark = max(
            [t - 10_000 for t in out.max_event_time_ms.values()] + ([watermark] if watermark else []), default=None
        )
    return took


def nothing() -> Batches:
    """Batches without rows."""
    while True:
        yield {}


def main() -> None:
    """Run every case, or those whose name has the given text in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="?", default="", help="only the cases with this in their name")
    only = parser.parse_args().only
    rng = random.Random(7)
    cases: dict[str, tuple[str, str, Callable[[], Batches], int, int]] = {
        "empty batch": (COUNT + TOP, "complete", nothing, 5, 100),
        "10 lines, counted, top ten": (COUNT + TOP, "complete", lambda: lines(10, 1000, rng), 50, 200),
        "10 lines, counted, update": (COUNT, "update", lambda: lines(10, 1000, rng), 50, 200),
        "10 lines, rolling over 600 batches, top ten": (
            ROLLING + TOP,
            "complete",
            lambda: lines(10, 1000, rng),
            700,
            200,
        ),
        "10 events, join, tumble, append": (ADS, "append", lambda: events(10, rng), 50, 200),
        "200,000 lines, counted, top ten": (COUNT + TOP, "complete", lambda: lines(200_000, 50_000, rng), 2, 5),
        "500,000 events, join, tumble, update": (ADS, "update", lambda: events(500_000, rng), 2, 5),
        "100,000 rows into 1,000,000 keys, update": (SUMS, "update", lambda: pairs(100_000, 1_000_000, rng), 40, 10),
    }
    for name, (sql, mode, batches, warm, measured) in cases.items():
        if only in name:
            report(name, job(sql, mode), batches(), warm, measured)


def report(name: str, spec: Any, batches: Batches, warm: int, measured: int) -> None:
    """Run a case and print its line."""
    query = open_query(spec)
    ads = {"ad_id": [f"ad{i}" for i in range(1000)], "campaign_id": [str(i // 10) for i in range(1000)]}
    query.set_table("ads", pa.table(ads))
    took = sorted(measure(query, batches, warm, measured))
    start = time.perf_counter()
    size = sum(table.nbytes for table in query.snapshot().values())
    snapshot = time.perf_counter() - start
    query.close()
    median, worst = statistics.median(took) * 1000, took[-1] * 1000
    print(f"{name:45s} {median:9.2f} ms  worst {worst:8.2f} ms  snapshot {snapshot * 1000:7.1f} ms {size:>10,} bytes")


if __name__ == "__main__":
    main()
