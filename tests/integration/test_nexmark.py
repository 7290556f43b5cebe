"""The 23 queries of Nexmark: at any cut into batches and after a crash they give what DuckDB says of all events."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import yaml
from benchmarks.nexmark import files, generator

from streamjob_api.manifest import load_manifest
from streamjob_api.models import StreamJob
from streamjob_runtime.connectors.shared.output_queue import OutputQueue
from support.simulate import Simulation, job_of

QUERIES = Path(__file__).parents[2] / "benchmarks" / "nexmark" / "queries"
NAMES = [f"q{n}" for n in range(23)]
PARTS, ROUNDS, PER_SECOND, DISORDER, FILES = 4, 25, 100, 200, 5  # 5,000 events of 50 seconds, 20 files of each kind
WAITS = 60  # seconds of a job that goes on
DELAY = timedelta(seconds=4)  # more than the disorder makes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("nexmark")
    files.write(made / "in", PARTS, ROUNDS, PER_SECOND, DISORDER, FILES)
    return made


@dataclass(frozen=True)
class Written:
    """What a run of a query wrote."""

    rows: list[dict[str, Any]]
    bids: pa.Table  # each with its batch's time


def job(name: str, folder: Path, files_a_batch: int) -> StreamJob:
    """The query with a queue in place of its sink, and another for the bids as they were read."""
    loaded = load_manifest(QUERIES / f"{name}.yaml", {"IN": str(folder / "in"), "FILES": str(files_a_batch)})
    assert loaded.job is not None, [str(p) for p in loaded.problems]
    (given,) = loaded.documents
    spec = given["spec"]
    spec["pipeline"].append({"name": "bids_read", "sql": "SELECT *, batch_time AS read FROM bid"})
    if name == "q12":
        spec["trigger"] = "processingTime"  # so that time goes on
    spec["sinks"] = [{"from": "result", "mode": spec["sinks"][0]["mode"], "queue": {}}]
    if any(source["name"] == "bid" for source in spec["sources"]):
        spec["sinks"].append({"from": "bids_read", "mode": "append", "queue": {}})
    else:
        del spec["pipeline"][-1]
    return job_of(yaml.safe_dump(given))


def run(name: str, folder: Path, files_a_batch: int, kill_at: int | None = None) -> Written:
    """All of the input; with `kill_at`, killed at that step and started again."""
    simulation = Simulation(job(name, folder, files_a_batch), [{}] * WAITS if name == "q12" else [])
    if kill_at is not None:
        assert not simulation.run(kill_at)
    assert simulation.run()
    outputs = list(simulation.outputs.values())
    rows = [row for _, batch in outputs[0].batches() for row in batch.to_pylist()]
    if key := key_of(name):
        rows = in_place(outputs[0], key)
    return Written(rows, outputs[1].rows() if len(outputs) == 2 else pa.table({}))


def in_place(output: OutputQueue, key: Sequence[str]) -> list[dict[str, Any]]:
    """What a table by that key holds in the end."""
    there: dict[tuple[Any, ...], dict[str, Any]] = {}
    deleted = dict(output.deleted())
    for batch, rows in output.batches():
        for row in deleted[batch].to_pylist() if batch in deleted else ():
            there.pop(tuple(row[column] for column in key))
        there |= {tuple(row[column] for column in key): row for row in rows.to_pylist()}
    return list(there.values())


def key_of(name: str) -> list[str]:
    """The columns by which a sink of changes puts its rows in place; empty where rows are only added."""
    sink = yaml.safe_load((QUERIES / f"{name}.yaml").read_text())["spec"]["sinks"][0]
    return sink["delta"]["key"] if sink["mode"] == "update" else []


def expected(name: str, folder: Path, bids_read: pa.Table) -> list[dict[str, Any]]:
    """DuckDB's answer over all events; `bids_read`: the bids with their batch times (q12)."""
    with duckdb.connect() as con:
        register(con, name, folder)
        if name == "q12":
            con.unregister("bid")
            con.register("bid", bids_read.rename_columns({"read": "batch_time"}))
        return answer(con, (QUERIES / f"{name}.sql").read_text())


