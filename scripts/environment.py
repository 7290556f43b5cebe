"""Make .venv with the pinned packages of requirements/dev.txt, and with this project in it. Standard library only."""

import importlib.util
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTHON = ROOT / ".venv" / "bin" / "python"


def main() -> None:
    """Make what is missing; end with a message that says what to do where that fails."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if sys.version_info < (3, 11):  # noqa: UP036 - this script is what finds out
        sys.exit(f"StreamJob needs Python 3.11 or newer; this is {version}. Name another one: make PYTHON=python3.12 …")
    if not all(importlib.util.find_spec(module) for module in ("venv", "ensurepip")):
        sys.exit(f"This Python lacks the module venv. Install it: apt-get install python{version}-venv")
    if not PYTHON.exists():
        print("Making .venv …", flush=True)
        run([sys.executable, "-m", "venv", "--clear", str(ROOT / ".venv")])
    print("Installing the pinned packages into .venv …", flush=True)
    pip(["--require-hashes", "-r", str(ROOT / "requirements" / "dev.txt")])
    pip(["--no-deps", "--no-build-isolation", "-e", str(ROOT)])


def pip(arguments: list[str]) -> None:
    """Install into .venv."""
    run([str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments])


def run(command: list[str]) -> None:
    """Run a command; end here if it fails."""
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        sys.exit("That failed (above). Once it is mended, run make again: it goes on where it was.")


if __name__ == "__main__":
    main()
