"""Whole jobs over sources with bad records: what becomes of these, also when the job is killed anywhere."""

import gzip
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from confluent_kafka import TIMESTAMP_CREATE_TIME, Message

from streamjob_api.bad_records import BadRecordLimit
from streamjob_api.draft import draft_of
from streamjob_api.manifest import parse_manifest
from streamjob_runtime.clock import SystemClock
from streamjob_runtime.connectors.files.follow import MAX_LINE as FOLLOWED_LINE
from streamjob_runtime.connectors.files.follow import FollowSource
from streamjob_runtime.connectors.kafka.rows import KafkaRows
from streamjob_runtime.connectors.shared.bad_records import MOST_RAW, BadRecord, BadRecords
from streamjob_runtime.connectors.source import OffsetRange
from streamjob_runtime.connectors.tcp.line_buffer import LONGEST, MAX_LINE
from streamjob_runtime.connectors.tcp.source import TcpSource
from streamjob_runtime.engine.steps import Step
from streamjob_runtime.errors import JobError
from streamjob_runtime.excerpts import Words, said
from streamjob_runtime.formats.columns import Columns
from streamjob_runtime.formats.json_lines import JsonDecoder
from streamjob_runtime.formats.messages import make_message_decoder
from streamjob_runtime.formats.sifted import Bad
from streamjob_runtime.formats.text import TextDecoder
from streamjob_runtime.plan.planner import look_at, look_at_draft
from streamjob_runtime.plan.problems import PlanError
from streamjob_runtime.server.progress_json import progress_json
from streamjob_runtime.stores.base import Store
from support.killed import settled
from support.memory import MemoryStore
from support.simulate import Simulation, job_of
from support.sources import TEXT, LineServer, patient, wait_until

JOB = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: bad}}
spec:
  trigger: availableNow
  sources:
  - name: events
    files: {{path: in/}}
    format: json
    schema: {{id: BIGINT, at: TIMESTAMP, small: TINYINT, tags: "DATE[]"}}
    required: [id]
    maxRecordsPerBatch: 4
    {more}
  pipeline:
  - {{name: sums, sql: "SELECT id % 2 AS odd, count(*) AS n FROM events GROUP BY id % 2"}}
  {step}
  sinks:
  - {{from: events, queue: {{}}}}
  - {{from: sums, mode: complete, queue: {{}}}}
  {sink}
"""
LETTERS = {
    "more": "onBadRecord: deadLetter",
    "step": '- {name: why, sql: "SELECT error, count(*) AS n FROM events_dead_letters GROUP BY error"}',
    "sink": "- {from: events_dead_letters, queue: {}}\n  - {from: why, mode: complete, queue: {}}",
}
DROP = {"more": "onBadRecord: drop", "step": "", "sink": ""}

LINES = [
    b'{"id": 0, "at": "2026-01-01 00:00:00"}',
    b'{"id": 1, "at": "yesterday"}',
    b"",
    b"nope",
    b'{"id": 2, "small": 300}',
    b'{"id": 3, "small": 100, "tags": ["2026-01-01"]}',
    b'{"id": 4, "tags": ["2026-01-01", "never"]}',
    b'{"at": "2026-01-01"}',
    b'{"id": 5}',
]
CUT = b'{"id": 6}\n{"id": 7, "at'
# line, error, bytes
BAD = [
    (2, "column \"at\": 'yesterday' is no TIMESTAMP", LINES[1]),
    (4, "it is not JSON: Expecting value at column 1", LINES[3]),
    (5, "column \"small\": '300' is no TINYINT", LINES[4]),
    (7, "column \"tags\": '[2026-01-01, never]' is no DATE[]", LINES[6]),
    (8, 'it has no "id", which is required', LINES[7]),
]


def write(folder: Path) -> None:
    (folder / "in").mkdir()
    for n, (name, data) in enumerate(
        [("a.json", b"\n".join(LINES)), ("b.json.gz", gzip.compress(b"\n".join(LINES))), ("c.json", CUT)]
    ):
        (folder / "in" / name).write_bytes(data)
        settled(folder / "in" / name, n)


def simulation(folder: Path, more: Mapping[str, str], store: Store | None = None) -> Simulation:
    return Simulation(job_of(JOB.format(**more)), [], store or MemoryStore(), base_dir=folder)


def results(run: Simulation) -> dict[str, list[dict[str, Any]]]:
    """What readers of the sinks see in the end; a dead letter's time is that of its batch, whichever that was."""
    found = {}
    for name, queue in run.outputs.items():
        whole = name.startswith(("sums", "why"))
        table = queue.batches()[-1][1] if whole else queue.rows()
        found[name] = sorted(
            (table.drop_columns(["time"]) if "raw" in table.column_names else table).to_pylist(), key=str
        )
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path)
    return tmp_path


