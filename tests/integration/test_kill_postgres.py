"""kill -9 of a runtime that writes to PostgreSQL, and of PostgreSQL itself: the tables equal those of a run without."""

import json
import os
import re
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from streamjob_runtime.engine.steps import Step
from support.postgres import PostgresServer
from support.runtime import Runtime, wait_for

FILES = 12
ROWS_A_FILE = 500

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
  - {{name: dear, sql: "SELECT id, kind, price FROM events WHERE price > 1"}}
  - name: totals
    sql: SELECT kind, id % 100 AS rest, count(*) AS n, sum(price) AS total FROM events GROUP BY kind, id % 100
  - {{name: best, sql: "SELECT * FROM totals ORDER BY total DESC, kind, rest LIMIT 10"}}
  sinks:
  - {{from: dear, mode: append, postgres: {{table: dear, dsnSecretRef: {{name: pg, key: dsn}}, create: true}}}}
  - from: totals
    mode: update
    postgres: {{table: totals, key: [kind, rest], dsnSecretRef: {{name: pg, key: dsn}}, create: true}}
  - {{from: best, mode: complete, postgres: {{table: best, dsnSecretRef: {{name: pg, key: dsn}}, create: true}}}}
  checkpoint: {{location: "{folder}/checkpoint", interval: 50ms, retained: 2}}
