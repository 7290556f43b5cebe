"""kill -9 of a runtime whose rows come and go: PostgreSQL and Delta tables in update mode hold the complete result."""

from pathlib import Path
from typing import Any

import pytest

from streamjob_runtime.engine.steps import Step
from streamjob_runtime.stores.connections import Connections, Secrets
from support import killed
from support.delta import DeltaFolder
from support.postgres import PostgresServer

MANIFEST = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: killed}}
spec:
  batchInterval: 10ms
  trigger: availableNow
  sources:
  - name: events
    files: {{path: "{folder}/in/", maxFilesPerBatch: 1}}
    format: json
    schema: {{id: BIGINT, kind: VARCHAR, price: "DECIMAL(12, 2)"}}
  pipeline:
  - name: cheap
    sql: SELECT kind, id % 97 AS rest, sum(price) AS total FROM events GROUP BY kind, rest HAVING total % 2 < 1
  sinks:
  - {{from: cheap, mode: update, postgres: {{table: changed, key: [kind, rest], {dsn}}}}}
  - {{from: cheap, mode: complete, postgres: {{table: whole, {dsn}}}}}
  - {{from: cheap, mode: update, delta: {{path: "{folder}/changed", key: [kind, rest]}}}}
  checkpoint: {{location: "{folder}/checkpoint", interval: 50ms, retained: 2}}
"""
# Each batch passes WRITTEN three times.
KILLS = [
    [(Step.COMPUTED, 7)],
    [(Step.WRITTEN, 3 * 7)],
    [(Step.WRITTEN, 3 * 7 + 2)],
    [(Step.COMMITTED, 7)],
    [(Step.CHECKPOINTED, 1)],
    [(Step.WRITTEN, 4), (Step.RECOVERED, 0), (Step.WRITTEN, 0), (Step.CHECKPOINTED, 0)],
]

Rows = list[tuple[Any, ...]]


class World(killed.World):
    """A job with its input, and the tables that it writes."""

    def __init__(self, folder: Path, server: PostgresServer) -> None:
        self.server = server
        self.dsn = server.create_schema()
        self.delta = DeltaFolder(str(folder / "changed"), Connections(None, Secrets(None, {})))
        super().__init__(folder / "job.yaml", {"dsn": self.dsn})
        dsn = "dsnSecretRef: {name: pg, key: dsn}, create: true"
        self.manifest.write_text(MANIFEST.format(folder=folder, dsn=dsn))
        killed.write_events(folder / "in", 300)

    def table(self, name: str) -> Rows:
        """What is in a table of PostgreSQL."""
        return self.server.rows(f"SELECT kind, rest, total FROM {name} ORDER BY 1, 2", self.dsn)

    def content(self) -> Rows:
        """The result; equal wherever it is written."""
        whole = self.table("whole")
        assert self.table("changed") == whole
        assert self.delta.rows() == sorted(whole, key=repr)
        return whole


@pytest.fixture(scope="module")
def expected(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """What a run without faults writes."""
    there = World(tmp_path_factory.mktemp("expected"), postgres)
    there.finish()
    content = there.content()
    assert 50 < len(content) < 150
    return content


@pytest.mark.parametrize("kills", KILLS, ids=lambda kills: " ".join(step.name for step, _ in kills))
def test_a_kill_changes_nothing(
    tmp_path: Path, postgres: PostgresServer, expected: Rows, kills: list[tuple[Step, int]]
) -> None:
    there = World(tmp_path, postgres)
    there.kill(*kills)
    there.finish()
    assert there.content() == expected
