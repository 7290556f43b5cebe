"""What a release refuses, and what its files say; `test_release_wheel` installs one."""

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from scripts.generate import generated
from scripts.release import build_images, section_of, steady, sums
from scripts.version import PLACES, ROOT, VERSION, with_version

CHANGELOG = """\
# Changes

## 1.10.0

- Newer.

## 1.1.0 (2026-01-02)

- One.
- Two.

## 1.0.0
"""


def test_a_section_is_found_by_the_whole_version() -> None:
    assert section_of(CHANGELOG, "1.1.0") == "- One.\n- Two."
    assert section_of(CHANGELOG, "1.10.0") == "- Newer."


@pytest.mark.parametrize("version", ["1.1", "1.1.1", "0.1.0", "10.0", "1.0.0"])
def test_a_version_without_a_word_in_the_changelog_has_none(version: str) -> None:
    assert section_of(CHANGELOG, version) == ""


def test_the_changelog_has_a_section_for_this_version() -> None:
    assert section_of((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), VERSION)


def test_the_version_is_written_wherever_people_read_it() -> None:
    files = generated()
    for path, before in PLACES.items():
        text = files[ROOT / path]
        assert VERSION in text and with_version(text, before) == text
        assert VERSION not in with_version(text, before, "9.8.7")


def test_a_place_without_a_version_is_said_and_not_passed_over() -> None:
    with pytest.raises(ValueError, match="nothing matches"):
        with_version("no version here", "(image:)")


def packed(when: int) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=when) as gz, tarfile.open(fileobj=gz, mode="w") as archive:
        for name in ("chart/Chart.yaml", "chart/values.yaml"):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.uname = 4, when, f"user{when}"
            archive.addfile(entry, io.BytesIO(name[-4:].encode()))
    return out.getvalue()


def test_a_package_does_not_tell_when_and_by_whom_it_was_packed() -> None:
    assert packed(1) != packed(2)
    assert steady(packed(1), 7) == steady(packed(2), 7)
    with tarfile.open(fileobj=io.BytesIO(steady(packed(1), 7))) as archive:
        assert [(m.name, m.mtime, m.uname) for m in archive] == [
            ("chart/Chart.yaml", 7, ""),
            ("chart/values.yaml", 7, ""),
        ]
        content = archive.extractfile("chart/values.yaml")
        assert content is not None and content.read() == b"yaml"


def test_without_docker_and_buildah_it_is_said_and_the_rest_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "neither is installed here" in build_images(tmp_path)


def test_an_engine_that_does_not_answer_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\nexit 1\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "does not answer here" in build_images(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["docker"]


def test_sums_are_of_every_file_but_of_themselves(tmp_path: Path) -> None:
    for name in ("b.whl", "a.tgz", "SHA256SUMS"):
        (tmp_path / name).write_text(name)
    hashes = [hashlib.sha256(name.encode()).hexdigest() for name in ("a.tgz", "b.whl")]
    assert sums(tmp_path) == f"{hashes[0]}  a.tgz\n{hashes[1]}  b.whl\n"
