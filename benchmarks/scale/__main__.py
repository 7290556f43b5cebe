"""Measure the operator with many StreamJobs on simulated nodes: `python -m benchmarks.scale` (docs/performance.md)."""

import argparse
import asyncio
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.scale import control_plane, measures, runtimes
from benchmarks.scale.api import Api, connected
from benchmarks.scale.audit import Audit, written
from benchmarks.scale.measures import BATCH_JOB, STREAM_JOB, Figures, elsewhere
from benchmarks.scale.operator_process import USER, Operator, operating
from benchmarks.scale.resources import setup
from benchmarks.scale.table import table

ROOT = Path(__file__).parents[2]
_STARTED_AGAIN_S = 10.0
_ALL_ASKED_S = 20.0


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    jobs: int
    rounds: int  # of what is measured one after the other
    rest_s: float
    busy_s: float
    peer: bool
    folder: Path


def options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000, help="how many StreamJobs there are at once")
    parser.add_argument("--rounds", type=int, default=100, help="how often what is done one after the other is done")
    parser.add_argument("--rest", type=float, default=130.0, help="seconds in which nothing happens")
    parser.add_argument("--busy", type=float, default=60.0, help="seconds in which all jobs report batches; 0: none")
    parser.add_argument("--without-peer", action="store_true", help="only StreamJobs, not Kubernetes' own Jobs")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "scale", help="for results and the logs")
    args = parser.parse_args()
    return Options(args.jobs, args.rounds, args.rest, args.busy, not args.without_peer, args.folder.absolute())


def main() -> int:
    given = options()
    given.folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, Figures] = {}
    try:
        if given.peer:
            results[BATCH_JOB.name] = asyncio.run(_peer(given))
        results[STREAM_JOB.name] = asyncio.run(_ours(given))
    except control_plane.CannotRun as error:
        print(f"bench-scale: {error}", file=sys.stderr)
        return 1
    (given.folder / "results.json").write_text(json.dumps({"jobs": given.jobs, "kinds": results}, indent=2))
    print(table(given.jobs, results[STREAM_JOB.name], results.get(BATCH_JOB.name)))
    return 0


async def _peer(given: Options) -> Figures:
    """Kubernetes' own Jobs, made by its controller manager: the same, as far as they have it."""
    figures: Figures = {}
    with control_plane.running() as plane:
        async with connected(plane, "user") as api:
            audit = await _set_up(given, plane, api)
            pids = list(plane.pids.values())
            with elsewhere(pids, figures, "alone"):
                _say(f"{given.rounds} Jobs, one after the other")
                figures |= await measures.alone(api, audit, BATCH_JOB, given.rounds, "alone_ms")
            with elsewhere(pids, figures, "burst"):
                _say(f"{given.jobs} Jobs at once")
                figures |= await measures.burst(api, audit, BATCH_JOB, given.jobs)
            # Its own limit of requests keeps the controller busy with the last ones' status.
            await measures.settled(audit, "system:serviceaccount:kube-system:job-controller")
            _say("pods of Jobs deleted")
            figures |= await measures.batch_replaced(api, audit, min(20, given.rounds))
    return figures


async def _ours(given: Options) -> Figures:
    figures: Figures = {}
    with control_plane.running() as plane:
        async with connected(plane, "user") as api:
            audit = await _set_up(given, plane, api)
            try:
                with operating(plane) as operator:
                    await _with_operator(given, plane, api, audit, operator, figures)
                with operating(plane) as operator:
                    await _started_again(given, plane, audit, operator, figures)
            finally:
                (given.folder / "operator.log").write_bytes((plane.folder / "operator.log").read_bytes())
    return figures


async def _with_operator(
    given: Options, plane: control_plane.ControlPlane, api: Api, audit: Audit, operator: Operator, figures: Figures
) -> None:
    pids = [*plane.pids.values(), operator.process.pid]
    with elsewhere(pids, figures, "alone"):
        _say(f"{given.rounds} StreamJobs, one after the other")
        figures |= await measures.alone(api, audit, STREAM_JOB, given.rounds, "alone_ms")
    with elsewhere(pids, figures, "burst"):
        _say(f"{given.jobs} StreamJobs at once")
        position, cpu = audit.position(), operator.cpu_s()
        figures |= await measures.burst(api, audit, STREAM_JOB, given.jobs)
        await measures.settled(audit)
    figures["reported_s"] = measures.last_write_s(audit, position, STREAM_JOB)
    mine = [r for r in audit.since(position) if r.user == USER]
    figures["burst_cpu_s"] = operator.cpu_s() - cpu
    figures["burst_peak_mib"] = operator.peak_mib()
    figures["writes_a_job"] = sum(1 for _ in written(mine, USER)) / given.jobs
    _say(f"{given.rest_s:.0f} s of rest")
    with elsewhere(pids, figures, "rest"):
        figures |= await measures.at_rest(audit, operator, given.rest_s)
    with elsewhere(pids, figures, "replaced"):
        _say(f"{given.rounds} pods deleted, one after the other")
        figures |= await measures.replaced(api, audit, min(given.rounds, given.jobs))
    _say("a spec changed")
    figures |= await measures.edited(api, audit)
    with elsewhere(pids, figures, "beside"):
        _say(f"{given.rounds} StreamJobs, one after the other, beside the others")
        figures |= await measures.alone(api, audit, STREAM_JOB, given.rounds, "beside_ms")
    await measures.settled(audit)
    figures["peak_mib"] = operator.peak_mib()


async def _started_again(
    given: Options, plane: control_plane.ControlPlane, audit: Audit, operator: Operator, figures: Figures
) -> None:
    _say("the operator has started again")
    while operator.looks() < given.jobs:
        await asyncio.sleep(0.05)
    figures["again_ready_s"] = operator.ready_after_s
    figures["again_looked_s"] = time.time() - operator.started
    await asyncio.sleep(min(_STARTED_AGAIN_S, given.rest_s))
    mine = [r for r in audit.since(0) if r.received >= operator.started]
    figures["again_writes"] = sum(1 for _ in written(mine, USER))
    if given.busy_s:
        _say(f"{given.busy_s:.0f} s in which all jobs report batches")
        pids = [*plane.pids.values(), operator.process.pid]
        with runtimes.answering(2 * (given.jobs + 2 * given.rounds)), elsewhere(pids, figures, "busy"):
            await asyncio.sleep(_ALL_ASKED_S)
            figures |= await measures.busy(audit, operator, given.busy_s)
    figures["again_peak_mib"] = operator.peak_mib()


async def _set_up(given: Options, plane: control_plane.ControlPlane, api: Api) -> Audit:
    audit = Audit(plane.audit)
    pods = given.jobs + 2 * given.rounds
    for path, body in setup(pods):
        await api.create(path, body)
    await audit.wait(
        0,
        lambda seen: any(r.is_("create", "serviceaccounts") and r.namespace == "scale" for r in seen),
        60,
        "the namespace is set up",
    )
    return audit


def _say(text: str) -> None:
    print(f"bench-scale: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
