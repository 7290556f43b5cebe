"""Records of Kafka to rows: the columns of their values, and those of what stands around them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from streamjob_runtime.connectors.kafka.messages import offset as offset_of
from streamjob_runtime.connectors.shared.bad_records import BadRecords
from streamjob_runtime.errors import JobError
from streamjob_runtime.excerpts import Words
from streamjob_runtime.formats.base import BadRecord
from streamjob_runtime.formats.columns import Columns
from streamjob_runtime.formats.lines import excerpt
from streamjob_runtime.formats.messages import MessageDecoder, texts
from streamjob_runtime.formats.sifted import Bad, with_all

_HEADERS = pa.list_(pa.struct([pa.field("key", pa.string()), pa.field("value", pa.binary())]))

_FARTHEST_MS = (2**63 - 1) // 1000  # columns count microseconds


class KafkaRows:
    """Makes rows in the columns of `schema`: those of the decoder, then `metadata`."""

    def __init__(
        self,
        name: str,
        decoder: MessageDecoder,
        metadata: Sequence[str],
        schema: pa.Schema,
        columns: Columns | None = None,
        bad_records: BadRecords | None = None,
    ) -> None:
        self._name = name
        self._bad_records = bad_records or BadRecords()
        self._bad: dict[tuple[str, int], Bad] = {}  # by partition and offset, of what was made rows of
        self.columns = columns or Columns(n for n in schema.names if n not in metadata)
        self._misfits = with_all((self.columns.lacking, self._bad_records.misfits))
        self._decoder = decoder
        self._metadata = metadata
        self._schema = schema

    @property
    def none(self) -> pa.Table:
        """No rows."""
        return self._schema.empty_table()

    def table(self, messages: Sequence[Message]) -> pa.Table:
        """A row a record. Raises `JobError` for one that cannot be decoded, unless such are put aside."""
        if self._bad_records.lenient:
            return self._sift(messages)
        try:
            values = [message.value() for message in messages]
            rows = self._decoder.decode(values)
            self.columns.look(
                rows, lambda: self._decoder.names(values), lambda row: (row, excerpt(_bytes(values[row]) or b""))
            )
            for name in self._metadata:
                rows = rows.append_column(name, _column(name, messages))
        except BadRecord as bad:
            record = messages[bad.record]
            remedy = bad.remedy or "Declare the column VARCHAR, take format text or raw, or write another onBadRecord"
            raise JobError(
                f'Source "{self._name}": the record at offset {record.offset()} of partition {record.partition()} of '
                f"the topic {record.topic()} cannot be decoded: ",
                bad.reason,
                ".",
                bad.begins(quoted=True),
                f" {remedy}, and start the job again: it goes on with this batch.",
            ) from None
        return rows.cast(self._schema)

    def hand_over(self, ranges: Mapping[str, tuple[int, int]]) -> None:
        """Give the bad records of the ranges, which were read, to `BadRecords`, by partition and offset."""
        for (partition, offset), bad in sorted(self._bad.items()):
            start, end = ranges.get(partition, (0, 0))
            if start <= offset < end:
                self._bad_records.put(partition, [bad], lambda each: each.record)
        self._bad.clear()

    def _sift(self, messages: Sequence[Message]) -> pa.Table:
        """The rows of the good records; the bad ones are noted."""
        values = [_bytes(message.value()) for message in messages]
        rows, wrong = self._decoder.sift(values)
        good = [i for i in range(len(messages)) if i not in wrong]
        columns = {name: self._sift_column(name, [messages[i] for i in good]) for name in self._metadata}
        unfit = {row: reason for _, found in columns.values() for row, reason in found.items()}
        for name, (column, _) in columns.items():
            rows = rows.append_column(name, column)
        rows = rows.cast(self._schema)
        unfit = {**self._misfits(rows), **unfit}
        if unfit:
            rows = rows.take(pa.array([row for row in range(rows.num_rows) if row not in unfit], pa.int64()))
        self.columns.look(rows, lambda: self._decoder.names(values), lambda row: (row, ""))
        for i, reason in {**wrong, **{good[row]: reason for row, reason in unfit.items()}}.items():
            message = messages[i]
            at = offset_of(message)
            self._bad[f"{message.topic()}/{message.partition()}", at] = Bad(at, at, reason, values[i])
        return rows

    def _sift_column(self, name: str, messages: Sequence[Message]) -> tuple[Any, dict[int, Words]]:
        """A column of metadata, NULL where a record's is bad, and why it is."""
        try:
            return _column(name, messages), {}
        except BadRecord:
            pass
        wrong: dict[int, Words] = {}
        parts: list[Any] = []
        for i, message in enumerate(messages):
            try:
                parts.append(_column(name, [message]))
            except BadRecord as bad:
                wrong[i] = bad.reason
                parts.append(pa.chunked_array([pa.nulls(1, self._schema.field(name).type)]))
        kind = self._schema.field(name).type
        return pa.chunked_array([chunk.cast(kind) for part in parts for chunk in part.chunks], kind), wrong


def _column(name: str, messages: Sequence[Message]) -> "pa.ChunkedArray[Any]":
    array: Any
    match name:
        case "_key":
            return texts([_bytes(m.key()) for m in messages], "take _raw_key in place of _key")
        case "_raw_key":
            array = pa.array([_bytes(m.key()) for m in messages], pa.binary())
        case "_headers":
            array = pa.array([_headers(m, i) for i, m in enumerate(messages)], _HEADERS)
        case "_topic":
            array = pa.array([m.topic() for m in messages], pa.string())
        case "_partition":
            array = pa.array([m.partition() for m in messages], pa.int32())
        case "_offset":
            array = pa.array([m.offset() for m in messages], pa.int64())
        case _:
            array = pa.array(_times(messages), pa.timestamp("ms"))
    return pa.chunked_array([array])


def _times(messages: Sequence[Message]) -> list[int | None]:
    """Milliseconds since the epoch, UTC. Raises `BadRecord` for what no column can hold: any number may stand there."""
    stamps = [m.timestamp() for m in messages]
    times = [None if kind == TIMESTAMP_NOT_AVAILABLE else ms for kind, ms in stamps]
    for i, ms in enumerate(times):
        if ms is not None and abs(ms) > _FARTHEST_MS:
            reason = f"its timestamp, {ms} ms, is further from 1970 than a TIMESTAMP reaches"
            raise BadRecord(reason, i, excerpt(_bytes(messages[i].value()) or b""), "Leave _timestamp out of metadata")
    return times


def _headers(message: Message, index: int) -> list[dict[str, Any]]:
    try:
        headers: Any = message.headers() or ()
    except (SystemError, UnicodeDecodeError):  # the library's way to say so: others may write any bytes there
        start = excerpt(_bytes(message.value()) or b"")
        raise BadRecord("the name of a header is not UTF-8", index, start, "Leave _headers out of metadata") from None
    return [{"key": name, "value": _bytes(value)} for name, value in headers]


def _bytes(value: Any) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
