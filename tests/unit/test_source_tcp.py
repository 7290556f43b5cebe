"""What becomes of lines when connections break, peers restart and processes die."""

import contextlib
import random
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pyarrow as pa
import pytest

from streamjob_runtime.clock import SystemClock
from streamjob_runtime.connectors.open import open_source
from streamjob_runtime.connectors.shared.wal import Segment, Wal
from streamjob_runtime.connectors.source import OffsetRange, Source
from streamjob_runtime.connectors.source_context import SourceContext
from streamjob_runtime.connectors.tcp.source import TcpSource
from streamjob_runtime.errors import Damaged, JobError, Unavailable
from streamjob_runtime.formats.json_lines import JsonDecoder
from streamjob_runtime.formats.text import TextDecoder
from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.connections import Connections, Secrets
from support.flaky import Fault, FlakyStore
from support.memory import MemoryStore
from support.sources import TEXT, LineServer, TcpBench, wait_until


@pytest.fixture
def bench() -> Iterator[TcpBench]:
    bench = TcpBench()
    yield bench
    bench.close()


@pytest.fixture
def source(bench: TcpBench) -> Iterator[Source]:
    source = bench.make(1)
    source.open(None)
    yield source
    source.close()


def known(source: Source) -> int:
    return source.status().latest["lines"]


def batch(source: Source, limit: int | None = None) -> list[str]:
    offsets = source.poll(limit, 0)
    if offsets is None:
        return []
    source.advance(offsets)
    return texts(source, offsets)


def texts(source: Source, offsets: OffsetRange) -> list[str]:
    return [str(value) for value in source.read(offsets).column("value").to_pylist()]


def dead_source(store: Store, port: int = 1, epoch: int = 9) -> TcpSource:
    """A source whose server is not there: it can read only what the WAL holds."""
    return TcpSource("t", "127.0.0.1", port, store, TextDecoder(), TEXT, epoch, random.Random(0), SystemClock())


def test_the_end_of_a_connection_ends_the_last_line(bench: TcpBench, source: Source) -> None:
    bench.server.send(b"whole\nunfinished")
    wait_until(lambda: known(source) == 1)
    assert batch(source) == ["whole"]
    bench.server.hang_up()
    wait_until(lambda: known(source) == 2)
    assert batch(source) == ["unfinished"]
    bench.server.send(b"next\n")
    wait_until(lambda: known(source) == 3)
    assert batch(source) == ["next"]


def test_a_line_that_a_broken_connection_cuts_off_is_dropped_and_counted(bench: TcpBench, source: Source) -> None:
    bench.server.send(b"whole\ncut o")
    wait_until(lambda: known(source) == 1)
    bench.server.reset()
    bench.server.send(b"next\n")
    wait_until(lambda: known(source) == 2)
    assert batch(source) == ["whole", "next"]
    assert source.status().message == "1 unfinished lines were dropped when a connection broke"


def test_a_peer_that_restarts_is_connected_to_again(bench: TcpBench, source: Source) -> None:
    bench.add(1, source)
    assert source.status().connected
    port = bench.server.port
    bench.server.stop()
    wait_until(lambda: "cannot connect" in source.status().message)
    assert not source.status().connected
    assert source.status().message == f"cannot connect to 127.0.0.1:{port}: Connection refused; trying again"
    failed = source.status().attempts
    assert failed >= 1
    wait_until(lambda: source.status().attempts > failed)
    bench.server = LineServer(port)
    bench.add(2, source)
    wait_until(lambda: source.status().connected)
    assert batch(source) == bench.added


def test_bytes_may_come_one_at_a_time(bench: TcpBench, source: Source) -> None:
    for byte in "žluť\r\nkůň\n".encode():
        bench.server.send(bytes([byte]))
    wait_until(lambda: known(source) == 2)
    assert batch(source) == ["žluť", "kůň"]


def test_a_full_buffer_holds_the_sender_back_and_loses_nothing() -> None:
    bench = TcpBench(max_buffer_bytes=100_000)
    source = bench.make(1)
    source.open(None)
    lines = [f"{i:0999d}" for i in range(40_000)]
    sender = threading.Thread(target=lambda: bench.server.send(("\n".join(lines) + "\n").encode()))
    try:
        sender.start()
        received: list[str] = []
        most = 0
        while len(received) < len(lines):
            wait_until(lambda: known(source) > len(received))  # noqa: B023 - called before the next turn
            most = max(most, known(source) - len(received))
            received += batch(source, limit=50)
        assert received == lines
        # The buffer's 100 lines, and what one read from the socket brings.
        assert most <= 100 + (1 << 20) // 1000 + 1
    finally:
        source.close()
        bench.close()
        sender.join(20)


def test_a_line_without_an_end_stops_the_job_when_all_before_it_is_read(bench: TcpBench, source: Source) -> None:
    bench.server.send(b"good\n")
    endless = threading.Thread(target=_send_without_newline, args=(bench.server, 17 << 20))
    endless.start()
    wait_until(lambda: "without a newline" in source.status().message)
    endless.join(20)
    assert batch(source) == ["good"]
    with pytest.raises(JobError, match=r'Source "t": 127\.0\.0\.1:.* sent 16 MiB without a newline, and'):
        source.poll(None, 0)


def _send_without_newline(server: LineServer, size: int) -> None:
    with contextlib.suppress(OSError):  # the source hangs up
        server.send(b"x" * size)


