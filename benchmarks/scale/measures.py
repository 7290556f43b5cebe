"""The measures. Times are the API server's own, from the arrival of one request to the end of another."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

import psutil
from benchmarks.scale import resources
from benchmarks.scale.api import Api
from benchmarks.scale.audit import READS, Audit, Request, written
from benchmarks.scale.operator_process import USER, Operator
from benchmarks.scale.resources import JOBS, PODS

_WITHIN_S = 600.0
_SETTLES_S = 3.0
KWOK = "kwok"


@dataclass(frozen=True)
class Kind:
    """A kind of resource that makes pods."""

    name: str
    resource: str
    path: str
    body: Callable[[str], dict[str, Any]]


STREAM_JOB = Kind("StreamJob", "streamjobs", JOBS, resources.stream_job)
BATCH_JOB = Kind("Job", "jobs", resources.BATCH_JOBS, resources.batch_job)

Figures = dict[str, float]
BESIDE = "_other_cores"


@contextmanager
def elsewhere(pids: list[int], figures: Figures, prefix: str) -> Iterator[None]:
    """Measure besides how many cores the rest of the machine used meanwhile: it takes part in every time here."""
    processes = [psutil.Process(pid) for pid in (*pids, psutil.Process().pid)]
    start, busy, ours = time.monotonic(), _busy(), _used(processes)
    yield
    seconds = time.monotonic() - start
    figures[f"{prefix}{BESIDE}"] = max(0.0, (_busy() - busy) - (_used(processes) - ours)) / seconds


def _busy() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def _used(processes: list[psutil.Process]) -> float:
    return sum(p.cpu_times().user + p.cpu_times().system for p in processes)


async def burst(api: Api, audit: Audit, kind: Kind, count: int) -> Figures:
    """Many at once: from the first create to the last pod that is there, and that runs."""
    names = [f"{kind.name.lower()}-{i}" for i in range(count)]
    position = audit.position()
    await api.create_all(kind.path, (kind.body(name) for name in names))
    await audit.wait(position, lambda seen: len(running(seen)) >= count, _WITHIN_S, f"{count} pods run")
    seen = audit.since(position)
    made = [r for r in seen if r.is_("create", kind.resource)]
    first = min(r.received for r in made)
    return {
        "applied_s": max(r.done for r in made) - first,
        "pods_s": max(r.done for r in seen if r.is_("create", "pods")) - first,
        "running_s": max(running(seen).values()) - first,
    }


def running(seen: list[Request]) -> dict[str, float]:
    """Pod -> when it was first seen to run."""
    found: dict[str, float] = {}
    for request in seen:
        if request.is_("patch", "pods/status", KWOK):
            found.setdefault(request.name, request.done)
    return found


def last_write_s(audit: Audit, position: int, kind: Kind) -> float:
    """From the first create since then to the last write of a status."""
    seen = audit.since(position)
    first = min(r.received for r in seen if r.is_("create", kind.resource))
    return max(r.done for r in seen if r.is_("update", f"{kind.resource}/status")) - first


async def alone(api: Api, audit: Audit, kind: Kind, count: int, prefix: str) -> Figures:
    """One after the other: from the create to its pod."""
    times = []
    for i in range(count):
        position = audit.position()
        name = f"{kind.name.lower()}-{prefix.replace('_', '-')}-{i}"
        await api.create(kind.path, kind.body(name))
        await audit.wait(position, lambda seen: bool(running(seen)), _WITHIN_S, f"{name} runs")
        seen = audit.since(position)
        made = next(r for r in seen if r.is_("create", kind.resource))
        times.append(next(r for r in seen if r.is_("create", "pods")).done - made.received)
        await _pause(audit)
    return _spread(times, prefix, 1000)


async def replaced(api: Api, audit: Audit, count: int) -> Figures:
    """One after the other: from the delete of a StreamJob's pod to the next. Each job's first, so none waits."""
    times = []
    for i in range(count):
        position = audit.position()
        await api.delete(f"{PODS}/{STREAM_JOB.name.lower()}-{i}-1-0")
        await audit.wait(position, lambda seen: bool(running(seen)), _WITHIN_S, "a pod is replaced")
        times.append(_from_delete(audit.since(position))[0])
        await _pause(audit)
    return _spread(times, "replaced", 1)


async def batch_replaced(api: Api, audit: Audit, count: int) -> Figures:
    """The same for Jobs, at once: Kubernetes' own controller waits for ten seconds."""
    pods = (await api.get(PODS))["items"]
    owned = [p["metadata"]["name"] for p in pods if p["metadata"]["ownerReferences"][0]["kind"] == BATCH_JOB.name]
    position = audit.position()
    await asyncio.gather(*(api.delete(f"{PODS}/{name}") for name in owned[:count]))
    await audit.wait(position, lambda seen: len(running(seen)) >= count, _WITHIN_S, "pods are replaced")
    return _spread(_from_delete(audit.since(position)), "replaced", 1)


