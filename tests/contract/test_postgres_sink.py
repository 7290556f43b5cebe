"""What a postgres sink promises, before a real server: each batch once, whatever was killed in between."""

import datetime
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import Connection

from streamjob_runtime.connectors.open import open_sink
from streamjob_runtime.connectors.postgres.dsn import parse_dsn
from streamjob_runtime.connectors.postgres.look import Wish
from streamjob_runtime.connectors.postgres.sink import PostgresSink
from streamjob_runtime.connectors.sink import Delivery, SinkBatch, Writer
from streamjob_runtime.connectors.sink_context import SinkContext
from streamjob_runtime.errors import Fenced, JobError, Unavailable
from streamjob_runtime.stores.connections import Connections, Secrets
from support.postgres import PostgresServer

JOB = "00000000feedface"
WRITER = Writer(JOB, 1, lambda: None)


def schema_of(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(columns)


WORDS = schema_of(word=pa.string(), n=pa.int64())
MODES = ("append", "update", "complete")
ROWS = [("a", 1), ("b", 2)]


class Database:
    """A schema of the test's own."""

    def __init__(self, server: PostgresServer) -> None:
        self._opened: list[PostgresSink] = []
        self.server = server
        self.dsn = server.create_schema()

    def do(self, statement: str) -> None:
        self.server.do(statement, self.dsn)

    def rows(self, query: str = "SELECT * FROM words ORDER BY 1, 2") -> list[tuple[Any, ...]]:
        return self.server.rows(query, self.dsn)

    def sink(
        self,
        mode: str = "append",
        schema: pa.Schema = WORDS,
        create: bool = True,
        table: str = "words",
        key: tuple[str, ...] = ("word",),
        dsn: str = "",
        kind: type[PostgresSink] = PostgresSink,
        read_dsn: Callable[[], str] | None = None,
        deletions: bool = False,
    ) -> PostgresSink:
        wish = Wish("views.postgres", None, table, mode, key if mode == "update" else (), create, deletions)
        sink = kind(lambda: parse_dsn(read_dsn() if read_dsn else dsn or self.dsn, "the DSN"), wish, schema)
        self._opened.append(sink)
        return sink

    def opened(self, mode: str = "append", **options: Any) -> PostgresSink:
        sink = self.sink(mode, **options)
        sink.open(WRITER)
        return sink

    def user(self, name: str) -> str:
        """The DSN of a user who may do nothing yet."""
        self.do(f"DROP OWNED BY {name}") if self.rows(f"SELECT 1 FROM pg_roles WHERE rolname = '{name}'") else None
        self.do(f"DROP ROLE IF EXISTS {name}; CREATE ROLE {name} LOGIN PASSWORD 'hush-hush'")
        return self.dsn.replace(f"admin:{self.server.password}", f"{name}:hush-hush")

    def end_sessions(self) -> None:
        """End the sessions of all sinks of this job; other tests of this server have others."""
        ours = f"application_name LIKE 'streamjob/{JOB}/%'"
        self.do(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}")

    def close(self) -> None:
        for sink in self._opened:
            sink.close()


@pytest.fixture
def db(postgres: PostgresServer) -> Iterator[Database]:
    made = Database(postgres)
    yield made
    made.close()


def batch(
    batch_id: int,
    rows: list[tuple[Any, ...]],
    mode: str = "append",
    epoch: int = 1,
    newest_epoch: int | None = None,
    schema: pa.Schema = WORDS,
    job_id: str = JOB,
    deleted: list[tuple[Any, ...]] | None = None,
) -> SinkBatch:
    def check() -> None:
        if epoch < (newest_epoch or epoch):
            raise Fenced("another process runs the job")

    table, gone = (
        pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in given], schema=schema)
        for given in (rows, deleted or [])
    )
    writer = Writer(job_id, epoch, check)
    return SinkBatch(batch_id, 1_700_000_000_000, table, mode, writer, deleted=None if deleted is None else gone)


def test_append_adds_each_batch(db: Database) -> None:
    sink = db.opened()
    assert sink.delivery is Delivery.EXACTLY_ONCE
    for batch_id, rows in enumerate([ROWS, [], [("a", 1)]]):
        sink.write(batch(batch_id, rows))
    assert db.rows() == [("a", 1), ("a", 1), ("b", 2)]


def test_update_keeps_one_row_a_key_and_the_last_one_of_a_batch(db: Database) -> None:
    sink = db.opened("update")
    sink.write(batch(0, ROWS, "update"))
    sink.write(batch(1, [("b", 3), ("c", 4), ("b", 5)], "update"))
    assert db.rows() == [("a", 1), ("b", 5), ("c", 4)]


def test_update_deletes_what_is_no_longer_in_the_result(db: Database) -> None:
    sink = db.opened("update", key=("word", "n"), create=True)
    keys: list[tuple[Any, ...]] = [("a", 1), ("a", 2), (None, 1), ("b", None), (None, None), ("c", 3)]
    sink.write(batch(0, keys, "update", deleted=[]))
    sink.write(batch(1, [("d", 4)], "update", deleted=[("a", 1), (None, 1), (None, None), ("never", 1)]))
    assert db.rows() == [("a", 2), ("b", None), ("c", 3), ("d", 4)]
    sink.write(batch(2, [], "update", deleted=[("b", None)]))
    assert db.rows() == [("a", 2), ("c", 3), ("d", 4)]


