"""Measure StreamJob beside Spark: `python -m benchmarks.run` (docs/performance.md)."""

import argparse
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks import figures, ours, spark, workloads
from benchmarks.workloads import AD_VIEWS, WORD_COUNT, Inputs, Workload

ROOT = Path(__file__).parent.parent
UNTUNED = "Spark, 200 partitions"


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    scale: float  # of the big batches
    rounds: int
    spark: bool
    folder: Path


def options() -> Options:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="how large the big batches are (1: a million lines)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each engine runs, in turn")
    parser.add_argument("--without-spark", action="store_true", help="only our half, compared with nothing")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "bench", help="for inputs and results")
    args = parser.parse_args()
    return Options(args.scale, args.rounds, not args.without_spark, args.folder.absolute())


def main() -> None:
    given = options()
    if given.spark:
        spark.check_installed()
    results = {w.name: _measure(w, given) for w in (WORD_COUNT, AD_VIEWS)}
    given.folder.mkdir(parents=True, exist_ok=True)
    (given.folder / "results.json").write_text(json.dumps({"scale": given.scale, "workloads": results}, indent=2))
    for workload in (WORD_COUNT, AD_VIEWS):
        engines = {name: figures.medians(runs) for name, runs in results[workload.name].items()}
        print(f"\n{workload.name}\n\n{figures.table(workload.unit, list(engines), engines)}")


def _measure(workload: Workload, given: Options) -> dict[str, list[dict[str, float]]]:
    """Engine -> the figures of each of its runs."""
    inputs = workloads.make(workload, given.folder / "inputs", given.scale)
    found: dict[str, list[dict[str, float]]] = {ours.NAME: []}
    for number in range(given.rounds):
        folder = given.folder / "runs" / workload.name
        shutil.rmtree(folder, ignore_errors=True)
        found[ours.NAME].append(_round(workload, inputs, folder, number, ours.NAME))
        if given.spark:
            found.setdefault(spark.NAME, []).append(_round(workload, inputs, folder, number, spark.NAME))
            for size in ("big", "small"):
                _check_equal(workload, folder / ours.NAME / size, folder / spark.NAME / size)
    if given.spark:
        print(f"{workload.name}: {UNTUNED}", flush=True)
        run = spark.run_untuned(workload, inputs, given.folder / "runs" / workload.name / UNTUNED)
        found[UNTUNED] = [figures.of_few(run)]
    return found


def _round(workload: Workload, inputs: Inputs, folder: Path, number: int, name: str) -> dict[str, float]:
    print(f"{workload.name}: round {number + 1}, {name}", flush=True)
    engine = {ours.NAME: ours, spark.NAME: spark}[name]
    big = engine.run_big(workload, inputs, folder / name / "big")
    small = engine.run_small(workload, inputs, folder / name / "small")
    return figures.of_big(big) | figures.of_small(small)


def _check_equal(workload: Workload, left: Path, right: Path) -> None:
    """Engines that compute different things are not compared."""
    one, other = figures.result_of(workload, left), figures.result_of(workload, right)
    if not one or one != other:
        differing = sorted(set(one) ^ set(other))[:5]
        raise SystemExit(
            f"bench: the results of {workload.name} differ: {len(one)} rows in {left}, {len(other)} in {right}; "
            f"among the differences: {differing}"
        )


if __name__ == "__main__":
    main()
