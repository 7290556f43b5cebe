"""Make .venv with the pinned packages of requirements/dev.txt, and with this project in it. Standard library only."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
VENV = ROOT / ".venv"


def main() -> None:
    if sys.version_info < (3, 11):
        version = ".".join(map(str, sys.version_info[:2]))
        sys.exit(f"StreamJob needs Python 3.11 or newer; this is {version}. Give another one: make PYTHON=python3.12 …")
    try:
        import ensurepip  # noqa: F401
        import venv
    except ImportError:
        name = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        sys.exit(f"This Python lacks the module venv. Install it: apt-get install {name}")
    if not (VENV / "bin" / "python").exists():
        print("Making .venv …", flush=True)
        venv.create(VENV, with_pip=True, clear=True)
    print("Installing the pinned packages into .venv …", flush=True)
    pip(["--require-hashes", "-r", str(ROOT / "requirements" / "dev.txt")])
    pip(["--no-deps", "--no-build-isolation", "-e", str(ROOT)])


def pip(arguments: list[str]) -> None:
    command = [VENV / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    if subprocess.run(command, cwd=ROOT).returncode:
        sys.exit("pip failed (above). Is the package index reachable? Then run make again.")


if __name__ == "__main__":
    main()
