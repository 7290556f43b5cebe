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
  - {{name: low, sql: "SELECT kind, rest, total FROM cheap ORDER BY total, kind, rest LIMIT 20"}}
  - name: dear
    sql: |
      SELECT kind, id AS rest, price AS total FROM events
      QUALIFY row_number() OVER (PARTITION BY kind, id % 10 ORDER BY price DESC, id) <= 3
  sinks:
{sinks}
  checkpoint: {{location: "{folder}/checkpoint", interval: 50ms, retained: 2}}
"""
STEPS = ("cheap", "low", "dear")
SINKS = """\
  - {{from: {step}, mode: update, postgres: {{table: {step}, key: [kind, rest], {dsn}}}}}
  - {{from: {step}, mode: complete, postgres: {{table: {step}_whole, {dsn}}}}}
  - {{from: {step}, mode: update, delta: {{path: "{folder}/{step}", key: [kind, rest]}}}}"""
# Each batch passes WRITTEN nine times.
KILLS = [
    [(Step.COMPUTED, 7)],
    [(Step.WRITTEN, 9 * 7)],
    [(Step.WRITTEN, 9 * 7 + 5)],
    [(Step.COMMITTED, 7)],
    [(Step.CHECKPOINTED, 1)],
    [(Step.WRITTEN, 4), (Step.RECOVERED, 0), (Step.WRITTEN, 0), (Step.CHECKPOINTED, 0)],
]

Content = dict[str, list[tuple[Any, ...]]]


class World(killed.World):
    """A job with its input, and the tables that it writes."""

    def __init__(self, folder: Path, server: PostgresServer) -> None:
        self.folder = folder
        self.server = server
        self.dsn = server.create_schema()
        super().__init__(folder / "job.yaml", {"dsn": self.dsn})
        dsn = "dsnSecretRef: {name: pg, key: dsn}, create: true"
        sinks = "\n".join(SINKS.format(step=step, folder=folder, dsn=dsn) for step in STEPS)
        self.manifest.write_text(MANIFEST.format(folder=folder, sinks=sinks))
        killed.write_events(folder / "in", 300)

    def table(self, name: str) -> list[tuple[Any, ...]]:
        """What is in a table of PostgreSQL."""
        return self.server.rows(f"SELECT kind, rest, total FROM {name} ORDER BY 1, 2", self.dsn)

    def content(self) -> Content:
        """The results; each is equal wherever it is written."""
        found = {}
        for step in STEPS:
            found[step] = self.table(f"{step}_whole")
            assert self.table(step) == found[step]
            delta = DeltaFolder(str(self.folder / step), Connections(None, Secrets(None, {})))
            assert delta.rows() == sorted(found[step], key=repr)
        return found


@pytest.fixture(scope="module")
def expected(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Content:
    """What a run without faults writes."""
    there = World(tmp_path_factory.mktemp("expected"), postgres)
    there.finish()
    content = there.content()
    assert 50 < len(content["cheap"]) < 150
    assert (len(content["low"]), len(content["dear"])) == (20, 30)
    return content


@pytest.mark.parametrize("kills", KILLS, ids=lambda kills: " ".join(step.name for step, _ in kills))
def test_a_kill_changes_nothing(
    tmp_path: Path, postgres: PostgresServer, expected: Content, kills: list[tuple[Step, int]]
) -> None:
    there = World(tmp_path, postgres)
    there.kill(*kills)
    there.finish()
    assert there.content() == expected
