"""The workers that share the tests: when one dies, one test has failed, and the run comes to its end."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
WITHIN_S = 60


def run(folder: Path, files: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run the tests of some files with two workers."""
    for name, text in files.items():
        (folder / name).write_text(text)
    command = [sys.executable, "-m", "pytest", "-p", "support.workers", "-n2", "-q", "-p", "no:cacheprovider"]
    environ = os.environ | {"PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}
    for name in [name for name in environ if name.startswith("PYTEST_")]:
        del environ[name]
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=WITHIN_S, check=False
    )


def test_a_worker_that_dies_fails_one_test_and_the_others_are_run(tmp_path: Path) -> None:
    passes = "def test_it(): pass\n"
    dies = "import os\n\ndef test_first(): pass\n\ndef test_dies(): os._exit(9)\n\ndef test_last(): pass\n"
    files = {f"test_{i:02}.py": passes for i in range(12)} | {"test_99.py": dies}
    done = run(tmp_path, files)
    assert "1 failed, 14 passed" in done.stdout
    assert "test_99.py::test_dies" in done.stdout
