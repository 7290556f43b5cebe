"""Where tools lie: once a version, whole or not at all, and made by one process at a time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from scripts import cache, tools
from scripts.cache import Place
from scripts.go import GoPrograms

ROOT = Path(__file__).parents[2]
CLAIM = "import sys; from scripts import cache; cache.claim('minio'); print(flush=True); sys.stdin.read()"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STREAMJOB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"STREAMJOB_CACHE": "/own", "XDG_CACHE_HOME": "/xdg"}, "/own"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/streamjob"),
        ({"XDG_CACHE_HOME": "relative"}, "/home/me/.cache/streamjob"),
        ({"XDG_CACHE_HOME": "", "STREAMJOB_CACHE": ""}, "/home/me/.cache/streamjob"),
        ({}, "/home/me/.cache/streamjob"),
    ],
)
def test_the_user_says_where_it_is(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], folder: str) -> None:
    for name in ("STREAMJOB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (environ | {"HOME": "/home/me"}).items():
        monkeypatch.setenv(name, value)
    assert cache.folder() == Path(folder)


def test_a_thing_is_there_whole_or_not_at_all(own_cache: Path) -> None:
    place = Place("tool", "1")
    with pytest.raises(RuntimeError), place.made() as folder:
        (folder / "half").touch()
        raise RuntimeError
    assert not place.is_there()
    with place.made() as folder:
        (folder / "whole").touch()
        assert not place.is_there()
    assert [path.name for path in place.path.iterdir()] == ["whole"]
    assert not Place("tool", "2").is_there()
    assert not list(own_cache.glob("making-*"))


def test_what_a_killed_process_left_half_made_is_taken_away(own_cache: Path) -> None:
    code = "import os; from scripts import cache; w = cache.working_folder('x'); w.__enter__(); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == -9
    (left,) = own_cache.glob("making-*")
    with cache.working_folder("mine") as mine, cache.working_folder("other") as other:
        assert not left.exists()
        assert mine.exists() and other.exists()


def test_who_wants_a_thing_that_is_being_made_waits_for_it() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CLAIM], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as maker:
        assert maker.stdin is not None and maker.stdout is not None
        maker.stdout.readline()
        assert cache.is_claimed("minio") and not cache.is_claimed("helm")
        place = tools.place("minio")
        place.path.mkdir(parents=True)
        assert tools.is_there_in_the_end("minio")  # what is there is not waited for
        place.path.rmdir()
        maker.stdin.close()  # it ends, and has not made it
        assert not tools.is_there_in_the_end("minio")


def test_a_claim_is_kept_until_the_thing_is_used() -> None:
    cache.claim("kafka", "hdfs")
    assert cache.is_claimed("kafka") and cache.is_claimed("hdfs")
    with cache.lock("kafka"):
        assert cache.is_claimed("kafka")
    assert not cache.is_claimed("kafka") and cache.is_claimed("hdfs")
    with cache.lock("hdfs"):
        pass


def test_the_version_of_programs_changes_with_what_pins_them(tmp_path: Path) -> None:
    assert GoPrograms(("example.org/a/cmd/b@v1.2.3",)).version() == "v1.2.3"
    (tmp_path / "go.mod").write_text("require (\n\texample.org/a v1.2.3\n)\n")
    pinned = GoPrograms(("example.org/a/cmd/b",), tmp_path)
    before = pinned.version()
    assert before.startswith("v1.2.3-")
    (tmp_path / "go.sum").write_text("another\n")
    assert pinned.version() != before


def test_every_tool_has_a_place_of_its_own() -> None:
    assert len({tools.place(name).path for name in tools.NAMES}) == len(tools.NAMES)
    assert tools.program("kubelet").parent == tools.place("kubernetes").path
    assert str(tools.place("kind").path) in tools.path().split(os.pathsep)
