"""A job that has one source: what the loop does with it, batch by batch and start by start."""

import json
from dataclasses import dataclass, field
from typing import Any

from streamjob_runtime.connectors.source import OffsetRange, Source
from support.sources import Bench


@dataclass
class Run:
    """A job that has one source: its log, its checkpoint, and what it has read."""

    bench: Bench
    epoch: int = 0
    log: list[Any] = field(default_factory=list)  # ranges as JSON
    rows: list[list[str]] = field(default_factory=list)  # of each range
    checkpoint: tuple[int, Any] = (0, None)  # how many ranges it holds, and the source's state
    source: Source | None = None

    def start(self) -> Source:
        """Start from the checkpoint: the ranges logged since then give the same rows again."""
        self.epoch += 1
        source = self.source = self.bench.make(self.epoch)
        batches, state = json.loads(json.dumps(self.checkpoint))
        source.open(state)
        for i in range(batches, len(self.log)):
            offsets = OffsetRange.from_json(json.loads(json.dumps(self.log[i])))
            source.advance(offsets)
            assert values(source, offsets) == self.rows[i]
        return source

    def batch(self, limit: int | None = None) -> bool:
        """One batch; whether there was one."""
        assert self.source is not None
        offsets = self.source.poll(limit, self.bench.clock.now_ms())
        if offsets is None:
            return False
        self.log.append(offsets.to_json())
        self.source.advance(offsets)
        rows = values(self.source, offsets)
        assert limit is None or len(rows) <= limit
        assert rows == values(self.source, offsets)
        self.rows.append(rows)
        return True

    def drain(self, limit: int | None = None) -> list[str]:
        """All that is there, and all that was read."""
        while self.batch(limit):
            pass
        return self.all

    @property
    def all(self) -> list[str]:
        return [row for rows in self.rows for row in rows]

    def take_checkpoint(self) -> None:
        assert self.source is not None
        self.checkpoint = (len(self.log), self.source.snapshot())

    def stop(self) -> None:
        assert self.source is not None
        self.source.close()


def values(source: Source, offsets: OffsetRange) -> list[str]:
    return [str(value) for value in source.read(offsets).column("value").to_pylist()]
