"""Writes the archives of `old_checkpoints` by the code as it is: `PYTHONPATH=tests python -m support.checkpoint_jobs`.

Each job is killed in the middle of a batch, with batches behind its newest checkpoint ("young": before it has one):
whoever goes on from there reads every kind of record and of state, computes batches again and writes one again. A job
that is here may stay as it is for good: what is to be kept besides goes into a new one.
"""

import random
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from streamjob_api.sources import Source as SourceModel
from streamjob_runtime.clock import ManualClock, SystemClock
from streamjob_runtime.connectors.open import open_source
from streamjob_runtime.connectors.source import OffsetRange, Source
from streamjob_runtime.connectors.source_context import SourceContext
from streamjob_runtime.connectors.tcp.source import TcpSource
from streamjob_runtime.engine.steps import Step
from streamjob_runtime.formats.text import TextDecoder
from streamjob_runtime.stores.connections import Connections, Secrets
from support.memory import MemoryStore
from support.old_checkpoints import BEGIN_MS, FOLDER, Archive, Script, contents, go_on, kept_job, rows_of
from support.simulate import Simulation
from support.sources import TEXT, FilesBench, TcpBench

_HEAD = """\
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: kept, namespace: tests}
spec:
  batchInterval: 2s
  checkpoint: {interval: 10s, retained: 2}
"""
_EVENTS = """\
  sources:
  - name: events
    queue: {}
    schema: {k: VARCHAR, n: BIGINT, d: DOUBLE, t: TIMESTAMP}
    watermark: {column: t, delay: 4s}
    maxRecordsPerBatch: 3
"""

_WORDS = """\
  sources:
  - {name: lines, queue: {}, schema: {value: VARCHAR}}
  pipeline:
  - {name: words, sql: "SELECT unnest(string_split(value, ' ')) AS word FROM lines"}
  - {name: counts, sql: "SELECT word, count(*) AS times FROM words GROUP BY word"}
  - {name: top, sql: "SELECT * FROM counts ORDER BY times DESC, word LIMIT 3"}
  sinks:
  - {from: counts, mode: update, queue: {}}
  - {from: top, mode: complete, queue: {}}
"""

_WINDOWS = """\
  pipeline:
  - {name: tumbling, sql: "SELECT k, window_start, count(*) AS times, sum(n) AS total FROM events
       GROUP BY k, tumble(t, INTERVAL '4 seconds')"}
  - {name: sliding, sql: "SELECT window_start, max(n) AS highest FROM events
       GROUP BY hop(t, INTERVAL '3 seconds', INTERVAL '12 seconds')"}
  sinks:
  - {from: tumbling, mode: append, queue: {}}
  - {from: sliding, mode: update, queue: {}}
"""

_ROLLING = """\
  pipeline:
  - {name: recent, sql: "SELECT k, count(*) AS times, max(n) AS highest FROM events
       WHERE batch_time > now() - INTERVAL '40 seconds' GROUP BY k"}
  - {name: together, sql: "SELECT sum(n) AS total, count(*) AS times FROM events
       WHERE batch_time >= now() - INTERVAL '14 seconds'"}
  sinks:
  - {from: recent, mode: complete, queue: {}}
  - {from: together, mode: complete, queue: {}}
"""

_AGGREGATES = """\
  pipeline:
  - name: plain
    sql: |
      SELECT k, count(*) AS n, count(n) AS n1, count_if(n > 2) AS n2, sum(n) AS s, sum(d) AS sd,
        sum(n::DECIMAL(10, 2)) AS sm, avg(n) AS a, avg(d) AS ad, min(k) AS mk, max(d) AS md, min(t) AS mt,
        max(t::DATE) AS mdt, max(t::TIMESTAMPTZ) AS mtz, min(k::BLOB)::VARCHAR AS mb, bool_or(n > 4) AS bo,
        bool_and(n >= 0) AS ba, bit_or(n) AS bi, bit_xor(n) AS bx, product(d) AS p, arg_max(k, n) AS am,
        arg_min(n, t) AS ai, list_sort(list(n)) AS l, count(*) FILTER (WHERE d > 1) AS f
      FROM events GROUP BY k
  - name: moments
    sql: |
      SELECT round(stddev(n), 6) AS sd, round(var_pop(d), 6) AS v, round(corr(n, d), 6) AS c,
        round(covar_samp(n, d), 6) AS cv, round(regr_slope(n, d), 6) AS rs, round(skewness(n), 6) AS sk,
        round(kurtosis(n), 6) AS ku, round(fsum(d), 6) AS fs, median(n) AS m, quantile_disc(n, 0.25) AS q,
        quantile_cont(d, [0.25, 0.75]) AS qc
      FROM events
  - name: sketches
    sql: |
      SELECT approx_count_distinct(k) AS ks, approx_count_distinct(n) AS ns, approx_count_distinct(d) AS ds,
        approx_count_distinct(t) AS ts, round(approx_quantile(n, 0.5), 3) AS q
      FROM events
  sinks:
  - {from: plain, mode: update, queue: {}}
  - {from: moments, mode: complete, queue: {}}
  - {from: sketches, mode: complete, queue: {}}
"""

