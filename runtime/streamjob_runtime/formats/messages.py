"""Messages to rows: each is a record of its own, as systems give it that do not know of lines."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import pyarrow as pa

from streamjob_runtime.formats.base import BadRecord, Decoder
from streamjob_runtime.formats.lines import excerpt
from streamjob_runtime.formats.open import make_decoder

_MOST_BYTES = 256 << 20  # that are decoded at once
_NAMED = 1000  # messages whose names are looked at


class MessageDecoder(Protocol):
    """Messages to rows."""

    def decode(self, messages: Sequence[bytes | None]) -> pa.Table:
        """A row a message; one that is None has NULL in every column. Raises `BadRecord` with the message's number."""
        ...

    def names(self, messages: Sequence[bytes | None]) -> Iterable[str] | None:
        """The names that the first messages have for their values; None: they have none."""
        ...


def make_message_decoder(name: str, schema: pa.Schema, escape: str = '"') -> MessageDecoder:
    """A decoder of text, raw, json or csv that gives the columns of `schema`, as `wire_schema` leaves them.

    `escape`: see `make_decoder`.
    """
    if name == "text":
        return TextMessages()
    if name == "raw":
        return RawMessages()
    return LineMessages(make_decoder(name, schema, header=False, escape=escape), schema, json=name == "json")


class RawMessages:
    """The bytes of a message are the column `value`."""

    def decode(self, messages: Sequence[bytes | None]) -> pa.Table:
        """See `MessageDecoder`."""
        return pa.table({"value": pa.chunked_array([pa.array(messages, pa.binary())])})

    def names(self, messages: Sequence[bytes | None]) -> None:
        """See `MessageDecoder`."""


class TextMessages:
    """The text of a message, which must be UTF-8, is the column `value`; a newline within it stays."""

    def decode(self, messages: Sequence[bytes | None]) -> pa.Table:
        """See `MessageDecoder`."""
        return pa.table({"value": texts(messages, "use format raw")})

    def names(self, messages: Sequence[bytes | None]) -> None:
        """See `MessageDecoder`."""


def texts(values: Sequence[bytes | None], remedy: str) -> "pa.ChunkedArray[Any]":
    """The values as text. Raises `BadRecord` for the first that is not UTF-8."""
    column = pa.chunked_array([pa.array(values, pa.binary())])
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        for i, value in enumerate(values):
            try:
                (value or b"").decode()
            except UnicodeDecodeError:
                raise BadRecord(f"it is not UTF-8; {remedy}", i, excerpt(value or b"")) from None
        raise


class LineMessages:
    """Messages that are each what elsewhere is a line: decoded all at once, with newlines put between them."""

    def __init__(self, lines: Decoder, schema: pa.Schema, json: bool) -> None:
        self._lines = lines
        self._schema = schema
        self._json = json

    def decode(self, messages: Sequence[bytes | None]) -> pa.Table:
        """See `MessageDecoder`."""
        present = [message for message in messages if message is not None]
        if len(present) == len(messages):
            return self._decode(present, 0)
        rows = self._decode(present, 0, [i for i, message in enumerate(messages) if message is not None])
        places = iter(range(len(present)))
        return rows.take(pa.array([None if message is None else next(places) for message in messages], pa.int64()))

    def names(self, messages: Sequence[bytes | None]) -> Iterable[str] | None:
        """See `MessageDecoder`."""
        first = [message.replace(b"\n", b" ") for message in messages[:_NAMED] if message is not None]
        return self._lines.names(b"\n".join(first))

    def _decode(self, messages: Sequence[bytes], first: int, numbers: Sequence[int] | None = None) -> pa.Table:
        if not messages:
            return self._schema.empty_table()
        if len(messages) > 1 and sum(map(len, messages)) > _MOST_BYTES:
            half = len(messages) // 2
            return pa.concat_tables(
                [self._decode(messages[:half], first, numbers), self._decode(messages[half:], first + half, numbers)]
            )
        data = b"\n".join(messages)
        if not self._json and b"\r" in data and (b'"' in data or any(b"\r" in message[:-1] for message in messages)):
            # It ends a line too. As many rows as messages are then no sign that each is one: another may be empty.
            return self._one_by_one(messages, first, numbers)
        if data.count(b"\n") >= len(messages):
            if not self._json:
                return self._one_by_one(messages, first, numbers)
            # Between the parts of a JSON text a newline is white space, and within a string it cannot stand.
            messages = [message.replace(b"\n", b" ") for message in messages]
            data = b"\n".join(messages)
        try:
            rows = self._lines.decode(data)
        except BadRecord:
            return self._one_by_one(messages, first, numbers)
        return rows if rows.num_rows == len(messages) else self._one_by_one(messages, first, numbers)

    def _one_by_one(self, messages: Sequence[bytes], first: int, numbers: Sequence[int] | None) -> pa.Table:
        """Slow, and able to say which message is wrong."""
        tables = []
        for i, message in enumerate(messages, first):
            number = numbers[i] if numbers else i
            try:
                rows = self._lines.decode(message)
            except BadRecord as bad:
                raise BadRecord(bad.reason, number, excerpt(message), bad.remedy) from None
            if rows.num_rows != 1:
                found = f"it holds {rows.num_rows} records, and one is expected"
                raise BadRecord(found if rows.num_rows else "it is empty", number, excerpt(message))
            tables.append(rows)
        return pa.concat_tables(tables)
