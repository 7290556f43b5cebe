"""Whatever processes, store and time do, the sinks hold what they hold when nothing happens.

A seed decides all of it. To see what one does: `SEED=123 pytest tests/simulation`.
"""

import datetime as dt
import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from streamjob_api.models import StreamJob
from streamjob_runtime.embedded import open as opened
from streamjob_runtime.plan import planner
from support.many_processes import CALM, Odds, Rows, World, held
from support.simulate import job_of

SEEDS = 12  # of each job

_HEAD = """\
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: led, namespace: tests}
spec:
  batchInterval: 1s
  checkpoint: {interval: 5s, retained: 2}
  sources:
  - name: a
    queue: {}
    schema: {k: VARCHAR, n: BIGINT, t: TIMESTAMP}
    watermark: {column: t, delay: 4s}
"""
_SECOND = """\
  - name: b
    queue: {}
    schema: {k: VARCHAR, n: BIGINT, t: TIMESTAMP}
    watermark: {column: t, delay: 4s}
"""
# name -> the manifest, and the keys of its sinks in update mode
JOBS: dict[str, tuple[str, Mapping[str, Sequence[str]]]] = {
    "changes": (
        _HEAD
        + """\
  pipeline:
  - {name: sums, sql: "SELECT k, sum(n) AS total FROM a GROUP BY k HAVING total % 3 = 1"}
  - {name: newest, sql: "SELECT k, n, t FROM a QUALIFY row_number() OVER (PARTITION BY k ORDER BY t DESC, n) = 1"}
  sinks:
  - {from: sums, mode: update, queue: {}}
  - {from: newest, mode: update, queue: {}}
""",
        {"sums.queue": ["k"], "newest.queue": ["k"]},
    ),
    "windows": (
        _HEAD
        + """\
  pipeline:
  - {name: small, sql: "SELECT k, window_start, sum(n) AS n FROM a GROUP BY k, tumble(t, INTERVAL '2 seconds')"}
  - {name: large, sql: "SELECT window_start, sum(n) AS n FROM small
       GROUP BY tumble(window_start, INTERVAL '4 seconds')"}
  - {name: sessions, sql: "SELECT k, window_start, window_end, count(*) AS c FROM a
       GROUP BY k, session(t, INTERVAL '2 seconds')"}
  sinks:
  - {from: large, mode: append, queue: {}}
  - {from: sessions, mode: append, queue: {}}
""",
        {},
    ),
    "joins": (
        _HEAD
        + _SECOND
        + """\
  pipeline:
  - name: pairs
    sql: |
      SELECT a.k, a.n, b.n AS m FROM a LEFT JOIN b
      ON a.k = b.k AND b.t BETWEEN a.t AND a.t + INTERVAL '3 seconds'
  sinks:
  - {from: pairs, mode: append, queue: {}}
""",
        {},
    ),
}


def script(two: bool) -> list[Rows]:
    """Rows of which none is late, and in the end some that end all windows and waits."""
    parts: list[Rows] = []
    for i in range(12):
        rows = [{"k": "xyz"[(i * 5 + j) % 3], "n": (i * 7 + j) % 5, "t": at(2 * i + (j * 3) % 4)} for j in range(i % 4)]
        others = [{"k": "xyz"[(i + j) % 3], "n": i, "t": at(2 * i + j)} for j in range((i + 1) % 3)]
        parts.append({"a": rows, "b": others} if two else {"a": rows})
    last = [{"k": "last", "n": 0, "t": at(1000)}]
    parts.append({"a": last, "b": [{**last[0], "k": "last of b"}]} if two else {"a": last})
    return parts


def at(second: int) -> dt.datetime:
    return dt.datetime(2026, 1, 1) + dt.timedelta(seconds=second)


@pytest.fixture(autouse=True)
def planned_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A manifest has one plan, which takes longer to make than a process lives here."""
    known: dict[int, Any] = {}
    plan = planner.plan

    def memo(spec: Any, schemas: Any) -> Any:
        if id(spec) not in known:
            known[id(spec)] = (spec, plan(spec, schemas))
        return known[id(spec)][1]

    monkeypatch.setattr(opened, "plan", memo)
    yield


@functools.cache
def _job(name: str) -> StreamJob:
    return job_of(JOBS[name][0])


def world_of(name: str, seed: int, odds: Odds) -> World:
    return World(_job(name), script(_SECOND in JOBS[name][0]), seed, odds)


@functools.cache
def calm(name: str) -> dict[str, Any]:
    world = world_of(name, 0, CALM)
    world.run()
    return held(world, JOBS[name][1])


@pytest.mark.parametrize("name", JOBS)
def test_the_sinks_hold_what_they_hold_when_nothing_happens(name: str) -> None:
    asked = os.environ.get("SEED")
    for seed in [int(asked)] if asked is not None else range(SEEDS):
        world = world_of(name, seed, Odds())
        with world.told():
            world.run()
            assert held(world, JOBS[name][1]) == calm(name)
