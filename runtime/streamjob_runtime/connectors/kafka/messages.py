"""What the client gives, by runs and by what may be held at once."""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate, repeat
from operator import is_not, ne, or_

from confluent_kafka import Message


def chunks(messages: list[Message], most: int, most_bytes: int) -> Iterator[list[Message]]:
    """The messages in order, at most so many at once; one of more bytes stands alone."""
    for i in range(0, len(messages), most):
        chunk = messages[i : i + most]
        if size(chunk) <= most_bytes:
            yield chunk
            continue
        sizes = list(accumulate(map(len, chunk)))
        start, before = 0, 0
        while start < len(chunk):
            end = max(start + 1, bisect_right(sizes, before + most_bytes))
            yield chunk[start:end]
            start, before = end, sizes[end - 1]


def size(messages: list[Message]) -> int:
    """Of their values, bytes."""
    return sum(map(len, messages))


def runs(messages: list[Message]) -> Iterator[list[Message]]:
    """The messages of one partition that follow each other; one that is an error stands alone.

    The client gives long runs, and millions of messages a second: each look at all of them is one call into C.
    """
    partitions, topics = list(map(Message.partition, messages)), list(map(Message.topic, messages))
    errors = bytes(map(is_not, map(Message.error, messages), repeat(None)))
    ends = bytearray(map(ne, partitions[1:], partitions))  # 1 where a run ends
    other_topic = bytes(map(ne, topics[1:], topics))
    if any(other_topic):
        ends = bytearray(map(or_, ends, other_topic))
    if any(errors):
        ends = bytearray(map(or_, ends, map(or_, errors, errors[1:])))
    start = 0
    while (end := ends.find(1, start)) >= 0:
        yield messages[start : end + 1]
        start = end + 1
    yield messages[start:]


def offset(message: Message) -> int:
    """Of a message that a broker gave."""
    found = message.offset()
    assert found is not None
    return found
