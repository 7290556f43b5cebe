"""Which packages the images are built from: those that the base image's own Python would choose."""

import re
from pathlib import Path

import pytest
from scripts.images import BASE, REQUIREMENTS, Python, lines_for, platforms

OLD = Python(
    {"python_full_version": "3.11.2", "implementation_name": "cpython", "platform_machine": "x86_64"}, ("glibc", "2.36")
)
NEW = Python(
    {"python_full_version": "3.12.9", "implementation_name": "cpython", "platform_machine": "aarch64"},
    ("glibc", "2.41"),
)
TEXT = """\
# made by a tool
numpy==1.0 ; python_full_version < '3.12' \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via somebody
numpy==2.0 ; python_full_version >= '3.12' \\
    --hash=sha256:cc
click==8.5.1 \\
    --hash=sha256:dd
"""


def test_a_requirement_is_chosen_by_its_marker_and_keeps_its_hashes() -> None:
    assert lines_for(TEXT, OLD) == ["numpy==1.0 --hash=sha256:aa --hash=sha256:bb", "click==8.5.1 --hash=sha256:dd"]
    assert lines_for(TEXT, NEW) == ["numpy==2.0 --hash=sha256:cc", "click==8.5.1 --hash=sha256:dd"]


@pytest.mark.parametrize("file", REQUIREMENTS, ids=lambda file: file.stem)
def test_every_package_of_an_image_has_one_version_and_hashes(file: Path) -> None:
    lines = lines_for(file.read_text(), NEW)
    names = [line.partition("==")[0] for line in lines]
    assert len(names) == len(set(names)) > 5
    assert all("==" in line and " --hash=sha256:" in line for line in lines)


def test_the_base_image_is_one_that_no_tag_moves() -> None:
    assert re.fullmatch(r"[a-z/.]+:[0-9a-z.-]+@sha256:[0-9a-f]{64}", BASE)


def test_wheels_fit_the_c_library_of_the_image() -> None:
    assert platforms(OLD)[0] == "manylinux_2_36_x86_64"
    assert "manylinux2014_x86_64" in platforms(OLD)
    assert "manylinux_2_28_aarch64" in platforms(NEW)
    with pytest.raises(SystemExit, match="choose a base with glibc"):
        platforms(Python(OLD.markers, ("", "")))