_KEYS = """\
  pipeline:
  - name: typed
    sql: |
      SELECT k, n::UTINYINT AS u, n::HUGEINT AS h, d, (n * 1.25)::DECIMAL(12, 3) AS m, n > 2 AS b, t::DATE AS day,
        t::TIME AS tm, t, t::TIMESTAMPTZ AS tz, t::TIMESTAMP_NS AS ns, md5(k)::UUID AS id, k::BLOB AS bl,
        [n, NULL] AS l, {'x': n, 'y': k} AS st, NULLIF(n, 3) AS gap
      FROM events
  - {name: keys, sql: "SELECT k, u, h, d, m, b, day, tm, t, tz, ns, id, bl, l, st, gap, count(*) AS times
       FROM typed GROUP BY ALL"}
  sinks:
  - {from: keys, mode: update, queue: {}}
"""

_TABLES = """\
  tables:
  - {name: names, files: {path: names.csv}, format: csv, schema: {k: VARCHAR, name: VARCHAR, since: DATE}}
  pipeline:
  - {name: named, sql: "SELECT name, since, n FROM events JOIN names USING (k)"}
  - {name: sums, sql: "SELECT name, min(since) AS since, sum(n) AS total FROM named GROUP BY name"}
  sinks:
  - {from: named, mode: append, queue: {}}
  - {from: sums, mode: complete, queue: {}}
"""

_CHANGES = """\
  pipeline:
  - {name: sums, sql: "SELECT k, sum(n) AS total FROM events GROUP BY k HAVING total % 3 = 1"}
  - {name: low, sql: "SELECT k, total FROM sums ORDER BY total, k LIMIT 2"}
  - {name: first, sql: "SELECT k, n, d FROM events QUALIFY row_number() OVER (PARTITION BY k ORDER BY n DESC, t) <= 2"}
  sinks:
  - {from: sums, mode: update, queue: {}}
  - {from: low, mode: update, queue: {}}
  - {from: first, mode: update, queue: {}}
"""

_JOINS = """\
  pipeline:
  - name: pairs
    sql: |
      SELECT a.k, a.n, b.n AS m, a.t, b.d, a.t::TIMETZ AS o FROM events AS a LEFT JOIN events AS b
      ON a.k = b.k AND b.t BETWEEN a.t + INTERVAL '1 second' AND a.t + INTERVAL '3 seconds'
  - {name: alone, sql: "SELECT * FROM events AS a WHERE NOT EXISTS
       (SELECT * FROM events AS b WHERE a.n = b.n + 1 AND b.t BETWEEN a.t AND a.t + INTERVAL '2 seconds')"}
  - {name: both, sql: "SELECT a.k, b.n FROM events AS a FULL JOIN events AS b
       ON a.k = b.k AND a.n < b.n AND a.t BETWEEN b.t - INTERVAL '1 second' AND b.t + INTERVAL '1 second'"}
  - {name: ever, sql: "SELECT a.n, b.t FROM events AS a JOIN events AS b ON a.n = b.n AND a.d > b.d"}
  sinks:
  - {from: pairs, mode: append, queue: {}}
  - {from: alone, mode: append, queue: {}}
  - {from: both, mode: append, queue: {}}
  - {from: ever, mode: append, queue: {}}
"""

