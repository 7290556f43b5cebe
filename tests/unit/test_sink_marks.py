"""The marks by which a sink knows its own batches lie outside the checkpoint, in systems that a release leaves behind.

So their form is fixed for good: a version that looked for another one would write a batch twice after the upgrade.
"""

from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, Transaction, write_deltalake

from streamjob_runtime.connectors.delta.place import place_of
from streamjob_runtime.connectors.kafka.marker import _epoch_in
from streamjob_runtime.connectors.postgres.marker import ddl
from streamjob_runtime.connectors.sink import SinkBatch, Writer
from streamjob_runtime.stores.connections import Connections, Secrets
from support.delta import JOB, WORDS, DeltaFolder

APPLICATION = "streamjob/00000000feedface/views"
ROWS = pa.Table.from_pylist([{"word": "a", "n": 1}], WORDS)


def batch(batch_id: int, epoch: int) -> SinkBatch:
    return SinkBatch(batch_id, 0, ROWS, "append", Writer(JOB, epoch, lambda: None), again=True)


def test_of_a_delta_table(tmp_path: Path) -> None:
    folder = DeltaFolder(str(tmp_path / "table"), Connections(None, Secrets(None, {})))
    marks = [Transaction(f"{APPLICATION}/epoch", 3), Transaction(APPLICATION, 5)]
    url = place_of(folder.location, folder.connections).url
    write_deltalake(url, ROWS, commit_properties=CommitProperties(app_transactions=marks))
    sink = folder.opened(epoch=4)
    sink.write(batch(5, 4))
    assert folder.rows() == [("a", 1)]
    sink.write(batch(6, 4))
    assert folder.rows() == [("a", 1), ("a", 1)]
    table = folder.table()
    assert [table.transaction_version(name) for name in (APPLICATION, f"{APPLICATION}/epoch")] == [6, 4]
    folder.close()


def test_of_a_kafka_topic() -> None:
    assert _epoch_in('{"epoch": 3}') == 3


def test_of_a_postgres_schema() -> None:
    assert ddl("public").as_string(None) == (
        'CREATE TABLE IF NOT EXISTS "public"."streamjob_markers" (job_id text NOT NULL, sink text NOT NULL, '
        "batch_id bigint NOT NULL, epoch bigint NOT NULL, written timestamptz NOT NULL DEFAULT now(), "
        "PRIMARY KEY (job_id, sink))"
    )
