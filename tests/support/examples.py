"""The examples, run as a user runs them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[2] / "examples"
STREAMJOB = Path(sys.executable).with_name("streamjob")


def copy_of(name: str, into: Path) -> Path:
    """An example's folder without what a run has left there."""
    ignore = shutil.ignore_patterns("out", ".streamjob")
    return Path(shutil.copytree(EXAMPLES / name, into / name, ignore=ignore))


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    """`streamjob run` over an example in a folder, to its end."""
    command: list[str | Path] = [STREAMJOB, "run", f"{folder.name}/streamjob.yaml"]
    done = subprocess.run(command, cwd=folder.parent, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    return done


def json_rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of a files sink in JSON, of all its files."""
    return [json.loads(line) for file in sorted(folder.glob("*.json")) for line in file.read_text().splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path."""
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}
