"""Make .venv with the pinned packages of requirements/dev.txt, and with this project in it. Standard library only."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parent.parent
PYTHON = ROOT / ".venv" / "bin" / "python"
PIP = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check"]


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
    install_pinned(ROOT / "requirements" / "dev.txt")
    print("Installing StreamJob itself …", flush=True)
    run([*PIP, "--quiet", "--no-deps", "--no-build-isolation", "-e", str(ROOT)])


def install_pinned(requirements: Path) -> None:
    """Install pinned packages into .venv, and say which is fetched: minutes without a word look like a fault."""
    count = len(re.findall(r"^[a-zA-Z]\S*==", requirements.read_text(), re.MULTILINE))
    print(f"Installing {count} pinned packages into .venv, once …", flush=True)
    command = [*PIP, "--progress-bar", "off", "--require-hashes", "-r", str(requirements)]
    fetched = 0
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if match := re.match(r"Collecting (\S+)==(\S+)", line):
                fetched += 1
                print(f"  {fetched}/{count} {match[1]} {match[2]}", flush=True)
            elif line.startswith("Installing collected packages"):
                print("  all are here; unpacking them takes up to a minute …", flush=True)
    if process.returncode:
        end()


def run(command: list[str]) -> None:
    """Run a command; end here if it fails."""
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        end()


def end() -> NoReturn:
    """End after a command that has said why it failed."""
    sys.exit("That failed (above). Once it is mended, run make again: it goes on where it was.")


if __name__ == "__main__":
    main()
