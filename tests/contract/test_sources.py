"""What the loop relies on, of every source: the same range the same rows, nothing lost, nothing twice."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamjob_runtime.connectors.source import Source
from streamjob_runtime.errors import Unavailable
from streamjob_runtime.stores.base import Store
from support.flaky import Fault, FlakyStore
from support.kafka import KafkaServer
from support.memory import MemoryStore
from support.source_run import Run
from support.sources import Bench, FilesBench, FollowBench, KafkaBench, QueueBench, RateBench, TcpBench

BENCHES: dict[str, Callable[[], Bench]] = {
    "files": FilesBench,
    "follow": FollowBench,
    "queue": QueueBench,
    "rate": RateBench,
    "tcp": TcpBench,
}


@pytest.fixture(params=[*BENCHES, "kafka"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A source of each kind on its bench; the server of Kafka is started only for its own."""
    if request.param == "kafka":
        made: Bench = KafkaBench(request.getfixturevalue("kafka"))
    else:
        made = BENCHES[request.param]()
    yield made
    made.close()


@pytest.fixture
def run(bench: Bench) -> Iterator[Run]:
    run = Run(bench)
    run.start()
    try:
        yield run
    finally:
        run.stop()


def test_rows_come_once_in_order_and_then_there_is_nothing_new(run: Run) -> None:
    assert run.source is not None
    run.drain()
    for count in (3, 1, 5):
        run.bench.add(count, run.source)
    assert run.drain() == run.bench.added
    assert not run.batch()


def test_a_limit_bounds_every_batch_and_loses_nothing(run: Run) -> None:
    assert run.source is not None
    run.drain()
    for count in (3, 1, 8):
        run.bench.add(count, run.source)
    first = len(run.rows)
    assert run.drain(limit=2) == run.bench.added
    assert [len(rows) for rows in run.rows[first:]] == [2] * 6


def test_poll_moves_nothing(run: Run) -> None:
    assert run.source is not None
    run.drain()
    run.bench.add(4, run.source)
    before = run.source.snapshot()
    now_ms = run.bench.clock.now_ms()
    first, again = run.source.poll(3, now_ms), run.source.poll(3, now_ms)
    assert first is not None
    assert first == again
    assert run.source.snapshot() == before
    assert run.drain() == run.bench.added


def test_a_batch_that_was_cut_goes_on_after_a_restart_from_a_checkpoint_within_it(run: Run) -> None:
    assert run.source is not None
    run.drain()
    run.bench.add(10, run.source)
    assert run.batch(limit=4)
    run.take_checkpoint()
    run.stop()
    run.start()
    assert run.batch(limit=4)
    run.stop()
    run.start()
    assert run.drain() == run.bench.added


def test_all_that_is_there_ends(run: Run) -> None:
    assert run.source is not None
    run.drain()
    run.bench.add(5, run.source)
    run.source.limit_to_available()
    there = list(run.bench.added)
    assert not run.source.exhausted
    assert run.batch(limit=3)
    run.bench.add(5, run.source)
    while not run.source.exhausted:
        run.batch(limit=3)
    # A rate counts what is due at its first look.
    assert run.all[: len(there)] == there
    assert not run.batch()
    assert run.all == run.bench.added[: len(run.all)]


def test_what_is_released_is_not_needed_by_any_later_checkpoint(run: Run) -> None:
    assert run.source is not None
    run.drain()
    for _ in range(3):
        run.bench.add(4, run.source)
        run.drain(limit=3)
        run.take_checkpoint()
        kept = len(run.log)
        run.bench.add(2, run.source)
        run.drain(limit=3)
        run.source.release(run.checkpoint[1])
        run.stop()
        run.start()
        assert run.checkpoint[0] == kept
    assert run.drain() == run.bench.added


def test_status_tells_how_much_is_known_to_be_there(run: Run) -> None:
    assert run.source is not None
    run.drain()
    (before,) = run.source.status().latest.values()
    run.bench.add(3, run.source)
    assert run.batch(limit=1)
    (after,) = run.source.status().latest.values()
    assert after > before