def register(con: duckdb.DuckDBPyConnection, name: str, folder: Path) -> None:
    """Have all events in DuckDB, and the watermark that is reached in the end."""
    con.execute("SET TimeZone = 'UTC'")
    parts = [generator.events(part, ROUNDS, PER_SECOND, DISORDER) for part in range(PARTS)]
    kinds = [source.name for source in job(name, folder, 1).spec.sources]
    latest = []
    for kind in files.KINDS:
        con.register(kind, pa.concat_tables([getattr(part, kind) for part in parts]))
        (last,) = con.execute(f"SELECT max(dateTime) FROM {kind}").fetchall()[0]
        latest += [last] if kind in kinds else []
    con.execute("SET VARIABLE watermark = CAST(? AS TIMESTAMP)", [min(latest) - DELAY])
    con.register("side_input", generator.side_input())


def answer(con: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = con.sql(sql).to_arrow_table().to_pylist()
    return rows


def in_order(rows: Sequence[dict[str, Any]]) -> list[list[tuple[str, Any]]]:
    """Rows to be compared: floating-point numbers to nine digits."""
    shown = [sorted((k, float(f"{v:.9g}") if isinstance(v, float) else v) for k, v in row.items()) for row in rows]
    return sorted(shown, key=repr)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("files_a_batch", [1, 3, 100])
def test_a_query_gives_what_one_over_all_events_gives(name: str, files_a_batch: int, folder: Path) -> None:
    written = run(name, folder, files_a_batch)
    assert written.rows
    assert in_order(written.rows) == in_order(expected(name, folder, written.bids))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kill_at", [17, 48])
def test_and_so_it_does_when_it_is_killed(name: str, kill_at: int, folder: Path) -> None:
    written = run(name, folder, 2, kill_at)
    assert in_order(written.rows) == in_order(expected(name, folder, written.bids))


def test_the_events_are_in_the_known_proportions_and_follow_from_the_seed() -> None:
    one, again, other = (generator.events(3, 100, 1000, 50, seed) for seed in (1, 1, 2))
    assert (len(one.person), len(one.auction), len(one.bid)) == (100, 300, 4600)
    assert one.bid.equals(again.bid)
    assert not one.bid.equals(other.bid)
    start: list[Any] = one.bid["dateTime"].to_pylist()
    assert start != sorted(start)
    assert all(abs(a - b) <= timedelta(milliseconds=51) for a, b in zip(start, sorted(start), strict=True))
    assert generator.end(3, 100, 1000).replace(tzinfo=None) <= min(start)
    assert max(start) < generator.end(4, 100, 1000).astimezone(UTC).replace(tzinfo=None)


def test_whom_the_events_name_are_there_but_for_a_few() -> None:
    parts = [generator.events(part, 200, 1000) for part in range(2)]
    persons, auctions = (
        {i for p in parts for i in getattr(p, kind)["id"].to_pylist()} for kind in ("person", "auction")
    )
    assert persons == set(range(1000, 1400))
    assert auctions == set(range(1000, 2200))
    bids = pa.concat_tables([p.bid for p in parts])
    unknown = [a for a in bids["auction"].to_pylist() if a not in auctions]
    assert len(unknown) < len(bids) / 100
    urls: list[Any] = bids["url"].to_pylist()
    assert all(re.fullmatch(r"https://www\.nexmark\.com(/[a-z]{5}){3}/item\.htm\?.*", url) for url in urls)


def test_the_benchmark_says_how_quick_a_query_was(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.nexmark.run", "--without-flink", "--events", "20000"]
    command += ["--queries", "q0", "q15", "--folder", str(tmp_path)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    rates = json.loads((tmp_path / "results.json").read_text())["rates"]
    assert {query: rate["StreamJob"] > 0 for query, rate in rates.items()} == {"q0": True, "q15": True}
    assert [line.split(" | ")[0] for line in done.stdout.splitlines()] == ["| query", "| ---", "| q0", "| q15"]
