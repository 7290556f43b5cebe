"""docs/examples.md names every example, with the command that runs it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "examples.md"


def test_each_example_has_a_line_with_its_manifest_and_its_command() -> None:
    rows = re.findall(r"^\| \[(.+?)\]\((.+?)\) \|.*\| `(.+?)` \|$", PAGE.read_text(), re.M)
    folders = sorted(file.parent.name for file in (ROOT / "examples").glob("*/streamjob.yaml"))
    assert sorted(name for name, _, _ in rows) == folders
    for name, manifest, command in rows:
        assert (PAGE.parent / manifest).resolve() == ROOT / "examples" / name / "streamjob.yaml"
        assert (ROOT / command.split()[-1]).exists()