_KINDS_OF_WINDOWS = """\
  pipeline:
  - {name: sessions, sql: "SELECT k, window_start, window_end, count(*) AS times FROM events
       GROUP BY k, session(t, INTERVAL '2 seconds')"}
  - {name: days, sql: "SELECT window_start, sum(n) AS total FROM events
       GROUP BY tumble(t, INTERVAL '1 day', 'Europe/Berlin', INTERVAL '23 hours 1 second')"}
  - {name: small, sql: "SELECT k, window_start, sum(n) AS total FROM events
       GROUP BY k, tumble(t, INTERVAL '2 seconds')"}
  - {name: large, sql: "SELECT window_start, max(total) AS most FROM small
       GROUP BY tumble(window_start, INTERVAL '6 seconds')"}
  - {name: batches, sql: "SELECT window_start, count(*) AS times FROM events
       GROUP BY tumble(batch_time, INTERVAL '7 seconds')"}
  sinks:
  - {from: sessions, mode: append, queue: {}}
  - {from: days, mode: update, queue: {}}
  - {from: large, mode: append, queue: {}}
  - {from: batches, mode: append, queue: {}}
"""

_RATE = """\
  sources:
  - {name: ticks, rate: {rowsPerSecond: 3}}
  pipeline:
  - {name: sums, sql: "SELECT value % 4 AS k, count(*) AS times, max(timestamp) AS newest
       FROM ticks GROUP BY value % 4"}
  sinks:
  - {from: sums, mode: complete, queue: {}}
"""


def _events(count: int, begin: int = 0) -> Script:
    """Rows, none of them late; without one at every fifth wait."""
    script: Script = []
    for i in range(begin, begin + count):
        rows = [
            {"k": "abcd"[(i * 3 + j) % 4], "n": (i * 7 + j) % 6, "d": (i + j) % 5 / 2, "t": i + (j * 3) % 4}
            for j in range(i % 3 + 1)
        ]
        script.append({"events": rows} if i % 5 else {})
    return script


def _lines(count: int, begin: int = 0) -> Script:
    words = ["to be", "or not", "to be", "that is the question", "whether tis nobler"]
    return [{"lines": [{"value": words[i % 5]}]} for i in range(begin, begin + count)]


