"""What a runtime says, value by value: any image may say it, and it must fit the status, which is written as a whole.

Each raises ValueError, TypeError or KeyError for what it is not.
"""

from typing import Any

from streamjob_operator.model import Tree
from streamjob_operator.times import from_text, to_text_ms

_LONGEST = 2000  # characters


def last_batch(batch: Tree) -> dict[str, Any]:
    """A batch of `/progress` in the fields of the status."""
    lags = [source["lag"] for source in batch["sources"]]
    return {
        "id": count(batch["batchId"]),
        "time": time(batch["timestamp"]),
        "inputRows": count(batch["numInputRows"]),
        # A runtime of an older version knows of none; and most have none.
        **({"badRecords": bad} if (bad := count(batch.get("numBadRecords", 0))) else {}),
        "durationMs": round(amount(batch["batchDuration"]), 1),
        # Where one source cannot say it just now, no sum is known.
        **({} if None in lags else {"lag": count(sum(count(lag) for lag in lags))}),
    }


def last_checkpoint(checkpoint: Tree) -> dict[str, Any]:
    """A checkpoint of `/progress` in the fields of the status."""
    return {
        "batch": count(checkpoint["batchId"]),
        "time": time(checkpoint["timestamp"]),
        "sizeBytes": count(checkpoint["sizeBytes"]),
    }


def count(value: Any) -> int:
    """A number of things."""
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError("no count")
    return value


def amount(value: Any) -> float:
    """A number from 0 on."""
    if type(value) not in (int, float) or not 0 <= value < 2**63:
        raise ValueError("no amount")
    return float(value)


def time(value: Any) -> str:
    """A time, as the status has it."""
    return to_text_ms(from_text(text(value)))


def text(value: Any) -> str:
    """A text, of a length that can be told."""
    if not isinstance(value, str):
        raise TypeError("no text")
    return value[:_LONGEST]
