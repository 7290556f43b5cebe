"""A thousand runs of several processes: log, recovery, checkpoints and sinks, with an engine that costs nothing.

What the engine that users run does in such runs: `test_many_processes.py`. To see what one seed does:
`SEED=123 pytest tests/simulation/test_thousand_seeds.py`.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from streamjob_runtime.engine import build
from support.many_processes import CALM, Rows, World, held
from support.model_query import ModelQuery
from support.simulate import job_of

SEEDS = 1000
JOB = """\
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
    watermark: {column: t, delay: 2s}
  sinks:
  - {from: a, mode: append, queue: {}}
  - {from: a, mode: update, queue: {}}
  - {from: a, mode: append, queue: {}}
"""
SCRIPT: list[Rows] = [
    {"a": [{"k": "xyz"[(i * 5 + j) % 3], "n": (i * 7 + j) % 5, "t": 1000 * (2 * i + j % 3)} for j in range(i % 4)]}
    for i in range(12)
]
SCRIPT.append({"a": [{"k": "last", "n": 1, "t": 1_000_000}]})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The engine of the model, and no proof of the store by sixteen threads."""

    def made(*_: Any, **__: Any) -> ModelQuery:
        return ModelQuery()

    monkeypatch.setattr(build, "open_query", made)
    monkeypatch.setattr(build, "prove_atomic_create", lambda *_: None)
    yield


def test_the_sinks_hold_what_they_hold_when_nothing_happens() -> None:
    asked = os.environ.get("SEED")
    keys = {"a.queue.2": ["k"]}
    calm = World(job_of(JOB), SCRIPT, 0, CALM)
    calm.run()
    expected = held(calm, keys)
    assert all(expected.values())
    job = job_of(JOB)
    happened = 0
    for seed in [int(asked)] if asked is not None else range(SEEDS):
        world = World(job, SCRIPT, seed)
        with world.told():
            world.run()
            assert held(world, keys) == expected
        happened += len(world.happened)
    assert asked is not None or happened > SEEDS, "seeds in which something happens"