@dataclass(frozen=True)
class _Job:
    manifest: str
    before: Script
    after: Script
    files: dict[str, str] = field(default_factory=dict)
    files_after: dict[str, str] = field(default_factory=dict)

    def write(self) -> Archive:
        """Run it until it is killed."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in self.files.items():
                (Path(folder) / name).write_text(text)
            whole = self._simulation(MemoryStore(), Path(folder))
            assert whole.run()
            intended = [at for at, (step, _) in enumerate(whole.steps) if step is Step.INTENDED]
            store = MemoryStore()
            killed = self._simulation(store, Path(folder))
            assert not killed.run(kill_at=intended[-1])
        world = {"now_ms": killed.clock.now_ms(), "before": self.before, "after": self.after}
        return Archive(contents(store), world, None, self.manifest, self.files | self.files_after)

    def _simulation(self, store: MemoryStore, folder: Path) -> Simulation:
        job, before = kept_job(self.manifest), rows_of(self.before)
        return Simulation(job, before, store, 0, base_dir=folder, begin_ms=BEGIN_MS)


def _with_events(manifest: str, **more: Any) -> _Job:
    return _Job(_HEAD + _EVENTS + manifest, _events(14), _events(9, 14) + [{}] * 3, **more)


_JOBS = {
    "word-count": _Job(_HEAD + _WORDS, _lines(14), _lines(5, 14)),
    "young": _Job(_HEAD + _WORDS, _lines(3), _lines(2, 3)),
    "windows": _with_events(_WINDOWS),
    "rolling": _with_events(_ROLLING),
    "aggregates": _with_events(_AGGREGATES),
    "keys": _with_events(_KEYS),
    "tables": _with_events(
        _TABLES,
        files={"names.csv": "k,name,since\na,Ada,2020-01-02\nb,Bob,\nc,Cem,2021-03-04\n"},
        files_after={"names.csv": "k,name,since\na,Ada,2020-01-02\nb,Bea,2022-05-06\nd,Dan,2023-07-08\n"},
    ),
    "changes": _with_events(_CHANGES),
    "joins": _with_events(_JOINS),
    "kinds-of-windows": _with_events(_KINDS_OF_WINDOWS),
    "rate": _Job(_HEAD + _RATE, [{}] * 14, [{}] * 5),
}


def _files() -> Archive:
    """A folder of which one file is read, one was begun, and one is new."""
    bench = FilesBench()
    source = bench.make(1)
    source.open(None)
    for count in (2, 3, 2):
        bench.add(count, source)
    logged = [_take(source, 2, bench.clock), _take(source, 1, bench.clock)]
    state = source.snapshot()
    logged.append(_take(source, 1, bench.clock))
    source.close()
    assert isinstance(bench.store, MemoryStore)
    return _of_source(contents(bench.store), state, logged, bench.added[3:])


def _tcp() -> Archive:
    """Lines of which some are logged, some of them in a segment that was begun, and some only in the WAL."""
    bench = TcpBench()
    source = bench.make(1)
    source.open(None)
    bench.add(3, source)
    _take(source, None, bench.clock)
    bench.add(4, source)
    logged = [_take(source, 2, bench.clock)]
    state = source.snapshot()
    logged.append(_take(source, 1, bench.clock))
    bench.add(2, source)
    source.close()
    bench.close()
    assert isinstance(bench.store, MemoryStore)
    return _of_source(contents(bench.store), state, logged, bench.added[5:])


def _take(source: Source, limit: int | None, clock: ManualClock) -> dict[str, Any]:
    offsets = source.poll(limit, clock.now_ms())
    assert offsets is not None
    source.advance(offsets)
    source.read(offsets)
    return offsets.to_json()


def _of_source(store: dict[str, bytes], state: Any, logged: list[Any], rest: list[str]) -> Archive:
    """The last range was logged behind the state; `rest`: its rows, and those that no range names yet."""
    return Archive(store, {"state": state, "ranges": logged}, rest)


def _kafka() -> Archive:
    """Positions that the log has told of; no server is asked."""
    source = kafka_source()
    source.open({"positions": {}, "topics": {}, "begun": False})
    detail = {"positions": {"in/0": 5, "in/1": 0}, "topics": {"in": "aVeryRandomTopicId-123"}}
    ranges = [OffsetRange({"in/0": (5, 9), "in/1": (0, 2)}, detail), OffsetRange({"in/1": (2, 7)})]
    source.advance(ranges[0])
    state = source.snapshot()
    source.advance(ranges[1])
    expected = source.snapshot()
    source.close()
    return Archive({}, {"state": state, "ranges": [r.to_json() for r in ranges]}, expected)


def kafka_source() -> Source:
    """A source of a broker that is not there."""
    model = SourceModel.model_validate(
        {"name": "k", "format": "text", "kafka": {"bootstrapServers": "127.0.0.1:1", "topic": "in"}}
    )
    context = SourceContext(Connections(None, Secrets(None, {})), MemoryStore(), 1, ManualClock(), random.Random(1))
    return open_source(model, TEXT, context)


def files_source(store: Mapping[str, bytes]) -> Source:
    """A source over these files, as `_files` has read them."""
    bench = FilesBench()
    for key, data in sorted(store.items(), reverse=True):
        bench.store.create(key, data)
        bench.clock.advance(2)
    return bench.make(2)


def tcp_source(store: MemoryStore) -> Source:
    """A source of a server that is not there: it can read only what the WAL holds."""
    return TcpSource("t", "127.0.0.1", 1, store, TextDecoder(), TEXT, 2, random.Random(0), SystemClock())


MAKERS: dict[str, Callable[[], Archive]] = {
    **{name: job.write for name, job in _JOBS.items()},
    "source-files": _files,
    "source-tcp": _tcp,
    "source-kafka": _kafka,
}


def main() -> None:
    """Write every archive below the folder of this version."""
    folder = FOLDER / (sys.argv[1] if len(sys.argv) > 1 else version("streamjob"))
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in MAKERS.items():
        archive = make()
        if archive.manifest:
            with tempfile.TemporaryDirectory() as beside:
                archive = replace(archive, expected=go_on(archive, Path(beside))[1])
        data = archive.to_bytes()
        (folder / f"{name}.zip").write_bytes(data)
        print(f"{folder.name}/{name}.zip: {len(data):,} bytes")


if __name__ == "__main__":
    main()