def test_what_waits_is_known_though_nobody_polls(run: Run) -> None:
    assert run.source is not None
    run.drain()
    assert waiting(run.source) == 0
    run.bench.add(3, run.source)
    run.source.survey(run.bench.clock.now_ms())
    amount = {FilesBench: 1, FollowBench: 3 * len("row 0\n")}.get(type(run.bench), 3)  # files, bytes, or rows
    assert waiting(run.source) == amount
    run.drain()
    assert waiting(run.source) == 0


def waiting(source: Source) -> int:
    status = source.status()
    assert status.position.keys() == status.latest.keys()
    return sum(end - status.position[p] for p, end in status.latest.items())


def test_a_check_finds_the_system_and_changes_nothing_for_the_job(bench: Bench) -> None:
    run = Run(bench)
    source = run.start()
    try:
        run.drain()
        bench.add(3, source)
        assert run.batch(limit=1)
        run.take_checkpoint()
        run.stop()
        looking = bench.make(run.epoch)
        assert looking.check()
        looking.close()
        source = run.start()
        bench.add(4, source)
        assert run.drain() == bench.added
    finally:
        run.stop()


def test_a_check_says_what_is_there() -> None:
    files, tcp = FilesBench(), TcpBench()
    try:
        source = files.make(1)
        assert source.check() == "warning: 0 files at memory/; is the path right?"
        files.add(2, source)
        assert source.check() == "1 file at memory/"
        assert tcp.make(1).check() == f"127.0.0.1:{tcp.server.port} takes connections"
    finally:
        tcp.close()


def test_a_check_of_a_system_that_is_down_names_it() -> None:
    with pytest.raises(Unavailable, match="list"):
        FilesBench(FlakyStore(MemoryStore(), [Fault.BEFORE])).make(1).check()
    tcp = TcpBench()
    tcp.close()
    with pytest.raises(Unavailable, match=rf'Source "t": cannot connect to 127.0.0.1:{tcp.server.port}: .*refused'):
        tcp.make(1).check()


@pytest.mark.parametrize("kind", [FilesBench, TcpBench])
def test_a_job_goes_on_where_it_was_on_a_real_store(kind: type[FilesBench] | type[TcpBench], store: Store) -> None:
    bench = kind(store)
    run = Run(bench)
    source = run.start()
    try:
        for count in (3, 0, 8):
            bench.add(count, source)
        assert run.batch(limit=5)
        run.take_checkpoint()
        assert run.batch(limit=5)
        run.stop()
        source = run.start()
        bench.add(4, source)
        assert run.drain() == bench.added
        source.release(source.snapshot())
        run.take_checkpoint()
        run.stop()
        run.start()
        assert run.drain() == bench.added
    finally:
        run.stop()
        bench.close()


STEPS = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 7)),
    st.tuples(st.just("batch"), st.none() | st.integers(1, 5)),
    st.tuples(st.sampled_from(["poll", "checkpoint", "release", "restart", "crash"]), st.none()),
)


@pytest.mark.parametrize("kind", BENCHES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEPS, max_size=15))
def test_whatever_happens_nothing_is_lost_and_nothing_comes_twice(
    kind: str, steps: list[tuple[str, int | None]]
) -> None:
    take_steps(BENCHES[kind](), steps)


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEPS, max_size=10))
def test_whatever_happens_nothing_of_kafka_is_lost_or_comes_twice(
    kafka: KafkaServer, steps: list[tuple[str, int | None]]
) -> None:
    take_steps(KafkaBench(kafka), steps)


def take_steps(bench: Bench, steps: list[tuple[str, int | None]]) -> None:
    run = Run(bench)
    source = run.start()
    try:
        for step, number in steps:
            match step:
                case "add":
                    bench.add(number or 0, source)
                case "batch":
                    run.batch(number)
                case "poll":
                    source.poll(2, bench.clock.now_ms())
                case "checkpoint":
                    run.take_checkpoint()
                case "release":
                    if run.checkpoint[1] is not None:
                        source.release(run.checkpoint[1])
                case "crash":
                    # The range was made durable, and the process died before it was logged.
                    run.drain()
                    bench.add(3, source)
                    source.poll(None, bench.clock.now_ms())
                    run.stop()
                    source = run.start()
                case "restart":
                    run.stop()
                    source = run.start()
        assert run.drain() == bench.added
    finally:
        run.stop()
        bench.close()
