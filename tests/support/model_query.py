"""A query engine of a few lines, for runs of which there must be a thousand: the loop cannot tell it from the real one.

Over rows of `k`, `n` and `t`: each row with its number among all (append), totals by key as long as they are odd
(update, with deletions), and counts by four seconds, once they are final (append).
"""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from streamjob_runtime.excerpts import Words
from streamjob_runtime.plan.states import ENGINE
from streamjob_runtime.query import BatchInput, BatchOutput, OperatorProgress

_WINDOW_MS = 4000


def _schema(**kinds: pa.DataType) -> pa.Schema:
    return pa.schema(kinds)


ROWS = _schema(k=pa.string(), n=pa.int64(), t=pa.int64())
NUMBERED = _schema(number=pa.int64(), k=pa.string(), n=pa.int64())
TOTALS = _schema(k=pa.string(), total=pa.int64())
COUNTS = _schema(start=pa.int64(), rows=pa.int64())


class ModelQuery:
    """See `Query`, and the module."""

    source_schemas: Mapping[str, pa.Schema] = {"a": ROWS}
    table_schemas: Mapping[str, pa.Schema] = {}
    sink_schemas = (NUMBERED, TOTALS, COUNTS)
    deletions = (False, True, False)
    fingerprints: Mapping[str, str] = {"all": "of a model []"}
    engine = ENGINE
    tied: Mapping[str, tuple[str, ...]] = {}
    readable = frozenset({ENGINE})

    def __init__(self) -> None:
        self._number = 0
        self._totals: Counter[str] = Counter()
        self._counts: Counter[int] = Counter()

    def source_misfits(self, name: str) -> Any:
        """None has any."""
        return lambda rows: {}

    def table_misfits(self, name: str, rows: pa.Table) -> Mapping[int, Words]:
        """There are no tables."""
        return {}

    def set_table(self, name: str, rows: pa.Table) -> None:
        """There are no tables."""

    def wants_batch(self, batch_time_ms: int, watermark_ms: int | None) -> bool:
        """Whether a window is final."""
        return watermark_ms is not None and any(start + _WINDOW_MS <= watermark_ms for start in self._counts)

    def run(self, batch: BatchInput) -> BatchOutput:
        """Take the batch in."""
        rows = batch.rows["a"].to_pylist() if "a" in batch.rows else []
        numbered = [{"number": self._number + i, "k": r["k"], "n": r["n"]} for i, r in enumerate(rows)]
        self._number += len(rows)
        before = {r["k"]: self._totals[r["k"]] for r in rows}
        for row in rows:
            self._totals[row["k"]] += row["n"]
            self._counts[row["t"] // _WINDOW_MS * _WINDOW_MS] += 1
        totals = [{"k": k, "total": self._totals[k]} for k in before if self._totals[k] % 2]
        gone = [{"k": k, "total": old} for k, old in before.items() if old % 2 and not self._totals[k] % 2]
        mark = batch.watermark_ms
        final = sorted(s for s in self._counts if mark is not None and s + _WINDOW_MS <= mark)
        counts = [{"start": start, "rows": self._counts.pop(start)} for start in final]
        sinks = tuple(
            pa.Table.from_pylist(given, s)
            for given, s in zip((numbered, totals, counts), self.sink_schemas, strict=True)
        )
        latest = {"a": max(r["t"] for r in rows)} if rows else {}
        progress = OperatorProgress("all", len(self._totals) + len(self._counts), len(before), len(final), 0)
        deleted = (None, pa.Table.from_pylist(gone, TOTALS), None)
        return BatchOutput(sinks, deleted, {"a": len(rows)} if rows else {}, latest, {}, (progress,))

    def snapshot(self) -> Mapping[str, pa.Table]:
        """The whole state as one text."""
        state = [self._number, list(self._totals.items()), list(self._counts.items())]
        return {"all": pa.table({"state": [json.dumps(state)]})}

    def restore(self, state: Mapping[str, pa.Table]) -> None:
        """Take it up."""
        self._number, totals, counts = json.loads(state["all"]["state"][0].as_py())
        self._totals, self._counts = Counter(dict(totals)), Counter(dict(counts))

    def close(self) -> None:
        """Nothing is open."""
