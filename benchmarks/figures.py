"""From what was seen of runs to the figures of the table."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks.measure import Batch, Run
from benchmarks.workloads import Workload


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    name: str  # `unit` stands for what a row is
    key: str  # in results.json
    more_is_better: bool
    digits: int


FIGURES = (
    Figure("thousand {unit} a second", "krows_per_second", True, 0),
    Figure("thousand {unit} a CPU-second", "krows_per_cpu_second", True, 0),
    Figure("peak memory, MiB", "peak_rss_mib", False, 0),
    Figure("start to first commit, s", "first_commit_s", False, 2),
    Figure("ten-row batch, ms", "ten_row_batch_ms", False, 1),
    Figure("empty batch, ms", "empty_batch_ms", False, 1),
    Figure("CPU of a trigger with nothing to do, ms", "idle_trigger_cpu_ms", False, 2),
)


def of_big(run: Run) -> dict[str, float]:
    """Steady state: the second half of the batches (Java compiles during the first), from commit to commit."""
    batches = [b for b in run.batches if b.rows]
    before, steady = batches[len(batches) // 2 - 1], batches[len(batches) // 2 :]
    rows = sum(b.rows for b in steady)
    end = steady[-1].committed
    return {
        "krows_per_second": rows / 1000 / (end - before.committed),
        "krows_per_cpu_second": rows / 1000 / run.usage.cpu_between(before.committed, end),
        "peak_rss_mib": run.usage.peak_rss / 2**20,
    }


def of_start(run: Run) -> dict[str, float]:
    """From the start of the process to the first commit."""
    return {"first_commit_s": run.batches[0].committed - run.started}


def of_few(run: Run) -> dict[str, float]:
    """The start, and the median of the second half of the ten-row batches."""
    ten_rows = [b for b in run.batches if b.rows]
    return of_start(run) | {"ten_row_batch_ms": _duration(ten_rows[len(ten_rows) // 2 :])}


def of_small(run: Run) -> dict[str, float]:
    """Besides: the empty batches behind the ten-row ones, and the triggers behind these."""
    last = [b for b in run.batches if b.rows][-1].committed
    assert run.idle is not None
    start, end, triggers = run.idle
    return of_few(run) | {
        "empty_batch_ms": _duration(b for b in run.batches if not b.rows and b.committed > last),
        "idle_trigger_cpu_ms": 1000 * run.usage.cpu_between(start, end) / triggers,
    }


def _duration(batches: Iterable[Batch]) -> float:
    return median(b.duration_ms for b in batches)


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    """Figure by figure."""
    return {key: median(run[key] for run in runs) for key in runs[0]}


def result_of(workload: Workload, folder: Path) -> list[tuple[Any, ...]]:
    """The rows that a run has written, in one order."""
    files = sorted((folder / "out").rglob("[!._]*.parquet"))
    table = pa.concat_tables([_plain(pq.read_table(file), workload) for file in files])
    return sorted(zip(*(column.to_pylist() for column in table.columns), strict=True))


def _plain(rows: pa.Table, workload: Workload) -> pa.Table:
    """Engines differ in the unit and the zone of a time, and in nothing else."""
    columns = {}
    for name in (*workload.keys, "n"):
        kind = rows.schema.field(name).type
        columns[name] = rows[name].cast(pa.timestamp("us")) if pa.types.is_timestamp(kind) else rows[name]
    return pa.table(columns)


def table(unit: str, names: list[str], figures: dict[str, dict[str, float]]) -> str:
    """The figures as Markdown, an engine a column; with two engines, how many times better the first one is."""
    ratio = len(names) > 1
    lines = [
        f"| | {' | '.join(names)} |{' ratio |' if ratio else ''}",
        "| --- " + "| ---: " * (len(names) + ratio) + "|",
    ]
    for figure in FIGURES:
        values = [figures[name].get(figure.key) for name in names]
        if not any(values):
            continue
        cells = ["" if v is None else f"{v:,.{figure.digits}f}" for v in values]
        if ratio and values[0] is not None and values[1] is not None:
            times = values[0] / values[1] if figure.more_is_better else values[1] / values[0]
            cells.append(f"{times:.1f}")
        lines.append(f"| {figure.name.format(unit=unit)} | {' | '.join(cells)} |")
    return "\n".join(lines)