def test_dead_letters_say_where_a_record_was_what_is_wrong_and_what_it_was(folder: Path) -> None:
    run = simulation(folder, LETTERS)
    assert run.run()
    found = results(run)
    assert sorted(row["id"] for row in found["events.queue"]) == [0, 0, 3, 3, 5, 5, 6]
    letters = [
        {
            "source": "events",
            "origin": f"{folder}/in/{name}",
            "position": line,
            "error": error,
            "size": len(raw),
            "raw": raw,
        }
        for name in ("a.json", "b.json.gz")
        for line, error, raw in BAD
    ]
    cut = next(row for row in found["events_dead_letters.queue"] if row["origin"].endswith("c.json"))
    assert (cut["position"], cut["raw"], cut["size"]) == (2, b'{"id": 7, "at', 13)
    assert cut["error"].startswith("it is not JSON")
    assert found["events_dead_letters.queue"] == sorted([*letters, cut], key=str)
    assert sum(row["n"] for row in found["why.queue"]) == len(letters) + 1
    for _, table in run.outputs["events_dead_letters.queue"].batches():
        assert len(set(table.column("time").to_pylist())) <= 1
    shown = progress_json(run.progress.status, run.progress.recent(), 0)["recentProgress"]
    assert sum(batch["numBadRecords"] for batch in shown) == len(letters) + 1
    assert sum(batch["numInputRows"] for batch in shown) == 7 + len(letters) + 1
    assert [b["sources"][0]["numBadRecords"] for b in shown] == [b["numBadRecords"] for b in shown]
    assert run.progress.bad_records == {"events": len(letters) + 1}
    assert run.logged.count(("warning", "bad records")) == sum(batch["numBadRecords"] > 0 for batch in shown)