def test_a_batch_of_deletions_alone_is_there_once(db: Database) -> None:
    sink = db.opened("update")
    sink.write(batch(0, ROWS, "update", deleted=[]))
    gone = batch(1, [], "update", deleted=[("a", 1)])
    sink.write(gone)
    db.do("INSERT INTO words VALUES ('a', 9)")
    sink.write(gone)
    again = db.sink("update")
    again.open(Writer(JOB, 2, lambda: None))
    again.write(batch(1, [], "update", epoch=2, deleted=[("a", 1)]))
    assert db.rows() == [("a", 9), ("b", 2)]


def test_a_key_that_the_table_takes_for_another_is_deleted_before_that_is_put_there(db: Database) -> None:
    db.do("CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    db.do("CREATE TABLE words (word text COLLATE any_case UNIQUE, n bigint)")
    sink = db.opened("update", create=False)
    sink.write(batch(0, [("A", 1)], "update", deleted=[]))
    sink.write(batch(1, [("a", 2)], "update", deleted=[("A", 1)]))
    assert db.rows() == [("a", 2)]


def test_deleting_needs_the_right_to(db: Database) -> None:
    db.do("CREATE TABLE words (word text UNIQUE, n bigint)")
    dsn = db.user("writer_only")
    schema = db.rows("SELECT current_schema()")[0][0]
    db.do(f"GRANT USAGE, CREATE ON SCHEMA {schema} TO writer_only")
    db.do("GRANT SELECT, INSERT, UPDATE ON words TO writer_only")
    db.opened("update", create=False, dsn=dsn).close()
    with pytest.raises(JobError, match="the user writer_only may not DELETE: GRANT it"):
        db.opened("update", create=False, dsn=dsn, deletions=True)


def test_update_of_rows_that_are_all_key(db: Database) -> None:
    sink = db.opened("update", key=("word", "n"))
    for batch_id in range(2):
        sink.write(batch(batch_id, [*ROWS, ROWS[0]], "update"))
    assert db.rows() == ROWS


# A type of the table, and keys that it takes for one, as the result has them.
EQUAL_KEYS = [
    ("citext", ["A", "a"]),
    ("uuid", ["6F9619FF-8B86-D011-B42D-00CF4FC964FF", "6f9619ff8b86d011b42d00cf4fc964ff"]),
    ("inet", ["10.0.0.1", "10.0.0.1/32"]),
    ("jsonb", ['{"a": 1, "b": 1.0}', '{"b":1.0,"a":1}']),
    ("text COLLATE same_letters", ["A", "a"]),
    ("double precision", [0.0, -0.0]),
    ("double precision", [float("nan"), -float("nan")]),
    ("lowercase", ["A", "a"]),
]


@pytest.mark.parametrize(("kind", "keys"), EQUAL_KEYS)
@pytest.mark.parametrize("cut", [False, True])
def test_of_keys_that_the_table_takes_for_equal_the_last_one_counts(
    db: Database, kind: str, keys: list[Any], cut: bool
) -> None:
    db.do("CREATE EXTENSION IF NOT EXISTS citext SCHEMA pg_catalog; CREATE DOMAIN lowercase AS citext")
    db.do("CREATE COLLATION same_letters (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    db.do(f"CREATE TABLE words (word {kind} PRIMARY KEY, n bigint)")
    schema = schema_of(word=pa.float64() if isinstance(keys[0], float) else pa.string(), n=pa.int64())
    sink = db.opened("update", schema=schema)
    rows = [(key, n) for n, key in enumerate([*keys, *keys])]
    for batch_id, piece in enumerate([rows[:1], rows[1:]] if cut else [rows]):
        sink.write(batch(batch_id, piece, "update", schema=schema))
    db.do(f"CREATE TABLE last (word {kind}); INSERT INTO last VALUES ('{keys[-1]}')")
    assert db.rows("SELECT word::text, n FROM words") == [(db.rows("SELECT word::text FROM last")[0][0], len(rows) - 1)]


def test_of_keys_that_only_the_index_takes_for_equal_the_last_one_counts(db: Database) -> None:
    db.do("CREATE COLLATION same_letters (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    db.do("CREATE TABLE words (word text, n bigint); CREATE UNIQUE INDEX ON words (word COLLATE same_letters)")
    sink = db.opened("update")
    words = ["a", "b", "A", "c", "B", "c", "a", "d", "D", "%s"]
    sink.write(batch(0, [(word, n) for n, word in enumerate(words)], "update"))
    assert db.rows("SELECT * FROM words ORDER BY n") == [("B", 4), ("c", 5), ("a", 6), ("D", 8), ("%s", 9)]


def test_columns_of_any_name(db: Database) -> None:
    schema = schema_of(place=pa.string(), **{"100 %s": pa.int64()})
    sink = db.opened("update", schema=schema, key=("place",))
    sink.write(batch(0, [("a", 1), ("a", 2)], "update", schema=schema))
    assert db.rows() == [("a", 2)]


def test_update_leaves_columns_alone_that_the_result_does_not_have(db: Database) -> None:
    db.do("CREATE TABLE words (note text DEFAULT 'new', n bigint, word text PRIMARY KEY)")
    db.do("INSERT INTO words VALUES ('old', 1, 'a')")
    db.opened("update").write(batch(0, [("a", 7), ("b", 2)], "update"))
    assert db.rows("SELECT word, n, note FROM words ORDER BY word") == [("a", 7, "old"), ("b", 2, "new")]


def test_complete_replaces_everything_and_readers_see_no_gap(db: Database) -> None:
    sink = db.opened("complete")
    sink.write(batch(0, ROWS, "complete"))
    with psycopg.connect(db.dsn) as reader:
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        assert reader.execute("SELECT count(*) FROM words").fetchone() == (2,)
        sink.write(batch(1, [("c", 3)], "complete"))
        assert reader.execute("SELECT count(*) FROM words").fetchone() == (2,)
    assert db.rows() == [("c", 3)]
    sink.write(batch(2, [], "complete"))
    assert db.rows() == []


@pytest.mark.parametrize("mode", MODES)
def test_a_batch_that_is_written_again_changes_nothing(db: Database, mode: str) -> None:
    first = db.opened(mode)
    first.write(batch(7, ROWS, mode))
    first.write(batch(7, ROWS, mode))  # its answer was lost
    before = db.rows("SELECT xmin::text, * FROM words ORDER BY 2")
    again = db.opened(mode)
    again.write(batch(7, ROWS, mode, epoch=2))
    assert db.rows("SELECT xmin::text, * FROM words ORDER BY 2") == before
    again.write(batch(8, [("c", 3)], mode, epoch=2))
    assert ("c", 3) in db.rows()


class LosesAnAnswer(PostgresSink):
    """Its first transaction is committed, and the connection lost before the answer comes."""

    lost = False

    def _write(self, connection: "Connection[Any]", batch: SinkBatch) -> None:
        last = self._last
        super()._write(connection, batch)
        if not self.lost:
            self.lost, self._last = True, last
            raise psycopg.OperationalError("server closed the connection unexpectedly")


@pytest.mark.parametrize("mode", MODES)
def test_a_batch_that_is_there_and_whose_answer_is_lost_is_no_other_sinks(db: Database, mode: str) -> None:
    db.opened(mode).write(batch(7, ROWS, mode))
    again = db.sink(mode, kind=LosesAnAnswer)
    again.open(WRITER)
    with pytest.raises(Unavailable):
        again.write(batch(7, ROWS, mode, epoch=2))
    again.write(batch(7, ROWS, mode, epoch=2))
    assert db.rows() == ROWS


def test_a_password_that_is_changed_while_the_job_runs(db: Database) -> None:
    db.do("CREATE ROLE rotated LOGIN PASSWORD 'first'")
    try:
        db.do(f"GRANT ALL ON SCHEMA {db.dsn.rpartition('%3D')[2]} TO rotated")
        admin, secret = db.dsn.split("//")[1].split("@")[0], {"password": "first"}
        sink = db.sink(read_dsn=lambda: db.dsn.replace(admin, f"rotated:{secret['password']}"))
        sink.open(WRITER)
        sink.write(batch(0, ROWS))
        db.do("ALTER ROLE rotated PASSWORD 'second'")
        secret["password"] = "second"  # as the kubelet changes the file of a Secret
        db.do("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotated'")
        with pytest.raises(Unavailable):
            sink.write(batch(1, [("c", 3)]))
        sink.write(batch(1, [("c", 3)]))
        sink.close()
        assert db.rows() == [*ROWS, ("c", 3)]
    finally:
        db.do("DROP OWNED BY rotated CASCADE")
        db.do("DROP ROLE rotated")


def test_a_column_that_became_narrower_is_seen_by_the_next_session(db: Database) -> None:
    sink = db.opened()
    sink.write(batch(0, ROWS))
    db.do("ALTER TABLE words ALTER n TYPE smallint")
    db.end_sessions()
    with pytest.raises(Unavailable):
        sink.write(batch(1, [("c", 3)]))
    with pytest.raises(JobError, match="smallint"):
        sink.write(batch(1, [("c", 3)]))


@pytest.mark.parametrize("mode", MODES)
def test_a_process_that_wakes_after_its_replacement_writes_nothing(db: Database, mode: str) -> None:
    old, new, elder = db.opened(mode), db.opened(mode), db.opened(mode)
    old.write(batch(0, ROWS, mode))
    new.write(batch(0, ROWS, mode, epoch=2))
    before = db.rows()
    with pytest.raises(Unavailable):  # its session was ended
        old.write(batch(1, [("z", 9)], mode, newest_epoch=2))
    for sink in (old, elder):
        for batch_id in (0, 1, 2):
            with pytest.raises(Fenced):
                sink.write(batch(batch_id, [("z", 9)], mode, newest_epoch=2))
    assert db.rows() == before


def test_another_job_has_a_marker_of_its_own(db: Database) -> None:
    for job_id in ("0000000000000001", "0000000000000002"):
        db.opened().write(batch(0, ROWS, job_id=job_id))
    assert len(db.rows()) == 4


def test_a_frozen_predecessor_that_holds_the_lock_is_put_out(db: Database) -> None:
    db.opened().write(batch(0, ROWS))
    with psycopg.connect(db.dsn, application_name=f"streamjob/{JOB}/1") as frozen:
        frozen.execute("UPDATE streamjob_markers SET batch_id = 1")
        frozen.execute("INSERT INTO words VALUES ('z', 9)")
        db.opened().write(batch(1, [("c", 3)], epoch=2))
        with pytest.raises(psycopg.OperationalError):
            frozen.execute("SELECT 1")
    assert db.rows() == [*ROWS, ("c", 3)]


def test_a_lock_of_somebody_else_is_waited_for_and_told(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamjob_runtime.connectors.postgres.session._LOCK_MS", 100)
    sink = db.opened()
    with psycopg.connect(db.dsn) as somebody:
        somebody.execute("LOCK TABLE words")
        with pytest.raises(Unavailable, match="lock timeout"):
            sink.write(batch(0, ROWS))
    sink.write(batch(0, ROWS))
    assert db.rows() == ROWS


def test_a_session_that_was_lost_is_made_anew(db: Database) -> None:
    sink = db.opened()
    sink.write(batch(0, ROWS))
    db.end_sessions()
    with pytest.raises(Unavailable):
        sink.write(batch(1, ROWS))
    sink.write(batch(1, ROWS))
    assert len(db.rows()) == 4


def test_a_batch_that_fails_leaves_nothing(db: Database) -> None:
    db.do("CREATE TABLE words (word text, n bigint CHECK (n < 5))")
    sink = db.opened()
    with pytest.raises(JobError, match=r"words_n_check.*: filter such rows out in the pipeline"):
        sink.write(batch(0, [("a", 1), ("b", 7)]))
    assert db.rows() == []
    assert db.rows("SELECT batch_id FROM streamjob_markers") in ([], [(-1,)])


def test_two_sinks_of_one_job_on_one_table_are_found(db: Database) -> None:
    one, other = db.opened(), db.opened()
    one.write(batch(0, ROWS))
    with pytest.raises(JobError, match="another sink of this job writes the table words too"):
        other.write(batch(0, [("c", 3)]))


def test_a_log_that_is_an_older_copy_is_found(db: Database) -> None:
    db.opened().write(batch(5, ROWS, epoch=3))
    with pytest.raises(JobError, match=r"has later batches than the job.*batch 5, written by start 3"):
        db.opened().write(batch(4, ROWS, epoch=4))
    with pytest.raises(JobError, match=r"a later start of this job has written the table words.*older copy"):
        db.opened().write(batch(4, ROWS, epoch=2))


def test_a_database_that_lost_committed_batches_is_found(db: Database) -> None:
    sink = db.opened()
    sink.write(batch(0, ROWS))
    sink.write(batch(1, ROWS))
    db.do("UPDATE streamjob_markers SET batch_id = 0")  # as after a failover to a server that lagged behind
    with pytest.raises(JobError, match="has lost batches that it had committed"):
        sink.write(batch(2, ROWS))


def test_commit_means_durable_whatever_the_database_says(db: Database) -> None:
    dsn = db.dsn + "%20-csynchronous_commit%3Doff"
    db.do("CREATE TABLE words (word text, n bigint, mode text DEFAULT current_setting('synchronous_commit'))")
    db.opened(dsn=dsn).write(batch(0, ROWS))
    assert {mode for *_, mode in db.rows()} == {"on"}


EVERYTHING: dict[str, tuple[pa.DataType, list[Any]]] = {
    "b": (pa.bool_(), [True, False]),
    "i1": (pa.int8(), [-128, 127]),
    "i2": (pa.int16(), [-(2**15), 2**15 - 1]),
    "i4": (pa.int32(), [-(2**31), 2**31 - 1]),
    "i8": (pa.int64(), [-(2**63), 2**63 - 1]),
    "u1": (pa.uint8(), [0, 255]),
    "u2": (pa.uint16(), [0, 2**16 - 1]),
    "u4": (pa.uint32(), [0, 2**32 - 1]),
    "u8": (pa.uint64(), [0, 2**64 - 1]),
    "f4": (pa.float32(), [1.5, float("-inf")]),
    "f8": (pa.float64(), [0.1, 1e308]),
    "dec": (pa.decimal128(38, 10), [Decimal("1234567890123456789012345678.0123456789"), Decimal("-1E-10")]),
    "huge": (pa.decimal128(38, 0), [Decimal(10**38 - 1), Decimal(-(10**38) + 1)]),
    "s": (pa.string(), ['a "quoted", ünï\n\\.\n\\N\ttext', ""]),
    "bytes": (pa.binary(), [bytes(range(256)), b""]),
    "day": (pa.date32(), [datetime.date(1, 1, 1), datetime.date(9999, 12, 31)]),
    "t": (pa.time64("us"), [datetime.time(0), datetime.time(23, 59, 59, 999999)]),
    "ts": (pa.timestamp("us"), [datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31, 23, 59, 59, 999999)]),
    "tz": (
        pa.timestamp("us", "UTC"),
        [datetime.datetime(2026, 11, 21, 9, 0, 0, 1, datetime.UTC), datetime.datetime(1900, 1, 1, tzinfo=datetime.UTC)],
    ),
    "ints": (pa.list_(pa.int64()), [[1, None, 3], []]),
    "texts": (pa.list_(pa.string()), [['a"b', "c\\d", "NULL", "", None, "{x, y}"], ["é"]]),
    "days": (pa.list_(pa.date32()), [[datetime.date(2026, 1, 2)], [None]]),
    "fixed": (pa.list_(pa.float64(), 2), [[0.5, 1.5], [2.0, 3.0]]),
    "deep": (pa.list_(pa.list_(pa.int32())), [[[1, 2], [], [3]], []]),
    "object": (pa.struct([("a", pa.int32()), ("b", pa.string())]), [{"a": 1, "b": 'x"y'}, {"a": None, "b": None}]),
    "map": (pa.map_(pa.string(), pa.int32()), [[("k", 1)], []]),
    "kind": (pa.dictionary(pa.uint8(), pa.string()), ["x", "y"]),
}


# What a server, a database or a user may be set to, by which PostgreSQL reads texts.
SETTINGS = "IntervalStyle=sql_standard array_nulls=off DateStyle=SQL,DMY TimeZone=Asia/Kolkata bytea_output=escape"
AS_SET = ("", *(f"%20-c{setting.replace('=', '%3D')}" for setting in SETTINGS.split()))


@pytest.mark.parametrize("settings", AS_SET)
def test_every_type_comes_back_as_it_was_whatever_the_server_is_set_to(db: Database, settings: str) -> None:
    schema = schema_of(**{name: kind for name, (kind, _) in EVERYTHING.items()})
    values = {name: [*values, None] for name, (_, values) in EVERYTHING.items()}
    rows = pa.table({name: pa.array(values[name], kind) for name, (kind, _) in EVERYTHING.items()}, schema=schema)
    sink = db.opened(schema=schema, dsn=db.dsn + settings)
    sink.write(SinkBatch(0, 0, rows, "append", WRITER))
    assert sink.check().endswith("fits")
    found = db.rows("SELECT * FROM words")
    for i, name in enumerate(EVERYTHING):
        wanted = [dict(v) if name == "map" and v is not None else v for v in values[name]]
        assert [row[i] for row in found] == wanted, name


@pytest.mark.parametrize("settings", AS_SET)
def test_intervals_and_infinite_times_come_back(db: Database, settings: str) -> None:
    schema = schema_of(i=pa.month_day_nano_interval(), ts=pa.timestamp("us"), day=pa.date32())
    rows = pa.table(
        [
            pa.array([(14, 3, 1_500_000_000), (-1, 2, 3000), (-1, 0, -1000), None], schema.field(0).type),
            pa.array([2**63 - 1, 0, -(2**63) + 1, None], pa.int64()).cast(pa.timestamp("us")),
            pa.array([2**31 - 1, 0, -(2**31) + 1, None], pa.int32()).cast(pa.date32()),
        ],
        schema=schema,
    )
    db.opened(schema=schema, dsn=db.dsn + settings).write(SinkBatch(0, 0, rows, "append", WRITER))
    assert db.rows("SELECT i::text, ts::text, day::text FROM words") == [
        ("1 year 2 mons 3 days 00:00:01.5", "infinity", "infinity"),
        ("-1 mons +2 days 00:00:00.000003", "1970-01-01 00:00:00", "1970-01-01"),
        ("-1 mons -00:00:00.000001", "-infinity", "-infinity"),
        (None, None, None),
    ]


@pytest.mark.parametrize("settings", AS_SET)
def test_far_times_come_back(db: Database, settings: str) -> None:
    clock = pa.array([86_400_000_000, 0], pa.int64()).cast(pa.time64("us"))
    days = pa.array([-735_160, 13_890_172], pa.int32()).cast(pa.date32())  # 0044-03-15 BC, 40000-01-01
    far = pa.array([-63_517_823_000_000_000, 1_200_110_860_800_000_000], pa.int64())
    lists = pa.ListArray.from_arrays([0, 1, 2], days)
    columns = {
        "c": clock,
        "d": days,
        "t": far.cast(pa.timestamp("us")),
        "z": far.cast(pa.timestamp("us", "UTC")),
        "l": lists,
    }
    rows = pa.table(columns)
    db.opened(schema=rows.schema, dsn=db.dsn + settings).write(SinkBatch(0, 0, rows, "append", WRITER))
    assert db.rows("SELECT c::text, d::text, t::text, timezone('UTC', z)::text, l::text FROM words ORDER BY d") == [
        ("24:00:00", "0044-03-15 BC", "0044-03-15 00:16:40 BC", "0044-03-15 00:16:40 BC", '{"0044-03-15 BC"}'),
        ("00:00:00", "40000-01-01", "40000-01-01 00:00:00", "40000-01-01 00:00:00", "{40000-01-01}"),
    ]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1))
def test_any_text_comes_back_as_it_was(postgres: PostgresServer, texts: list[str]) -> None:
    db = Database(postgres)
    schema = schema_of(s=pa.string(), l=pa.list_(pa.string()))
    db.opened(schema=schema).write(batch(0, [(text, [text, None]) for text in texts], schema=schema))
    db.close()
    assert db.rows("SELECT s, l FROM words") == [(text, [text, None]) for text in texts]


def test_a_text_of_json_and_of_other_kinds_that_have_a_text(db: Database) -> None:
    db.do("CREATE TYPE mood AS ENUM ('ok', 'bad')")
    db.do("CREATE DOMAIN tag AS varchar(9)")
    db.do("CREATE TABLE words (j jsonb, u uuid, m mood, d tag, l json)")
    schema = schema_of(j=pa.string(), u=pa.string(), m=pa.string(), d=pa.string(), l=pa.list_(pa.int32()))
    sink = db.opened(schema=schema, create=False)
    row = ('{"a": 1.0}', "11111111-2222-3333-4444-555555555555", "ok", "x", [1, 2])
    sink.write(batch(0, [row], schema=schema))
    assert db.rows("SELECT j::text, u::text, m::text, d, l::text FROM words") == [(*row[:4], "[1,2]")]
    with pytest.raises(JobError, match=r"invalid input syntax for type json.*: mend the data, or cast it"):
        sink.write(batch(1, [("{", *row[1:])], schema=schema))


NAN, INF = float("nan"), float("inf")
_POINT = pa.struct([("x", pa.float64()), ("n", pa.int64())])
CHANGED: dict[str, tuple[str, pa.DataType, Any, str]] = {
    "blanks": ("varchar(3)", pa.string(), "abc  ", r"character varying\(3\), .* cut the blanks.*rtrim"),
    "blanks in an array": ("varchar(3)[]", pa.list_(pa.string()), ["a", None, "abc "], "cut the blanks"),
    "blanks of a domain": ("tag", pa.string(), "abc ", r"is of type tag, .* cut the blanks"),
    "blanks of an enum": ("varchar(3)", pa.dictionary(pa.int8(), pa.string()), "éüx ", "cut the blanks"),
    "struct": ("jsonb", _POINT, {"x": NAN, "n": 1}, "NaN or infinity.*JSON does not know.*isfinite"),
    "list of lists": ("json", pa.list_(pa.list_(pa.float32())), [[1.0], [-INF]], "NaN or infinity"),
    "list as JSON": ("jsonb", pa.list_(pa.float64()), [INF], "NaN or infinity"),
    "fixed list": ("jsonb", pa.list_(pa.float64(), 2), [0.0, INF], "NaN or infinity"),
    "map": ("jsonb", pa.map_(pa.string(), pa.float64()), [("k", NAN)], "NaN or infinity"),
    "deep": ("jsonb", pa.struct([("a", pa.list_(_POINT))]), {"a": [None, {"x": INF, "n": 1}]}, "NaN or infinity"),
}


@pytest.mark.parametrize("mode", ["append", "update"])
@pytest.mark.parametrize(("column", "kind", "value", "message"), CHANGED.values(), ids=CHANGED.keys())
def test_a_value_that_postgresql_would_change_is_refused(
    db: Database, mode: str, column: str, kind: pa.DataType, value: Any, message: str
) -> None:
    db.do(f"CREATE DOMAIN tag AS varchar(3); CREATE TABLE words (word bigint UNIQUE, v {column})")
    schema = schema_of(word=pa.int64(), v=kind)
    sink = db.opened(mode, schema=schema)
    with pytest.raises(JobError, match=message):
        sink.write(batch(0, [(1, None), (2, value)], mode, schema=schema))
    assert db.rows("SELECT * FROM words") == []


KEPT: dict[str, tuple[str, pa.DataType, Any]] = {
    "blanks that fit": ("varchar(3)", pa.string(), "é  "),
    "blanks without end": ("varchar", pa.string(), "abc   "),
    "short": ("varchar(3)[]", pa.list_(pa.string()), ["a", None, "abc"]),
    "finite": ("jsonb", _POINT, {"x": 0.5, "n": 1}),
    "array": ("float8[]", pa.list_(pa.float64()), [INF, -INF]),
}


@pytest.mark.parametrize(("column", "kind", "value"), KEPT.values(), ids=KEPT.keys())
def test_a_value_that_stays_is_taken(db: Database, column: str, kind: pa.DataType, value: Any) -> None:
    db.do(f"CREATE TABLE words (v {column})")
    schema = schema_of(v=kind)
    db.opened(schema=schema).write(batch(0, [(value,), (None,)], schema=schema))
    assert db.rows("SELECT v FROM words") == [(value,), (None,)]


MISFITS = {
    "no column": ("word text", 'it has no column "n", only word: add it .ALTER TABLE … ADD COLUMN … bigint'),
    "type": ("word text, n integer", '"n" is of type integer, which does not hold every bigint .* cast the result'),
    "scale": ("word text, n numeric(20,2)", r'"n" is of type numeric\(20,2\), which does not hold every bigint'),
    "text": ("word integer, n bigint", '"word" is of type integer, which does not hold every text'),
    "not null": ("word text, n bigint, id uuid NOT NULL", '"id" may not be NULL, and the result has no such column'),
    "generated": ("word text, n bigint GENERATED ALWAYS AS (1) STORED", '"n" is generated by the table: leave it out'),
    "several": ("word bytea, m bigint", '"word" is of type bytea.*; it has no column "n"'),
}


@pytest.mark.parametrize(("columns", "message"), MISFITS.values(), ids=MISFITS.keys())
def test_a_table_that_does_not_fit_is_refused_beforehand(db: Database, columns: str, message: str) -> None:
    db.do(f"CREATE TABLE words ({columns})")
    for look in (db.sink().check, lambda: db.sink().open(WRITER)):
        with pytest.raises(
            JobError, match=f'sink "views.postgres": the table words at .* cannot be written: .*{message}'
        ):
            look()


FITS = ("word text, n bigint", "n numeric, word varchar(3)", "WORD text, n numeric(21,2)", "n bigint, word text, x int")


@pytest.mark.parametrize("columns", FITS)
def test_a_table_that_fits_is_taken(db: Database, columns: str) -> None:
    db.do(f"CREATE TABLE words ({columns})")
    sink = db.sink(create=False)
    assert sink.check().endswith("fits")
    assert db.rows("SELECT to_regclass('streamjob_markers')::text") == [(None,)], "a check makes nothing"
    sink.open(WRITER)
    sink.write(batch(0, ROWS))
    assert len(db.rows()) == 2


def test_a_table_that_is_not_there_is_refused_or_made(db: Database) -> None:
    with pytest.raises(JobError, match=r"has no such table: create it, or say create: true"):
        db.sink(create=False).open(WRITER)
    assert "a start will make the table" in db.sink().check()
    assert db.rows("SELECT to_regclass('words')::text") == [(None,)]
    with pytest.raises(JobError, match=r"words at .* cannot be written: it is a view: name a table"):
        db.do("CREATE VIEW words AS SELECT 'a' AS word, 1::bigint AS n")
        db.sink().check()


_MARKERS = "streamjob_markers (job_id text, sink text, batch_id bigint, epoch bigint)"
_PARTED = (
    "CREATE TABLE words (word text, n bigint) PARTITION BY RANGE (n); CREATE TABLE first PARTITION OF words DEFAULT"
)
FLEETING = {
    "unlogged": (
        "CREATE UNLOGGED TABLE words (word text, n bigint)",
        "words is UNLOGGED.*: ALTER TABLE words SET LOGGED",
    ),
    "partition": (
        _PARTED + "; CREATE UNLOGGED TABLE part PARTITION OF words FOR VALUES FROM (0) TO (9)",
        "part is UNLOGGED.*: ALTER TABLE part SET LOGGED",
    ),
    "partition of a partition": (
        _PARTED + "; CREATE TABLE sub PARTITION OF words FOR VALUES FROM (0) TO (9) PARTITION BY LIST (word)"
        "; CREATE UNLOGGED TABLE deep PARTITION OF sub DEFAULT",
        "deep is UNLOGGED.*: ALTER TABLE deep SET LOGGED",
    ),
    "foreign partition": (
        _PARTED + "; CREATE FOREIGN DATA WRAPPER none; CREATE SERVER far FOREIGN DATA WRAPPER none"
        "; CREATE FOREIGN TABLE part PARTITION OF words FOR VALUES FROM (0) TO (9) SERVER far",
        "part is a foreign table.*: detach it",
    ),
    "markers": (
        f"CREATE TABLE words (word text, n bigint); CREATE UNLOGGED TABLE {_MARKERS}",
        "streamjob_markers is UNLOGGED.*: ALTER TABLE streamjob_markers SET LOGGED",
    ),
}


@pytest.mark.parametrize(("statements", "message"), FLEETING.values(), ids=FLEETING.keys())
def test_a_table_that_a_crash_empties_is_refused_beforehand(db: Database, statements: str, message: str) -> None:
    db.do(statements)
    with pytest.raises(JobError, match=f"the table words at .* cannot be written: {message}"):
        db.sink(create=False).check()


def test_partitions_that_last_are_taken(db: Database) -> None:
    db.do(_PARTED)
    db.opened(create=False).write(batch(0, ROWS))
    assert db.rows() == ROWS


def test_what_a_crash_has_emptied_is_said(own_postgres: PostgresServer) -> None:
    db = Database(own_postgres)
    try:
        sink = db.opened()
        sink.write(batch(0, ROWS))
        db.do("ALTER TABLE words SET UNLOGGED")
        own_postgres.kill()
        own_postgres.start()
        assert db.rows() == []
        with pytest.raises(Unavailable):
            sink.write(batch(1, ROWS))
        with pytest.raises(JobError, match="words is UNLOGGED"):
            sink.write(batch(1, ROWS))
    finally:
        db.close()


INDEXES = {
    "none": "",
    "not unique": "CREATE INDEX ON words (word)",
    "more columns": "CREATE UNIQUE INDEX ON words (word, n)",
    "partial": "CREATE UNIQUE INDEX ON words (word) WHERE n > 0",
    "expression": "CREATE UNIQUE INDEX ON words (lower(word))",
}


@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES.keys())
def test_update_needs_a_unique_index_on_just_the_key(db: Database, index: str) -> None:
    db.do("CREATE TABLE words (word text, n bigint)")
    db.do(index) if index else None
    with pytest.raises(JobError, match=r"no unique index on just the key \(word\): CREATE UNIQUE INDEX"):
        db.sink("update").check()
    db.do("CREATE UNIQUE INDEX ON words (word) INCLUDE (n)")
    db.opened("update").write(batch(0, ROWS, "update"))


