"""The figures as one table, each with what it means and what was aimed at."""

from dataclasses import dataclass

from benchmarks.scale.measures import BESIDE, Figures


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    text: str  # `{n}` stands for the number of StreamJobs
    key: str
    digits: int
    aim: float | None = None


ROWS = (
    Row("{n} at once: first create to the last create, s", "applied_s", 1),
    Row("{n} at once: first create to the last pod, s", "pods_s", 1, 30),
    Row("{n} at once: first create to the last pod that runs, s", "running_s", 1),
    Row("{n} at once: first create to the last status, s", "reported_s", 1),
    Row("one alone: create to its pod, p50, ms", "alone_ms_p50", 1, 50),
    Row("one alone: create to its pod, p95, ms", "alone_ms_p95", 1, 150),
    Row("one beside {n} others: create to its pod, p50, ms", "beside_ms_p50", 1),
    Row("one beside {n} others: create to its pod, p95, ms", "beside_ms_p95", 1),
    Row("pod deleted to its replacement, p50, s", "replaced_p50", 3),
    Row("pod deleted to its replacement, p95, s", "replaced_p95", 3),
    Row("pod deleted to its replacement, the slowest, s", "replaced_max", 3, 1),
    Row("peak memory of the operator, MiB", "peak_mib", 0, 200),
    Row("CPU of the operator for {n} at once, s", "burst_cpu_s", 1),
    Row("writes of the operator a job, until it runs", "writes_a_job", 2),
    Row("at rest: writes", "rest_writes", 0, 0),
    Row("at rest: reads", "rest_reads", 0),
    Row("at rest: CPU of the operator, % of a core", "rest_cpu_percent", 1),
    Row("a spec changed: to the pod that runs it, s", "edit_s", 2),
    Row("a spec changed: writes to this job and what it owns", "edit_writes_own", 0),
    Row("a spec changed: writes to anything else", "edit_writes_others", 0, 0),
    Row("operator started with {n} there: ready, s", "again_ready_s", 2),
    Row("operator started with {n} there: has looked at each, s", "again_looked_s", 2),
    Row("operator started with {n} there: writes", "again_writes", 0, 0),
    Row("{n} that report batches: writes a second", "busy_writes_per_s", 1),
    Row("{n} that report batches: CPU of the operator, % of a core", "busy_cpu_percent", 1),
    Row("operator started with {n} there: peak memory, MiB", "again_peak_mib", 0),
)


def table(jobs: int, ours: Figures, peer: Figures | None) -> str:
    """Markdown. The ratio says how many times better StreamJob is than the peer."""
    lines = [
        f"| | StreamJob |{' Job | ratio |' if peer else ''} aim |",
        f"| --- | ---: |{' ---: | ---: |' if peer else ''} ---: |",
    ]
    for row in ROWS:
        if row.key not in ours:
            continue
        mine = ours[row.key]
        cells = [
            row.text.format(n=f"{jobs:,}"),
            f"{mine:,.{row.digits}f}",
        ]
        if peer:
            theirs = peer.get(row.key)
            cells += ["", ""] if theirs is None else [f"{theirs:,.{row.digits}f}", f"{theirs / mine:.1f}"]
        cells.append("" if row.aim is None else f"{row.aim:g}: {'met' if mine <= row.aim else 'missed'}")
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *(_beside(name, figures) for name, figures in (("StreamJob", ours), ("Job", peer)) if figures)]
    return "\n".join(lines)


def _beside(name: str, figures: Figures) -> str:
    cores = {key.removesuffix(BESIDE): value for key, value in figures.items() if key.endswith(BESIDE)}
    used = ", ".join(f"{measure} {value:.1f}" for measure, value in cores.items())
    return f"Cores that other work on this machine used meanwhile, {name}: {used}."
