"""Records of Kafka that no row can be made of are named by their offset."""

import pyarrow as pa
import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, Message

from streamjob_runtime.connectors.kafka.rows import KafkaRows
from streamjob_runtime.errors import JobError
from streamjob_runtime.formats.messages import TextMessages
from support.sources import TEXT

SCHEMA = pa.schema([*TEXT, pa.field("_timestamp", pa.timestamp("us"))])
ROWS = KafkaRows("k", TextMessages(), ("_timestamp",), SCHEMA)


def record(offset: int, ms: int) -> Message:
    return Message("t", 3, offset, b"", b"v", timestamp=(TIMESTAMP_CREATE_TIME, ms))


@pytest.mark.parametrize("ms", [10**16, -(10**16)])
def test_a_time_that_no_column_holds(ms: int) -> None:
    with pytest.raises(JobError, match=rf"offset 8 of partition 3 of the topic t .*its timestamp, {ms} ms.*_timestamp"):
        ROWS.table([record(7, 0), record(8, ms)])


def test_the_farthest_times_are_rows() -> None:
    farthest = (2**63 - 1) // 1000
    times = ROWS.table([record(0, farthest), record(1, -farthest)]).column("_timestamp").cast(pa.int64())
    assert times.to_pylist() == [farthest * 1000, -farthest * 1000]
