"""Files that grow, followed through every way in which they are rotated: each line once, across restarts."""

import gzip
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamjob_runtime.connectors.files.follow import FollowSource
from streamjob_runtime.connectors.files.tails import is_beside
from streamjob_runtime.connectors.source import Source
from streamjob_runtime.errors import Damaged, JobError
from streamjob_runtime.formats.text import TextDecoder
from support.source_run import Run
from support.sources import TEXT, FollowBench, patient


@pytest.fixture
def bench() -> Iterator[FollowBench]:
    made = FollowBench()
    yield made
    made.close()


@pytest.fixture
def run(bench: FollowBench) -> Iterator[Run]:
    run = Run(bench)
    run.start()
    yield run
    run.stop()


def add(run: Run, count: int) -> None:
    assert run.source is not None
    run.bench.add(count, run.source)


def rename(bench: FollowBench) -> None:
    """As logrotate does it by default: .1 becomes .2 and so on."""
    old = sorted(bench.folder.glob("access.log.*"), key=lambda p: -int(p.suffix[1:]))
    for path in old:
        path.rename(bench.folder / f"access.log.{int(path.suffix[1:]) + 1}")
    bench.log.rename(bench.folder / "access.log.1")
    bench.log.touch()


def copy_and_cut(bench: FollowBench) -> None:
    """Logrotate's copytruncate."""
    number = 1 + len(list(bench.folder.glob("access.log.*")))
    shutil.copyfile(bench.log, bench.folder / f"access.log.{number}")
    os.truncate(bench.log, 0)


@pytest.mark.parametrize("rotate", [rename, copy_and_cut])
@pytest.mark.parametrize("read_before", [True, False])
@pytest.mark.parametrize("restart", [True, False])
def test_rotation_loses_nothing_and_brings_nothing_twice(
    run: Run, bench: FollowBench, rotate: Callable[[FollowBench], None], read_before: bool, restart: bool
) -> None:
    add(run, 5)
    assert run.batch(limit=3)
    run.take_checkpoint()
    if read_before:
        run.drain()
    add(run, 4)
    if restart:
        run.stop()
    rotate(bench)
    bench.append("")
    if restart:
        run.start()
    add(run, 3)
    assert run.drain() == bench.added
    rotate(bench)
    add(run, 2)
    run.stop()
    run.start()
    assert run.drain(limit=1) == bench.added
    assert not bench.said


def test_a_last_line_without_an_end_is_waited_for(run: Run, bench: FollowBench) -> None:
    add(run, 1)
    bench.append("half a ")
    assert run.drain() == ["row 0"]
    assert run.source is not None
    assert run.source.status().message == "a last line without an end is waited for in access.log"
    bench.append("line\n")
    assert run.drain() == ["row 0", "half a line"]
    assert run.source.status().message == ""


def test_a_replay_reads_the_same_bytes_from_the_renamed_file_or_a_copy(run: Run, bench: FollowBench) -> None:
    add(run, 3)
    run.drain()
    run.stop()
    rename(bench)
    run.start()  # from the beginning: the log's ranges are read again, and compared
    run.stop()
    shutil.copyfile(bench.folder / "access.log.1", bench.folder / "elsewhere")
    (bench.folder / "access.log.1").unlink()
    run.start()
    assert run.drain() == bench.added


def test_a_replay_of_bytes_that_are_gone_is_refused(run: Run, bench: FollowBench) -> None:
    add(run, 3)
    run.drain()
    run.stop()
    packed = bench.folder / "access.log.1.gz"
    packed.write_bytes(gzip.compress(bench.log.read_bytes()))
    bench.log.write_text("other\n")
    with pytest.raises(Damaged, match=r"the bytes 0 to 18 of .*access.log \(inode \d+\), which a batch needs again"):
        run.start()


def test_a_rotated_file_that_was_packed_is_not_read_again(bench: FollowBench) -> None:
    source = FollowSource("f", bench.folder, "access*", TextDecoder(), TEXT, patient(), bench._say)
    bench.append("1\n2\n")
    assert take(source) == ["1", "2"]
    (bench.folder / "access.log.1.gz").write_bytes(gzip.compress(bench.log.read_bytes()))
    bench.log.unlink()
    bench.append("3\n")
    assert take(source) == ["3"]


def test_new_files_of_the_pattern_are_followed_and_copies_in_the_making_are_not_read(bench: FollowBench) -> None:
    source = FollowSource("f", bench.folder, "*.log*", TextDecoder(), TEXT, patient(), bench._say)
    bench.append("1\n2\n")
    assert take(source) == ["1", "2"]
    (bench.folder / "other.log").write_text("1\n2\n")  # begins alike, and is no copy: its name says so
    assert take(source) == ["1", "2"]
    bench.append("3\n")
    copy = bench.folder / "access.log.1"
    shutil.copyfile(bench.log, copy)
    assert take(source) == ["3"]
    assert "taken for copies of files that are read, and not read: access.log.1" in source.status().message
    status = source.status()
    assert status.latest == status.position
    bench.append("late\n")
    shutil.copyfile(bench.log, copy)
    os.truncate(bench.log, 0)
    bench.append("4\n")
    assert take(source) == ["late", "4"]
    assert not bench.said