def _from_delete(seen: list[Request]) -> list[float]:
    deleted = sorted(r.received for r in seen if r.is_("delete", "pods", "user"))
    made = sorted(r.done for r in seen if r.is_("create", "pods"))
    return [done - received for received, done in zip(deleted, made, strict=False)]


async def at_rest(audit: Audit, operator: Operator, seconds: float) -> Figures:
    """Nothing happens: what the operator writes, reads and uses."""
    position, cpu = audit.position(), operator.cpu_s()
    await asyncio.sleep(seconds)
    mine = [r for r in audit.since(position) if r.user == USER]
    return {
        "rest_s": seconds,
        "rest_writes": sum(1 for _ in written(mine, USER)),
        "rest_reads": sum(r.verb in READS for r in mine),
        "rest_cpu_percent": 100 * (operator.cpu_s() - cpu) / seconds,
    }


async def edited(api: Api, audit: Audit) -> Figures:
    """The spec of one job changes: what is written of this job, and of others."""
    name = f"{STREAM_JOB.name.lower()}-0"
    pod = next(p for p in (await api.get(PODS))["items"] if p["metadata"]["labels"].get("streamjob.dev/job") == name)
    attempt = int(pod["metadata"]["labels"]["streamjob.dev/attempt"])
    position = audit.position()
    await api.patch(f"{JOBS}/{name}", {"spec": {"batchInterval": "2s"}})
    new = f"{name}-{attempt + 1}-0"
    await audit.wait(position, lambda seen: new in running(seen), _WITHIN_S, f"the changed {name} runs")
    await audit.quiet(USER, _SETTLES_S, _WITHIN_S)
    seen = audit.since(position)
    mine = list(written(seen, USER))
    changed = next(r for r in seen if r.is_("patch", "streamjobs", "user"))
    return {
        "edit_s": running(seen)[new] - changed.received,
        "edit_writes_own": sum(_is_of(r, name) for r in mine),
        "edit_writes_others": sum(not _is_of(r, name) for r in mine),
    }


def _is_of(request: Request, job: str) -> bool:
    """Whether it is about the job, or about an object whose name begins with the job's: `job-1-0`, `job.1a2b`."""
    return request.name == job or request.name.startswith((f"{job}-", f"{job}."))


async def busy(audit: Audit, operator: Operator, seconds: float) -> Figures:
    """All jobs report a new batch whenever they are asked: what the operator writes of that, and uses."""
    position, cpu = audit.position(), operator.cpu_s()
    await asyncio.sleep(seconds)
    return {
        "busy_writes_per_s": sum(1 for _ in written(audit.since(position), USER)) / seconds,
        "busy_cpu_percent": 100 * (operator.cpu_s() - cpu) / seconds,
    }


async def settled(audit: Audit, user: str = USER) -> None:
    """Wait until the operator, or another user, has written nothing for a while."""
    await audit.quiet(user, _SETTLES_S, _WITHIN_S)


async def _pause(audit: Audit) -> None:
    """Let everybody finish what the last one has caused."""
    await asyncio.sleep(0.15)
    await audit.quiet(USER, 0.1, _WITHIN_S)


def _spread(times: list[float], prefix: str, unit: float) -> Figures:
    return {
        f"{prefix}_p50": unit * median(times),
        f"{prefix}_p95": unit * (quantiles(times, n=20)[-1] if len(times) > 1 else times[0]),
        f"{prefix}_max": unit * max(times),
    }