def test_lines_of_a_process_that_died_before_it_logged_them_are_read_first(bench: TcpBench) -> None:
    died = bench.make(1)
    died.open(None)
    bench.add(3, died)
    lost = died.poll(None, 0)
    assert lost is not None
    died.close()
    source = bench.make(2)
    source.open(None)
    bench.add(2, source)
    assert batch(source) == ["row 0", "row 1", "row 2"]
    assert batch(source) == ["row 3", "row 4"]
    source.close()


def test_segments_of_several_dead_processes_keep_their_order_and_their_rows_through_restarts() -> None:
    store = MemoryStore()
    wal = Wal(store, "t")
    wal.write(Segment(0, 1, "a", 2), b"a0\na1\n")
    wal.write(Segment(0, 2, "b", 3), b"b0\nb1\nb2\n")
    source = dead_source(store)
    source.open(None)
    first = source.poll(3, 0)
    assert first is not None
    source.advance(first)
    assert texts(source, first) == ["a0", "a1", "b0"]
    state = source.snapshot()
    source.release(state)
    source.close()
    assert [segment.nonce for segment in wal.list()] == ["b"]
    source = dead_source(store)
    source.open(state)
    assert known(source) == 5
    second = source.poll(None, 0)
    assert second is not None
    assert dict(second.partitions) == {"lines": (3, 5)}
    source.close()
    # The same range again, replayed by the next process.
    source = dead_source(store)
    source.open(state)
    source.advance(second)
    assert texts(source, second) == ["b1", "b2"]
    # By its name the segment ends at 3; a checkpoint at 4 needs it all the same.
    source.release({"offset": 4})
    assert [segment.nonce for segment in wal.list()] == ["b"]
    source.release(source.snapshot())
    assert wal.list() == []
    source.close()


def test_a_segment_that_a_replaced_process_wrote_late_is_not_read() -> None:
    store = MemoryStore()
    Wal(store, "t").write(Segment(5, 1, "a", 2), b"late\nlate\n")
    source = dead_source(store)
    source.open({"offset": 6, "moved": {}, "cut": None})
    assert source.poll(None, 0) is None
    source.close()


def test_a_missing_or_damaged_segment_is_named() -> None:
    store = MemoryStore()
    wal = Wal(store, "t")
    segment = Segment(0, 1, "a", 2)
    wal.write(segment, b"a0\na1\n")
    key = f"wal/t/{segment.name}"
    source = dead_source(store)
    source.open(None)
    offsets = source.poll(None, 0)
    assert offsets is not None
    source.advance(offsets)
    data = store.read(key)
    for broken in (data[:-1], data[:5], b"", data.replace(b"SJW1", b"SJW2"), data[:4] + b"\0\0\0\0" + data[8:]):
        store.replace(key, broken, store.stat(key).version)
        with pytest.raises(Damaged, match=f"memory/{key}, received lines that a batch needs, is damaged"):
            source.read(offsets)
    store.delete(key)
    with pytest.raises(Damaged, match=f"memory/{key}, received lines that a batch needs, is missing. Restore it"):
        source.read(offsets)
    source.close()
    store.create("wal/t/stray", b"")
    with pytest.raises(Damaged, match="memory/wal/t/stray is no segment of received lines"):
        dead_source(store).open(None)


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.AFTER])
def test_a_store_that_fails_loses_no_line_and_repeats_none(bench: TcpBench, fault: Fault) -> None:
    # The first call lists the WAL.
    store = FlakyStore(bench.store, [Fault.NONE, fault, fault])
    source = dead_source(store, bench.server.port)
    source.open(None)
    bench.add(3, source)
    for _ in range(2):
        with pytest.raises(Unavailable):
            source.poll(None, 0)
    bench.add(1, source)
    assert batch(source) + batch(source) == bench.added
    source.close()


def test_a_line_that_cannot_be_decoded_is_named_by_its_number(bench: TcpBench) -> None:
    schema = pa.schema({"n": pa.int64()})
    source = TcpSource(
        "t",
        "127.0.0.1",
        bench.server.port,
        bench.store,
        JsonDecoder(schema),
        schema,
        1,
        random.Random(0),
        SystemClock(),
    )
    source.open(None)
    bench.server.send(b'{"n":1}\n{"n":2}\n\n{"n":"x"}\n')
    wait_until(lambda: known(source) == 4)
    first = source.poll(1, 0)
    assert first is not None
    source.advance(first)
    second = source.poll(None, 0)
    assert second is not None
    source.advance(second)
    with pytest.raises(JobError, match='Source "t", line 3, counted from 0: field "n": a string stands'):
        source.read(second)
    source.close()


def test_a_host_that_cannot_be_one_is_the_jobs_fault(bench: TcpBench) -> None:
    config = SimpleNamespace(host="x" * 70 + ".example", port=1)
    spec = SimpleNamespace(
        name="t", kind="tcp", config=config, format="text", csv_header=False, csv_escape='"', required=()
    )
    context = SourceContext(Connections(None, Secrets(None, {})), bench.store, 1, SystemClock(), random.Random(0))
    source = open_source(spec, TEXT, context)
    source.open(None)
    wait_until(lambda: "cannot be a host name" in source.status().message)
    with pytest.raises(JobError, match="cannot be a host name; correct it in the manifest"):
        source.poll(None, 0)
    source.close()
