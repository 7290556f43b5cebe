"""Jobs over three streams, each with a watermark: any cut into batches, a restart anywhere, beside DuckDB's answer."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa
from hypothesis import strategies as st

from support.queries import Row, Runner, Steps

EPOCH = dt.datetime(2026, 1, 1)
STREAM: Mapping[str, Any] = {
    "queue": {},
    "schema": {"k": "VARCHAR", "n": "BIGINT", "t": "TIMESTAMP", "until": "TIMESTAMP"},
    "watermark": {"column": "t", "delay": "10s"},
}
NAMES = ("a", "b", "c")
SOURCES: list[Mapping[str, Any]] = [{**STREAM, "name": name} for name in NAMES]
# Their event time may be of either kind.
SOURCES[2] = {**SOURCES[2], "schema": {**STREAM["schema"], "t": "TIMESTAMPTZ"}}


class Job(Runner):
    """With a watermark for each source, and what came out so far."""

    def __init__(self, steps: Steps, mode: str = "append") -> None:
        super().__init__(steps, [("r", mode)], sources=SOURCES)
        self.highest: dict[str, int] = {}
        self.out: list[tuple[Any, ...]] = []
        self.shown: list[tuple[Any, ...]] = []  # in the last batch
        self.table("names", [{"k": "x", "name": "ex"}, {"k": "y", "name": "why"}])

    def step(self, given: Mapping[str, Sequence[Row]]) -> None:
        """A batch, and the watermark after it by the loop's rule."""
        before = self.watermark
        (rows,) = self.batch(at_s=None, **given)
        self.out += [tuple(row.values()) for row in rows]
        self.shown = [tuple(row.values()) for row in rows]
        assert self.last is not None
        for name, ms in self.last.max_event_time_ms.items():
            self.highest[name] = max(ms, self.highest.get(name, ms))
        marks = [ms - 10_000 for ms in self.highest.values()]
        self.watermark = min(marks) if len(marks) == len(SOURCES) else None
        if self.watermark is not None and before is not None:
            self.watermark = max(self.watermark, before)

    def take(self) -> list[tuple[Any, ...]]:
        """What came out since this was asked last."""
        out, self.out = self.out, []
        return out


def at(second: float | None) -> dt.datetime | None:
    return None if second is None else EPOCH + dt.timedelta(seconds=second)


def row(source: str, k: str | None, n: int, second: float | None, until: float | None = None) -> Row:
    t = at(second)
    return {"k": k, "n": n, "t": t and t.replace(tzinfo=dt.UTC) if source == "c" else t, "until": at(until)}


def whole(steps: Mapping[str, str], given: Mapping[str, Sequence[Row]]) -> list[tuple[Any, ...]]:
    """What DuckDB says of all rows at once."""
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    for name, rows in given.items():
        kind = pa.timestamp("us", "UTC") if name == "c" else pa.timestamp("us")
        schema = pa.schema({"k": pa.string(), "n": pa.int64(), "t": kind, "until": pa.timestamp("us")})
        con.register(f"{name}_rows", pa.Table.from_pylist(list(rows), schema))
        con.execute(f"CREATE TABLE {name} AS SELECT * FROM {name}_rows")
    con.execute("CREATE TABLE names AS SELECT * FROM (VALUES ('x', 'ex'), ('y', 'why')) AS n(k, name)")
    for name, sql in steps.items():
        con.execute(f"CREATE VIEW {name} AS {sql}")
    return con.execute("SELECT * FROM r").fetchall()


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["x", "y", "Z", None]),
        st.integers(0, 4),
        st.sampled_from([0, 1, 2, 5, 9, 9.999999, None]),
        st.sampled_from([None, -1, 0, 3, 12]),
    ),
    max_size=5,
)
BATCHES = st.lists(st.tuples(st.integers(0, 12), ROWS, ROWS, ROWS), min_size=1, max_size=7)


def run(job: Job, batches: list[Any], restart: int) -> dict[str, list[Row]]:
    """All batches, a restart, and then what ends every wait; the rows but for these last ones.

    Rows of a batch are at most ten seconds behind those before, so none is late, however the batches are cut.
    """
    kept: dict[str, list[Row]] = {name: [] for name in NAMES}
    now = 0
    for i, (ahead, *parts) in enumerate(batches):
        now += ahead
        given = {
            name: [
                row(name, k, n, None if s is None else now + s, None if u is None or s is None else now + s + u)
                for k, n, s, u in part
            ]
            for name, part in zip(NAMES, parts, strict=True)
        }
        job.step(given)
        for name in NAMES:
            kept[name] += given[name]
        if i == restart:
            job.restart()
    job.step({name: [row(name, f"last of {name}", 0, now + 1000, now + 2000)] for name in NAMES})
    job.step({})
    job.step({})
    return kept