def test_a_file_that_is_cut_off_is_said_and_read_from_its_beginning(run: Run, bench: FollowBench) -> None:
    add(run, 3)
    run.drain()
    bench.log.write_text("anew\n")
    assert run.drain()[3:] == ["anew"]
    assert [said for said in bench.said if "access.log was cut off or replaced, and is read from its beginning" in said]


def test_lines_that_were_never_read_are_said_to_be_lost(run: Run, bench: FollowBench) -> None:
    add(run, 3)
    assert run.batch(limit=1)
    assert run.source is not None
    run.source.poll(1, 0)
    bench.log.unlink()
    bench.append("x\n")
    run.drain()
    assert any("the lines behind byte 6, 12 bytes, are lost" in said for said in bench.said), bench.said


def test_a_file_of_the_same_inode_is_told_by_its_bytes(run: Run, bench: FollowBench) -> None:
    add(run, 3)
    run.drain()
    inode = bench.log.stat().st_ino
    with bench.log.open("r+") as file:  # as a new file that got the inode of a deleted one, and is longer
        file.write("".join(f"new {n}\n" for n in range(9)))
    assert bench.log.stat().st_ino == inode
    assert run.drain()[3:] == [f"new {n}" for n in range(9)]


def test_a_run_to_the_end_reads_what_was_there(bench: FollowBench) -> None:
    source = FollowSource("f", bench.folder, "access.log", TextDecoder(), TEXT, patient())
    source.open(None)
    bench.append("1\n2\nhalf")
    source.limit_to_available()
    bench.append(" a line\n3\n")
    assert take(source) == ["1", "2"] and source.exhausted
    missing = FollowSource("f", bench.folder, "none.log", TextDecoder(), TEXT, patient())
    with pytest.raises(JobError, match="there is no file or folder"):
        missing.limit_to_available()


def test_a_record_that_cannot_be_decoded_stands_in_no_range(bench: FollowBench) -> None:
    source = FollowSource("f", bench.folder, "access.log", TextDecoder(), TEXT, patient())
    source.open(None)
    bench.log.write_bytes(b"1\n\xff\n")
    with pytest.raises(JobError, match=r"the line 2 behind byte 0 of .*access\.log cannot be decoded"):
        source.poll(None, 0)


def take(source: Source) -> list[str]:
    """All that is there now."""
    rows: list[str] = []
    while (offsets := source.poll(None, 0)) is not None:
        source.advance(offsets)
        rows += [str(value) for value in source.read(offsets).column("value").to_pylist()]
    return rows


STEPS = st.one_of(
    st.tuples(st.just("add"), st.integers(1, 5)),
    st.tuples(st.just("batch"), st.none() | st.integers(1, 3)),
    st.tuples(st.sampled_from(["rename", "copy", "checkpoint", "restart", "poll"]), st.none()),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEPS, max_size=20))
def test_whatever_rotates_and_restarts_each_line_comes_once(steps: list[tuple[str, int | None]]) -> None:
    bench = FollowBench("access.log*")
    run = Run(bench)
    source = run.start()
    rotations = {"rename": rename, "copy": copy_and_cut}
    try:
        for step, number in steps:
            if step == "add":
                bench.add(number or 0, source)
            elif step == "batch":
                run.batch(number)
            elif step == "poll":
                source.poll(2, 0)
            elif step == "checkpoint":
                run.take_checkpoint()
            elif step == "restart":
                run.stop()
                source = run.start()
            else:
                rotations[step](bench)
        assert sorted(run.drain()) == sorted(bench.added)
    finally:
        run.stop()
        bench.close()


@pytest.mark.parametrize(
    ("original", "key", "beside"),
    [
        ("access.log", "access.log.1", True),
        ("access.log", "access.log-20261130", True),
        ("access.log", "access-20261130.log", True),
        ("access.log", "access.log", True),
        ("access.log", "accesses.log", False),
        ("access.log", "other.log", False),
        ("a/access.log", "b/access.log.1", False),
    ],
)
def test_the_names_that_rotation_gives(original: str, key: str, beside: bool) -> None:
    assert is_beside(original, key) == beside


def test_it_needs_no_more_than_the_folder(tmp_path: Path) -> None:
    source = FollowSource("f", tmp_path / "none", None, TextDecoder(), TEXT, patient())
    assert source.check().startswith("warning: 0 files to follow")
    source.open(None)
    assert source.poll(None, 0) is None
    assert "there is no file to follow" in source.status().message
