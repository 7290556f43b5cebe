"""kill -9 of a runtime that writes Delta tables, and of their store: the tables equal those of a run without faults."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from streamjob_runtime.engine.steps import Step
from streamjob_runtime.stores.connections import Connections, Secrets
from support import killed
from support.delta import DeltaFolder
from support.minio import MinioServer
from support.proxy import proxy
from support.runtime import Runtime, wait_for

ROWS_A_FILE = 200
SINKS = """\
  - {{from: dear, mode: append, delta: {{path: "{out}/dear", partitionBy: [kind]}}}}
  - {{from: totals, mode: update, delta: {{path: "{out}/totals", key: [kind, rest]}}}}
  - {{from: best, mode: complete, delta: {{path: "{out}/best"}}}}"""

Content = dict[str, list[tuple[Any, ...]]]


class World(killed.World):
    """A job with its input, and the folder with the tables that it writes: a local one, or in the store of `server`."""

    def __init__(self, folder: Path, server: MinioServer | None) -> None:
        super().__init__(folder / "job.yaml", server.environ if server else {})
        self.folder = folder
        self.server = server
        self.out = f"s3://{server.create_bucket()}/out" if server else str(folder / "out")
        self.write_manifest(server.url if server else None)
        killed.write_events(folder / "in", ROWS_A_FILE)

    def write_manifest(self, endpoint: str | None) -> None:
        text = killed.MANIFEST.format(folder=self.folder, sinks=SINKS.format(out=self.out))
        self.manifest.write_text(text + (f"  s3: {{endpoint: {endpoint}}}\n" if endpoint else ""))

    def folder_of(self, table: str) -> DeltaFolder:
        connections = self.server.connections if self.server else Connections(None, Secrets(None, {}))
        return DeltaFolder(f"{self.out}/{table}", connections)

    def content(self) -> Content:
        """What is in the tables."""
        return {name: self.folder_of(name).rows() for name in ("dear", "totals", "best")}

    def versions(self) -> dict[str, int]:
        return {name: self.folder_of(name).version for name in ("dear", "totals", "best")}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Content:
    """What a run without faults writes."""
    there = World(tmp_path_factory.mktemp("expected"), None)
    there.finish()
    content = there.content()
    assert len(content["dear"]) == sum(killed.price(i) > 1 for i in range(killed.FILES * ROWS_A_FILE))
    assert [row[2] for row in content["totals"]] == [killed.FILES * ROWS_A_FILE // 100] * 100
    # The table, the commit that names the start, and one for each batch.
    assert there.versions() == dict.fromkeys(("dear", "totals", "best"), 1 + killed.FILES)
    return content


@pytest.mark.parametrize(("passes", "step"), killed.KILLS, ids=lambda v: v.name if isinstance(v, Step) else str(v))
def test_a_kill_changes_nothing(tmp_path: Path, expected: Content, step: Step, passes: int) -> None:
    there = World(tmp_path, None)
    there.kill((step, passes))
    there.finish()
    assert there.content() == expected


def test_kill_upon_kill_changes_nothing_in_s3(tmp_path: Path, minio: MinioServer, expected: Content) -> None:
    there = World(tmp_path, minio)
    there.kill((Step.WRITTEN, 4), (Step.RECOVERED, 0), (Step.WRITTEN, 0), (Step.CHECKPOINTED, 0), (Step.WRITTEN, 3))
    there.finish()
    assert there.content() == expected


def test_a_kill_at_any_moment_changes_nothing(tmp_path: Path, expected: Content) -> None:
    """Wherever it is: between the files of a commit and the commit, too."""
    there = World(tmp_path, None)
    files = 0
    for wanted in range(3, 24, 4):
        runtime = there.runtime()
        wait_for(lambda: runtime.ended or len(list((tmp_path / "out").glob("*/**/*.parquet"))) >= files + wanted)  # noqa: B023
        runtime.send(signal.SIGKILL)
        runtime.wait()
        files = len(list((tmp_path / "out").glob("*/**/*.parquet")))
    there.finish()
    assert there.content() == expected


@pytest.mark.parametrize("at", [(Step.COMPUTED, 7), (Step.WRITTEN, 3 * 7)], ids=lambda at: at[0].name)
def test_a_frozen_runtime_that_wakes_after_its_replacement_writes_nothing(
    tmp_path: Path, expected: Content, at: tuple[Step, int]
) -> None:
    there = World(tmp_path, None)
    frozen = there.runtime(at, signal.SIGSTOP)
    try:
        frozen.wait_until_stopped()
        there.finish()
        _is_put_out(there, frozen, expected)
    finally:
        frozen.end()


@pytest.mark.parametrize("table", ["dear", "totals", "best"])
def test_a_runtime_that_was_frozen_in_a_commit_writes_nothing(
    tmp_path: Path, minio: MinioServer, expected: Content, table: str
) -> None:
    there = World(tmp_path, minio)
    arrived, released = threading.Event(), threading.Event()

    def gate(method: str, path: str) -> None:
        # Version 0 makes the table, 1 names the start, 2 is batch 0: this is batch 5.
        if method == "PUT" and f"/{table}/_delta_log/00000000000000000007.json" in path:
            arrived.set()
            released.wait(60)

    with proxy(minio.port) as between:
        between.gate = gate
        there.write_manifest(between.url)
        frozen = there.runtime()
        try:
            assert arrived.wait(60)
            frozen.send(signal.SIGSTOP)
            there.write_manifest(minio.url)
            there.finish()
            released.set()  # its request goes on to the store, which has the replacement's commits by now
            _is_put_out(there, frozen, expected)
        finally:
            released.set()
            frozen.end()


def _is_put_out(there: World, frozen: Runtime, expected: Content) -> None:
    assert there.content() == expected
    before = there.versions()
    killed.wake(frozen)
    assert (there.content(), there.versions()) == (expected, before)
    if there.server:
        assert there.server.secret_key not in frozen.err


def test_a_store_that_is_killed_in_the_middle_is_waited_for(
    tmp_path: Path, own_minio: MinioServer, expected: Content
) -> None:
    there = World(tmp_path, own_minio)
    runtime = there.runtime()
    try:
        for version in (3, 7):
            wait_for(_reached(there, version))
            own_minio.kill()
            own_minio.start()
        assert runtime.wait() == 0, runtime.err
        assert there.content() == expected
        assert own_minio.secret_key not in runtime.err
    finally:
        runtime.end()


def _reached(there: World, version: int) -> Callable[[], bool]:
    def reached() -> bool:
        place = there.folder_of("dear").place
        return DeltaTable.is_deltatable(place.url, dict(place.options)) and there.folder_of("dear").version >= version

    return reached


def test_a_table_that_does_not_fit_stops_the_start(tmp_path: Path) -> None:
    there = World(tmp_path, None)
    there.folder_of("totals").opened(schema=pa.schema({"kind": pa.string()}))
    runtime = there.runtime()
    assert runtime.wait() == 78
    assert 'it has no column "rest", only kind' in runtime.err