def test_a_kill_at_each_step_loses_no_dead_letter_and_writes_none_twice(folder: Path) -> None:
    whole = simulation(folder, LETTERS)
    assert whole.run()
    steps = [step for step, _ in whole.steps]
    times = [[at for at, s in enumerate(steps) if s is step] for step in set(steps)]
    for kill_at in sorted(at for places in times for at in {places[0], places[len(places) // 2]}):
        run = simulation(folder, LETTERS)
        assert not run.run(kill_at)
        assert run.run()
        assert results(run) == results(whole), whole.steps[kill_at]


def test_dropped_ones_are_counted_and_offsets_go_on_behind_them(folder: Path) -> None:
    run = simulation(folder, DROP)
    assert run.run()
    letters = simulation(folder, LETTERS)
    letters.run()
    assert results(run).items() <= results(letters).items()
    assert run.progress.bad_records == {"events": 11}
    assert run.progress.totals["input_rows"] == 18


@pytest.mark.parametrize("step", [Step.INTENDED, Step.COMPUTED, Step.COMMITTED])
def test_what_becomes_of_bad_records_may_change_at_any_start(folder: Path, step: Step) -> None:
    """Also in the middle of a file that was begun: its records are counted with the bad ones."""
    whole = simulation(folder, DROP)
    whole.run()
    at = [i for i, (s, _) in enumerate(whole.steps) if s is step][1]
    store = MemoryStore()
    first = simulation(folder, DROP, store)
    assert not first.run(at)
    second = simulation(folder, LETTERS, store)
    ids = [row["id"] for row in results(first)["events.queue"]]
    with pytest.raises(JobError, match="why is new"):
        second.run()
    second = simulation(folder, {**LETTERS, "step": "", "sink": LETTERS["sink"].split("\n")[0]}, store)
    assert second.run()
    again = [row["id"] for row in results(second)["events.queue"]]
    assert sorted(set(ids + again)) == [0, 3, 5, 6]
    assert results(second)["sums.queue"] == results(whole)["sums.queue"]


def test_fail_ends_the_job_before_anything_is_logged(folder: Path) -> None:
    for more in ("", "onBadRecord: fail"):
        with pytest.raises(JobError, match=r"a\.json, line 4: it is not JSON"):
            simulation(folder, {**DROP, "more": more}).run()


@pytest.mark.parametrize(("limit", "allowed"), [("1", "3"), ("49%", "75%"), ("0", "100%")])
def test_too_many_bad_ones_end_the_job_which_goes_on_when_more_are_allowed(
    folder: Path, limit: str, allowed: str
) -> None:
    store = MemoryStore()
    run = simulation(folder, {**DROP, "more": f"onBadRecord: drop\n    maxBadRecords: {limit}"}, store)
    with pytest.raises(JobError) as ended:
        run.run()
    text = str(ended.value)
    assert "of the 4 records of batch 0 are bad, and maxBadRecords is " + limit in text
    assert f"The first stands at {folder}/in/a.json, 2: column" in text
    assert "yesterday" not in ended.value.words.bare
    assert simulation(folder, {**DROP, "more": f"onBadRecord: drop\n    maxBadRecords: {allowed}"}, store).run()


@pytest.mark.parametrize(
    ("limit", "bad", "records", "too_many"),
    [("0", 1, 9, True), ("3", 3, 3, False), ("3", 4, 9**9, True), ("5%", 5, 100, False), ("5%", 6, 100, True),
     ("0.1%", 1, 999, True), ("0.1%", 1, 1000, False), ("100%", 7, 7, False)],
)  # fmt: skip
def test_limits(limit: str, bad: int, records: int, too_many: bool) -> None:
    assert BadRecordLimit(limit).is_exceeded(bad, records) is too_many


def test_dead_letters_that_nobody_gets_are_a_mistake() -> None:
    for more, problems in (
        ({**LETTERS, "sink": ""}, ["spec.sources[0].onBadRecord: No sink gets any of events_dead_letters"]),
        ({**LETTERS, "sink": "- {from: why, mode: complete, console: {}}"}, []),
        ({**DROP, "more": LETTERS["more"], "sink": "- {from: events_dead_letters, console: {}}"}, []),
    ):
        said_of = [f"{p.path}: {p.message}" for p in look_at(job_of(JOB.format(**more)).spec).problems]
        assert said_of == problems
    with pytest.raises(PlanError, match="No sink gets any of events_dead_letters"):
        simulation(Path(), {**LETTERS, "sink": ""}).run()


def test_a_sink_that_is_wrong_itself_is_not_taken_for_none() -> None:
    text = JOB.format(**{**LETTERS, "sink": "- {from: events_dead_letters}", "step": ""})
    (problem,) = parse_manifest(text, "job.yaml").problems
    assert problem.path == "spec.sinks[2]"
    assert look_at_draft(draft_of(yaml.safe_load(text), [("spec", "sinks", 2)])).problems == []


def test_a_sink_of_dead_letters_that_are_not_kept_is_told_what_to_write() -> None:
    text = JOB.format(**{**DROP, "sink": "- {from: events_dead_letters, console: {}}"})
    (problem,) = parse_manifest(text, "job.yaml").problems
    assert 'write onBadRecord: deadLetter at the source "events"' in str(problem)


TABLE_JOB = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: bad-table}}
spec:
  trigger: availableNow
  sources:
  - {{name: ids, files: {{path: in/}}, format: csv, schema: {{id: BIGINT}}}}
  tables:
  - name: names
    files: {{path: ref/}}
    format: csv
    schema: {{id: TINYINT, name: VARCHAR, since: DATE}}
    {more}
  pipeline:
  - {{name: joined, sql: "SELECT id, name FROM ids JOIN names USING (id)"}}
  sinks:
  - {{from: joined, queue: {{}}}}
"""


def test_bad_records_of_static_tables(tmp_path: Path) -> None:
    for name, text in (("in/a.csv", "id\n1\n2\n3\n4\n5\n"), ("ref/t.csv", TABLE)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
        settled(tmp_path / name, 0)

    def run(more: str) -> Simulation:
        made = Simulation(job_of(TABLE_JOB.format(more=more)), [], base_dir=tmp_path)
        assert made.run()
        return made

    with pytest.raises(JobError, match="The static table 'names': record"):
        run("")
    dropped = run("onBadRecord: drop")
    assert results(dropped)["joined.queue"] == [{"id": 1, "name": "one"}, {"id": 5, "name": "five"}]
    assert ("warning", "bad records of a static table are left out") in dropped.logged
    assert results(run("onBadRecord: drop\n    maxBadRecords: 3")) == results(dropped)
    with pytest.raises(JobError, match="3 of its 5 records are bad, and maxBadRecords is 50%"):
        run("onBadRecord: drop\n    maxBadRecords: 50%")


TABLE = "id,name,since\n1,one,2026-01-01\ntwo,two,\n3,three,never\n300,four,\n5,five,2026-01-05\n"


# --- single sources

JSON_COLUMNS: list[tuple[str, Any]] = [("a", pa.int64())]
JSON = pa.schema(JSON_COLUMNS)


def no_sevens(rows: pa.Table) -> Mapping[int, Words]:
    return {i: said("a seven") for i, a in enumerate(rows.column("a").to_pylist()) if a == 7}


def tcp(store: Store, port: int, bad_records: BadRecords, json: bool = True) -> TcpSource:
    decoder, schema = (JsonDecoder(JSON), JSON) if json else (TextDecoder(), TEXT)
    return TcpSource(
        "t", "127.0.0.1", port, store, decoder, schema, 1, random.Random(0), SystemClock(), bad_records=bad_records
    )


def sent(store: Store, data: bytes, lines: int, bad_records: BadRecords, json: bool = True) -> OffsetRange:
    """The range of what a server sends, which is in the WAL then."""
    server = LineServer()
    source = tcp(store, server.port, bad_records, json)
    try:
        source.open(None)
        server.send(data)
        wait_until(lambda: source.status().latest["lines"] == lines)
        found = source.poll(None, 0)
        assert found is not None
        return found
    finally:
        source.close()
        server.stop()


def test_a_bad_line_in_the_wal_is_mendable() -> None:
    store = MemoryStore()
    offsets = sent(store, b'{"a": 1}\nnope\n\n{"a": 7}\n{"a": 2}\n', 5, BadRecords())
    strict = tcp(store, 1, BadRecords())
    with pytest.raises(
        JobError, match=r"line 1, counted from 0: it is not JSON.*write onBadRecord: drop or deadLetter"
    ):
        strict.read(offsets)
    for _ in range(2):  # a replay judges it the same
        bad_records = BadRecords(True, no_sevens)
        lenient = tcp(store, 1, bad_records)
        assert lenient.read(offsets).column("a").to_pylist() == [1, 2]
        found = [(bad.origin, bad.position, bad.raw) for bad in bad_records.take()]
        assert found == [("127.0.0.1:1", 1, b"nope"), ("127.0.0.1:1", 3, b'{"a": 7}')]
        assert bad_records.take() == ()
    (name, _, _), *_ = offsets.detail
    part = OffsetRange({"lines": (1, 4)}, [[name, 1, 4]])  # a limit has cut it
    bad_records = BadRecords(True, no_sevens)
    assert tcp(store, 1, bad_records).read(part).num_rows == 0
    assert [bad.position for bad in bad_records.take()] == [1, 3]


@pytest.mark.parametrize("length", [MAX_LINE - 1, LONGEST + 1, LONGEST + (3 << 20)])
def test_a_line_over_tcp_that_is_too_long_is_cut_and_bad(length: int) -> None:
    store = MemoryStore()
    offsets = sent(store, b"before\n" + b"x" * length + b"\nbehind\n", 3, BadRecords(True), json=False)
    bad_records = BadRecords(True)
    rows = [str(v) for v in tcp(store, 1, bad_records, json=False).read(offsets).column("value").to_pylist()]
    found = bad_records.take()
    if length < MAX_LINE:
        assert [len(row) for row in rows] == [6, length, 6] and not found
    else:
        assert rows == ["before", "behind"]
        (bad,) = found
        assert (bad.position, bad.raw) == (1, b"x" * MOST_RAW)
        assert bad.size is not None and bad.size > LONGEST
        assert bad.error.full == "it is longer than 16 MiB, and a line is a record"
        with pytest.raises(JobError, match=r"line 1, counted from 0: it is longer than 16 MiB"):
            tcp(store, 1, BadRecords(), json=False).read(offsets)


def follow(folder: Path, bad_records: BadRecords) -> FollowSource:
    return FollowSource("f", folder, None, TextDecoder(), TEXT, patient(), bad_records=bad_records)


def test_bad_lines_of_followed_files_are_told_by_their_byte(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_bytes(b"one\n\xff\ntwo\n\xfe\xfe")
    bad_records = BadRecords(True)
    source = follow(tmp_path, bad_records)
    source.open(None)
    offsets = source.poll(None, 0)
    assert offsets is not None
    source.advance(offsets)
    assert source.read(offsets).column("value").to_pylist() == ["one", "two"]
    assert [(bad.origin, bad.position, bad.raw) for bad in bad_records.take()] == [(str(log), 4, b"\xff")]
    with log.open("ab") as file:
        file.write(b"\n")
    offsets = source.poll(None, 0)
    assert offsets is not None
    source.advance(offsets)
    assert source.read(offsets).num_rows == 0
    assert [(bad.position, bad.raw) for bad in bad_records.take()] == [(10, b"\xfe\xfe")]


def test_a_followed_line_that_is_too_long_is_one_bad_record_whatever_it_takes_to_pass_it(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_bytes(b"x" * (FOLLOWED_LINE + 5))
    with pytest.raises(JobError, match="without a newline"):
        strict = follow(tmp_path, BadRecords())
        strict.open(None)
        strict.poll(None, 0)
    ranges: list[OffsetRange] = []
    found: list[tuple[list[str], list[int]]] = []

    def read(source: FollowSource, bad_records: BadRecords, offsets: OffsetRange | None) -> None:
        assert offsets is not None
        source.advance(offsets)
        rows = [str(value) for value in source.read(offsets).column("value").to_pylist()]
        found.append((rows, [bad.position for bad in bad_records.take()]))

    bad_records = BadRecords(True)
    source = follow(tmp_path, bad_records)
    source.open(None)
    for more in (b"", b"x" * (FOLLOWED_LINE + 9), b"xxx\nnext\n", b"last\n"):
        with log.open("ab") as file:
            file.write(more)
        offsets = source.poll(None, 0)
        assert offsets is not None
        ranges.append(offsets)
        read(source, bad_records, offsets)
    assert found == [([], [0]), ([], []), (["next"], []), (["last"], [])]
    # A start that replays all of it, as the log has it, and one that does not put bad records aside any more.
    found.clear()
    bad_records = BadRecords(True)
    source = follow(tmp_path, bad_records)
    source.open(None)
    for offsets in ranges:
        read(source, bad_records, OffsetRange.from_json(offsets.to_json()))
    assert found == [([], [0]), ([], []), (["next"], []), (["last"], [])]
    strict = follow(tmp_path, BadRecords())
    strict.open(None)
    strict.advance(ranges[0])
    strict.advance(ranges[1])
    strict.advance(ranges[2])
    assert strict.read(ranges[2]).column("value").to_pylist() == ["next"]


def test_records_of_kafka_are_judged_with_what_stands_around_them() -> None:
    schema = pa.schema([*JSON, pa.field("_key", pa.string()), pa.field("_timestamp", pa.timestamp("us"))])
    bad_records = BadRecords(True, no_sevens)
    rows = KafkaRows(
        "k",
        make_message_decoder("json", JSON),
        ("_key", "_timestamp"),
        schema,
        Columns(JSON.names, ["a"]),
        bad_records,
    )

    def record(offset: int, value: bytes | None, key: bytes = b"k", ms: int = 0) -> Message:
        return Message("t", 3, offset, key, value, timestamp=(TIMESTAMP_CREATE_TIME, ms))

    found = rows.table(
        [
            record(10, b'{"a": 0}'),
            record(11, b"nope"),
            record(12, b'{"a": 1}', key=b"\xff"),
            record(13, b'{"a": 2}', ms=10**16),
            record(14, b'{"a": 7}'),
            record(15, None),
            record(16, b'{"a": 3}'),
        ]
    )
    assert found.column("a").to_pylist() == [0, 3]
    assert found.schema == schema
    rows.table([record(99, b"of a range that was given up")])
    rows.hand_over({"t/3": (10, 17)})
    letters = bad_records.take()
    assert [(bad.origin, bad.position, bad.raw) for bad in letters] == [
        ("t/3", 11, b"nope"),
        ("t/3", 12, b'{"a": 1}'),
        ("t/3", 13, b'{"a": 2}'),
        ("t/3", 14, b'{"a": 7}'),
        ("t/3", 15, None),
    ]
    assert [bad.size for bad in letters] == [4, 8, 8, 8, None]
    rows.hand_over({"t/3": (0, 100)})
    assert bad_records.take() == ()


def test_what_is_kept_of_a_record_is_bounded() -> None:
    bad_records = BadRecords(True)
    bad_records.put("o", [Bad(0, 0, said("long"), b"x" * (MOST_RAW + 1))], lambda bad: bad.line)
    assert bad_records.take() == (BadRecord("o", 0, said("long"), b"x" * MOST_RAW, MOST_RAW + 1),)
