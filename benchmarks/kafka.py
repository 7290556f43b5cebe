"""Measure a job between two Kafka topics beside Spark and the bare client: `make bench-kafka` (docs/performance.md)."""

import argparse
import json
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from benchmarks import figures, ours, spark, workloads
from benchmarks.measure import LONGEST_RUN_S, Run, watched
from benchmarks.workloads import AD_VIEWS
from confluent_kafka import Producer
from scripts import tools

from support.kafka import JARS, KafkaServer

ROOT = Path(__file__).parent.parent
SPARK_JARS = tools.place("spark-kafka").path
BARE = "bare client"
PARTITIONS = 4
RECORDS = 400_000  # in a batch, of ten seconds of event time
BATCHES = 12

_JOB = (
    """
  sources:
  - name: events
    kafka: {{bootstrapServers: "{servers}", topic: {input}, startFrom: earliest}}
    maxRecordsPerBatch: {records}
    format: json
    schema: {{ad_id: VARCHAR, event_type: VARCHAR, event_time: TIMESTAMP}}
    watermark: {{column: event_time, delay: 10s}}
"""
    + ours.COUNTED
    + """
  sinks:
  - {{from: result, kafka: {{bootstrapServers: "{servers}", topic: {output}, key: [campaign_id]}}, format: json}}
"""
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-kafka", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help=f"how large a batch is (1: {RECORDS:,} records)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each runs, in turn")
    parser.add_argument("--without-spark", action="store_true", help="only our half and the bare client")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "bench" / "kafka", help="for data and results")
    given = parser.parse_args()
    if not given.without_spark:
        spark.check_installed()
    folder: Path = given.folder.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    server = KafkaServer(folder / "server")
    server.start()
    try:
        results = _measure(server, folder, round(RECORDS * given.scale), given.rounds, not given.without_spark)
    finally:
        server.kill()
        shutil.rmtree(folder / "server")
    (folder / "results.json").write_text(json.dumps({"scale": given.scale, "engines": results}, indent=2))
    medians = {name: figures.medians(runs) for name, runs in results.items()}
    print(f"\n{figures.table('records', list(medians), medians)}")


def _measure(
    server: KafkaServer, folder: Path, records: int, rounds: int, with_spark: bool
) -> dict[str, list[dict[str, float]]]:
    """Engine -> the figures of each of its runs."""
    topic = server.create_topic(PARTITIONS, "events")
    ads = workloads.make(AD_VIEWS, folder / "inputs", 0.001).ads
    _fill(server.servers, topic, records)
    found: dict[str, list[dict[str, float]]] = {}
    for number in range(rounds):
        outputs = {}
        for name in (ours.NAME, spark.NAME) if with_spark else (ours.NAME,):
            print(f"round {number + 1}, {name}", flush=True)
            args = {"servers": server.servers, "input": topic, "output": f"{name.lower()}-{number}", "ads": str(ads)}
            server.create_topic(1, args["output"])
            run = {ours.NAME: _run_ours, spark.NAME: _run_spark}[name](
                args, records, folder / "runs" / name / str(number)
            )
            outputs[name] = _result(server, args["output"])
            found.setdefault(name, []).append(figures.of_big(run) | figures.of_start(run))
        if not outputs[ours.NAME] or len({json.dumps(rows) for rows in outputs.values()}) > 1:
            raise SystemExit(f"bench: the results differ: { {name: len(rows) for name, rows in outputs.items()} } rows")
        print(f"round {number + 1}, {BARE}", flush=True)
        found.setdefault(BARE, []).append(_run_bare(server.servers, topic, records * BATCHES))
    return found


def _fill(servers: str, topic: str, records: int) -> None:
    """The events in the order of their time, in turn to each partition."""
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 50, "queue.buffering.max.messages": 1_000_000})
    for batch in range(BATCHES):
        events = AD_VIEWS.write(np.random.default_rng([1, batch]), records, batch * 10, 10.0)
        for i, event in enumerate(events.cast(pa.binary()).to_pylist()):
            producer.produce(topic, event, partition=i % PARTITIONS)
        if producer.flush(LONGEST_RUN_S):
            raise SystemExit("bench: Kafka does not take the events")


def _run_ours(args: dict[str, str], records: int, folder: Path) -> Run:
    folder.mkdir(parents=True)
    manifest = folder / "streamjob.yaml"
    fields = {"name": "kafka", "trigger": "availableNow", "interval": "1s", "checkpoint": folder / "checkpoint"}
    manifest.write_text((ours.JOB + _JOB.lstrip("\n")).format(**args, **fields, records=records))
    with ours.Process(manifest) as process:
        process.wait_for_end()
        return Run(process.started, process.batches, process.usage)


def _run_spark(args: dict[str, str], records: int, folder: Path) -> Run:
    jars = ",".join(str(jar) for jar in SPARK_JARS.glob("*.jar"))
    more = {"workload": "kafka-ad-views", "records": records, "idle": 0.0, "partitions": 2, "jars": jars}
    return spark.run_job({**args, **more}, (records,) * BATCHES, folder)


def _run_bare(servers: str, topic: str, records: int) -> dict[str, float]:
    """The client library by itself, tuned as the source has it: each value is taken, and nothing is done with it."""
    command = [sys.executable, str(Path(__file__).with_name("bare_client.py")), servers, topic, str(records)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        with watched(process.pid) as usage:
            said, _ = process.communicate(timeout=LONGEST_RUN_S)
    finally:
        process.kill()
    if process.returncode:
        raise SystemExit(f"bench: the bare client ended with {process.returncode}")
    start, middle, end, cpu_s = (float(number) for number in said.split())
    del start
    return {
        "krows_per_second": records / 2 / 1000 / (end - middle),
        "krows_per_cpu_second": records / 1000 / cpu_s,
        "peak_rss_mib": usage.peak_rss / 2**20,
    }


def _result(server: KafkaServer, topic: str) -> list[tuple[Any, ...]]:
    """The rows of a topic, in one order."""
    found = []
    for value in server.values(topic):
        row = json.loads(value or b"")
        at = datetime.fromisoformat(row["window_start"])
        found.append((row["campaign_id"], int(at.replace(tzinfo=UTC).timestamp()), row["n"]))
    return sorted(found)


if __name__ == "__main__":
    if not JARS.is_dir() or not SPARK_JARS.is_dir():
        raise SystemExit("bench: Kafka is not installed. Run: python -m scripts.tools kafka spark spark-kafka")
    began = time.monotonic()
    main()
    print(f"\nIt took {time.monotonic() - began:.0f} s.")
