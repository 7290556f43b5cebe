"""Records of Kafka that no row can be made of are named by their offset."""

from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, Message

from streamjob_runtime.connectors.kafka.rows import KafkaRows
from streamjob_runtime.errors import JobError
from streamjob_runtime.formats.columns import Columns
from streamjob_runtime.formats.messages import TextMessages, make_message_decoder
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


JSON_COLUMNS: list[tuple[str, Any]] = [("amount", pa.int64()), ("note", pa.string())]
JSON = pa.schema(JSON_COLUMNS)


def json_rows(*required: str) -> KafkaRows:
    return KafkaRows("k", make_message_decoder("json", JSON), (), JSON, Columns(JSON.names, required))


def test_a_column_that_no_record_has_is_told_with_what_is_there() -> None:
    rows = json_rows()
    rows.table([Message("t", 0, 0, b"", b'{"amnt": 1}'), Message("t", 0, 1, b"", None)])
    found = {missing.column: (set(missing.there), missing.similar) for missing in rows.columns.missing()}
    assert found == {"amount": ({"amnt"}, "amnt"), "note": ({"amnt"}, "")}
    rows.table([Message("t", 0, 2, b"", b'{"amnt": 1}')])
    assert rows.columns.missing() == []
    deleted = json_rows()
    deleted.table([Message("t", 0, 0, b"", None)])
    assert deleted.columns.missing() == []


def test_a_record_without_a_required_value_is_named_by_its_offset() -> None:
    messages = [Message("t", 3, 7, b"", b'{"amount": 1}'), Message("t", 3, 8, b"", b'{"amnt": 1}')]
    with pytest.raises(JobError, match=r'offset 8 of partition 3 .*it has no "amount", which is required.*amnt'):
        json_rows("amount").table(messages)
    assert json_rows("amount").table(messages[:1]).num_rows == 1