def test_update_cannot_use_a_constraint_that_is_deferred(db: Database) -> None:
    db.do("CREATE TABLE words (word text UNIQUE DEFERRABLE, n bigint)")
    with pytest.raises(JobError, match=r"on the key \(word\) is DEFERRABLE"):
        db.sink("update").check()


def test_a_key_that_is_null_is_replaced_or_refused_but_never_doubled(db: Database) -> None:
    made = db.opened("update")
    for batch_id in range(2):
        made.write(batch(batch_id, [(None, batch_id)], "update"))
    assert db.rows() == [(None, 1)]
    db.do("CREATE TABLE other (word text UNIQUE, n bigint)")
    with pytest.raises(JobError, match=r'column "word" is NULL in 1 row.*coalesce\(\)'):
        db.opened("update", table="other").write(batch(0, [(None, 1), ("a", 2)], "update"))


def test_a_key_that_the_result_does_not_have(db: Database) -> None:
    with pytest.raises(JobError, match='the key names the column "wrod", which the result does not have'):
        db.sink("update", key=("wrod",)).check()


def test_a_type_that_no_column_has(db: Database) -> None:
    schema = schema_of(word=pa.string(), at=pa.timestamp("ns"))
    with pytest.raises(JobError, match=r'its column "at" is of type timestamp\[ns\].*cast it in the pipeline'):
        db.sink(schema=schema).check()


