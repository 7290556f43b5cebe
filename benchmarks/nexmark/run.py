"""Measure Nexmark's queries on StreamJob beside Flink: `python -m benchmarks.nexmark.run` (docs/performance.md).

What is measured is the CPU of the whole process, over two inputs of which one is larger: the difference of both is
what the further events cost, without what it costs to start.
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import LONGEST_RUN_S, watched
from benchmarks.nexmark import files
from benchmarks.nexmark.generator import ROUND
from scripts import tools

from streamjob_api.manifest import load_manifest
from streamjob_runtime.plan.planner import look_at

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
QUERIES = [f"q{n}" for n in range(23)]
PER_SECOND = 10_000  # events a second of event time
PARTS = 10  # a batch each
_LOG_END = 3000


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    events: int  # of the larger input
    queries: list[str]
    flink: bool
    folder: Path


def options(args: Sequence[str] | None = None) -> Options:
    parser = argparse.ArgumentParser(description="Nexmark: events a second of CPU")
    parser.add_argument("--events", type=int, default=5_000_000, help="of the larger input; the other has a fifth")
    parser.add_argument("--queries", nargs="+", default=QUERIES, choices=QUERIES, metavar="q0 … q22")
    parser.add_argument("--without-flink", action="store_true", help="only our half, compared with nothing")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "nexmark", help="for inputs and results")
    given = parser.parse_args(args)
    return Options(given.events, given.queries, not given.without_flink, given.folder.absolute())


def main() -> None:
    given = options()
    inputs = {events: make(given.folder, events) for events in (given.events // 5, given.events)}
    found: dict[str, dict[str, float]] = {}
    for query in given.queries:
        found[query] = {}
        for name, command in {"StreamJob": ours, **({"Flink": flink} if given.flink else {})}.items():
            used = [_cpu_s(command(query, folder, given.folder / "runs"), given.folder) for folder in inputs.values()]
            if None not in used:
                few, many = inputs
                found[query][name] = (many - few) / max(used[1] - used[0], 0.001)  # type: ignore[operator]
        print(query, {name: round(rate) for name, rate in found[query].items()}, file=sys.stderr, flush=True)
    (given.folder / "results.json").write_text(json.dumps({"events": given.events, "rates": found}, indent=2))
    print(table(found))


def make(root: Path, events: int) -> Path:
    """The folder of an input, made unless it is there: our files, and one of each kind for Flink."""
    folder = root / "inputs" / f"{events}"
    if not folder.exists():
        making = folder.with_name(f"{folder.name}.making")
        shutil.rmtree(making, ignore_errors=True)
        files.write(making, PARTS, max(1, events // PARTS // ROUND), PER_SECOND, PER_SECOND)
        for kind in files.KINDS:
            with (making / f"{kind}.json").open("wb") as whole:
                for path in sorted((making / kind).iterdir()):
                    whole.write(path.read_bytes())
        making.rename(folder)
    return folder


def ours(query: str, folder: Path, runs: Path) -> list[str | Path] | None:
    """The command that runs a query here; None: it cannot be kept up to date yet."""
    run = runs / query
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(parents=True)
    loaded = load_manifest(HERE / "queries" / f"{query}.yaml", {"IN": str(folder)})
    assert loaded.job is not None, loaded.problems
    if look_at(loaded.job.spec).problems:
        return None
    # The results are computed and thrown away, as on the other side.
    sink = "delta" if loaded.job.spec.sinks[0].delta is not None else "files"
    replace = run / "replace.yaml"
    fields = {"console": {"rows": 1}, **({"format": None} if sink == "files" else {})}
    replace.write_text(json.dumps({"sinks": {f"result.{sink}": fields}}))
    manifest = run / "streamjob.yaml"
    shutil.copy(HERE / "queries" / f"{query}.yaml", manifest)
    streamjob = Path(sys.executable).with_name("streamjob")
    return [streamjob, "run", "--set", f"IN={folder}", "--replace", replace, manifest]


def flink(query: str, folder: Path, runs: Path) -> list[str | Path] | None:
    """The command that runs a query on Flink; None: it has no such query."""
    sql = HERE / "flink" / f"{query}.sql"
    python = tools.place("flink").path / "bin" / "python"
    if not python.exists():
        raise SystemExit("bench: Flink is not installed. Run: python -m scripts.tools flink")
    return [python, HERE / "flink_job.py", folder, sql] if sql.exists() else None


def _cpu_s(command: list[str | Path] | None, folder: Path) -> float | None:
    """What a command used, with its children, to its end."""
    if command is None:
        return None
    log = folder / "log.txt"
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=os.environ, start_new_session=True)
        try:
            with watched(process.pid) as usage:
                code = process.wait(LONGEST_RUN_S)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, 9)
                process.wait()
    if code:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {code}:\n{log.read_text()[-_LOG_END:]}")
    return max(usage.cpu_s)


def table(found: dict[str, dict[str, float]]) -> str:
    """The rates of each query, thousands of events a second of CPU, and how many times the other's ours is."""
    lines = ["| query | StreamJob | Flink | ratio |", "| --- | --- | --- | --- |"]
    ratios = []
    for query, rates in found.items():
        one, other = rates.get("StreamJob"), rates.get("Flink")
        if one and other:
            ratios.append(one / other)
        shown = [f"{rate / 1000:.0f}" if rate else "" for rate in (one, other)]
        lines.append(f"| {query} | {shown[0]} | {shown[1]} | {f'{one / other:.1f}' if one and other else ''} |")
    if ratios:
        lines.append(f"| geometric mean | | | {math.exp(sum(map(math.log, ratios)) / len(ratios)):.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
