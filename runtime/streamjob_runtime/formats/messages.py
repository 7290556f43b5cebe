"""Messages to rows: each is a record of its own, as systems give it that do not know of lines."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import pyarrow as pa

from streamjob_runtime.excerpts import Words
from streamjob_runtime.formats.base import BadRecord, Decoder
from streamjob_runtime.formats.halves import sift_by_halves
from streamjob_runtime.formats.json_lines import JsonDecoder
from streamjob_runtime.formats.lines import excerpt
from streamjob_runtime.formats.open import make_decoder

_MOST_BYTES = 256 << 20  # that are decoded at once
_NAMED = 1000  # messages whose names are looked at


class MessageDecoder(Protocol):
    """Messages to rows."""

    def decode(self, messages: Sequence[bytes | None]) -> pa.Table:
        """A row a message; one that is None has NULL in every column. Raises `BadRecord` with the message's number."""
        ...

    def sift(self, messages: Sequence[bytes | None]) -> tuple[pa.Table, dict[int, Words]]:
        """A row for each good message, in their order, and of each bad one why it is bad; as quick without any."""
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

    def sift(self, messages: Sequence[bytes | None]) -> tuple[pa.Table, dict[int, Words]]:
        """See `MessageDecoder`: none is bad."""
        return self.decode(messages), {}

    def names(self, messages: Sequence[bytes | None]) -> None:
        """See `MessageDecoder`."""


class TextMessages:
    """The text of a message, which must be UTF-8, is the column `value`; a newline within it stays."""

    def decode(self, messages: Sequence[bytes | None]) -> pa.Table:
        """See `MessageDecoder`."""
        return pa.table({"value": texts(messages, "use format raw")})

    def sift(self, messages: Sequence[bytes | None]) -> tuple[pa.Table, dict[int, Words]]:
        """See `MessageDecoder`."""
        return sift_by_halves(messages, self.decode)

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
        return _between_nulls(rows, [message is None for message in messages])

    def sift(self, messages: Sequence[bytes | None]) -> tuple[pa.Table, dict[int, Words]]:
        """See `MessageDecoder`."""
        numbers = [i for i, message in enumerate(messages) if message is not None]
        present = [message for message in messages if message is not None]
        if isinstance(self._lines, JsonDecoder):
            rows = self._together(present)
            wrong: dict[int, Words] = {}
            if rows is None:
                rows, wrong = self._lines.sift_records([message.replace(b"\n", b" ") for message in present])
        else:
            rows, wrong = sift_by_halves(present, self._all_or_none)
        wrong = {numbers[i]: reason for i, reason in wrong.items()}
        is_null = [message is None for i, message in enumerate(messages) if i not in wrong]
        return (_between_nulls(rows, is_null) if any(is_null) else rows), wrong

    def names(self, messages: Sequence[bytes | None]) -> Iterable[str] | None:
        """See `MessageDecoder`."""
        first = [message.replace(b"\n", b" ") for message in messages[:_NAMED] if message is not None]
        return self._lines.names(b"\n".join(first))

    def _decode(self, messages: Sequence[bytes], first: int, numbers: Sequence[int] | None = None) -> pa.Table:
        if len(messages) > 1 and sum(map(len, messages)) > _MOST_BYTES:
            half = len(messages) // 2
            return pa.concat_tables(
                [self._decode(messages[:half], first, numbers), self._decode(messages[half:], first + half, numbers)]
            )
        rows = self._together(messages)
        return self._one_by_one(messages, first, numbers) if rows is None else rows

    def _all_or_none(self, messages: Sequence[bytes]) -> pa.Table:
        """For `sift_by_halves`, which asks for halves of those that cannot be decoded together."""
        rows = self._together(messages)
        if rows is None and len(messages) > 1:
            raise BadRecord("one of several", 0, "")
        return self._one_by_one(messages, 0, None) if rows is None else rows

    def _together(self, messages: Sequence[bytes]) -> pa.Table | None:
        """A row a message, decoded all at once; None: they must be looked at one by one."""
        if not messages:
            return self._schema.empty_table()
        data = b"\n".join(messages)
        if not self._json and b"\r" in data and (b'"' in data or any(b"\r" in message[:-1] for message in messages)):
            # It ends a line too. As many rows as messages are then no sign that each is one: another may be empty.
            return None
        if data.count(b"\n") >= len(messages):
            if not self._json:
                return None
            # Between the parts of a JSON text a newline is white space, and within a string it cannot stand.
            data = b"\n".join(message.replace(b"\n", b" ") for message in messages)
        try:
            rows = self._lines.decode(data)
        except BadRecord:
            return None
        return rows if rows.num_rows == len(messages) else None

    def _one_by_one(self, messages: Sequence[bytes], first: int, numbers: Sequence[int] | None) -> pa.Table:
        """Slow, and able to say which message is wrong."""
        tables = []
        for i, message in enumerate(messages, first):
            number = numbers[i] if numbers else i
            try:
                rows = self._lines.decode(message.replace(b"\n", b" ") if self._json else message)
            except BadRecord as bad:
                raise BadRecord(bad.reason, number, excerpt(message), bad.remedy) from None
            if rows.num_rows != 1:
                found = f"it holds {rows.num_rows} records, and one is expected"
                raise BadRecord(found if rows.num_rows else "it is empty", number, excerpt(message))
            tables.append(rows)
        return pa.concat_tables(tables)


def _between_nulls(rows: pa.Table, is_null: Sequence[bool]) -> pa.Table:
    """The rows with a row of NULLs at each of these places."""
    places = iter(range(rows.num_rows))
    return rows.take(pa.array([None if null else next(places) for null in is_null], pa.int64()))