@pytest.mark.parametrize("mode", MODES)
def test_rights_that_are_missing_are_named(db: Database, mode: str) -> None:
    db.do("CREATE TABLE words (word text UNIQUE, n bigint)")
    dsn = db.user("reader")
    name = db.rows("SELECT current_schema()")[0][0]
    db.do(f"GRANT USAGE ON SCHEMA {name} TO reader")
    with pytest.raises(JobError, match=r"the user reader may not .*INSERT.*: GRANT it"):
        db.sink(mode, dsn=dsn).check()
    db.do("GRANT SELECT, INSERT, UPDATE, DELETE ON words TO reader")
    with pytest.raises(
        JobError, match=r"may create nothing in the schema .*streamjob_markers.*GRANT CREATE.*CREATE TABLE"
    ):
        db.sink(mode, dsn=dsn).check()
    owner = db.opened(mode)
    owner.write(batch(0, ROWS, mode, job_id="0000000000000002"))
    with pytest.raises(JobError, match=r"the user reader may not SELECT, INSERT, UPDATE .*streamjob_markers"):
        db.sink(mode, dsn=dsn).check()
    db.do("GRANT SELECT, INSERT, UPDATE ON streamjob_markers TO reader")
    db.opened(mode, dsn=dsn).write(batch(0, [("c", 3)], mode))
    assert ("c", 3) in db.rows()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("admin:", "admin:wrong"), r"PostgreSQL at .* refuses the connection \(.*password authentication failed"),
        (("admin:", "nobody:"), r"refuses the connection .*: correct the user and the password"),
        (("/postgres?", "/nowhere?"), r'"nowhere" does not exist.*correct the DSN'),
        (("search_path", "serach_path"), r"unrecognized configuration parameter .*correct the options"),
    ],
)
def test_a_connection_that_is_refused_is_explained_without_the_password(
    db: Database, change: tuple[str, str], message: str
) -> None:
    sink = db.sink(dsn=db.dsn.replace(*change))
    for look in (sink.check, lambda: sink.open(WRITER)):
        with pytest.raises(JobError, match=message) as raised:
            look()
        assert db.server.password not in str(raised.value) and str(raised.value).startswith('sink "')
        assert raised.value.__cause__ is None and raised.value.__suppress_context__