"""

Content = dict[str, list[tuple[Any, ...]]]


class World:
    """A job with its input, and the schema of a database that it writes to."""

    def __init__(self, folder: Path, server: PostgresServer) -> None:
        self.server = server
        self.dsn = server.create_schema()
        self.manifest = folder / "job.yaml"
        self.manifest.write_text(MANIFEST.format(folder=folder))
        (folder / "in").mkdir()
        for n in range(FILES):
            ids = range(n * ROWS_A_FILE, (n + 1) * ROWS_A_FILE)
            lines = [json.dumps({"id": i, "kind": "ab"[i % 2], "price": (i * 37 % 1000) / 100}) for i in ids]
            path = folder / "in" / f"{n:03d}.json"
            path.write_text("\n".join(lines))
            os.utime(path, (1_700_000_000 + n, 1_700_000_000 + n))

    def runtime(self, at: tuple[Step, int] | None = None, number: signal.Signals = signal.SIGKILL) -> Runtime:
        return Runtime(self.manifest, {"dsn": self.dsn}, at, number)

    def finish(self) -> None:
        runtime = self.runtime()
        assert runtime.wait() == 0, runtime.err

    def content(self) -> Content:
        """What is in the tables."""
        columns = {"dear": "id, kind, price", "totals": "kind, rest, n, total", "best": "kind, rest, n, total"}
        return {t: self.server.rows(f"SELECT {c} FROM {t} ORDER BY 1, 2, 3", self.dsn) for t, c in columns.items()}

    def markers(self) -> list[tuple[Any, ...]]:
        if self.server.rows("SELECT to_regclass('streamjob_markers')::text", self.dsn) == [(None,)]:
            return []
        return self.server.rows("SELECT sink, batch_id FROM streamjob_markers ORDER BY 1", self.dsn)

    def has(self, sink: str, batch_id: int) -> bool:
        return any(name == sink and newest >= batch_id for name, newest in self.markers())


@pytest.fixture(scope="module")
def expected(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Content:
    """What a run without faults writes."""
    there = World(tmp_path_factory.mktemp("expected"), postgres)
    there.finish()
    content = there.content()
    assert len(content["dear"]) == sum((i * 37 % 1000) / 100 > 1 for i in range(FILES * ROWS_A_FILE))
    assert [row[2] for row in content["totals"]] == [FILES * ROWS_A_FILE // 100] * 100
    assert there.markers() == [(sink, FILES - 1) for sink in ("best", "dear", "totals")]
    return content


@pytest.fixture
def there(tmp_path: Path, postgres: PostgresServer) -> World:
    return World(tmp_path, postgres)


KILLS = [
    (0, Step.FENCED),
    (0, Step.RECOVERED),
    (0, Step.INTENDED),
    (0, Step.WRITTEN),
    (1, Step.WRITTEN),
    (7, Step.POLLED),
    (7, Step.INTENDED),
    (7, Step.COMPUTED),
    (3 * 7, Step.WRITTEN),
    (3 * 7 + 1, Step.WRITTEN),
    (3 * 7 + 2, Step.WRITTEN),
    (7, Step.COMMITTED),
    (0, Step.UPLOADED),
    (1, Step.CHECKPOINTED),
    (0, Step.BOUNDED),
]


@pytest.mark.parametrize(("passes", "step"), KILLS, ids=lambda v: v.name if isinstance(v, Step) else str(v))
def test_a_kill_changes_nothing(there: World, expected: Content, step: Step, passes: int) -> None:
    killed = there.runtime((step, passes))
    assert killed.wait() == -signal.SIGKILL, killed.err
    there.finish()
    assert there.content() == expected


def test_kill_upon_kill_changes_nothing(there: World, expected: Content) -> None:
    for step, passes in [(Step.WRITTEN, 4), (Step.RECOVERED, 0), (Step.WRITTEN, 0), (Step.CHECKPOINTED, 0)]:
        killed = there.runtime((step, passes))
        assert killed.wait() == -signal.SIGKILL, killed.err
    there.finish()
    assert there.content() == expected


@pytest.mark.parametrize("at", [(Step.COMPUTED, 7), (Step.WRITTEN, 3 * 7)], ids=lambda at: at[0].name)
def test_a_frozen_runtime_that_wakes_after_its_replacement_writes_nothing(
    there: World, expected: Content, at: tuple[Step, int]
) -> None:
    frozen = there.runtime(at, signal.SIGSTOP)
    try:
        frozen.wait_until_stopped()
        there.finish()
        assert there.content() == expected
        before = there.server.rows("SELECT xmin::text, * FROM streamjob_markers ORDER BY 2, 3", there.dsn)
        frozen.send(signal.SIGCONT)
        assert frozen.wait() == 75, frozen.err
        assert json.loads(frozen.termination.read_text())["reason"] == "Fenced"
        assert there.server.rows("SELECT xmin::text, * FROM streamjob_markers ORDER BY 2, 3", there.dsn) == before
        assert there.content() == expected
        assert there.server.password not in frozen.err
    finally:
        frozen.end()


@pytest.mark.parametrize("fault", ["killed", "restarted", "frozen"])
def test_a_database_that_fails_in_the_middle_of_a_batch(
    tmp_path: Path, own_postgres: PostgresServer, expected: Content, fault: str
) -> None:
    there = World(tmp_path, own_postgres)
    # So slow that the fault hits a transaction with rows in it.
    there.server.do("CREATE TABLE dear (id bigint, kind text, price numeric(12,2))", there.dsn)
    there.server.do(
        "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END';"
        "CREATE TRIGGER slowly AFTER INSERT ON dear FOR EACH STATEMENT EXECUTE FUNCTION slowly()",
        there.dsn,
    )
    runtime = there.runtime()
    try:
        for batch_id in (1, 4):
            wait_for(partial(there.has, "dear", batch_id))
            wait_for(lambda: bool(own_postgres.rows("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'COPY%'")))
            if fault == "killed":
                own_postgres.kill()
                own_postgres.start()
            elif fault == "restarted":
                own_postgres.stop()
                own_postgres.start()
            else:
                with own_postgres.frozen():
                    assert not runtime.ended
        assert runtime.wait() == 0, runtime.err
        assert there.content() == expected
        assert own_postgres.password not in runtime.err
        if fault != "frozen":
            assert re.search(r"waiting for a system outside .*dear\.postgres", runtime.err), runtime.err
            assert "the system outside answers again" in runtime.err
    finally:
        runtime.end()


def test_a_database_that_is_away_at_the_start_is_waited_for(
    tmp_path: Path, own_postgres: PostgresServer, expected: Content
) -> None:
    there = World(tmp_path, own_postgres)
    own_postgres.stop()
    runtime = there.runtime()
    try:
        own_postgres.start()
        assert runtime.wait() == 0, runtime.err
        assert there.content() == expected
    finally:
        runtime.end()


def test_a_table_that_does_not_fit_stops_the_start_and_the_check(there: World) -> None:
    there.server.do("CREATE TABLE totals (kind text, rest bigint, n bigint, total numeric)", there.dsn)
    runtime = there.runtime()
    assert runtime.wait() == 78
    assert "no unique index on just the key (kind, rest)" in runtime.err
    assert there.server.password not in runtime.err + runtime.termination.read_text()
