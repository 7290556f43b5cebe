"""kill -9 of a runtime that writes to PostgreSQL, and of PostgreSQL itself: the tables equal those of a run without."""

import re
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from streamjob_runtime.engine.steps import Step
from support import killed
from support.postgres import PostgresServer
from support.runtime import wait_for

ROWS_A_FILE = 500
_DSN = "dsnSecretRef: {name: pg, key: dsn}, create: true"
SINKS = f"""\
  - {{from: dear, mode: append, postgres: {{table: dear, {_DSN}}}}}
  - {{from: totals, mode: update, postgres: {{table: totals, key: [kind, rest], {_DSN}}}}}
  - {{from: best, mode: complete, postgres: {{table: best, {_DSN}}}}}"""

Content = dict[str, list[tuple[Any, ...]]]


class World(killed.World):
    """A job with its input, and the schema of a database that it writes to."""

    def __init__(self, folder: Path, server: PostgresServer) -> None:
        self.server = server
        self.dsn = server.create_schema()
        super().__init__(folder / "job.yaml", {"dsn": self.dsn})
        self.manifest.write_text(killed.MANIFEST.format(folder=folder, sinks=SINKS))
        killed.write_events(folder / "in", ROWS_A_FILE)

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
    assert len(content["dear"]) == sum(killed.price(i) > 1 for i in range(killed.FILES * ROWS_A_FILE))
    assert [row[2] for row in content["totals"]] == [killed.FILES * ROWS_A_FILE // 100] * 100
    assert there.markers() == [(sink, killed.FILES - 1) for sink in ("best", "dear", "totals")]
    return content


@pytest.fixture
def there(tmp_path: Path, postgres: PostgresServer) -> World:
    return World(tmp_path, postgres)


@pytest.mark.parametrize(("passes", "step"), killed.KILLS, ids=lambda v: v.name if isinstance(v, Step) else str(v))
def test_a_kill_changes_nothing(there: World, expected: Content, step: Step, passes: int) -> None:
    there.kill((step, passes))
    there.finish()
    assert there.content() == expected


def test_kill_upon_kill_changes_nothing(there: World, expected: Content) -> None:
    there.kill((Step.WRITTEN, 4), (Step.RECOVERED, 0), (Step.WRITTEN, 0), (Step.CHECKPOINTED, 0))
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
        killed.wake(frozen)
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