def test_a_server_that_is_away_is_waited_for(own_postgres: PostgresServer) -> None:
    db = Database(own_postgres)
    sink = db.opened()
    sink.write(batch(0, ROWS))
    own_postgres.kill()
    for _ in range(2):
        with pytest.raises(Unavailable, match=r"cannot be (used|reached) now") as raised:
            sink.write(batch(1, ROWS))
        assert own_postgres.password not in str(raised.value)
    own_postgres.start()
    sink.write(batch(1, ROWS))
    assert len(db.rows()) == 4
    db.close()


def test_a_sink_of_a_manifest_finds_its_dsn_in_a_secret(db: Database) -> None:
    ref = SimpleNamespace(name="pg", key="dsn")
    config = SimpleNamespace(table="words", schema_=None, key=None, create=True, dsn_secret_ref=ref)
    spec = SimpleNamespace(kind="postgres", mode="append", format=None, config=config)

    def context(environ: dict[str, str]) -> SinkContext:
        return SinkContext(Connections(None, Secrets(None, environ)), lambda s, _: s, Path(), lambda *_: None)

    with pytest.raises(JobError, match="There is no dsn of Secret 'pg'"):
        open_sink(spec, "views.postgres", WORDS, context({}))
    sink = open_sink(spec, "views.postgres", WORDS, context({"dsn": db.dsn}))
    sink.open(WRITER)
    sink.write(batch(0, ROWS))
    sink.close()
    assert db.rows() == ROWS
