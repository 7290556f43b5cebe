"""Our half of the benchmark, very small: it runs, it computes what it should, and it says how quick it was."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("bench")
    command = [sys.executable, "-m", "benchmarks.run", "--without-spark", "--rounds", "1", "--scale", "0.0001"]
    done = subprocess.run(
        [*command, "--folder", str(made)], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (made / "printed.txt").write_text(done.stdout)
    return made


@pytest.mark.parametrize("workload", ["word-count", "ad-views"])
def test_every_figure_is_measured(folder: Path, workload: str) -> None:
    results = json.loads((folder / "results.json").read_text())
    (run,) = results["workloads"][workload]["StreamJob"]
    assert len(run) == 7
    assert all(value > 0 for key, value in run.items() if key != "idle_trigger_cpu_ms")


def test_the_table_has_a_line_a_figure(folder: Path) -> None:
    printed = (folder / "printed.txt").read_text()
    assert printed.count("| start to first commit, s |") == 2
    assert "| thousand lines a second |" in printed
    assert "| thousand events a second |" in printed


@pytest.mark.parametrize("size", ["big", "small"])
def test_the_words_are_those_of_the_input(folder: Path, size: str) -> None:
    (inputs,) = (folder / "inputs").glob("word-count-*")
    words = Counter(word for file in (inputs / size).iterdir() for word in file.read_text().split())
    assert words
    (out,) = (folder / "runs" / "word-count" / "StreamJob" / size / "out").glob("*.parquet")
    rows = pq.read_table(out).to_pylist()
    assert {row["word"]: row["n"] for row in rows} == words


@pytest.mark.parametrize("size", ["big", "small"])
def test_the_views_are_those_of_the_windows_that_are_final(folder: Path, size: str) -> None:
    (inputs,) = (folder / "inputs").glob("ad-views-*")
    campaigns = {row["ad_id"]: row["campaign_id"] for row in pq.read_table(inputs / "ads.parquet").to_pylist()}
    events = [json.loads(line) for file in (inputs / size).iterdir() for line in file.read_text().splitlines()]
    views: Counter[tuple[str, str]] = Counter()
    for event in events:
        if event["event_type"] == "view":
            views[campaigns[event["ad_id"]], event["event_time"][:-5]] += 1  # ten seconds: without the last digit
    out = folder / "runs" / "ad-views" / "StreamJob" / size / "out"
    rows = [row for file in out.glob("*.parquet") for row in pq.read_table(file).to_pylist()]
    found = {(row["campaign_id"], str(row["window_start"])[:18]): row["n"] for row in rows}
    last = max(window for _, window in found)
    assert found == {key: n for key, n in views.items() if key[1] <= last}
    assert len({window for _, window in found}) >= 5
